"""Banded ridge against himalaya's own prediction, and on spaces of which one is noise."""

import numpy as np
import pytest

from subtr.models.ridge import BandedRidge, FirRidge, delayed
from subtr.params import SettingsError

TRAIN, TEST = np.arange(200), np.arange(220, 400)


def planted(seed=0, n_noise=100):
    """One useful feature, many that are noise, and BOLD that follows the first 2 TRs later."""
    rng = np.random.default_rng(seed)
    spaces = {"one": rng.standard_normal((400, 1)), "noise": rng.standard_normal((400, n_noise))}
    bold = np.zeros((400, 2))
    bold[2:, 0] = spaces["one"][:-2, 0]
    bold[:, 1] = spaces["noise"][:, :3].sum(axis=1)
    return spaces, bold + rng.standard_normal(bold.shape)


def r(prediction, bold):
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(prediction.T, bold[TEST].T, strict=True)]


def test_a_space_of_noise_does_not_drown_the_other():
    spaces, bold = planted()
    banded = BandedRidge(2.0, 6.0).fit(spaces, bold, TRAIN)
    both = np.concatenate(list(spaces.values()), axis=1)
    plain = FirRidge(2.0, 6.0).fit(both, bold, TRAIN)
    found = r(banded.predict(spaces, TEST), bold)
    assert found[0] > r(plain.predict(both, TEST), bold)[0] + 0.1
    assert found[0] > 0.6  # of 0.71, where the feature is known without noise


def test_what_spaces_add_sums_to_the_prediction():
    spaces, bold = planted(n_noise=8)
    bold += 5.0
    model = BandedRidge(2.0, 4.0).fit(spaces, bold, TRAIN)
    each, whole = model.predict_each(spaces, TEST), model.predict(spaces, TEST)
    offset = whole - sum(each.values())
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-9)
    assert abs(whole.mean() - 5.0) < 0.3
    # Each parcel follows its own space.
    power = {name: of.var(axis=0) for name, of in each.items()}
    assert power["one"][0] > 5 * power["noise"][0]
    assert power["noise"][1] > 5 * power["one"][1]


def test_with_one_space_it_is_ridge():
    spaces, bold = planted(n_noise=4)
    alone = {"one": spaces["one"]}
    # Its kernel is divided by the number of lags, so alphas are too.
    alphas = (40.0,)
    banded = BandedRidge(2.0, 6.0, (10.0,)).fit(alone, bold, TRAIN)
    plain = FirRidge(2.0, 6.0, alphas).fit(spaces["one"], bold, TRAIN)
    np.testing.assert_allclose(
        banded.predict(alone, TEST), plain.predict(spaces["one"], TEST), atol=5e-3
    )


def test_other_trs_say_nothing_and_masked_volumes_are_left_out():
    spaces, bold = planted(n_noise=4)
    changed = bold.copy()
    changed[TEST] += 100
    one, other = (BandedRidge(2.0, 6.0).fit(spaces, of, TRAIN) for of in (bold, changed))
    np.testing.assert_array_equal(one.predict(spaces, TEST), other.predict(spaces, TEST))
    bold[:30, 1] = np.nan
    masked = BandedRidge(2.0, 6.0).fit(spaces, bold, TRAIN).predict(spaces, TEST)
    np.testing.assert_allclose(masked[:, 0], one.predict(spaces, TEST)[:, 0], rtol=1e-6)
    assert np.isfinite(masked).all()
    bold[:, 1] = np.nan
    none = BandedRidge(2.0, 6.0).fit(spaces, bold, TRAIN).predict(spaces, TEST)
    assert np.isnan(none[:, 1]).all()


def test_spaces_that_do_not_fit_are_refused():
    spaces, bold = planted(n_noise=4)
    with pytest.raises(SettingsError, match="at least one"):
        BandedRidge(2.0).fit({}, bold, TRAIN)
    with pytest.raises(SettingsError, match="one: 399 TRs of features, but 400"):
        BandedRidge(2.0).fit({"one": spaces["one"][1:]}, bold, TRAIN)
    assert delayed(spaces["one"], 3).shape == (400, 3)
