"""A planted rotation of parcels is found from training volumes alone, and used on others."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from subtr.bold.alignment import FunctionalAlignment
from subtr.metrics.bold import pearson_r
from subtr.params import SettingsError, StudyError

TRAIN, TEST = np.arange(150), np.arange(160, 300)
NEEDS_FMRALIGN = pytest.mark.skipif(
    importlib.util.find_spec("fmralign") is None, reason="fmralign is not installed"
)
METHODS = [
    "procrustes",
    pytest.param("ridge", marks=NEEDS_FMRALIGN),
    pytest.param("optimal transport", marks=NEEDS_FMRALIGN),
]


def rotated(noise=0.0, n_parcels=6, seed=0, kind="rotation"):
    """Series of one brain, and of another whose parcels are the first's, mixed or exchanged."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(300, n_parcels))
    mix = np.eye(n_parcels)[np.roll(np.arange(n_parcels), 1)]
    if kind == "rotation":
        mix = ortho_group.rvs(n_parcels, random_state=seed)
    target = 3.0 * source @ mix + 5.0 + noise * rng.normal(size=source.shape)
    return source, target


@given(seed=st.integers(0, 50), n_parcels=st.integers(2, 9))
@settings(max_examples=15, deadline=None)
def test_a_rotation_with_gain_and_offset_is_undone_exactly(seed, n_parcels):
    source, target = rotated(n_parcels=n_parcels, seed=seed)
    found = FunctionalAlignment().fit(source, target, TRAIN).transform(source)
    np.testing.assert_allclose(found, target, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_exchanged_parcels_are_matched_in_volumes_that_were_not_learned_from(method):
    source, target = rotated(noise=1.0, kind="exchange")
    found = FunctionalAlignment(method).fit(source, target, TRAIN).transform(source)
    before = pearson_r(source[TEST], target[TEST])
    assert np.abs(before).max() < 0.3
    assert pearson_r(found[TEST], target[TEST]).min() > 0.85


@NEEDS_FMRALIGN
def test_the_rotation_is_that_of_fmralign():
    from fmralign.methods import Procrustes

    source, target = rotated(noise=2.0)
    ours = FunctionalAlignment().fit(source, target, TRAIN).transform(source)
    x, y = (of[TRAIN] - of[TRAIN].mean(0) for of in (source, target))
    theirs = Procrustes(scaling=True).fit(x, y).transform(source - source[TRAIN].mean(0))
    np.testing.assert_allclose(ours, theirs + target[TRAIN].mean(0), atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_training_volumes_is_learned_from(method):
    source, target = rotated(noise=1.0)
    changed = target.copy()
    changed[150:] = 99.0
    one, other = (
        FunctionalAlignment(method).fit(source, of, TRAIN).transform(source)
        for of in (target, changed)
    )
    np.testing.assert_array_equal(one, other)


def test_masked_volumes_are_left_out_and_masked_parcels_stay_so():
    source, target = rotated(noise=0.5)
    target[100:150, 2] = np.nan
    source[200, 1] = np.nan
    target[:, 4] = np.nan
    found = FunctionalAlignment().fit(source, target, TRAIN).transform(source)
    whole = FunctionalAlignment().fit(
        np.delete(source, 4, 1), np.delete(target, 4, 1), np.arange(100)
    )
    expected = whole.transform(np.delete(source, 4, 1))
    assert np.isnan(found[:, 4]).all()
    np.testing.assert_allclose(np.delete(found, 4, 1), expected)
    assert np.isnan(found[200]).all()


def test_too_few_volumes_in_common_are_named():
    source, target = rotated(n_parcels=12)
    with pytest.raises(StudyError, match=r"11 volumes .* cannot align 12 parcels by procrustes"):
        FunctionalAlignment().fit(source, target, np.arange(11))
    target[:145] = np.nan
    with pytest.raises(StudyError, match="5 volumes"):
        FunctionalAlignment().fit(source[:, :2], target[:, :2], TRAIN)


def test_fmralign_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(
        SettingsError, match=r"'ridge' needs fmralign: pip install 'subtr\[align\]'"
    ):
        FunctionalAlignment("ridge")
    FunctionalAlignment("procrustes")
