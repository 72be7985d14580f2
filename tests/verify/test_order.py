"""Trained encoders tell a stimulus from its reversal within the TR; systems without order cannot.

Everything ends in 16 numbers a TR and a linear classifier of them; see `verify.order_task`.
"""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from verify.order_task import load_stimuli, trained

SEEDS = (0, 1, 2)
N_MOST_STEPS = 1200

pytestmark = pytest.mark.verify

_SMALL = {"hidden_dim": 32}
_ATTENTION = {"hidden_dim": 32, "depth": 1, "feedforward_dim": 64}
_GATED = {"hidden_dim": 16, "depth": 1, "feedforward_dim": 32, "n_heads": 2, "kind": "gated"}
_FILM = {"channels": (8, 16), "hidden_dim": 32}
# Stimulus, encoder, its usual aggregator. Convolutions hear that speech rises faster than it falls
# off. Attention with absolute position is slow to learn what is so local and the same everywhere
# in the window, so it is given speech that also grows louder over the TR; divided attention of
# pictures is given a learned weight of each distance in time for the same reason.
TEMPORAL = {
    "multiscale": ("speech", {"name": "multiscale", "hidden_dim": 16}, "conv"),
    "dilated, wavenet": ("speech", {"name": "dilated", **_SMALL}, "conv"),
    "dilated, tcn": ("speech", {"name": "dilated", "kind": "tcn", **_SMALL}, "conv"),
    "attentive_dilated": ("speech", {"name": "attentive_dilated", **_SMALL}, "adaptive"),
    "hierarchical": ("speech", {"name": "hierarchical", "dims": (16, 32, 32)}, "pyramid"),
    "conv_transformer": (
        "speech",
        {"name": "conv_transformer", "conv_dim": 32, **_ATTENTION},
        "attention",
    ),
    "transformer": ("rising speech", {"name": "transformer", **_ATTENTION}, "attention"),
    "linear_attention, elu": (
        "rising speech",
        {"name": "linear_attention", **_ATTENTION},
        "attention",
    ),
    "linear_attention, gated": (
        "rising speech",
        {"name": "linear_attention", **_GATED},
        "attention",
    ),
    "two_stream": ("film", {"name": "two_stream", "motion_channels": (8, 16), **_FILM}, "conv"),
    "i3d": ("film", {"name": "i3d", **_FILM}, "conv"),
    "s3d": ("film", {"name": "s3d", "space": "mean", **_FILM}, "conv"),
    "slowfast": (
        "film",
        {"name": "slowfast", "slow_features": 8, "blocks": (1, 1), "hidden_dims": (16, 32)},
        "pyramid",
    ),
    "timesformer": (
        "film",
        {"name": "timesformer", "dim": 32, "depth": 1, "patch_pixels": 4, "hidden_dim": 32}
        | {"positions": "relative", "space": "mean"},
        "attention",
    ),
}
# At the rate of the others they stay where they started with one seed of three.
RATES = {"i3d": 5e-4, "timesformer": 5e-4}
_NO_POSITION = {**_ATTENTION, "positions": "none"}
# What no training can teach: stimulus, encoder, aggregator, whether reversal changes nothing at all
# (of the nearest frame it makes the one beside it, which is as likely either way).
BLIND = {
    "linear, mean": ("speech", {"name": "linear"}, "mean", True),
    "linear, mean, rising": ("rising speech", {"name": "linear"}, "mean", True),
    "linear, nearest": ("speech", {"name": "linear"}, "nearest", False),
    "linear, nearest, rising": ("rising speech", {"name": "linear"}, "nearest", False),
    "transformer without position, mean": (
        "rising speech",
        {"name": "transformer", **_NO_POSITION},
        "mean",
        True,
    ),
    "linear_attention without position, mean": (
        "rising speech",
        {"name": "linear_attention", **_NO_POSITION},
        "mean",
        True,
    ),
    "frame2d, mean": ("film", {"name": "frame2d", **_FILM}, "mean", True),
    "frame2d, nearest": ("film", {"name": "frame2d", **_FILM}, "nearest", False),
}


@pytest.fixture(scope="module")
def stimuli(data_dir):
    return load_stimuli(data_dir)


def rows_of(stimuli, stimulus, encoder, aggregator, n_most_steps=N_MOST_STEPS, **labels):
    """A row a seed, and the last model."""
    rows = []
    for seed in SEEDS:
        rate = RATES.get(encoder["name"], 2e-3)
        model, row = trained(stimuli[stimulus], encoder, aggregator, seed, n_most_steps, rate)
        rows.append({"stimulus": stimulus, "aggregator": aggregator} | labels | row)
        print(rows[-1])
    return rows, model


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_temporal_encoder_knows_the_direction_of_time(stimuli, measured, name):
    """Its latents averaged over the TR, so that what knows the order is the encoder alone."""
    stimulus, encoder, _ = TEMPORAL[name]
    rows, _ = rows_of(stimuli, stimulus, encoder, "mean", system=name)
    measured += rows
    assert np.mean([row["accuracy"] for row in rows]) >= 0.95


@pytest.mark.parametrize("name", TEMPORAL)
def test_so_it_does_through_its_usual_aggregator(stimuli, measured, name):
    """With more weights, some seeds stay where they started; those that move know the order."""
    stimulus, encoder, aggregator = TEMPORAL[name]
    rows, _ = rows_of(stimuli, stimulus, encoder, aggregator, system=name)
    measured += rows
    assert max(row["accuracy"] for row in rows) >= 0.9


@pytest.mark.parametrize("name", BLIND)
def test_without_order_nothing_is_better_than_chance(stimuli, measured, name):
    stimulus, encoder, aggregator, exact = BLIND[name]
    # More steps than most temporal encoders need.
    rows, model = rows_of(stimuli, stimulus, encoder, aggregator, 400, system=name)
    measured += rows
    n_right, n = (sum(row[key] for row in rows) for key in ("n_right", "n"))
    low, high = binomtest(n_right, n).proportion_ci(0.99)
    assert low <= 0.5 <= high
    if exact:
        windows = stimuli[stimulus].test
        with torch.no_grad():
            torch.testing.assert_close(model(windows), model(windows.flip(1)), rtol=1e-3, atol=1e-3)
