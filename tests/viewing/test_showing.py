"""What notebooks play, tabulate and conclude, and what they do where there is nothing."""

import math

import numpy as np
import pandas as pd
import pytest

from subtr.datasets.study import Study
from subtr.experiments.experiment import Experiment
from subtr.experiments.results import COLUMNS
from subtr.models.stream import JointStream, PictureStreamParams, Stream, StreamParams
from subtr.timeline import Clock
from subtr.viewing.notebook import (
    KEPT,
    compared,
    conclude,
    levels,
    n_learned,
    outcome,
    reconstructed,
)


def test_of_bold_with_annotations_alone_there_is_nothing_to_play(monkeypatch):
    bold = {"s1": np.random.default_rng(0).normal(size=(40, 2))}
    parcels = pd.DataFrame({"tuning": ["hearing", "seeing"]}, index=["A1", "V1"])
    experiment = object.__new__(Experiment)
    study = Study("annotated", Clock(1.5, 40), bold=bold, parcels=parcels)
    object.__setattr__(experiment, "study", study)
    monkeypatch.setattr(Experiment, "reconstruction_trs", np.arange(8))
    monkeypatch.setattr(Experiment, "reconstructions", lambda *_: {})
    assert reconstructed(experiment, 0, ["tier1"]) is None


def row(system, value, low, high, metric=KEPT, modality="sound", floor=0.0, group="", floats=128.0):
    of = {"study": "s", "system": system, "seed": 0, "modality": modality, "metric": metric}
    of |= {"group": group, "value": value, "low": low, "high": high, "floor": floor}
    return dict.fromkeys(COLUMNS) | of | {"ceiling": 1.0, "floats_per_tr": floats}


def table(*rows):
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"floor": float, "ceiling": float})


@pytest.mark.parametrize(
    ("low", "averaged_high", "verdict"),
    [(0.5, 0.1, "**is above** averaging"), (0.1, 0.2, "**is not above** averaging")],
)
def test_above_averaging_is_where_the_intervals_say_so(low, averaged_high, verdict):
    averaging = table(row("averaging", 0.05, 0.0, averaged_high))
    said = outcome(table(row("tier1", 0.6, low, 0.7)), "sound", KEPT, "tier1", averaging)
    assert said == (
        f"**tier1** reaches 0.60 [{low:.2f}, 0.70] in within-TR R² of audio (floor 0.00, ceiling "
        f"1.00): it {verdict}, which reaches 0.05 [0.00, {averaged_high:.2f}]."
    )


def test_without_averaging_the_floor_is_what_counts_and_a_no_is_said():
    rows = table(row("tier1", 0.04, 0.02, 0.2, "r", "bold", floor=0.05))
    for averaging in (None, table()):
        said = outcome(rows, "bold", "r", "tier1", averaging)
        assert said.endswith("it **is not above** the floor.")
    # The floor of BOLD is a quantile of chance: the value is what must pass it.
    higher = rows.assign(value=0.06)
    assert outcome(higher, "bold", "r", "tier1").endswith("it **is above** the floor.")
    # That of a reconstruction is what a mean keeps: the interval must lie above it.
    for low, verdict in ((-0.1, "is not"), (0.1, "is")):
        kept = table(row("tier1", 0.2, low, 0.3))
        assert outcome(kept, "sound", KEPT, "tier1").endswith(f"it **{verdict} above** the floor.")
    assert "was not measured" in outcome(rows, "sound", KEPT, "tier1")


def test_of_several_sizes_the_largest_is_told_and_groups_are_kept_apart():
    rows = table(
        row("tier1", 0.9, 0.8, 1.0, floats=256.0),
        row("tier1", 0.5, 0.4, 0.6, floats=64.0),
        row("tier1", 0.2, 0.1, 0.3, "r", "bold", group="order"),
    )
    assert "0.90 [0.80, 1.00]" in outcome(rows, "sound", KEPT, "tier1")
    assert "r of BOLD, order parcels" in outcome(rows, "bold", "r", "tier1", group="order")
    assert "was not measured" in outcome(rows, "bold", "r", "tier1")


@pytest.mark.parametrize(("low", "word"), [(0.55, "overlap."), (0.65, "do not overlap.")])
def test_two_systems_differ_where_their_intervals_part(low, word):
    rows = table(row("distilled", 0.7, low, 0.8), row("small", 0.5, 0.4, 0.6))
    assert compared(rows, "sound", KEPT, "distilled", "small").endswith(f"intervals {word}")
    assert compared(rows, "sound", KEPT, "small", "distilled").endswith(f"intervals {word}")
    assert "PCA was not measured" in compared(rows, "sound", KEPT, "small", "PCA")


def test_a_conclusion_names_every_system_that_was_scored(capsys):
    rows = table(row("small", 0.5, 0.4, 0.6), row("distilled", 0.7, 0.65, 0.8))
    conclude(rows, ["small", "distilled", "absent"])
    said = capsys.readouterr().out
    assert "Markdown" in said  # shown as prose, where there is a notebook to show it


def test_levels_tell_rate_receptive_field_and_features_of_what_is_aggregated():
    encoder = {"name": "multiscale", "hidden_dim": 8, "kernel_frames": [1, 5]}
    params = StreamParams(encoder=encoder, aggregator={"name": "linear"}, keep_input=True)
    found = levels(Stream(24, 16, 4, params), tr_s=2.0)
    assert found.index[0] == "the input"
    assert (found["rate_hz"] == 8.0).all()
    assert found["receptive_field_s"].iloc[0] == pytest.approx(1 / 8)
    # The widest of its kernels, at 8 frames a second.
    assert found["receptive_field_s"].iloc[-1] >= 5 / 8
    assert found["features"].isna().tolist() == [True] + [False] * (len(found) - 1)


def test_levels_of_attention_are_infinite_and_those_of_both_tracks_are_named():
    attention = {"name": "transformer", "hidden_dim": 8, "n_heads": 2, "depth": 1}
    stream = Stream(24, 16, 4, StreamParams(encoder=attention, aggregator={"name": "attention"}))
    assert math.isinf(levels(stream, 2.0)["receptive_field_s"].iloc[0])
    sound = StreamParams(
        encoder={"name": "linear", "hidden_dim": 8}, aggregator={"name": "kernels", "n_kernels": 2}
    )
    video = PictureStreamParams(encoder={"name": "s3d", "channels": [4], "hidden_dim": 8})
    joint = JointStream(24, 16, (4, 8, 16), 4, sound, video)
    found = levels(joint, 2.0)
    assert {name.split(" at ")[0] for name in found.index} == {"sound", "pictures"}
    assert found["rate_hz"].max() == pytest.approx(8.0)
    assert n_learned(joint) == sum(of.numel() for of in joint.parameters())
