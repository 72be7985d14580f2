"""From the log-mel of a study to the one that Whisper hears, so that gradients flow."""

from functools import lru_cache

import librosa
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.sound import resample
from subtr.timeline import Clock

_RATE_HZ, _HOP, _WINDOW, _N_MELS = 16_000, 160, 400, 80
_FRAME_HZ = _RATE_HZ / _HOP
# What Whisper keeps below the loudest, in powers of ten, and where it puts zero.
_DEPTH, _SHIFT = 8.0, 4.0
_CALIBRATION_S = 6.0


class WhisperSpectrum(nn.Module):
    """The log-mel of a TR as Whisper's of that TR alone: 80 bands, 100 frames a second.

    Bands and frames are interpolated; a constant for each band makes white noise come out right.

    Arguments
        settings: of the log-mel that is given.
        tr_s, n_frames: seconds of a TR, and its frames.
    """

    def __init__(self, settings: MelSettings, tr_s: float, n_frames: int):
        super().__init__()
        times = np.arange(2 * int(tr_s * _FRAME_HZ / 2)) / _FRAME_HZ
        frames = _interpolation((np.arange(n_frames) + 0.5) * tr_s / n_frames, times)
        bands = _interpolation(_centres(settings), _centres(_settings()))
        offset = _offset(settings, tr_s, n_frames)
        for name, values in (("frames", frames), ("bands", bands), ("offset", offset)):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(
        self, log_mel: Float[Tensor, "tr frame mel"], like: Float[Tensor, "tr frame mel"]
    ) -> Float[Tensor, "tr 80 whisper_frame"]:
        """In Whisper's units; in each TR, the loudest of ``like`` says where silence begins."""
        top = self._power(like).amax(dim=(1, 2), keepdim=True)
        floored = torch.maximum(self._power(log_mel), top - _DEPTH)
        return (floored + _SHIFT) / _SHIFT

    def _power(self, log_mel: Tensor) -> Tensor:
        """Powers of ten, Whisper's bands and frames."""
        in_bands = log_mel @ self.bands.T
        return (self.frames @ in_bands * (2 / np.log(10)) + self.offset).mT


def _settings() -> MelSettings:
    return MelSettings(rate_hz=_RATE_HZ, n_mels=_N_MELS, window_samples=_WINDOW, fmax_hz=8000)


def _centres(settings: MelSettings) -> np.ndarray:
    """Hz in the middle of each band."""
    edges = librosa.mel_frequencies(
        settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.fmax_hz
    )
    return edges[1:-1]


def _interpolation(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Weights (wanted, known) of linear interpolation; beyond the ends the last value stays."""
    unit = np.eye(len(known))
    return np.stack([np.interp(wanted, known, of) for of in unit], axis=1)


@lru_cache
def _offset(settings: MelSettings, tr_s: float, n_frames: int) -> np.ndarray:
    """What is missing in each band, in powers of ten, where white noise is heard."""
    rng = np.random.default_rng(0)
    clock = Clock(tr_s, max(1, int(_CALIBRATION_S // tr_s)), 0.0, n_frames)
    n_samples = round(clock.n_trs * tr_s * settings.rate_hz)
    noise = 0.1 * rng.standard_normal(n_samples).astype(np.float32)
    log_mel = log_mel_of_sound(noise, settings.rate_hz, clock, settings)
    power = librosa.feature.melspectrogram(
        y=resample(noise, settings.rate_hz, _RATE_HZ),
        sr=_RATE_HZ,
        n_fft=_WINDOW,
        hop_length=_HOP,
        n_mels=_N_MELS,
    )
    heard = np.log10(np.maximum(power, 1e-10)).mean(axis=1)
    bands = _interpolation(_centres(settings), _centres(_settings()))
    return heard - bands @ log_mel.mean(axis=(0, 1)) * (2 / np.log(10))
