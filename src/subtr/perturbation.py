"""Copies of the training time at other speeds and pitches: more to learn from, at no recording."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from subtr.params import SettingsError, Strict


class PerturbationParams(Strict):
    """Which copies are learned from, beside the original.

    ``speeds``: of copies that run so many times as fast; ``band_shifts``: of copies whose mel bands
    are moved up so many, as another voice's would be. Source: Ko et al. 2015 (speed), Jaitly and
    Hinton 2013 (bands).
    """

    speeds: tuple[Annotated[float, Field(gt=0.25, lt=4)], ...] = ()
    band_shifts: tuple[int, ...] = ()


def perturbed(
    frames: Float[Tensor, "tr frame feature"],
    stretches: list[Int[np.ndarray, " _"]],
    params: PerturbationParams,
) -> tuple[Float[Tensor, "more_tr frame feature"], list[Int[np.ndarray, " _"]]]:
    """The frames with copies of the stretches appended, and the stretches with those of the copies.

    Arguments
        frames: the stimulus, on the clock.
        stretches: consecutive TRs each, of training alone, see `subtr.timeline.consecutive`.

    Returns
        The original frames are untouched and come first. A copy at another speed is resampled
        linearly in time and ends with its last whole TR. A band that a shift leaves empty repeats
        its neighbour.

    Raises
        SettingsError: a shift of as many bands as there are, or more.
    """
    n_frames, n_bands = frames.shape[1:]
    for shift in params.band_shifts:
        if abs(shift) >= n_bands:
            raise SettingsError(
                f"band_shifts: {shift}: expected fewer than the {n_bands} bands of the log-mel."
            )
    streams = []
    for stretch in stretches:
        stream = frames[torch.as_tensor(stretch)].flatten(0, 1)
        streams += [_at_speed(stream, speed) for speed in params.speeds]
        streams += [_shifted(stream, shift) for shift in params.band_shifts]
    pieces, spans, n_trs = [frames], list(stretches), len(frames)
    for stream in streams:
        n_whole = len(stream) // n_frames
        if n_whole:
            pieces.append(stream[: n_whole * n_frames].reshape(n_whole, n_frames, n_bands))
            spans.append(np.arange(n_trs, n_trs + n_whole))
            n_trs += n_whole
    return torch.cat(pieces), spans


def _at_speed(stream: Tensor, speed: float) -> Tensor:
    at = torch.arange(0, len(stream) - 1, speed, dtype=torch.float64, device=stream.device)
    before = at.long()
    share = (at - before).to(stream.dtype)[:, None]
    return torch.lerp(stream[before], stream[before + 1], share)


def _shifted(stream: Tensor, shift: int) -> Tensor:
    bands = torch.arange(stream.shape[1], device=stream.device) - shift
    return stream[:, bands.clamp(0, stream.shape[1] - 1)]
