"""Simulated scans: their truth is planted, and what is recovered of it follows a formula."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from subtr.bold.hrf import HRF_MODELS, hrf
from subtr.datasets.simulated import bold_noise, noise_autocovariance
from subtr.experiments.identifiability import (
    KINDS,
    Scan,
    expected_r,
    parcels_together,
    recover,
    response,
    simulate,
    transfer,
)
from subtr.params import SettingsError, StudyError


def mean_r(scan, rate_hz, kind, seeds=(0, 1, 2)):
    found = [recover(simulate(scan, rate_hz, kind, seed), scan.tr_s, 2) for seed in seeds]
    return np.mean([of.r for of in found]), np.mean([of.floor for of in found])


@pytest.mark.parametrize(("peak_s", "fwhm_s"), [(5.0, 5.3), (4.0, 2.0), (5.0, 8.0), (6.5, 7.0)])
def test_a_response_has_the_peak_and_the_width_that_were_asked_for(peak_s, fwhm_s):
    shape = response(peak_s, fwhm_s)
    times_s = np.arange(0, 30, 0.001)
    # The first gamma alone, as both are defined.
    alone = hrf(times_s, type(shape)(shape.peak_shape, shape.peak_scale_s, 2.0, 1.0, 0.0), 30.0)
    assert times_s[alone.argmax()] == pytest.approx(peak_s, abs=0.002)
    assert np.ptp(times_s[alone > alone.max() / 2]) == pytest.approx(fwhm_s, abs=0.005)


def test_spm_is_one_of_them():
    found, spm = response(5.0, 5.305), HRF_MODELS["spm"]
    assert found.peak_shape == pytest.approx(spm.peak_shape, abs=0.01)
    assert found.undershoot_scale_s == spm.undershoot_scale_s
    with pytest.raises(SettingsError, match=r"fwhm_s = 20 .*from 0.5 to 9 s"):
        response(5.0, 20.0)


@pytest.mark.parametrize("fwhm_s", [3.0, 5.3, 8.0])
def test_transfer_is_the_fourier_transform_of_the_response(fwhm_s):
    model, rates_hz = response(5.0, fwhm_s), np.array([0.0, 0.03, 0.1, 0.2, 0.5])
    times_s = np.arange(0.0005, 24, 0.001)
    plain = np.exp(-2j * np.pi * np.outer(rates_hz, times_s)) @ hrf(times_s, model) * 0.001
    np.testing.assert_allclose(transfer(model, rates_hz), plain, atol=0.015)


def test_covariance_of_the_noise_is_as_it_says():
    noise = bold_noise(8_000, 4, 2.0, np.random.default_rng(0))
    measured = [(noise[lag:] * noise[: len(noise) - lag]).mean() for lag in range(9)]
    np.testing.assert_allclose(measured, noise_autocovariance(9, 2.0), atol=0.02)


@pytest.mark.parametrize("rate_hz", [0.06, 0.1, 0.2])
def test_the_response_shrinks_a_wave_and_the_snr_shows_it(rate_hz):
    scan = Scan(snr=1e8, n_parcels=1, duration_s=8000, noise_correlation=0)
    bold = simulate(scan, rate_hz, "wave", 0).bold / 1e4
    band_hz = rate_hz + np.linspace(-0.05, 0.05, 101)
    passed = np.mean(np.abs(transfer(scan.response, band_hz)) ** 2)
    assert bold.var() == pytest.approx(passed, rel=0.1)


def test_targets_are_as_the_envelope():
    scan = Scan(duration_s=10_000, n_parcels=1)
    wave = simulate(scan, 1.3, "wave", 0).target
    np.testing.assert_allclose(wave.var(axis=0), [1, 1], atol=0.15)
    power = simulate(scan, 1.3, "power", 0).target[:, 0]
    assert power.var() == pytest.approx(1, abs=0.2)
    spectrum = np.abs(np.fft.rfft(power * np.hanning(len(power)))) ** 2
    faster = np.fft.rfftfreq(len(power), scan.tr_s) > 0.102
    assert spectrum[faster].sum() < 1e-4 * spectrum.sum()


def test_a_seed_gives_one_recording_and_another_another():
    scan = Scan(duration_s=100)
    first, again, other = (simulate(scan, 0.5, "power", seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.bold, again.bold)
    np.testing.assert_array_equal(first.target, again.target)
    assert abs(np.corrcoef(first.target[:, 0], other.target[:, 0])[0, 1]) < 0.8
    louder = simulate(scan.having(snr=1.0), 0.5, "power", 0)
    np.testing.assert_array_equal(first.target, louder.target)


CASES = [("wave", 0.05), ("wave", 0.1), ("wave", 0.16), ("power", 0.3), ("power", 4.0)]


@pytest.mark.parametrize(("kind", "rate_hz"), CASES)
def test_what_is_recovered_follows_the_wiener_filter(kind, rate_hz):
    scan = Scan(snr=0.3, n_parcels=3, duration_s=4000)
    r, floor = mean_r(scan, rate_hz, kind)
    assert r == pytest.approx(expected_r(scan, rate_hz, kind), abs=0.06)
    assert r > floor


@pytest.mark.parametrize("faster_hz", [0.13, 0.2, 0.31])
def test_at_low_snr_the_formula_is_gain_squared_over_noise(faster_hz):
    """r^2 of a narrow band is then SNR times |HRF(f)|^2 over the noise's spectrum at f."""
    scan = Scan(snr=1e-6, envelope_hz=0.001, tr_s=1.0, noise_correlation=0)

    def passed(rate_hz):
        gain = abs(transfer(scan.response, np.array([rate_hz]))[0])
        return gain**2 * (1 + 0.3**2 - 2 * 0.3 * math.cos(2 * math.pi * rate_hz * scan.tr_s))

    ratio = (expected_r(scan, faster_hz, "wave") / expected_r(scan, 0.1, "wave")) ** 2
    assert ratio == pytest.approx(passed(faster_hz) / passed(0.1), rel=0.15)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.floats(0.05, 1.0),
    st.floats(0.01, 1.0),
    st.floats(0.0, 0.6),
    st.integers(1, 40),
)
def test_more_signal_and_more_parcels_never_hurt(kind, rate_hz, snr, noise_correlation, n_parcels):
    scan = Scan(snr=snr, noise_correlation=noise_correlation, n_parcels=n_parcels)
    r = expected_r(scan, rate_hz, kind)
    assert 0 <= r < 1
    for better in (scan.having(snr=2 * snr), scan.having(n_parcels=2 * n_parcels)):
        assert expected_r(better, rate_hz, kind) >= r - 1e-9
    assert expected_r(scan.having(snr=0.0), rate_hz, kind) == 0


@pytest.mark.parametrize("share", [0.0, 0.2, 0.8])
def test_parcels_together_are_worth_their_best_weighting(share):
    rng, n = np.random.default_rng(0), 12
    covariance = (1 - share) * np.eye(n) + share
    worth = []
    for _ in range(4000):
        gains = np.exp(0.3 * rng.standard_normal(n))
        gains /= math.sqrt(np.mean(gains**2))
        worth.append(gains @ np.linalg.solve(covariance, gains))
    scan = Scan(n_parcels=n, noise_correlation=share)
    assert parcels_together(scan) == pytest.approx(np.mean(worth), rel=0.03)


@pytest.mark.parametrize(("kind", "rate_hz"), [("wave", 0.06), ("power", 2.0)])
def test_nothing_comes_of_noise_and_more_of_more(kind, rate_hz):
    scan = Scan(noise_correlation=0, n_parcels=4)
    by_snr = [mean_r(scan.having(snr=snr), rate_hz, kind)[0] for snr in (0.0, 0.05, 0.3, 2.0)]
    assert abs(by_snr[0]) < 0.12
    assert np.all(np.diff(by_snr) > 0.03)
    by_parcels = [mean_r(scan.having(n_parcels=n), rate_hz, kind)[0] for n in (1, 4, 24)]
    assert np.all(np.diff(by_parcels) > 0.03)


def test_noise_in_common_cannot_be_averaged_away():
    alone = Scan(n_parcels=1, noise_correlation=0.9, gain_spread=0)
    many = alone.having(n_parcels=24)
    gain = mean_r(many, 2.0, "power")[0] - mean_r(alone, 2.0, "power")[0]
    independent = mean_r(many.having(noise_correlation=0.0), 2.0, "power")[0]
    assert gain < 0.1 < independent - mean_r(alone, 2.0, "power")[0]


def test_a_fast_rate_is_told_by_its_power_at_any_rate_and_never_by_its_wave():
    scan = Scan(snr=0.3)
    power = [mean_r(scan, rate_hz, "power")[0] for rate_hz in (0.2, 2.0, 8.0)]
    assert min(power) > 0.6
    assert np.ptp(power) < 0.12
    r, floor = mean_r(scan, 2.0, "wave")
    assert r < floor


def test_volumes_fold_a_wave_but_it_is_the_response_that_removes_it():
    """At 0.32 Hz, faster than half a cycle a TR: a narrow response leaves enough to tell."""
    narrow = Scan(snr=10.0, hrf_peak_s=2.0, hrf_fwhm_s=1.5, tr_s=2.0)
    assert mean_r(narrow, 0.32, "wave")[0] > 0.5
    assert mean_r(narrow.having(hrf_peak_s=5.0, hrf_fwhm_s=6.0), 0.32, "wave")[0] < 0.2


def test_what_cannot_be_is_refused():
    with pytest.raises(SettingsError, match=r"kind = 'waves': expected one of wave, power"):
        simulate(Scan(), 1.0, "waves", 0)
    with pytest.raises(SettingsError, match=r"rate_hz = 0.01: .*slower envelope"):
        simulate(Scan(), 0.01, "wave", 0)
    with pytest.raises(ValidationError, match="less than 20"):
        Scan(tr_s=2000)  # in milliseconds
    with pytest.raises(ValidationError, match=r"fwhm_s = 0\.1 with peak_s = 5"):
        Scan(hrf_fwhm_s=0.1)
    with pytest.raises(StudyError, match="leave nothing to train on"):
        recover(simulate(Scan(duration_s=100), 1.0, "power", 0), 2.0)
