"""What a log-mel reconstruction can be trained by beside its squared error."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from subtr.losses import Diagnostics, reconstruction_loss
from subtr.training_loss import TrainingLoss, Weight

# Log-mel comes with variance 1; what is this far below it is not worth a logarithm.
_POWER_FLOOR = 1e-3


class SoundLoss(TrainingLoss):
    """Weights of what a log-mel is trained by; those of 0 are not computed.

    ``mel``: squared error within TRs and of their level, see `subtr.losses.reconstruction_loss`.
    ``within_tr``: of the first part once more. ``spectral``: `modulation_spectrum_loss`, with
    windows of ``windows_s`` seconds. ``coherence``: `coherence_loss`. Discriminators see bands as
    channels.
    """

    mel: Weight = 1.0
    within_tr: Weight = 0.0
    spectral: Weight = 0.0
    windows_s: tuple[Annotated[float, Field(gt=0, le=60)], ...] = Field(
        (0.375, 0.75, 1.5), min_length=1
    )
    coherence: Weight = 0.0

    @model_validator(mode="after")
    def _something_to_learn(self):
        if not any((self.mel, self.within_tr, self.spectral, self.coherence)):
            raise ValueError(
                "mel, within_tr, spectral and coherence are all 0: give one of them a weight; "
                "discriminators alone cannot say which sound is meant"
            )
        return self

    @property
    def error_weight(self) -> float:
        """See `TrainingLoss`."""
        return self.mel

    def added(
        self,
        found: Float[Tensor, "batch tr frame band"],
        wanted: Float[Tensor, "batch tr frame band"],
        tr_s: float,
    ) -> tuple[Float[Tensor, ""], Diagnostics]:
        """See `TrainingLoss`."""
        value, named = torch.zeros((), device=found.device), {}
        sequences = [rearrange(of, "b t f m -> b (t f) m") for of in (found, wanted)]
        frame_hz = found.shape[2] / tr_s
        parts = {
            "within_tr": lambda: reconstruction_loss(found, wanted, level_weight=0.0)[0],
            "spectral": lambda: modulation_spectrum_loss(*sequences, frame_hz, self.windows_s),
            "coherence": lambda: coherence_loss(*sequences),
        }
        for name, part in parts.items():
            weight = getattr(self, name)
            if weight:
                loss = part()
                value, named[name] = value + weight * loss, loss.detach()
        return value, named


def coherence_loss(
    found: Float[Tensor, "batch frame band"], wanted: Float[Tensor, "batch frame band"]
) -> Float[Tensor, ""]:
    """Squared error of the step from each frame to the next, also over the borders of TRs.

    What jumps from frame to frame costs more than what is off by as much for long.
    """
    return (found - wanted).diff(dim=1).square().mean()


def modulation_spectrum_loss(
    found: Float[Tensor, "batch frame band"],
    wanted: Float[Tensor, "batch frame band"],
    frame_hz: float,
    windows_s: tuple[float, ...],
) -> Float[Tensor, ""]:
    """How far apart the modulation spectra are, whatever the phase, in windows of several lengths.

    The short-time Fourier transform is that of each band's log-mel over frames, not of the sound:
    it tells how strongly a band goes up and down at each rate. A reconstruction that is smoother
    than its original lacks the fast rates, which a squared error hardly minds.

    Spectral convergence plus the mean absolute difference of log magnitudes, averaged over windows.

    Arguments
        found, wanted: log-mel with a variance of about 1.
        windows_s: Hann windows in seconds, a quarter of which is the hop; longer ones than the
            sequence are as long as it is.

    Source: Yamamoto, Song and Kim 2020, Parallel WaveGAN (arXiv:1910.11480), equations 4 to 6.
    """
    n_frames = found.shape[1]
    windows = {min(n_frames, max(4, round(window_s * frame_hz))) for window_s in windows_s}
    parts = []
    for window in sorted(windows):
        ours, theirs = _magnitude(found, window), _magnitude(wanted, window)
        convergence = torch.linalg.norm(theirs - ours) / torch.linalg.norm(theirs)
        parts.append(convergence + (theirs.log() - ours.log()).abs().mean())
    return torch.stack(parts).mean()


def _magnitude(frames: Tensor, window: int) -> Float[Tensor, "sequence rate place"]:
    shape = torch.hann_window(window, device=frames.device)
    spectrum = torch.stft(
        rearrange(frames, "b f m -> (b m) f").float(),
        n_fft=window,
        hop_length=max(1, window // 4),
        # Noise of variance 1 then has power 1 whatever the window.
        window=shape / torch.linalg.norm(shape),
        center=False,
        return_complex=True,
    )
    # Under the root, whose slope at 0 would make the gradient NaN.
    return (spectrum.real.square() + spectrum.imag.square() + _POWER_FLOOR).sqrt()
