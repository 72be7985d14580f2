"""Which encoder, and which aggregator, is best at equal floats per TR and equal parameters?

Data: a reader's speech for reconstruction; 20 minutes of generated film with known BOLD. About 8
hours on two cores, of which reconstruction takes three and BOLD more than two; `sizes` takes a
part. Expected: of encoders on speech none beats PCA, whose floats are the best that a linear
decoder can have; aggregators with equal weights cannot tell when anything was; a linear encoder
has no power of the sound's modulation to send on, so fast rates need convolutions.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.data import TR_S, reader_study
from benchmarks.tables import Row, named
from subtr.aggregators import AGGREGATORS
from subtr.datasets import load_study
from subtr.datasets.held_out import held_out_bold
from subtr.datasets.study import Fold, folds_of
from subtr.experiments.bold_scores import bold_rows
from subtr.experiments.cost import count_parameters
from subtr.experiments.results import sound_rows
from subtr.models.linear import fit_pca, mean_baseline
from subtr.models.stream import Stream, StreamParams
from subtr.params import SettingsError, params_hash, validate
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.encoding_models import predict_bold
from subtr.training.systems import AutoencoderParams, BoldParams

SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512)
QUESTIONS = ("speech_encoders", "speech_aggregators", "speech_beside_pca")
QUESTIONS += ("simulated_encoders", "simulated_aggregators")
# Width -> the encoder's options. Attention needs a position to know order by.
ROTARY = {"positions": "rotary"}
ENCODERS = {
    "linear": lambda width: {"name": "linear", "hidden_dim": width},
    "multiscale": lambda width: {"name": "multiscale", "hidden_dim": width},
    "multiscale, separable": lambda width: {
        "name": "multiscale", "hidden_dim": width, "separable": True
    },
    "WaveNet": lambda width: {"name": "dilated", "hidden_dim": width, "causal": False},
    "TCN": lambda width: {"name": "dilated", "kind": "tcn", "hidden_dim": width, "causal": False},
    "SA-MSTCN": lambda width: {
        "name": "attentive_dilated", "hidden_dim": width, "causal": False
    },
    "hierarchical": lambda width: {
        "name": "hierarchical", "dims": [width] * 3, "pool_frames": [2, 4]
    },
    "transformer": lambda width: {"name": "transformer", "hidden_dim": width} | ROTARY,
    "linear attention": lambda width: {"name": "linear_attention", "hidden_dim": width},
    "gated linear attention": lambda width: {
        "name": "linear_attention", "kind": "gated", "hidden_dim": width
    },
    "conv_transformer": lambda width: {
        "name": "conv_transformer", "conv_dim": width, "hidden_dim": width
    },
}  # fmt: skip
# Heads must share a width evenly, in pairs where positions turn them.
STEPS = {name: 8 for name in ENCODERS if "former" in name or "attention" in name}


def run(folder: Path, tables=QUESTIONS, sizes=SIZES, seeds=SEEDS) -> list[Row]:
    """Rows of five tables; sizes are of the first two and of the fourth."""
    rows = []
    if any(name.startswith("speech") for name in tables):
        speech = reader_study()
        for n_floats in sizes:
            if "speech_encoders" in tables:
                its = encoders_on_speech(speech, n_floats, seeds, folder / "compared")
                rows += named("speech_encoders", its)
            if "speech_aggregators" in tables:
                its = aggregators_on_speech(speech, n_floats, seeds, folder / "compared")
                rows += named("speech_aggregators", its)
        if "speech_beside_pca" in tables:
            its = encoders_beside_pca(speech, seeds, folder / "compared_beside_pca")
            rows += named("speech_beside_pca", its)
    if any(name.startswith("simulated") for name in tables):
        film = known_film()
        if "simulated_encoders" in tables:
            for n_floats in sizes:
                its = encoders_on_bold(film, n_floats, seeds, folder / "compared_bold")
                rows += named("simulated_encoders", its)
        if "simulated_aggregators" in tables:
            its = aggregators_on_bold(film, seeds, folder / "compared_bold")
            rows += named("simulated_aggregators", its)
    return rows


def stream_at(encoder, aggregator, **more):
    """Width -> parameters of a stream."""

    def at(width):
        parts = {"encoder": ENCODERS[encoder](width), "aggregator": aggregator} | more
        return validate(StreamParams, parts, encoder)

    return at


def matched(encoder, aggregator, n_parameters, *sizes, **more):
    """The stream of an encoder whose parameters are as many as wanted."""
    at = stream_at(encoder, aggregator, **more)
    return at(matched_width(at, n_parameters, *sizes, step=STEPS.get(encoder, 4)))


def matched_width(
    params_at: Callable[[int], StreamParams],
    n_parameters: int,
    in_dim: int | tuple[int, int],
    frames_per_tr: int,
    dim: int,
    step: int = 8,
    widest: int = 1024,
) -> int:
    """The width whose stream comes nearest to ``n_parameters``.

    Arguments
        params_at: width -> a stream of that width; more of it means more parameters.
        in_dim, frames_per_tr, dim: see `subtr.models.stream.Stream`.
        step: widths tried are its multiples, as heads must share a width evenly.
        widest: none beyond it is tried.

    Raises
        SettingsError: the narrowest or the widest is more than a quarter off.
    """

    def count(index: int) -> int:
        return count_parameters(Stream(in_dim, frames_per_tr, dim, params_at(index * step)))

    low, high = 1, widest // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= n_parameters else (low, middle)
    counts = {index * step: count(index) for index in (low, high)}
    width = min(counts, key=lambda one: abs(counts[one] - n_parameters))
    if not 0.75 < counts[width] / n_parameters < 1.33:
        raise SettingsError(
            f"{params_at(width).encoder.name}: {counts[width]:,} parameters at a width of {width} "
            f"are the nearest to {n_parameters:,}; expected at most a quarter off. Choose another "
            "number, or other options."
        )
    return width


def reconstructed(speech, system, stream, n_floats, seeds, folder, **more):
    """Rows of each seed, trained from random weights for 300 steps."""
    study, split = speech
    settings = {"stream": stream.model_dump(), "floats_per_tr": [n_floats]}
    settings |= {"batches_per_epoch": 25}
    settings |= {"training": {"max_epochs": 12, "check_every_epochs": 4, "learning_rate": 3.0e-3}}
    params = validate(AutoencoderParams, settings | more, system)
    rows = []
    for seed in seeds:
        place = folder / f"{system}_{n_floats}" / f"seed{seed}_{params_hash(params)}"
        said = f"speech, {system}, {n_floats} floats, seed {seed}"
        found, history = reconstruct_sound(
            Fold(study, split, params.of_size(n_floats), place, seed, said)
        )
        labels = {"study": "speech", "system": system, "floats_per_tr": n_floats, "seed": seed}
        rows += sound_rows(study.mel[split.test], found, TR_S, **labels)
        labels |= {"modality": "sound"}
        n_parameters = count_parameters(Stream(study.mel.shape[-1], 64, n_floats, params.stream))
        rows += spent(labels, n_parameters, history)
    return rows


def spent(labels, n_parameters, history) -> list[Row]:
    """How large the stream is, and how long it was trained."""
    return [
        labels | {"metric": "parameters of the stream", "value": n_parameters},
        labels | {"metric": "training time_s", "value": history.attrs["training time_s"]},
    ]


def encoders_on_speech(speech, n_floats, seeds, folder) -> list[Row]:
    """All from random weights, with one linear map over all frames and a linear decoder."""
    study, split = speech
    aggregator, sizes = {"name": "linear"}, (study.mel.shape[-1], 64, n_floats)
    reference = stream_at("multiscale", aggregator)(32)
    wanted = count_parameters(Stream(*sizes, reference))
    rows = []
    for encoder in ENCODERS:
        stream = matched(encoder, aggregator, wanted, *sizes)
        rows += reconstructed(speech, encoder, stream, n_floats, seeds, folder)
    original = study.mel[split.test]
    labels = {"study": "speech", "floats_per_tr": n_floats, "seed": 0}
    rows += sound_rows(original, mean_baseline(original), TR_S, system="mean", **labels)
    pca = fit_pca(torch.from_numpy(study.mel), [split.train], n_floats)
    return rows + sound_rows(original, pca.reconstruct(original), TR_S, system="PCA", **labels)


def aggregators_on_speech(speech, n_floats, seeds, folder) -> list[Row]:
    """All behind one multi-scale encoder."""
    rows = []
    for aggregator in AGGREGATORS.parts:
        stream = stream_at("multiscale", {"name": aggregator})(32)
        rows += reconstructed(speech, aggregator, stream, n_floats, seeds, folder)
    return rows


def encoders_beside_pca(speech, seeds, folder) -> list[Row]:
    """What each adds to a vector that starts at PCA, with the decoder that refines."""
    study, _ = speech
    aggregator, sizes = {"name": "linear", "hidden_dim": 32}, (study.mel.shape[-1], 64, 128)
    wanted = count_parameters(
        Stream(*sizes, stream_at("multiscale", aggregator, keep_input=True)(32))
    )
    more = {"decoder": {"name": "refined", "hidden_dim": 32, "depth": 2}, "start": "pca"}
    more |= {"item_trs": 2, "batch_size": 16, "batches_per_epoch": 25}
    rows = []
    for encoder in ENCODERS:
        # The map of the input is most of it, so widths are matched as far as they count.
        stream = matched(encoder, aggregator, wanted, *sizes, keep_input=True)
        rows += reconstructed(speech, f"PCA + {encoder}", stream, 128, seeds, folder, **more)
    return rows


def known_film():
    """Twenty minutes of generated film; one block of test time."""
    study = load_study("simulated", {"duration_s": 1200, "n_subjects": 4, "seed": 1})
    return study, study.splits(4)[:1]


def bold_params(stream, system, vector_dim):
    """How BOLD of the film is learned, and its stream."""
    settings = {"stream": stream.model_dump(), "n_bands": 8}
    settings |= {"readout": {"vector_dim": vector_dim, "dropout": 0.1}}
    settings |= {
        "training": {"max_epochs": 40, "check_every_epochs": 4, "learning_rate": 3.0e-3}
        | {"weight_decay": 0.1}
    }
    return validate(BoldParams, settings, system)


def bold_folder(folder, system, params, seed):
    """Where the checkpoints of one seed lie, a folder a fold."""
    size = params.readout.vector_dim
    return folder / f"{system}_{size}" / f"seed{seed}_{params_hash(params)}"


def predicted(film, system, stream, vector_dim, seeds, folder):
    study, splits = film
    params = bold_params(stream, system, vector_dim)
    bold, rows = held_out_bold(study, splits, 2), []
    for seed in seeds:
        place = bold_folder(folder, system, params, seed)
        said = f"film, {system}, {vector_dim} floats, seed {seed},"
        found, history = predict_bold(
            folds_of(study, splits, place, said, params=params, seed=seed, drift_order=2)
        )
        labels = {"study": "simulated", "system": system, "floats_per_tr": vector_dim}
        labels |= {"seed": seed}
        rows += bold_rows(found["mean"], bold, **labels)
        labels |= {"modality": "bold", "group": ""}
        n_parameters = count_parameters(Stream(8, 64, vector_dim, stream))
        rows += spent(labels, n_parameters, history)
    return rows


def encoders_on_bold(film, vector_dim, seeds, folder) -> list[Row]:
    """BOLD by tuning class; three smooth kernels over the TR, as they need the least data."""
    aggregator = {"name": "kernels", "n_kernels": 3}
    sizes, more = (8, 64, vector_dim), {"context_frames": 8}
    wanted = count_parameters(Stream(*sizes, stream_at("multiscale", aggregator, **more)(32)))
    rows = []
    for encoder in ENCODERS:
        stream = matched(encoder, aggregator, wanted, *sizes, **more)
        rows += predicted(film, encoder, stream, vector_dim, seeds, folder)
    return rows


def aggregators_on_bold(film, seeds, folder) -> list[Row]:
    rows = []
    for aggregator in AGGREGATORS.parts:
        stream = stream_at("multiscale", {"name": aggregator}, context_frames=8)(32)
        rows += predicted(film, aggregator, stream, 64, seeds, folder)
    return rows
