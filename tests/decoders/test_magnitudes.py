"""Magnitudes have the bands that were asked for, as an exact solver's have."""

import numpy as np
import pytest
from scipy.optimize import nnls

from subtr.decoders.griffin_lim import magnitudes_of_mel
from subtr.stimulus.mel import MelSettings, mel_filters

SETTINGS = MelSettings(rate_hz=8000, n_mels=24, window_samples=256, fmax_hz=4000)


def spectra(n=40, seed=0):
    """A few peaks of very different heights on a low floor."""
    rng = np.random.default_rng(seed)
    spectra = 0.01 * rng.random((129, n))
    for column in spectra.T:
        column[rng.integers(0, 129, 5)] += np.exp(rng.normal(0, 2, 5))
    return spectra


def misfit(filters, found, mel):
    return (np.linalg.norm(filters @ found - mel, axis=0) / np.linalg.norm(mel, axis=0)).mean()


def test_bands_of_a_spectrum_are_met_far_better_than_by_the_clipped_pseudo_inverse():
    filters = mel_filters(SETTINGS)
    mel = filters @ spectra()
    found = magnitudes_of_mel(np.log(mel.T), SETTINGS)
    clipped = np.maximum(np.linalg.pinv(filters) @ mel, 0)
    assert (found >= 0).all()
    assert misfit(filters, found, mel) < 0.02
    assert misfit(filters, found, mel) < 0.2 * misfit(filters, clipped, mel)


def test_bands_that_no_spectrum_has_are_met_about_as_well_as_can_be():
    filters = mel_filters(SETTINGS)
    height = filters.sum(1, keepdims=True)
    filters = filters / height
    # Loud bands between soft ones would need magnitudes below 0.
    loudness = np.where(np.arange(24) % 2, 5.0, 0.0)[:, None]
    mel = np.exp(loudness + np.random.default_rng(1).normal(0, 0.5, (24, 20)))
    best = np.stack([nnls(filters.astype(float), column)[0] for column in mel.T], axis=1)
    clipped = np.maximum(np.linalg.pinv(filters) @ mel, 0)
    found = magnitudes_of_mel(np.log(mel * height).T, SETTINGS)
    least = misfit(filters, best, mel)
    assert least > 0.03
    assert misfit(filters, found, mel) < 1.5 * least
    assert misfit(filters, clipped, mel) > 5 * least


@pytest.mark.parametrize("level", [-1e4, 1e4])
def test_values_far_out_stay_finite(level):
    assert np.isfinite(magnitudes_of_mel(np.full((3, 24), level), SETTINGS)).all()
