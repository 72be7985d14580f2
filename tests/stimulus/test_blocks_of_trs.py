"""Blocks of TRs, from any TR on, are those of the whole stimulus."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from media_files import grey

from subtr.stimulus.media import iter_resampled, resample, sound_spans
from subtr.stimulus.mel import MelSettings, iter_log_mel, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, iter_picture_trs, pictures_of_media, write_film
from subtr.timeline import Clock

CLOCK = Clock(1.49, 11, onset_s=-0.3, frames_per_tr=24)
FIRST_AND_SIZE = [(0, 4), (0, 30), (4, 4), (7, 3), (10, 1)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000 * 17)
    shown = (grey(10 * (i % 24), 64, 36) for i in range(24 * 17))
    return write_film(tmp_path_factory.mktemp("film") / "f.mp4", shown, 24, noise, 16000)


@pytest.mark.parametrize(("first", "size"), FIRST_AND_SIZE)
def test_blocks_of_log_mel(film, first, size):
    settings = MelSettings(n_mels=20)
    whole = np.array(log_mel_of_media(film, CLOCK, settings))
    blocks = list(iter_log_mel(film, CLOCK, settings, size, first))
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_allclose(np.concatenate(blocks), whole[first:], atol=1e-5)


@pytest.mark.parametrize(("first", "size"), FIRST_AND_SIZE)
def test_blocks_of_pictures(film, first, size):
    settings = PictureSettings(width=16, height=10, frames_per_tr=5)
    whole = np.array(pictures_of_media(film, CLOCK, settings))
    blocks = list(iter_picture_trs(film, CLOCK, settings, size, first))
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_array_equal(np.concatenate(blocks), whole[first:])


@pytest.mark.parametrize("piece", [1, 777, 10_000])
def test_pieces_are_resampled_as_the_whole_is(piece):
    sound = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    pieces = (sound[start : start + piece] for start in range(0, len(sound), piece))
    np.testing.assert_array_equal(
        np.concatenate(list(iter_resampled(pieces, 11000, 16000))), resample(sound, 11000, 16000)
    )


def test_what_lies_before_a_late_span_is_not_held(tmp_path):
    rate_hz, n_samples = 8000, 8000 * 120
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(n_samples, np.float32), rate_hz)
    tracemalloc.start()
    (span,) = sound_spans(file, rate_hz, [(n_samples - 100, n_samples)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(span) == 100
    assert peak < 0.2 * 4 * n_samples
