import numpy as np
import pytest
import soundfile

from subtr.decoders.vocoders import SoundError, write_sound

RATE_HZ = 16000
SOUND = (0.5 * np.sin(np.arange(RATE_HZ) / 5)).astype(np.float32)


@pytest.mark.parametrize("pieces", [SOUND, iter(np.split(SOUND, [10, 7000]))])
def test_written_sound_reads_back(tmp_path, pieces):
    read, rate_hz = soundfile.read(write_sound(tmp_path / "a.wav", pieces, RATE_HZ))
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(read, SOUND, atol=2 / 32768)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(SoundError, match=r"missing.a\.wav cannot be written"):
        write_sound(tmp_path / "missing" / "a.wav", SOUND, RATE_HZ)
    with pytest.raises(SoundError, match=r"Expected a \.wav"):
        write_sound(tmp_path / "a.xyz", SOUND, RATE_HZ)

    def broken():
        yield SOUND
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_sound(tmp_path / "a.flac", broken(), RATE_HZ)
    assert not list(tmp_path.iterdir())
