"""A click at a known second of two hours of sound falls into the frame of that second."""

import numpy as np
import pytest
import soundfile

from subtr.clock import Clock
from subtr.stimulus.mel import MelSettings, log_mel_of_media

pytestmark = pytest.mark.verify

LENGTH_S = 7210
CLICKS_S = (5, 7205)
# Shorter than a frame at any TR here, so that it begins and ends in the same frame.
CLICK_S = 0.004
TRS_S = (1.0, 1.49, 1.5, 2.0)


@pytest.fixture(scope="module", params=[16_000, 22_050, 44_100, 48_000])
def rate_hz(request):
    return request.param


@pytest.fixture(scope="module")
def sounds(rate_hz, tmp_path_factory):
    """Two hours of silence with two clicks, second by second: FLAC, and WAV at 16 kHz."""
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


@pytest.mark.parametrize("tr_s", TRS_S)
def test_clicks_fall_into_their_frames(sounds, rate_hz, tr_s, measured):
    clock = Clock.covering(float(LENGTH_S), tr_s)
    n_frames = clock.frames_per_tr
    # Two frames long: every sample is heard, by no frame but its own and the next on either side.
    settings = MelSettings(n_mels=8, window_samples=2 * round(clock.frame_s * 16_000))
    for file in sounds:
        level = np.asarray(log_mel_of_media(file, clock, settings)).mean(axis=2).ravel()
        frames = []
        for click_s in CLICKS_S:
            tr, frame = clock.frame_of(float(click_s))
            near = slice((tr - 2) * n_frames, (tr + 2) * n_frames)
            found = near.start + int(level[near].argmax())
            frames.append((found, tr * n_frames + frame))
            measured.append(
                {
                    "format": file.suffix[1:],
                    "rate_hz": rate_hz,
                    "tr_s": tr_s,
                    "click_s": click_s,
                    "tr": found // n_frames,
                    "frame": found % n_frames,
                    "frames_late": found - (tr * n_frames + frame),
                }
            )
        assert [found for found, _ in frames] == [wanted for _, wanted in frames]
        # And nowhere else: all else is silence.
        loud = np.flatnonzero(level > level.min() + 0.5 * np.ptp(level))
        assert np.abs(loud[:, None] - [wanted for _, wanted in frames]).min(1).max() <= 1
