"""What happens inside a TR? Learned temporal aggregation for naturalistic fMRI.

How to start::

    import subtr as st

    study = st.load_study("simulated", duration_s=240)   # stimulus and BOLD on one clock
    fold = study.folds(4)[0]                             # train, validation, test, with gaps

    auto = st.TemporalAutoencoder("multiscale", "linear", floats_per_tr=128).fit(fold)
    auto.score(fold)                                     # value, floor, ceiling, interval
    st.listen({"original": study.audio[fold.test], "tier 1": auto.reconstruct(fold.test)}, study)

    model = st.EncodingModel("multiscale", "kernels").fit(fold)
    model.score(fold)                                    # r with BOLD of unseen time
    st.FIRRidge("mean mel").fit(fold).score(fold)        # baselines behave alike

What there is to choose from, with options: ``st.encoders``, ``st.video_encoders``,
``st.aggregators``, ``st.positions``, ``st.decoders``, ``st.video_decoders``, ``st.responses``,
``st.studies``, ``st.judges``, ``st.vocoders``; ``st.encoders.options("multiscale")`` gives those of
one. ``st.Experiment.open("simulated", "smoke").train("tier1")`` does what the notebooks do.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module, and the name there where it differs. Loaded at first use, so that
# ``import subtr`` waits for no network library.
_PUBLIC: dict[str, str] = {
    "load_study": "subtr.datasets",
    "Study": "subtr.datasets.study",
    "Fold": "subtr.datasets.study",
    "TemporalAutoencoder": "subtr.experiments.estimators",
    "EncodingModel": "subtr.experiments.estimators",
    "FIRRidge": "subtr.experiments.estimators",
    "BandedRidge": "subtr.experiments.estimators",
    "PCA": "subtr.experiments.estimators",
    "Averaging": "subtr.experiments.estimators",
    "within_tr_r2": "subtr.metrics.temporal:within_tr_r2",
    "modulation_transfer": "subtr.metrics.temporal",
    "pearson_r": "subtr.metrics.bold",
    "noise_ceiling": "subtr.metrics.bold:split_half_ceiling",
    "listen": "subtr.viewing.players",
    "watch": "subtr.viewing.players",
    "encoders": "subtr.encoders:ENCODERS",
    "video_encoders": "subtr.encoders:PICTURE_ENCODERS",
    "aggregators": "subtr.aggregators:AGGREGATORS",
    "positions": "subtr.encoders.positions:POSITIONS",
    "decoders": "subtr.decoders:DECODERS",
    "video_decoders": "subtr.decoders:PICTURE_DECODERS",
    "vocoders": "subtr.decoders.vocoders:VOCODERS",
    "responses": "subtr.models.responses:RESPONSES",
    "studies": "subtr.datasets:STUDIES",
    "judges": "subtr.judges:JUDGES",
    "Experiment": "subtr.experiments.experiment",
    "load_params": "subtr.params",
    "SubtrError": "subtr.params",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'subtr' has no attribute {name!r}; see dir(subtr).")
    module, _, there = _PUBLIC[name].partition(":")
    loaded = import_module(module)
    if name in globals():
        # The room of the same name, which answers as its registry does.
        return globals()[name]
    found = getattr(loaded, there or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
