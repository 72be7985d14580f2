"""What is decoded is what was written, at the second at which it was written."""

import numpy as np
import pytest
import soundfile
from media_files import beep, grey, onset_s, whole_sound, write_media

from subtr.stimulus.media import MediaError, iter_sound, probe, resample
from subtr.stimulus.mel import log_mel_of_media
from subtr.stimulus.pictures import (
    PictureSettings,
    iter_pictures,
    pictures_at,
    pictures_of_media,
    write_film,
)
from subtr.timeline import Clock


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """12 s at 24 pictures a second: a flash at picture 121 and a beep at 7.3 s."""
    pictures = (grey(235 if i == 121 else 20, 64, 36) for i in range(24 * 12))
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_film(path, pictures, 24, beep(7.3, 12.0), 16000)


def test_flash_and_beep_come_back_in_their_frames(film):
    clock = Clock.covering(12.0, 1.5)
    power = log_mel_of_media(film, clock)[..., 30:50].mean(axis=-1).ravel()
    tr, frame = clock.frame_of(7.3)
    risen = int(np.flatnonzero(power > power.min() + 0.8 * np.ptp(power))[0])
    # The window is wider than a frame, so the beep's edge may show one or two frames early.
    assert 0 <= tr * 64 + frame - risen <= 2 or risen - (tr * 64 + frame) == 1

    settings = PictureSettings(width=16, height=9, frames_per_tr=36)
    pictures = pictures_of_media(film, clock, settings)
    bright = np.argwhere(pictures.mean(axis=(2, 3, 4)) > 100)
    times_s = clock.with_frames(36).frame_times_s()[tuple(bright.T)]
    assert len(times_s) == 1
    assert 121 / 24 <= times_s[0] < 122 / 24


def test_probe_tells_what_was_written(film):
    info = probe(film)
    assert (info.sound_rate_hz, info.n_channels) == (16000, 1)
    assert (info.picture_hz, info.width, info.height) == (24.0, 64, 36)
    assert info.duration_s == pytest.approx(12.0, abs=0.05)


def test_each_picture_starts_at_its_time_stamp(film):
    times_s = [time_s for time_s, _ in iter_pictures(film, 8, 8)]
    np.testing.assert_allclose(times_s, np.arange(24 * 12) / 24, atol=1e-9)


def test_variable_frame_rate_goes_by_time_stamps(tmp_path):
    starts_s = [0.0, 0.1, 0.15, 1.2, 1.21, 4.0]
    levels = [10, 50, 90, 130, 170, 210]
    path = write_media(tmp_path / "v.mkv", pictures=[grey(g) for g in levels], times_s=starts_s)
    wanted_s = np.array([0.0, 0.05, 0.1, 0.12, 0.149, 0.15, 1.19, 1.205, 1.22, 3.99, 4.0, 9.0])
    shown = [picture.mean() for picture in pictures_at(path, wanted_s, 8, 8)]
    expected = np.array(levels)[np.searchsorted(starts_s, wanted_s, side="right") - 1]
    np.testing.assert_allclose(shown, expected, atol=3)


def test_pictures_before_the_first_are_the_first(tmp_path):
    path = write_media(tmp_path / "v.mkv", pictures=[grey(60), grey(200)], times_s=[0.7, 1.0])
    shown = [picture.mean() for picture in pictures_at(path, [-1.0, 0.0, 0.8, 1.1], 8, 8)]
    np.testing.assert_allclose(shown, [60, 60, 60, 200], atol=3)


@pytest.mark.parametrize("starts_s", [0.0, 0.7])
@pytest.mark.parametrize("with_pictures", [True, False])
def test_late_sound_has_silence_before(tmp_path, starts_s, with_pictures):
    pictures = {"pictures": [grey(60), grey(90)], "times_s": [0.0, 2.0]} if with_pictures else {}
    path = write_media(
        tmp_path / "late.mkv", sound=[beep(0.5, 2.0)], sound_starts_s=starts_s, **pictures
    )
    heard_s = onset_s(whole_sound(path, 16000, 3.0), 16000)
    assert heard_s == pytest.approx(starts_s + 0.5, abs=0.0012)


def test_broadcast_time_starts_at_zero(tmp_path):
    # MPEG-TS counts from an arbitrary second (1.4 s and more in what FFmpeg writes).
    path = write_media(
        tmp_path / "b.ts", sound=[beep(0.5, 2.0, 48000)], rate_hz=48000, sound_codec="mp2"
    )
    heard_s = onset_s(whole_sound(path, 16000, 2.0), 16000)
    # The delay of the MP2 encoder is 481 samples.
    assert heard_s == pytest.approx(0.5 + 481 / 48000, abs=0.002)


def test_a_gap_in_the_sound_is_silence(tmp_path):
    path = tmp_path / "gap.mkv"
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start_s in (0.0, 3.0):
            block = np.round(beep(0.2, 1.0)[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
            frame.pts = round(start_s * 16000)
            container.mux(stream.encode(frame))
    sound = whole_sound(path, 16000, 4.0)
    assert np.abs(sound[16000:51000]).max() == 0
    assert onset_s(sound[20000:], 16000) + 20000 / 16000 == pytest.approx(3.2, abs=0.0012)


def test_five_channels_and_bass_are_mixed_by_their_weights(tmp_path):
    rng = np.random.default_rng(0)
    channels = 0.2 * rng.standard_normal((6, 16000))
    path = write_media(tmp_path / "s.wav", sound=channels, layout="5.1")
    # ITU-R BS.775: front left and right at -3 dB, centre fully, rears at half; no bass channel.
    weights = np.array([np.sqrt(0.5), np.sqrt(0.5), 1.0, 0.0, 0.5, 0.5])
    expected = weights / weights.sum() @ channels
    np.testing.assert_allclose(whole_sound(path, 16000, 1.0), expected, atol=2e-4)


def test_both_channels_alike_sound_like_one(tmp_path):
    sound = beep(0.5, 1.0)
    path = write_media(tmp_path / "s.wav", sound=[sound, sound], layout="stereo")
    np.testing.assert_allclose(whole_sound(path, 16000, 1.0), sound, atol=1e-4)


def test_unknown_speakers_are_averaged(tmp_path):
    channels = 0.2 * np.random.default_rng(0).standard_normal((5, 8000))
    soundfile.write(tmp_path / "s.flac", channels.T, 16000)
    soundfile.write(tmp_path / "s.wav", channels[:3].T, 16000)
    sound = whole_sound(tmp_path / "s.wav", 16000, 0.5)
    gains = np.linalg.lstsq(channels[:3].T, sound, rcond=None)[0]
    assert gains.sum() == pytest.approx(1, abs=0.01)
    assert sum(len(block) for _, block in iter_sound(tmp_path / "s.flac", 16000)) == 8000


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_resampling_keeps_the_second(tmp_path, rate_hz):
    sound = np.zeros(rate_hz * 3, np.float32)
    sound[round(2.5 * rate_hz)] = 0.9
    peak = np.abs(resample(sound, rate_hz, 16000)).argmax()
    assert peak == 2.5 * 16000
    soundfile.write(tmp_path / "click.wav", sound, rate_hz)
    assert np.abs(whole_sound(tmp_path / "click.wav", 16000, 3.0)).argmax() == 2.5 * 16000


@pytest.mark.parametrize(("width", "height"), [(33, 19), (1, 1), (101, 7)])
def test_odd_sizes_keep_place_and_colour(tmp_path, width, height):
    picture = np.zeros((31, 47, 3), np.uint8)
    picture[:, :24] = (200, 30, 30)
    picture[:, 24:] = (30, 30, 200)
    path = write_media(tmp_path / "odd.mkv", pictures=[picture] * 2, times_s=[0.0, 0.1])
    _, shown = next(iter_pictures(path, width, height))
    assert shown.shape == (height, width, 3)
    expected = picture.reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(shown.reshape(-1, 3).mean(axis=0), expected, atol=8)
    if width > 1:
        assert shown[:, : width // 3, 0].min() > 150
        assert shown[:, -(width // 3) :, 2].min() > 150


def test_sound_alone_and_pictures_alone(tmp_path):
    clock = Clock(tr_s=1.0, n_trs=2)
    sound = write_film(tmp_path / "sound.mp4", None, None, beep(0.5, 2.0), 16000)
    silent = write_film(tmp_path / "silent.mp4", (grey(99) for _ in range(20)), 10, None, None)
    assert probe(sound).width is None
    assert probe(silent).sound_rate_hz is None
    assert onset_s(whole_sound(sound, 16000, 2.0), 16000) == pytest.approx(0.5, abs=0.002)
    assert abs(pictures_of_media(silent, clock).astype(float) - 99).max() <= 3
    with pytest.raises(MediaError, match=r"silent\.mp4 has no sound track"):
        log_mel_of_media(silent, clock)
    with pytest.raises(MediaError, match=r"sound\.mp4 has no picture track"):
        pictures_of_media(sound, clock)


def test_a_cover_is_no_film(tmp_path):
    import av

    path = write_media(tmp_path / "plain.mka", sound=[beep(0.5, 1.0)], sound_codec="flac")
    cover = tmp_path / "cover.flac"
    with av.open(str(path)) as source, av.open(str(cover), "w") as target:
        audio = target.add_stream_from_template(source.streams.audio[0])
        picture = target.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 32, 18, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(grey(99), format="rgb24")
        packets = [*picture.encode(frame), *picture.encode(None)]
        target.start_encoding()
        for packet in packets:
            target.mux(packet)
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = audio
                target.mux(packet)
    assert probe(cover).width is None


def test_films_that_h264_or_aac_cannot_hold_are_refused(tmp_path):
    with pytest.raises(MediaError, match=r"33 x 19; H\.264 in mp4 needs an even width"):
        write_film(tmp_path / "f.mp4", iter([grey(1, 33, 19)]), 24, None, None)
    with pytest.raises(MediaError, match="nothing to write"):
        write_film(tmp_path / "f.mp4", None, None, None, None)
    with pytest.raises(MediaError, match=r"missing.f\.mp4 cannot be written"):
        write_film(tmp_path / "missing" / "f.mp4", iter([grey(1)]), 24, None, None)
    assert not any(tmp_path.iterdir())
