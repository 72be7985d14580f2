"""Quality and intelligibility move with what was done to the sound."""

import numpy as np
import pytest

from subtr.params import SettingsError

RATE_HZ = 16000
# Judge, its measure, and what a perfect copy gets.
MEASURES = [("stoi", "stoi", 1.0), ("stoi", "estoi", 1.0), ("pesq", "pesq", 4.64)]


@pytest.mark.parametrize(("judge", "measure", "perfect"), MEASURES)
def test_a_copy_is_perfect_and_noise_and_shuffling_are_not(
    judge_of, speech, noisy, shuffled, judge, measure, perfect
):
    compare = judge_of(judge).compare
    copy, noise, mixed = (
        compare(speech, found, RATE_HZ)[measure] for found in (speech, noisy, shuffled)
    )
    assert copy == pytest.approx(perfect, abs=0.01)
    assert noise < 0.9 * copy
    assert mixed < 0.7 * copy


def test_visqol_is_highest_for_a_copy(judge_of, speech, noisy, shuffled):
    short = slice(0, 3 * RATE_HZ)
    copy, noise, mixed = (
        judge_of("visqol").compare(speech[short], found[short], RATE_HZ)["visqol"]
        for found in (speech, noisy, shuffled)
    )
    assert copy > 4.9
    assert max(noise, mixed) < 0.8 * copy


def test_dnsmos_hears_noise(judge_of, speech, noisy):
    scores = [judge_of("dnsmos").compare(speech, found, RATE_HZ) for found in (speech, noisy)]
    clean, noise = scores
    assert set(clean) == {"dnsmos", "dnsmos_signal", "dnsmos_background", "dnsmos_p808"}
    assert noise["dnsmos_background"] < clean["dnsmos_background"] - 1
    assert noise["dnsmos"] < clean["dnsmos"] - 0.5


@pytest.mark.parametrize("name", ["stoi", "pesq"])
def test_what_is_not_defined_is_nan(judge_of, name, speech):
    silence = np.zeros(2 * RATE_HZ, np.float32)
    measures = judge_of(name).compare(silence, speech[: len(silence)], RATE_HZ)
    assert np.isnan(list(measures.values())).all()


def test_another_rate_is_resampled(judge_of, speech):
    held = np.repeat(speech, 3)
    assert judge_of("stoi").compare(held, held, 3 * RATE_HZ)["stoi"] == pytest.approx(1, abs=1e-3)


def test_what_cannot_be_compared_is_refused(judge_of, speech):
    compare = judge_of("stoi").compare
    with pytest.raises(SettingsError, match="96000 samples, the reconstruction 95999"):
        compare(speech, speech[:-1], RATE_HZ)
    with pytest.raises(SettingsError, match="1 of them not finite"):
        compare(speech, np.where(np.arange(len(speech)) == 7, np.nan, speech), RATE_HZ)
    with pytest.raises(SettingsError, match="0 samples"):
        compare(speech[:0], speech[:0], RATE_HZ)
