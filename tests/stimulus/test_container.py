"""A file that is no film, or only part of one, is named, with what to do about it."""

import os

import numpy as np
import pytest
from media_files import beep, grey, onset_s, whole_sound, write_media

from subtr.stimulus.media import MediaError, MediaWarning, probe
from subtr.stimulus.mel import log_mel_of_media
from subtr.stimulus.pictures import iter_pictures, pictures_at, pictures_of_media
from subtr.timeline import Clock

CLOCK = Clock(tr_s=1.0, n_trs=4)


def film(path):
    """8 s: pictures that grow brighter each half second, and a beep at 1.3 s."""
    rng = np.random.default_rng(0)
    pictures = [np.clip(grey(10 * i) + rng.integers(0, 9, (18, 32, 3)), 0, 255) for i in range(16)]
    return write_media(
        path,
        pictures=[picture.astype(np.uint8) for picture in pictures],
        times_s=[0.5 * i for i in range(16)],
        sound=[beep(1.3, 8.0) + 0.001 * rng.standard_normal(128_000)],
    )


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


@pytest.mark.parametrize("use", [probe, lambda path: log_mel_of_media(path, CLOCK)])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"film\.mp4: no such file.*Check the path"),
        (lambda path: path.mkdir(), r"film\.mp4 is a folder.*Name a file in it"),
        (lambda path: path.write_bytes(b""), r"film\.mp4 is empty \(0 bytes\).*Copy it again"),
        (lambda path: path.write_text("Dear all,"), r"film\.mp4 is not a media file.*convert it"),
    ],
)
def test_what_is_no_media_file_is_named_with_a_remedy(tmp_path, make, message, use):
    make(tmp_path / "film.mp4")
    with pytest.raises(MediaError, match=message):
        use(tmp_path / "film.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_the_right_to_read_it_is_named(tmp_path):
    path = film(tmp_path / "film.mkv")
    path.chmod(0)
    with pytest.raises(MediaError, match=r"film\.mkv cannot be read.*Change its rights"):
        probe(path)


@pytest.mark.parametrize("use", [probe, lambda path: log_mel_of_media(path, CLOCK)])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_film_cut_off_before_its_index_says_to_copy_it_again(tmp_path, share, use):
    path = write_media(
        tmp_path / "film.mp4",
        pictures=[grey(g, 64, 36) for g in range(40)],
        times_s=[0.1 * i for i in range(40)],
        picture_codec="mpeg4",
        pixel_format="yuv420p",
    )
    with pytest.raises(MediaError, match=r"film\.mp4 (has neither|is not).*copy it again"):
        use(cut(path, share))


def test_a_truncated_film_is_used_as_far_as_it_goes_and_says_how_far(tmp_path):
    path = film(tmp_path / "film.mkv")
    # Each picture by a time stamp alone, as the last one of the whole has no end.
    whole = list(pictures_at(path, np.arange(0.25, 8, 0.5), 8, 8))
    cut(path, 0.5)
    with pytest.warns(MediaWarning, match=r"film\.mkv: its picture stops at \d.*copy it again"):
        part = list(pictures_at(path, np.arange(0.25, 8, 0.5), 8, 8))
    with pytest.warns(MediaWarning, match="picture stops"):
        n_good = len(list(iter_pictures(path, 8, 8)))
    assert 3 < n_good < 15
    np.testing.assert_array_equal(part[:n_good], whole[:n_good])
    for picture in part[n_good:]:  # the rest is the last picture
        np.testing.assert_array_equal(picture, part[n_good - 1])


def test_truncated_sound_is_silence_after_and_the_same_before(tmp_path):
    path = write_media(tmp_path / "sound.mkv", sound=[beep(1.3, 8.0)])
    whole = whole_sound(path, 16000, 8.0)
    cut(path, 0.6)
    with pytest.warns(MediaWarning, match=r"its sound stops at 4\.\d+ s.*8\.00 s.*taken as silen"):
        part = whole_sound(path, 16000, 8.0)
    assert onset_s(part, 16000) == onset_s(whole, 16000)
    np.testing.assert_array_equal(part[: 4 * 16000], whole[: 4 * 16000])
    assert np.abs(part[5 * 16000 :]).max() == 0


def test_damage_in_the_middle_is_told_and_the_rest_keeps_its_second(tmp_path):
    sound = beep(1.3, 8.0) + beep(6.5, 8.0)
    path = write_media(tmp_path / "sound.mka", sound=[sound], sound_codec="flac")
    content = bytearray(path.read_bytes())
    # FLAC frames are checked, so a bit that fell over is noticed.
    for place in range(len(content) * 45 // 100, len(content) * 55 // 100, 7):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.warns(MediaWarning, match=r"sound\.mka: its sound (is damaged from|stops at) \d"):
        heard = whole_sound(path, 16000, 8.0)
    assert onset_s(heard[:32_000], 16000) == pytest.approx(1.3, abs=0.002)


def test_the_length_of_a_file_without_an_index_is_counted_not_guessed(tmp_path):
    # The first second is silence, which takes few bits and misleads an estimate by bit rate.
    sound = np.concatenate([np.zeros(16_000), np.random.default_rng(0).normal(0, 0.2, 48_000)])
    path = write_media(tmp_path / "sound.mp3", sound=[sound.clip(-1, 1)], sound_codec="libmp3lame")
    assert probe(path).duration_s == pytest.approx(4.0, abs=0.15)


def test_a_file_with_a_header_and_nothing_else_is_refused(tmp_path):
    path = film(tmp_path / "film.mkv")
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(MediaError, match=r"film\.mkv.*(nothing of its|is not a media file)"):
        pictures_of_media(path, CLOCK)


def test_nothing_of_a_refused_film_stays_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    path = write_media(tmp_path / "silent.mkv", pictures=[grey(9)] * 2, times_s=[0.0, 1.0])
    with pytest.raises(MediaError, match=r"has no sound track.*switch sounds off"):
        log_mel_of_media(path, CLOCK)
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []
