"""Which BOLD may be learned from when only a part of the training time has any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import order_study

from subtr.datasets.held_out import cleaned_bold, labelled_bold, labelled_trs
from subtr.datasets.study import Fold
from subtr.params import SettingsError
from subtr.timeline import consecutive

STUDY = order_study(n_runs=2)
SPLIT = STUDY.splits(4, gap_s=24.0, validation_fraction=0.15)[1]


@given(st.floats(0.15, 1), st.integers(0, 1000))
def test_one_block_of_each_stretch_of_training_and_an_exact_total(fraction, seed):
    trs = labelled_trs(SPLIT, fraction, STUDY, seed)
    assert len(trs) == round(fraction * len(SPLIT.train))
    assert np.isin(trs, SPLIT.train).all()
    assert (np.diff(trs) > 0).all()
    stretches = consecutive(SPLIT.train, STUDY.run_of_tr)
    for stretch in stretches:
        own = trs[np.isin(trs, stretch)]
        assert abs(len(own) - fraction * len(stretch)) <= 1
        assert (np.diff(own) == 1).all()
    np.testing.assert_array_equal(trs, labelled_trs(SPLIT, fraction, STUDY, seed))


def test_seeds_put_the_blocks_elsewhere():
    firsts = {labelled_trs(SPLIT, 0.3, STUDY, seed)[0] for seed in range(30)}
    assert len(firsts) > 10


def test_all_of_training_is_what_it_was():
    trs = labelled_trs(SPLIT, 1.0, STUDY, 0)
    np.testing.assert_array_equal(trs, SPLIT.train)
    found, expected = labelled_bold(Fold(STUDY, SPLIT), trs), cleaned_bold(STUDY, SPLIT, 2)
    np.testing.assert_array_equal(found[1], expected[1])
    for subject, bold in expected[0].items():
        np.testing.assert_array_equal(found[0][subject], bold)


def test_labelled_and_validation_bold_are_each_scaled_by_themselves_and_the_rest_is_hidden():
    trs = labelled_trs(SPLIT, 0.4, STUDY, 0)
    each, mean = labelled_bold(Fold(STUDY, SPLIT, drift_order=1), trs)
    for bold in (*each.values(), mean):
        for part in (trs, SPLIT.validation):
            np.testing.assert_allclose(bold[part].mean(0), 0, atol=1e-9)
            np.testing.assert_allclose(bold[part].std(0), 1, atol=1e-9)
        others = np.setdiff1d(np.arange(260), np.r_[trs, SPLIT.validation])
        assert np.isnan(bold[others]).all()


def test_less_than_a_haemodynamic_response_is_refused():
    with pytest.raises(SettingsError, match=r"label_fraction = 0.01: 2 s of .* at least 24 s"):
        labelled_trs(SPLIT, 0.01, STUDY, 0)
