"""Every encoder and every aggregator at equal floats per TR and equal parameters: known BOLD."""

import pytest
from verify.test_compared import ENCODERS, SEEDS, SIZES, matched, stream_at

from subtr.aggregators import AGGREGATORS
from subtr.bold_scoring import bold_rows
from subtr.cost import count_parameters
from subtr.datasets import load_study
from subtr.held_out_bold import held_out_bold
from subtr.models import Stream
from subtr.params import params_hash, validate
from subtr.prediction import BoldParams, predict_bold
from subtr.study import folds_of

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def film():
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


def predicted(film, system, stream, vector_dim, folder):
    study, splits = film
    params = bold_params(stream, system, vector_dim)
    bold, rows = held_out_bold(study, splits, 2), []
    for seed in SEEDS:
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
        rows.append(labels | {"metric": "parameters of the stream", "value": n_parameters})
        spent_s = history.attrs["training time_s"]
        rows.append(labels | {"metric": "training time_s", "value": spent_s})
    return rows


@pytest.mark.parametrize("vector_dim", SIZES)
def test_encoders_on_known_truth(film, scored_of, verify_folder, vector_dim):
    """BOLD by tuning class; three smooth kernels over the TR, as they need the least data."""
    aggregator = {"name": "kernels", "n_kernels": 3}
    sizes, more = (8, 64, vector_dim), {"context_frames": 8}
    wanted = count_parameters(Stream(*sizes, stream_at("multiscale", aggregator, **more)(32)))
    rows = []
    for encoder in ENCODERS:
        stream = matched(encoder, aggregator, wanted, *sizes, **more)
        rows += predicted(film, encoder, stream, vector_dim, verify_folder / "compared_bold")
    scored_of(f"simulated_encoders_{vector_dim}", rows)
    share = {
        (row["system"], row["group"]): row["value"]
        for row in rows
        if row["metric"] == "r / ceiling"
    }
    # A linear encoder has no power of the sound's modulation to send on, only its level.
    assert share["multiscale", "rate 4 Hz"] > share["linear", "rate 4 Hz"] + 0.2


def test_aggregators_on_known_truth(film, scored_of, verify_folder):
    rows = []
    for aggregator in AGGREGATORS.parts:
        at = stream_at("multiscale", {"name": aggregator}, context_frames=8)
        rows += predicted(film, aggregator, at(32), 64, verify_folder / "compared_bold")
    scored_of("simulated_aggregators", rows)
    share = {
        (row["system"], row["group"]): row["value"]
        for row in rows
        if row["metric"] == "r / ceiling"
    }
    assert share["kernels", "order"] > share["mean", "order"] + 0.2
