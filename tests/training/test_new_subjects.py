"""A subject left out of the trunk is predicted from its own training TRs, and from no others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import order_study

from subtr.bold.alignment import FunctionalAlignment
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import folds_of
from subtr.experiments.bold_scores import subject_rows
from subtr.metrics.bold import pearson_r, split_half_ceiling
from subtr.models.encoding_model import BoldReadout
from subtr.params import SettingsError, StudyError, validate
from subtr.training.new_subjects import Shared, head_prediction, leave_one_subject_out
from subtr.training.systems import BoldParams, NewSubjectParams

STUDY = order_study(n_trs=240, n_subjects=3, noise=0.5)
# The third answers the other way round, as nobody whom a trunk without it was trained on.
STUDY = replace(STUDY, bold=STUDY.bold | {"s3": -STUDY.bold["s3"]})
SPLITS = STUDY.splits(2, gap_s=24.0, validation_fraction=0.15)[:1]
TRAIN, TEST = SPLITS[0].train, SPLITS[0].test
TINY = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "kernels", "n_kernels": 2},
    },
    "readout": {"vector_dim": 2, "response": "canonical", "members": 2},
    "training": {"max_epochs": 60, "check_every_epochs": 10, "learning_rate": 0.02},
}
SHORT = {"training": {"max_epochs": 3, "check_every_epochs": 1}}


def left_out(folder, study=STUDY, changes=None, **options):
    params = validate(BoldParams, TINY | (changes or {}), "system.yaml")
    options = NewSubjectParams(**options)
    folds = folds_of(study, SPLITS, folder, "toy", params=params, drift_order=1)
    return leave_one_subject_out(folds, options)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return left_out(tmp_path_factory.mktemp("left_out"), alignment="procrustes")


def r_of(prediction, subject):
    return pearson_r(prediction[TEST], STUDY.bold[subject][TEST])


def test_a_new_head_learns_what_the_shared_one_cannot_know(found):
    assert r_of(found["shared head"]["s3"], "s3").max() < -0.6
    assert r_of(found["new head"]["s3"], "s3").min() > 0.6
    assert r_of(found["aligned"]["s3"], "s3").min() > 0.6


def test_only_test_trs_are_predicted(found):
    for of in found.values():
        for prediction in of.values():
            known = np.isfinite(prediction).all(axis=1)
            assert np.flatnonzero(known).tolist() == TEST.tolist()


def test_the_trunk_never_meets_the_new_subject_and_the_head_none_of_its_held_out_volumes(tmp_path):
    pair = replace(STUDY, bold={name: STUDY.bold[name] for name in ("s1", "s2")})
    held, other = pair.bold["s1"].copy(), np.random.default_rng(4).normal(size=(240, 3))
    held[np.setdiff1d(np.arange(240), TRAIN)] = 50.0 * other[: 240 - len(TRAIN)]
    plain = left_out(tmp_path / "plain", pair, SHORT, alignment="procrustes")
    for name, changed in (("held", held), ("other", other)):
        study = replace(pair, bold=pair.bold | {"s1": changed})
        again = left_out(tmp_path / name, study, SHORT, alignment="procrustes")
        same = ["shared head"] if name == "other" else list(plain)
        for kind in plain:
            alike = np.array_equal(plain[kind]["s1"], again[kind]["s1"], equal_nan=True)
            assert alike == (kind in same), (name, kind)
        if name == "other":  # what learned from s1 is another trunk
            assert (plain["shared head"]["s2"] != again["shared head"]["s2"])[TEST].any()


def test_one_subject_cannot_be_left_out(tmp_path):
    alone = replace(STUDY, bold={"s1": STUDY.bold["s1"]})
    with pytest.raises(StudyError, match="planted has 1 subject"):
        left_out(tmp_path, alone)


def test_too_short_a_scan_of_the_new_subject_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"new_subjects\.head_fraction = 0\.05: 6 s of"):
        left_out(tmp_path, changes=SHORT, head_fraction=0.05)


def planted_head(n_trs=300, n_features=6, noise=0.0, seed=0):
    """Features, a shared head's prediction, and BOLD of a head that differs from it."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_features, n_trs, 2))
    shared, own = rng.normal(size=(2, n_features, 2))
    of_shared, bold = (np.einsum("f t p, f p -> t p", features, w) for w in (shared, shared + own))
    return Shared(features, of_shared), bold + noise * rng.normal(size=bold.shape)


def test_a_head_without_noise_is_found_exactly_enough():
    shared, bold = planted_head()
    prediction = head_prediction(shared, 3 * bold + 7, np.arange(150), 2.0)
    assert pearson_r(prediction[170:], bold[170:]).min() > 0.999
    np.testing.assert_allclose(prediction[170:].mean(0), (3 * bold + 7)[170:].mean(0), rtol=0.05)


def test_with_little_data_the_shared_head_is_kept_and_gets_a_gain():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(40, 400, 1))
    of_shared = np.einsum("f t p, f -> t p", features, rng.normal(size=40))
    bold = -0.5 * of_shared + 3 * rng.normal(size=of_shared.shape)
    train = np.arange(60)
    with_shared = head_prediction(Shared(features, of_shared), bold, train, 2.0)
    nothing = Shared(features, rng.normal(size=of_shared.shape))
    without = head_prediction(nothing, bold, train, 2.0)
    r, r_without = (pearson_r(of[100:], -of_shared[100:])[0] for of in (with_shared, without))
    assert r > 0.8
    assert r > r_without + 0.1


def test_masked_volumes_of_the_new_subject_are_left_out():
    shared, bold = planted_head(noise=1.0)
    masked = bold.copy()
    masked[50:80, 0] = np.nan
    masked[:, 1] = np.nan
    train = np.arange(150)
    found = head_prediction(shared, masked, train, 2.0)
    assert np.isnan(found[:, 1]).all()
    known = np.setdiff1d(train, np.arange(50, 80))
    expected = head_prediction(shared, bold, known, 2.0)
    np.testing.assert_allclose(found[:, 0], expected[:, 0])


@pytest.mark.parametrize("context", [(0, 0), (2, 0)])
def test_features_under_a_heads_weights_are_its_prediction(context):
    torch.manual_seed(0)
    readout = BoldReadout(3, ["a", "b"], 4, 1.5, "fir", context_trs=context)
    with torch.no_grad():
        readout.heads.own.normal_()
        readout.hrf.kernel.normal_()
        vectors = torch.randn(50, 3)
        weights = readout.heads.shared.weight + readout.heads.departures[1]
        by_hand = torch.einsum("f t p, p f -> t p", readout.head_features(vectors), weights)
        torch.testing.assert_close(readout(vectors[None])["b"][0], by_hand, rtol=1e-4, atol=1e-4)


def test_embeddings_start_alike_differ_by_few_numbers_and_learn():
    torch.manual_seed(0)
    readout = BoldReadout(5, ["a", "b", "c"], 4, 1.5, "canonical", embedding_dim=2)
    sizes = {name: tuple(of.shape) for name, of in readout.heads.named_parameters()}
    assert sizes == {"embedding": (3, 2), "basis": (2, 4, 5), "shared.weight": (4, 5)}
    vectors, wanted = torch.randn(1, 60, 5), torch.randn(3, 1, 60, 4)
    first = readout(vectors)
    torch.testing.assert_close(first["a"], first["c"])
    optimiser = torch.optim.Adam(readout.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = (torch.stack(list(readout(vectors).values())) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    assert torch.linalg.matrix_rank(readout.heads.departures.flatten(1)) == 2


def test_embeddings_are_chosen_by_the_systems_file(tmp_path):
    heads = {"heads": "embedding", "embedding_dim": 2}
    changes = SHORT | {"target": "subjects", "readout": TINY["readout"] | heads}
    found = left_out(tmp_path, changes=changes)
    assert np.isfinite(found["new head"]["s3"][TEST]).all()
    with pytest.raises(SettingsError, match="heads"):
        validate(BoldParams, {"readout": {"heads": "shared"}}, "system.yaml")


def test_scores_are_means_over_subjects_against_their_own_bold(found):
    bold = held_out_bold(STUDY, SPLITS, 1)
    rows = subject_rows(found["new head"], bold, system="new")
    value = {(row["metric"], row["group"]): row["value"] for row in rows}
    each = {s: pearson_r(found["new head"][s], bold.subjects[s]) for s in bold.subjects}
    assert value["r", ""] == pytest.approx(np.mean(list(each.values())), abs=1e-6)
    assert value["r", "fall"] == pytest.approx(np.mean([r[2] for r in each.values()]), abs=1e-6)
    for subject, r in each.items():
        assert value["r, one subject", subject] == pytest.approx(r.mean(), abs=1e-6)
    ceiling = split_half_ceiling(bold.subjects, scored_subjects=1).mean()
    row = rows[0]
    assert row["ceiling"] == pytest.approx(ceiling)
    assert row["low"] < row["value"] < row["high"]
    assert row["floor"] < 0.3


def test_alignment_of_a_study_uses_the_groups_training_volumes(found):
    others = replace(STUDY, bold={name: STUDY.bold[name] for name in ("s1", "s2")})
    own = replace(STUDY, bold={"s3": STUDY.bold["s3"]})
    group = cleaned_bold(others, SPLITS[0], 1)[1]
    single = cleaned_bold(own, SPLITS[0], 1)[0]["s3"]
    alignment = FunctionalAlignment("procrustes").fit(group, single, TRAIN)
    expected = alignment.transform(found["shared head"]["s3"])
    np.testing.assert_allclose(found["aligned"]["s3"][TEST], expected[TEST])
