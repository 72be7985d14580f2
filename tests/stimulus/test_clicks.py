"""Clicks at known seconds of a long recording fall into the frames of those seconds."""

import numpy as np
import pytest
import soundfile

from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.timeline import Clock

# So long that a hop which is wrong by half a sample would end frames away.
LENGTH_S = 1210
CLICKS_S = (5, 1205)
# Shorter than a frame at any TR here, so that it begins and ends in the same frame.
CLICK_S = 0.004


@pytest.fixture(scope="module", params=[16_000, 22_050, 44_100, 48_000])
def rate_hz(request):
    return request.param


@pytest.fixture(scope="module")
def sounds(rate_hz, tmp_path_factory):
    """Silence with two clicks, second by second: FLAC, and WAV at 16 kHz."""
    folder = tmp_path_factory.mktemp(f"clicks{rate_hz}")
    files = [folder / "clicks.flac"] + [folder / "clicks.wav"] * (rate_hz == 16_000)
    silence = np.zeros(rate_hz, np.int16)
    click = silence.copy()
    n_samples = round(CLICK_S * rate_hz)
    click[:n_samples] = np.random.default_rng(0).integers(-30_000, 30_000, n_samples)
    for file in files:
        with soundfile.SoundFile(file, "w", rate_hz, 1, "PCM_16") as sound:
            for second in range(LENGTH_S):
                sound.write(click if second in CLICKS_S else silence)
    yield files
    for file in files:
        file.unlink()


@pytest.mark.parametrize("tr_s", [1.0, 1.49, 1.5, 2.0])
def test_clicks_fall_into_their_frames_and_nowhere_else(sounds, tr_s):
    clock = Clock.covering(float(LENGTH_S), tr_s)
    n_frames = clock.frames_per_tr
    # Two frames long: every sample is heard, by no frame but its own and the next on either side.
    settings = MelSettings(n_mels=8, window_samples=2 * round(clock.frame_s * 16_000))
    wanted = [tr * n_frames + frame for tr, frame in map(clock.frame_of, map(float, CLICKS_S))]
    for file in sounds:
        level = np.asarray(log_mel_of_media(file, clock, settings)).mean(axis=2).ravel()
        near = [slice(frame - 2 * n_frames, frame + 2 * n_frames) for frame in wanted]
        found = [of.start + int(level[of].argmax()) for of in near]
        assert found == wanted
        loud = np.flatnonzero(level > level.min() + 0.5 * np.ptp(level))
        assert np.abs(loud[:, None] - wanted).min(1).max() <= 1
