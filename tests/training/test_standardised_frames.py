"""What a predictor of BOLD is shown and asked for knows the training time alone."""

import numpy as np
import pytest
from leaks import assert_fitted_on_train
from tiny_prediction import SPLITS, STUDY

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Study
from subtr.params import SettingsError
from subtr.timeline import Split
from subtr.training.encoding_models import standardised_frames


def test_frames_are_scaled_by_training_trs_alone_and_a_planted_leak_is_caught():
    def scaled(values, split):
        mel = values.reshape(260, 8, 4).astype(np.float32)
        frames = standardised_frames(Study("toy", STUDY.clock, mel=mel), split)
        return frames.flatten(1).numpy()

    def leaky(values, split):
        return scaled(values, Split(np.arange(260), split.validation, split.test))

    values = STUDY.mel.reshape(260, -1).astype(np.float64)
    assert_fitted_on_train(scaled, values, SPLITS[0])
    with pytest.raises(ValueError, match="fitted on all data"):
        assert_fitted_on_train(leaky, values, SPLITS[0])


def test_frames_have_mean_0_and_variance_1_in_training():
    frames = standardised_frames(STUDY, SPLITS[0])[SPLITS[0].train]
    np.testing.assert_allclose(frames.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std((0, 1), correction=0), 1, atol=1e-4)


def test_bands_are_means_of_neighbouring_mel_bands():
    two = standardised_frames(STUDY, SPLITS[0], n_bands=2)
    mel = STUDY.mel.reshape(260, 8, 2, 2).mean(-1)
    known = mel[SPLITS[0].train]
    expected = (mel - known.mean((0, 1))) / known.std((0, 1))
    np.testing.assert_allclose(two, expected, atol=1e-4)
    with pytest.raises(SettingsError, match=r"n_bands = 5: the log-mel has 4 bands"):
        standardised_frames(STUDY, SPLITS[0], n_bands=5)


def test_cleaned_bold_of_a_fold_does_not_know_the_other_volumes():
    def prepare(values, split):
        bold = {"s": values}
        study = Study("toy", STUDY.clock, bold=bold, parcels=STUDY.parcels)
        return cleaned_bold(study, split, 2)[1]

    assert_fitted_on_train(prepare, STUDY.bold["s1"], SPLITS[1])
