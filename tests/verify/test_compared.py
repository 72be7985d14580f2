"""Every encoder and every aggregator at equal floats per TR and equal parameters: speech."""

import numpy as np
import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.autoencoder_params import AutoencoderParams
from subtr.baselines import mean_rival
from subtr.clock import Clock
from subtr.cost import count_parameters, matched_width
from subtr.datasets.recordings import load_speech
from subtr.models import Stream, StreamParams
from subtr.params import params_hash, validate
from subtr.reconstruction import reconstruct_sound
from subtr.scoring import sound_rows
from subtr.splits import Split
from subtr.study import Fold, Study
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512)
TR_S = 1.5
N_VALIDATION = 16
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

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def speech(data_dir):
    windows = load_speech(data_dir / "speech" / "hifi_6097", tr_s=TR_S)
    n_train, n_test = len(windows.train), len(windows.test)
    mel = np.concatenate([windows.train, windows.test])
    run_of_tr = np.repeat([0, 1], [n_train, n_test])
    study = Study("speech", Clock(TR_S, len(mel)), mel=mel, run_of_tr=run_of_tr)
    edge, trs = n_train - N_VALIDATION, np.arange(len(mel))
    return study, Split(trs[:edge], trs[edge:n_train], trs[n_train:])


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


def reconstructed(speech, system, stream, n_floats, folder, **more):
    """Rows of three seeds, trained from random weights for 300 steps."""
    study, split = speech
    settings = {"stream": stream.model_dump(), "floats_per_tr": [n_floats]}
    settings |= {"batches_per_epoch": 25}
    settings |= {"training": {"max_epochs": 12, "check_every_epochs": 4, "learning_rate": 3.0e-3}}
    params = validate(AutoencoderParams, settings | more, system)
    rows = []
    for seed in SEEDS:
        place = folder / f"{system}_{n_floats}" / f"seed{seed}_{params_hash(params)}"
        said = f"speech, {system}, {n_floats} floats, seed {seed}"
        found, history = reconstruct_sound(
            Fold(study, split, params.of_size(n_floats), place, seed, said)
        )
        labels = {"study": "speech", "system": system, "floats_per_tr": n_floats, "seed": seed}
        rows += sound_rows(study.mel[split.test], found, TR_S, **labels)
        labels |= {"modality": "sound"}
        n_parameters = count_parameters(Stream(study.mel.shape[-1], 64, n_floats, params.stream))
        rows.append(labels | {"metric": "parameters of the stream", "value": n_parameters})
        spent_s = history.attrs["training time_s"]
        rows.append(labels | {"metric": "training time_s", "value": spent_s})
    return rows


def kept(rows):
    """System -> mean temporal preservation over seeds."""
    found = {}
    for row in rows:
        if row["metric"] == "temporal preservation":
            found.setdefault(row["system"], []).append(row["value"])
    return {system: float(np.mean(values)) for system, values in found.items()}


@pytest.mark.parametrize("n_floats", SIZES)
def test_encoders_on_speech(speech, scored_of, verify_folder, n_floats):
    """All from random weights, with one linear map over all frames and a linear decoder."""
    study, split = speech
    aggregator, sizes = {"name": "linear"}, (study.mel.shape[-1], 64, n_floats)
    reference = stream_at("multiscale", aggregator)(32)
    wanted = count_parameters(Stream(*sizes, reference))
    rows = []
    for encoder in ENCODERS:
        stream = matched(encoder, aggregator, wanted, *sizes)
        rows += reconstructed(speech, encoder, stream, n_floats, verify_folder / "compared")
    original = study.mel[split.test]
    labels = {"study": "speech", "floats_per_tr": n_floats, "seed": 0}
    rows += sound_rows(original, mean_rival(original), TR_S, system="mean", **labels)
    pca = fit_pca(torch.from_numpy(study.mel), [split.train], n_floats)
    rows += sound_rows(original, pca.reconstruct(original), TR_S, system="PCA", **labels)
    scored_of(f"speech_encoders_{n_floats}", rows)
    found = kept(rows)
    # No linear decoder can do better than PCA on what PCA learned from; unseen speech is close.
    assert max(found[encoder] for encoder in ENCODERS) < found["PCA"] + 0.01
    assert min(found[encoder] for encoder in ENCODERS) > 0.3


@pytest.mark.parametrize("n_floats", SIZES)
def test_aggregators_on_speech(speech, scored_of, verify_folder, n_floats):
    """All behind one multi-scale encoder."""
    rows = []
    for aggregator in AGGREGATORS.parts:
        stream = stream_at("multiscale", {"name": aggregator})(32)
        rows += reconstructed(speech, aggregator, stream, n_floats, verify_folder / "compared")
    scored_of(f"speech_aggregators_{n_floats}", rows)
    found = kept(rows)
    # What is linear in the frames with equal weights cannot tell when anything was.
    assert found["linear"] > found["attention"] > found["mean"] - 0.02


def test_encoders_beside_pca(speech, scored_of, verify_folder):
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
        at = stream_at(encoder, aggregator, keep_input=True)
        # The map of the input is most of it, so widths are matched as far as they count.
        stream = at(matched_width(at, wanted, *sizes, step=STEPS.get(encoder, 4)))
        folder = verify_folder / "compared_beside_pca"
        rows += reconstructed(speech, f"PCA + {encoder}", stream, 128, folder, **more)
    scored_of("speech_beside_pca", rows)
    found = kept(rows)
    assert max(found.values()) - min(found.values()) < 0.02
