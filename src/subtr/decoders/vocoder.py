"""Sound from a log-mel spectrogram without a trained vocoder: Griffin-Lim."""

from pathlib import Path

import librosa
import numpy as np
import soundfile
from jaxtyping import Float, Float32
from scipy.interpolate import CubicSpline

from subtr.clock import Clock
from subtr.errors import SettingsError, SubtrError
from subtr.stimulus.mel import MelSettings, mel_filters

# Magnitudes from mel by NNLS, a minute of sound at a time.
_BLOCK_FRAMES = 4096


class SoundError(SubtrError, OSError):
    """A sound file cannot be written; the message names it and says what to do."""


def mel_to_sound(
    log_mel: Float[np.ndarray, "tr frame mel"],
    clock: Clock,
    settings: MelSettings | None = None,
    *,
    n_iter: int = 48,
    seed: int = 0,
) -> Float32[np.ndarray, " sample"]:
    """Sound whose log-mel spectrogram is near to the given one.

    Magnitudes come from the mel bands by non-negative least squares, phases from fast Griffin-Lim
    (Perraudin, Balazs and Sondergaard 2013) with librosa. It is the ceiling of what can be heard
    of a spectrogram; what it adds by itself is heard in the round trip of the original.

    Griffin-Lim needs a hop of whole samples. Where rate_hz * tr_s / F is none, the frames are
    first interpolated in time (cubic spline) onto the nearest hop of whole samples that fits; the
    sound keeps its time to the sample.

    Arguments
        log_mel: natural log of mel amplitude, as `log_mel_of_sound` gives it.
        clock: the scanner's, with as many frames per TR as `log_mel`; its n_trs may differ.
        settings: those by which `log_mel` was made.
        n_iter: iterations of Griffin-Lim.
        seed: of the first phases; the same seed gives the same sound.

    Returns
        Samples at `settings.rate_hz`, n_trs * tr_s seconds of them, the first at the onset of
        the first TR.

    Raises
        SettingsError: frames or bands differ from those of the clock and settings; values that
            are not finite.
    """
    settings = settings or MelSettings()
    _check(log_mel, clock, settings)
    n_trs, n_frames = log_mel.shape[:2]
    n_samples = round(n_trs * clock.tr_s * settings.rate_hz)
    frames = log_mel.reshape(n_trs * n_frames, -1).astype(np.float64)

    # A hop of at most a quarter window keeps the frames consistent with one another.
    exact_hop = settings.rate_hz * clock.tr_s / n_frames
    hop = max(1, min(round(exact_hop), settings.window_samples // 4))
    # Hop j is centred on sample j * hop; frame k on sample (k + 1/2) * exact_hop.
    centres = np.arange(n_samples // hop + 1) * hop / exact_hop - 0.5
    on_hops = _at(frames, centres)

    magnitude = np.concatenate(
        [_magnitude(on_hops[i : i + _BLOCK_FRAMES], settings) for i in _starts(len(on_hops))],
        axis=1,
    )
    sound = librosa.griffinlim(
        magnitude,
        n_iter=n_iter,
        hop_length=hop,
        n_fft=settings.window_samples,
        momentum=0.99,
        length=n_samples,
        random_state=seed,
    )
    return sound.astype(np.float32)


def write_sound(path: Path | str, sound: Float[np.ndarray, " sample"], rate_hz: int) -> Path:
    """Writes mono sound as a 16-bit file (wav, flac or ogg by its ending); louder parts clip.

    Raises
        SoundError: unknown ending, or the folder cannot be written.
    """
    path = Path(path)
    try:
        soundfile.write(path, np.clip(sound, -1.0, 1.0), rate_hz)
    except (soundfile.LibsndfileError, TypeError, ValueError, OSError) as error:
        raise SoundError(
            f"{path} cannot be written: {error}. Expected a .wav, .flac or .ogg file in a folder "
            "that exists and that you can write to."
        ) from error
    return path


def _check(log_mel: np.ndarray, clock: Clock, settings: MelSettings):
    n_frames, n_mels = log_mel.shape[1:]
    if n_frames != clock.frames_per_tr:
        raise SettingsError(
            f"log_mel has {n_frames} frames per TR, the clock {clock.frames_per_tr}: "
            "pass clock.with_frames(...) of the spectrogram."
        )
    if n_mels != settings.n_mels:
        raise SettingsError(
            f"log_mel has {n_mels} bands, the settings {settings.n_mels}: "
            "pass the MelSettings that it was made with."
        )
    if not np.isfinite(log_mel).all():
        raise SettingsError("log_mel holds NaN or infinite values: expected finite logarithms.")


def _at(frames: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Frames at fractional positions; beyond the ends, the end frames."""
    positions = np.clip(positions, 0, len(frames) - 1)
    if len(frames) == 1:
        return np.repeat(frames, len(positions), axis=0)
    return CubicSpline(np.arange(len(frames)), frames, axis=0)(positions)


def _starts(n_frames: int) -> range:
    return range(0, n_frames, _BLOCK_FRAMES)


def _magnitude(log_mel: np.ndarray, settings: MelSettings) -> np.ndarray:
    # A model's outliers must not overflow.
    mel = np.exp(np.clip(log_mel, -20.0, 10.0)).T
    return librosa.util.nnls(mel_filters(settings), mel.astype(np.float32))
