"""Coarse to fine: the target is followed slowly at first, and in full in the end."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from subtr.params import SettingsError, Strict

ORDER = 4


class CurriculumParams(Strict):
    """From coarse to fine.

    ``full_at``: share of the epochs after which everything is learned; 0 learns all from the start.
    ``start_hz``: modulation rate up to which the target is followed at first.
    """

    full_at: float = Field(0.5, ge=0, le=1)
    start_hz: float = Field(1.0, gt=0, allow_inf_nan=False)


def rate_at(epoch: int, max_epochs: int, params: CurriculumParams, frame_hz: float) -> float:
    """Modulation rate in Hz up to which the target is followed in an epoch.

    It grows geometrically, as modulation is heard in octaves, from ``start_hz`` to the Nyquist rate
    ``frame_hz / 2``, and is infinite from the epoch on at which everything is learned.

    Arguments
        epoch: from 0.
        frame_hz: stimulus frames a second.

    Raises
        SettingsError: ``start_hz`` is not below the Nyquist rate.
    """
    nyquist_hz = frame_hz / 2
    if params.start_hz >= nyquist_hz:
        raise SettingsError(
            f"start_hz = {params.start_hz:g}: expected less than {nyquist_hz:g}, half the "
            f"{frame_hz:g} frames a second; use a lower one."
        )
    full_epoch = params.full_at * max_epochs
    if epoch >= full_epoch:
        return float("inf")
    return params.start_hz * (nyquist_hz / params.start_hz) ** (epoch / full_epoch)


def target_at(
    original: Float[Tensor, "batch tr frame *feature"],
    epoch: int,
    max_epochs: int,
    params: CurriculumParams,
    frame_hz: float,
) -> Float[Tensor, "batch tr frame *feature"]:
    """What a training step of an epoch is to reconstruct; the original itself in the end.

    Modulation above the epoch's rate is taken out along the frames of all TRs of an item, without
    delay: 3 octaves above a rate is 72 dB down, 1 octave 24 dB, the rate itself 3 dB. What is taken
    out has no mean in any TR, so the level is learned in full from the start.

    For training alone: validation on anything but the original would choose other weights.

    Arguments
        original: log-mel or pictures; the TRs of an item follow one another.
        epoch, max_epochs, params, frame_hz: see `rate_at`.

    Raises
        SettingsError: as `rate_at`.
    """
    rate_hz = rate_at(epoch, max_epochs, params, frame_hz)
    if rate_hz == float("inf"):
        return original
    smooth = low_pass(original.flatten(1, 2), rate_hz, frame_hz).view(original.shape)
    return smooth + (original - smooth).mean(dim=2, keepdim=True)


def low_pass(
    timeline: Float[Tensor, "batch frame *feature"], rate_hz: float, frame_hz: float
) -> Float[Tensor, "batch frame *feature"]:
    """Modulation up to a rate, without delay: the amplitude response of a Butterworth filter.

    The item is continued by its mirror image at both ends, where a periodic one would jump.
    """
    n_frames = timeline.shape[1]
    mirrored = torch.cat([timeline, timeline.flip(1)], dim=1)
    how = {"device": timeline.device, "dtype": timeline.dtype}
    hz = torch.fft.rfftfreq(2 * n_frames, 1 / frame_hz, **how)
    gain = (1 + (hz / rate_hz) ** (2 * ORDER)).rsqrt()
    spectrum = torch.fft.rfft(mirrored, dim=1)
    spectrum = spectrum * gain.view(-1, *[1] * (timeline.ndim - 2))
    return torch.fft.irfft(spectrum, n=2 * n_frames, dim=1)[:, :n_frames]
