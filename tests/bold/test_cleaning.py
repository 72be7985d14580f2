"""Cleaning removes planted drift and motion, and knows nothing of held-out volumes."""

import numpy as np
import pytest
from leaks import assert_fitted_on_train

from subtr.bold.cleaning import Cleaner
from subtr.params import SettingsError, StudyError
from subtr.timeline import block_splits

N_TRS = 400
SPLIT = block_splits(np.zeros(N_TRS, np.int64), 1.5)[2]


def planted(seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(N_TRS, 3))
    motion = rng.normal(size=(N_TRS, 6)).cumsum(0) * 0.1
    time = np.linspace(-1, 1, N_TRS)[:, None]
    bold = 500 + 20 * time + 10 * time**2 + motion @ rng.normal(size=(6, 3)) * 5 + signal
    return signal, motion, bold


def test_held_out_signal_comes_back_from_under_drift_and_motion():
    signal, motion, bold = planted()
    clean = Cleaner(1.5, 2, motion).fit(bold, SPLIT.train).transform(bold)
    for parcel in range(3):
        r = np.corrcoef(clean[SPLIT.test, parcel], signal[SPLIT.test, parcel])[0, 1]
        assert r > 0.95


def test_training_volumes_have_mean_0_variance_1_and_no_drift_left():
    _, motion, bold = planted()
    train = Cleaner(1.5, 2, motion).fit(bold, SPLIT.train).transform(bold)[SPLIT.train]
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-9)
    np.testing.assert_allclose(motion[SPLIT.train].T @ train, 0, atol=1e-7)


def test_no_statistic_comes_from_held_out_volumes():
    _, _, bold = planted()

    def clean(values, split):
        return Cleaner(1.5).fit(values, split.train).transform(values)

    assert_fitted_on_train(clean, bold, SPLIT)


def test_missing_and_constant_values_stay_out():
    _, _, bold = planted()
    bold[5, 0], bold[:, 1] = np.nan, 3.0
    cleaner = Cleaner(1.5, 0).fit(bold, SPLIT.train)
    clean = cleaner.transform(bold)
    known = np.setdiff1d(SPLIT.train, [5])
    expected = (bold[:, 0] - bold[known, 0].mean()) / bold[known, 0].std()
    np.testing.assert_allclose(clean[:, 0], expected)
    assert np.isnan(clean[:, 1]).all()
    assert cleaner.usable.tolist() == [True, False, True]


def test_wrong_input_is_refused():
    with pytest.raises(SettingsError):
        Cleaner(1.5, -1)
    with pytest.raises(StudyError, match="confounds have 10 TRs"):
        Cleaner(1.5, 1, np.zeros((10, 6))).fit(np.zeros((20, 2)), np.arange(20))
