"""BOLD that follows the order of frames: learned by what sees order, not by what averages."""

import numpy as np
import pytest
from tiny_prediction import AVERAGING, LONG, SPLITS, STUDY, held_out_r, params, predicted

from subtr.datasets.held_out import labelled_trs
from subtr.datasets.study import Study
from subtr.metrics.bold import pearson_r
from subtr.params import SettingsError


def test_a_network_that_sees_order_finds_it_and_averaging_does_not(tmp_path):
    found, history = predicted(tmp_path / "conv")
    averaged, _ = predicted(tmp_path / "mean", stream=AVERAGING)
    assert held_out_r(found["mean"]) > 0.8
    assert abs(held_out_r(averaged["mean"])) < 0.3
    # The control: the same networks, given the frames of each TR in random order.
    assert held_out_r(found["frames shuffled"]) < held_out_r(found["mean"]) - 0.3
    np.testing.assert_allclose(averaged["frames shuffled"], averaged["mean"], atol=1e-4)
    assert np.isfinite(found["mean"]).all()  # two folds test every TR
    assert sorted(history["fold"].unique()) == [0, 1]
    assert history.attrs["training time_s"] > 0


def test_each_subject_gets_a_head_and_the_mean_is_theirs(tmp_path):
    opposite = {"s1": STUDY.bold["s1"], "s2": -STUDY.bold["s2"]}
    study = Study(
        "opposite", STUDY.clock, mel=STUDY.mel, bold=opposite, parcels=STUDY.parcels,
        truth=STUDY.truth,
    )  # fmt: skip
    found, _ = predicted(tmp_path, SPLITS[:1], study, target="subjects", loss="mse", training=LONG)
    controls = {"frames shuffled", "phases randomised"}
    assert set(found) == {"s1", "s2", "mean", "calibrated"} | controls
    np.testing.assert_allclose(found["mean"], (found["s1"] + found["s2"]) / 2)
    assert held_out_r(found["s1"]) > 0.7
    assert held_out_r(found["s2"]) < -0.7
    tested = np.isfinite(found["s1"]).all(1)
    assert np.flatnonzero(tested).tolist() == SPLITS[0].test.tolist()


def test_held_out_bold_is_never_used(tmp_path):
    short = {"training": {"max_epochs": 3}}
    honest, _ = predicted(tmp_path / "a", SPLITS[:1], **short)
    outside = np.setdiff1d(np.arange(260), np.r_[SPLITS[0].train, SPLITS[0].validation])
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[outside] = 100.0 * np.random.default_rng(1).normal(size=(len(outside), 3))
    changed = Study("changed", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    again, _ = predicted(tmp_path / "b", SPLITS[:1], changed, **short)
    np.testing.assert_array_equal(honest["mean"], again["mean"])


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tmp_path):
    short = {"training": {"max_epochs": 2}}
    one, again, other = (
        predicted(tmp_path / name, SPLITS[:1], seed=seed, **short)[0]["mean"]
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    np.testing.assert_array_equal(one, again)
    assert np.nanmax(np.abs(one - other)) > 1e-3


def test_masked_parcels_leave_the_others_as_good(tmp_path):
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[:, 2] = np.nan
        of[40:60, 0] = np.nan
    with pytest.warns(UserWarning, match="masked by NaN"):
        study = Study("masked", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    found, _ = predicted(tmp_path, SPLITS[:1], study)
    r = pearson_r(found["mean"], STUDY.truth["group"]["signal"])
    assert r[:2].min() > 0.7


def test_bold_that_is_not_labelled_is_never_used(tmp_path):
    few = {"training": {"max_epochs": 3}, "label_fraction": 0.3}
    split = SPLITS[1]
    honest, _ = predicted(tmp_path / "a", [split], **few)
    known = labelled_trs(split, 0.3, STUDY, seed=0)
    outside = np.setdiff1d(np.arange(260), np.r_[known, split.validation])
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[outside] = 100.0 * np.random.default_rng(1).normal(size=(len(outside), 3))
    changed = Study("changed", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    again, _ = predicted(tmp_path / "b", [split], changed, **few)
    np.testing.assert_array_equal(honest["mean"], again["mean"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readout": {"vector_dims": 2}}, r"readout\.vector_dims: unknown key.*'vector_dim'"),
        ({"readout": {"response": "glover"}}, r"readout\.response = 'glover'"),
        ({"loss": "r"}, "loss = 'r'"),
        ({"item_trs": 2}, "item_trs = 2"),
        ({"label_fraction": 0}, "label_fraction = 0"),
        ({"pretraining": {"mask_ration": 0.9}}, r"pretraining\.mask_ration: .*'mask_ratio'"),
    ],
)
def test_wrong_parameters_are_refused_when_the_file_is_read(changes, message):
    with pytest.raises(SettingsError, match=message):
        params(**changes)
