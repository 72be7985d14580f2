"""Estimators after scikit-learn's conventions: options, then fit, predict or reconstruct, score.

Options are kept as they are given, so that ``get_params``, ``set_params`` and ``clone`` work; what
is learned ends in ``_``. All are fitted to a `Fold`, learn from its training TRs, are chosen by its
validation TRs, and are scored on its test TRs by the same functions as whole experiments.
"""

import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Float64, Int, Shaped
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from subtr.aggregators import AGGREGATORS
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Fold, Study
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.experiments.bold_scores import bold_rows
from subtr.experiments.results import picture_rows, sound_rows
from subtr.metrics.bold import calibrated
from subtr.models import ridge
from subtr.models.linear import fit_pca, lanczos_baseline, mean_baseline, nearest_baseline
from subtr.models.saved import pictures_of_frames
from subtr.params import SettingsError, StudyError, layered, nearest, params_hash, validate
from subtr.timeline import consecutive
from subtr.training.autoencoders import train_pictures, train_sound
from subtr.training.encoding_models import bold_timeline, fit_fold
from subtr.training.systems import BoldParams, PictureParams, SoundParams

# An encoder, aggregator and so on: its name, or {"name": ..., option: value}.
Named = str | Mapping[str, Any]

BOLD_METRICS = ("r", "r / ceiling", "R2")


class _Estimator(BaseEstimator):
    """What all share: the fold they were fitted to, and the guard against leaks."""

    def _remember(self, fold: Fold) -> None:
        self.fold_ = fold

    def _test_of(self, fold: Fold) -> Int[np.ndarray, " test"]:
        """Test TRs of a fold.

        Raises
            SettingsError: another study's, or some of them were learned from.
        """
        check_is_fitted(self)
        if fold.study is not self.fold_.study:
            raise SettingsError(
                f"fitted to {self.fold_.study!r}, scored on {fold.study!r}: give a fold of the "
                "same study object."
            )
        if len(seen := np.intersect1d(fold.test, self.fold_.known)):
            raise SettingsError(
                f"{len(seen)} of the {len(fold.test)} test TRs were learned from; score on the "
                "fold that this was fitted to."
            )
        return fold.test


class _BoldEstimator(_Estimator):
    """Predicts BOLD; ``_timeline`` gives the whole study's."""

    def predict(self, trs: Int[np.ndarray, " n"] | None = None) -> Float64[np.ndarray, "n parcel"]:
        """BOLD of these TRs, those of the test block by default, in units of the training TRs."""
        check_is_fitted(self)
        return self._timeline()[self.fold_.test if trs is None else trs]

    def score(self, fold: Fold | None = None) -> pd.DataFrame:
        """How well the BOLD of a fold's test TRs is predicted, as tidy rows.

        Arguments
            fold: by default the one that it was fitted to.

        Returns
            A row a metric ("r", "r / ceiling", "R2") and group of parcels ("" for all), with
            columns ``metric``, ``group``, ``value``, ``floor``, ``ceiling``, ``low`` and ``high``;
            see `subtr.experiments.bold_scores.bold_rows`.

        Raises
            SettingsError: the test TRs were learned from, or belong to another study.
        """
        check_is_fitted(self)
        fold = self.fold_ if fold is None else fold
        test, study = self._test_of(fold), fold.study
        prediction = self._timeline()
        _, bold = cleaned_bold(study, fold.split, fold.drift_order)
        in_units = calibrated(prediction, bold, fold.validation)
        tested = np.full(prediction.shape, np.nan)
        tested[test] = prediction[test]
        held_out = held_out_bold(study, [fold.split], fold.drift_order)
        rows = bold_rows(tested, held_out, in_units)
        return _table(row for row in rows if row["metric"] in BOLD_METRICS)


class _Reconstruction(_Estimator):
    """Frames -> numbers -> frames; ``reconstruct`` gives them in the stimulus's own units."""

    def predict(self, trs: Int[np.ndarray, " n"] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """As `reconstruct`; of the test TRs by default."""
        check_is_fitted(self)
        return self.reconstruct(self.fold_.test if trs is None else trs)

    def score(self, fold: Fold | None = None) -> pd.DataFrame:
        """How well the test TRs of a fold are reconstructed, as tidy rows.

        Arguments
            fold: by default the one that it was fitted to.

        Returns
            A row a metric with columns ``metric``, ``value``, ``floor``, ``ceiling``, ``low`` and
            ``high``; see `subtr.experiments.results`.

        Raises
            SettingsError: the test TRs were learned from, or belong to another study.
        """
        check_is_fitted(self)
        fold = self.fold_ if fold is None else fold
        test = self._test_of(fold)
        rows = sound_rows if self.modality == "audio" else picture_rows
        original = _windows(fold.study, self.modality)[test]
        return _table(rows(original, self.reconstruct(test), fold.study.clock.tr_s))


class TemporalAutoencoder(_Reconstruction):
    """The audio or video of each TR, from a few numbers a TR, and back.

    Arguments
        encoder, aggregator, decoder, position: a name of ``st.encoders`` (``st.video_encoders``),
            ``st.aggregators``, ``st.decoders`` (``st.video_decoders``) and ``st.positions``, or a
            mapping of the name and options: ``{"name": "multiscale", "hidden_dim": 32}``. No
            decoder takes "linear", and "linear_pictures" for video.
        floats_per_tr: numbers of a TR that reach the decoder.
        modality: "audio" (log-mel) or "video" (pictures).
        start: "pca" starts linear maps at the principal components of the training windows,
            "random" does not, "auto" takes "pca" where aggregator and decoder can.
        max_epochs, learning_rate: of the training.
        params: whatever else `subtr.training.systems.SoundParams` (or ``PictureParams``) takes, as
            in a params file, in place of what follows from the other options.

    Fitted, it has ``autoencoder_`` (`subtr.models.autoencoder.Autoencoder`), ``params_`` (validated
    parameters), ``history_`` (losses by epoch) and ``fold_``.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> auto = st.TemporalAutoencoder("linear", "linear", floats_per_tr=16, max_epochs=2)
        >>> heard = auto.fit(fold, seed=0).reconstruct(fold.test)
        >>> heard.shape == study.audio[fold.test].shape
        True
        >>> bool(st.within_tr_r2(study.audio[fold.test], heard) > 0)  # averaging gives 0
        True
    """

    def __init__(
        self,
        encoder: Named = "multiscale",
        aggregator: Named = "linear",
        decoder: Named | None = None,
        position: Named = "none",
        floats_per_tr: int = 128,
        modality: Literal["audio", "video"] = "audio",
        start: Literal["auto", "pca", "random"] = "auto",
        max_epochs: int = 20,
        learning_rate: float = 3e-3,
        params: Mapping[str, Any] | None = None,
    ):
        self.encoder, self.aggregator, self.decoder = encoder, aggregator, decoder
        self.position, self.floats_per_tr, self.modality = position, floats_per_tr, modality
        self.start, self.max_epochs, self.learning_rate = start, max_epochs, learning_rate
        self.params = params

    def fit(self, fold: Fold, seed: int = 0) -> "TemporalAutoencoder":
        """Learns from the training TRs; the validation TRs choose the weights.

        Arguments
            fold: with a ``folder``, checkpoints stay there, and the same training is read back;
                without one nothing is left behind.
            seed: of all that is random.

        Raises
            SettingsError: an unknown part or option, with the nearest right one; or a bad value.
            StudyError: the study lacks that track.
        """
        _windows(fold.study, self.modality)
        self.params_ = self._validated()
        train = train_sound if self.modality == "audio" else train_pictures
        with _training_fold(fold, self.params_, seed, type(self).__name__) as training:
            self.autoencoder_ = train(training)
        self.history_ = self.autoencoder_.history
        self._remember(fold)
        return self

    def reconstruct(self, trs: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n frame ..."]:
        """These TRs as they come back: log-mel (TR, frame, mel), or pictures from 0 to 255."""
        check_is_fitted(self)
        found = self.autoencoder_.reconstruct(trs, self.fold_.study, self.params_.vector_fit)
        return found.numpy() if self.modality == "audio" else pictures_of_frames(found)

    @torch.no_grad()
    def encode(self, trs: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n float"]:
        """The ``floats_per_tr`` numbers of each of these TRs, as the encoder gives them."""
        check_is_fitted(self)
        of, tr_s = self.autoencoder_, self.fold_.study.clock.tr_s
        parts = [
            of.model.stream(of.frames[torch.as_tensor(some)][None], tr_s)[0]
            for some in consecutive(np.asarray(trs), self.fold_.study.run_of_tr)
        ]
        return torch.cat(parts).numpy()

    def _validated(self) -> SoundParams | PictureParams:
        is_audio = self.modality == "audio"
        decoder = self.decoder or ("linear" if is_audio else "linear_pictures")
        aggregator, decoder = _part(self.aggregator), _part(decoder)
        start = self.start
        if start == "auto":
            registries = (AGGREGATORS, DECODERS if is_audio else PICTURE_DECODERS)
            names = (aggregator["name"], decoder["name"])
            both = zip(names, registries, strict=True)
            can = all(hasattr(registry.parts.get(name), "start_from") for name, registry in both)
            start = "pca" if can else "random"
        values = {
            "stream": {
                "position": _part(self.position),
                "encoder": _part(self.encoder),
                "aggregator": aggregator,
                "keep_input": start == "pca",
            },
            "decoder": decoder,
            "floats_per_tr": [self.floats_per_tr],
            "start": start,
            "training": {"max_epochs": self.max_epochs, "learning_rate": self.learning_rate},
        }
        model = SoundParams if is_audio else PictureParams
        return validate(model, layered(dict(self.params or {}), values), type(self).__name__)


class EncodingModel(_BoldEstimator):
    """BOLD from the stimulus: encoder, aggregator, haemodynamic response, linear readout.

    Arguments
        encoder, aggregator, position, response: a name of ``st.encoders``, ``st.aggregators``,
            ``st.positions`` and ``st.responses``, or a mapping of the name and options. No response
            takes "fir", and "applied" for BOLD that already lies beside its stimulus.
        vector_dim: numbers of a TR that BOLD is predicted from.
        n_bands: ranges of neighbouring mel bands that are averaged first; None keeps every band.
        context_frames: frames of the neighbouring TRs that the encoder sees on either side.
        max_epochs, learning_rate, weight_decay: of the training.
        params: whatever else `subtr.training.systems.BoldParams` takes, as in a params file, in
            place of what follows from the other options.

    Fitted, it has ``predictor_`` (the network), ``params_``, ``history_`` and ``fold_``.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> model = st.EncodingModel("linear", "kernels", response="canonical", max_epochs=5)
        >>> scores = model.fit(fold, seed=0).score(fold)
        >>> list(scores.columns)
        ['metric', 'group', 'value', 'floor', 'ceiling', 'low', 'high']
        >>> model.predict().shape == (len(fold.test), len(study.parcels))
        True
    """

    def __init__(
        self,
        encoder: Named = "multiscale",
        aggregator: Named = "kernels",
        response: Named | None = None,
        position: Named = "none",
        vector_dim: int = 16,
        n_bands: int | None = 8,
        context_frames: int = 8,
        max_epochs: int = 50,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.1,
        params: Mapping[str, Any] | None = None,
    ):
        self.encoder, self.aggregator, self.response = encoder, aggregator, response
        self.position, self.vector_dim, self.n_bands = position, vector_dim, n_bands
        self.context_frames, self.max_epochs = context_frames, max_epochs
        self.learning_rate, self.weight_decay, self.params = learning_rate, weight_decay, params

    def fit(self, fold: Fold, seed: int = 0) -> "EncodingModel":
        """Learns from the training TRs; the validation TRs choose the weights.

        Arguments
            fold: with a ``folder``, checkpoints stay there, and the same training is read back;
                without one nothing is left behind.
            seed: of all that is random.

        Raises
            SettingsError: an unknown part or option, with the nearest right one; or a bad value.
            StudyError: the study has no BOLD.
        """
        _check_bold(fold.study)
        self.params_ = self._validated()
        with _training_fold(fold, self.params_, seed, type(self).__name__) as training:
            self.predictor_, self.stimulus_, self.history_ = fit_fold(training)
        self._remember(fold)
        return self

    def _timeline(self) -> Float64[np.ndarray, "tr parcel"]:
        found = bold_timeline(self.predictor_, self.stimulus_, self.fold_.study)
        return np.mean(list(found.values()), axis=0)

    def _validated(self) -> BoldParams:
        values = {
            "n_bands": self.n_bands,
            "stream": {
                "position": _part(self.position),
                "encoder": _part(self.encoder),
                "aggregator": _part(self.aggregator),
                "context_frames": self.context_frames,
            },
            "readout": {
                "vector_dim": self.vector_dim,
                "response": None if self.response is None else _part(self.response),
            },
            "training": {
                "max_epochs": self.max_epochs,
                "learning_rate": self.learning_rate,
                "weight_decay": self.weight_decay,
            },
        }
        return validate(BoldParams, layered(dict(self.params or {}), values), type(self).__name__)


class FIRRidge(_BoldEstimator):
    """Ridge regression of BOLD on one feature a TR, with a weight for each lag.

    Arguments
        feature: a name, or several side by side, of what the study knows TR by TR, such as "mean
            mel", "sound power" or "word rate"; or values (TR, feature).
        fir_s: longest lag in seconds; None for 16, and for 0 where the BOLD already lies beside its
            stimulus, or with ``canonical``.
        canonical: the feature goes through the canonical response in place of free lags.

    Fitted, it has ``ridge_`` (`subtr.models.ridge.FirRidge`), ``features_`` and ``fold_``.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> baseline = st.FIRRidge("sound power").fit(fold)
        >>> baseline.predict().shape == (len(fold.test), len(study.parcels))
        True
    """

    def __init__(
        self,
        feature: str | Sequence[str] | np.ndarray = "mean mel",
        fir_s: float | None = None,
        canonical: bool = False,
    ):
        self.feature, self.fir_s, self.canonical = feature, fir_s, canonical

    def fit(self, fold: Fold, seed: int = 0) -> "FIRRidge":
        """Learns from training and validation TRs; penalties are chosen by blocks within them.

        Arguments
            seed: nothing is random here; taken so that all estimators are called alike.

        Raises
            SettingsError: an unknown feature, with those that the study has.
            StudyError: the study has no BOLD.
        """
        _check_bold(fold.study)
        values = self.feature
        if not isinstance(values, np.ndarray):
            values = np.concatenate(list(_spaces(fold.study, values).values()), axis=1)
        found = ridge.fit_ridge(fold, np.asarray(values, float), self.fir_s, self.canonical)
        self.ridge_, self.features_ = found
        self._remember(fold)
        return self

    def _timeline(self) -> Float64[np.ndarray, "tr parcel"]:
        study = self.fold_.study
        return self.ridge_.predict(self.features_, np.arange(study.clock.n_trs), study.run_of_tr)


class BandedRidge(_BoldEstimator):
    """Ridge regression of BOLD on several features a TR, each with a penalty of its own.

    Arguments
        features: names of what the study knows TR by TR.
        fir_s: longest lag in seconds; None for 16, and for 0 where BOLD lies beside its stimulus.
        n_draws: mixtures of the features that are tried.

    Fitted, it has ``ridge_`` (`subtr.models.ridge.BandedRidge`), ``features_`` and ``fold_``.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> model = st.BandedRidge(["sound power", "onset flux"], n_draws=3).fit(fold, seed=0)
        >>> model.predict().shape == (len(fold.test), len(study.parcels))
        True
    """

    def __init__(
        self,
        features: Sequence[str] = ("mean mel", "onset flux"),
        fir_s: float | None = None,
        n_draws: int = 30,
    ):
        self.features, self.fir_s, self.n_draws = features, fir_s, n_draws

    def fit(self, fold: Fold, seed: int = 0) -> "BandedRidge":
        """Learns from training and validation TRs; arguments and errors as of `FIRRidge.fit`."""
        study = fold.study
        _check_bold(study)
        if self.fir_s and study.hrf_applied:
            raise SettingsError(
                f"fir_s = {self.fir_s:g}: the BOLD of {study.name} already lies beside its "
                "stimulus (hrf_applied); leave fir_s out."
            )
        self.features_ = _spaces(study, self.features)
        fir_s = self.fir_s
        if fir_s is None:
            fir_s = 0.0 if study.hrf_applied else 16.0
        _, mean = cleaned_bold(study, fold.split, fold.drift_order)
        model = ridge.BandedRidge(study.clock.tr_s, fir_s, n_draws=self.n_draws, seed=seed)
        self.ridge_ = model.fit(self.features_, mean, fold.known, study.run_of_tr)
        self._remember(fold)
        return self

    def _timeline(self) -> Float64[np.ndarray, "tr parcel"]:
        study = self.fold_.study
        return self.ridge_.predict(self.features_, np.arange(study.clock.n_trs), study.run_of_tr)


class PCA(_Reconstruction):
    """The best linear code of the flattened window of a TR: the baseline to beat at equal floats.

    Arguments
        floats_per_tr: components kept of each TR.
        modality: "audio" or "video".

    Fitted, it has ``pca_`` (`subtr.models.linear.PCABaseline`) and ``fold_``.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> heard = st.PCA(floats_per_tr=16).fit(fold).reconstruct(fold.test)
        >>> bool(st.within_tr_r2(study.audio[fold.test], heard) > 0.1)
        True
    """

    def __init__(self, floats_per_tr: int = 128, modality: Literal["audio", "video"] = "audio"):
        self.floats_per_tr, self.modality = floats_per_tr, modality

    def fit(self, fold: Fold, seed: int = 0) -> "PCA":
        """Learns from all windows of the training TRs.

        Raises
            SettingsError: more components than the windows hold.
            StudyError: the study lacks that track.
        """
        windows = torch.tensor(_flat(_windows(fold.study, self.modality)))
        stretches = consecutive(fold.train, fold.study.run_of_tr)
        self.pca_ = fit_pca(windows, stretches, self.floats_per_tr, seed)
        self._remember(fold)
        return self

    def encode(self, trs: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n float"]:
        """The ``floats_per_tr`` numbers of each of these TRs."""
        check_is_fitted(self)
        return self.pca_.encode(_flat(_windows(self.fold_.study, self.modality)[trs]))

    def reconstruct(self, trs: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n frame ..."]:
        """These TRs as the kept components give them back."""
        check_is_fitted(self)
        windows = _windows(self.fold_.study, self.modality)[trs]
        return _like(self.pca_.reconstruct(_flat(windows)), windows)


_HOLDS = {"mean": mean_baseline, "nearest": nearest_baseline, "lanczos": lanczos_baseline}


class Averaging(_Reconstruction):
    """What the usual pipeline keeps of a TR: one frame, held for the whole TR. It learns nothing.

    Arguments
        method: "mean" of the TR, the frame "nearest" to its middle, or "lanczos", low-passed at the
            TR's Nyquist rate and interpolated between TRs.
        modality: "audio" or "video".

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> fold = study.folds(2, gap_s=16.0)[0]
        >>> held = st.Averaging().fit(fold).reconstruct(fold.test)
        >>> abs(round(st.within_tr_r2(study.audio[fold.test], held), 6))
        0.0
    """

    def __init__(
        self,
        method: Literal["mean", "nearest", "lanczos"] = "mean",
        modality: Literal["audio", "video"] = "audio",
    ):
        self.method, self.modality = method, modality

    def fit(self, fold: Fold, seed: int = 0) -> "Averaging":
        """Remembers the fold; errors as of `PCA.fit`, or an unknown method."""
        if self.method not in _HOLDS:
            known = list(_HOLDS)
            raise SettingsError(f"method = {self.method!r}: unknown{nearest(self.method, known)}")
        _windows(fold.study, self.modality)
        self._remember(fold)
        return self

    def reconstruct(self, trs: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n frame ..."]:
        """These TRs, each as its one frame."""
        check_is_fitted(self)
        study, hold = self.fold_.study, _HOLDS[self.method]
        windows = _windows(study, self.modality)
        parts = consecutive(np.asarray(trs), study.run_of_tr)
        found = [hold(_flat(windows[part])) for part in parts]
        return _like(np.concatenate(found), windows[trs])


def _part(named: Named) -> dict[str, Any]:
    return {"name": named} if isinstance(named, str) else dict(named)


def _table(rows) -> pd.DataFrame:
    columns = ["metric", "group", "value", "floor", "ceiling", "low", "high"]
    table = pd.DataFrame(list(rows))
    return table[[column for column in columns if column in table]]


def _check_bold(study: Study) -> None:
    if not study.bold:
        raise StudyError(f"{study.name} has no BOLD to predict; load a study that has.")


def _windows(study: Study, modality: str) -> Shaped[np.ndarray, "tr frame ..."]:
    if modality not in ("audio", "video"):
        raise SettingsError(f"modality = {modality!r}: expected 'audio' or 'video'.")
    found = study.audio if modality == "audio" else study.video
    if found is None:
        raise StudyError(f"{study.name} has no {modality}; choose the other modality.")
    return np.asarray(found)


def _flat(windows: Shaped[np.ndarray, "tr frame ..."]) -> Float32[np.ndarray, "tr frame feature"]:
    return windows.reshape(*windows.shape[:2], -1).astype(np.float32)


def _like(
    found: Float[np.ndarray, "tr frame feature"], windows: Shaped[np.ndarray, "tr frame ..."]
) -> Shaped[np.ndarray, "tr frame ..."]:
    """In the shape of the windows; pictures become whole numbers from 0 to 255 again."""
    found = found.reshape(windows.shape)
    if windows.dtype == np.uint8:
        found = np.clip(np.rint(found), 0, 255).astype(np.uint8)
    return found


def _spaces(study: Study, names: str | Sequence[str]) -> dict[str, Float64[np.ndarray, "tr _"]]:
    known = ridge.ridge_features(study)
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in known:
            raise SettingsError(
                f"feature {name!r}: {study.name} has none of this name"
                f"{nearest(name, sorted(known))}"
            )
    return {name: known[name] for name in names}


@contextmanager
def _training_fold(fold: Fold, params, seed: int, kind: str):
    """The fold as it is trained: a folder for these options alone, or one that vanishes."""
    split = hashlib.blake2b(fold.train.tobytes() + fold.validation.tobytes(), digest_size=4)
    name = f"{kind}_{params_hash(params)}_{split.hexdigest()}_seed{seed}"
    label = f"{fold.label or fold.study.name}, {kind}, seed {seed}"
    # What is said of the training goes beside its progress, as results alone belong to a cell.
    with tempfile.TemporaryDirectory() as passing, redirect_stdout(sys.stderr):
        folder = Path(passing if fold.folder is None else fold.folder) / name
        yield fold.using(params=params, seed=seed, folder=folder, label=label)
