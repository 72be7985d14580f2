"""Features through the canonical response: the response itself, run by run, in time alone."""

import numpy as np
import pytest

from subtr.bold.hrf import hrf_kernel
from subtr.models.linear import canonical_features
from subtr.models.ridge import FirRidge


@pytest.mark.parametrize("tr_s", [1.0, 1.49, 2.0])
def test_an_impulse_becomes_the_response_and_stays_in_its_run(tr_s):
    features, runs = np.zeros((80, 2)), np.repeat([0, 1], 40)
    features[30, 1] = 1.0
    train = np.arange(20)  # before the impulse, so that means are 0
    found, kernel = canonical_features(features, train, tr_s, runs), hrf_kernel(tr_s)
    np.testing.assert_allclose(found[30:40, 1], kernel[:10], atol=1e-12)
    found[30:40, 1] = 0
    assert np.abs(found).max() < 1e-12


def test_what_is_missing_counts_as_the_mean_of_training_trs():
    rng = np.random.default_rng(0)
    features, train = rng.normal(3.0, 1.0, (60, 1)), np.arange(30)
    filled = features.copy()
    features[:5] = np.nan
    filled[:5] = features[5:30].mean()
    wanted = canonical_features(filled, np.arange(5, 30), 2.0)
    np.testing.assert_allclose(canonical_features(features, train, 2.0), wanted)


def test_one_weight_is_found_where_one_for_each_lag_drowns_in_noise():
    rng = np.random.default_rng(1)
    feature, train, test = rng.standard_normal((300, 1)), np.arange(90), np.arange(120, 300)
    signal = canonical_features(feature, train, 2.0)
    bold = signal + 2 * signal.std() * rng.standard_normal(signal.shape)

    def r(inputs, fir_s):
        ridge = FirRidge(2.0, fir_s).fit(inputs, bold, train)
        return np.corrcoef(ridge.predict(inputs, test)[:, 0], signal[test, 0])[0, 1]

    assert r(signal, 0.0) > 0.99
    assert r(feature, 16.0) < 0.9
