"""What changes the input while training: augmentation, speed and pitch, curriculum, balance."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn

from subtr.models.batches import Batch
from subtr.models.stream import AugmentationParams
from subtr.params import SettingsError, Strict


def augment(
    frames: Float[Tensor, "batch tr frame *feature"],
    params: AugmentationParams,
    generator: Generator,
    mean: Float[Tensor, "*#feature"] | float = 0.0,
    context_frames: int = 0,
) -> Float[Tensor, "batch tr frame *feature"]:
    """``frames`` shifted, made noisy and masked, each item in its own way; a new tensor.

    Time and frequency masks are SpecAugment's (Park et al. 2019, arXiv:1904.08779, section 2),
    with as many time masks as the item is long (Park et al. 2020, arXiv:1912.05533).

    Arguments
        frames: log-mel (batch, TR, frame, band) or pictures (batch, TR, picture, rgb, height,
            width); the TRs of an item follow one another.
        generator: all that is random; on its own device, so that one on the CPU gives the same
            masks on every device.
        mean: what masked values become, one for all or a whole frame; 0 suits standardised frames.
        context_frames: frames of the neighbouring TRs on either side of each TR's own, see
            `subtr.models.batches.with_context`; a moment is treated alike in every TR that sees it.

    A shift holds the first or last frame where nothing is known before or after it.

    Raises
        SettingsError: a shift or mask as long as the item or wider than the bands; frequency masks
            for pictures.
    """
    _check_room(frames, params, context_frames)
    n_trs, width = frames.shape[1], frames.shape[2]
    timeline = _timeline(frames, context_frames)
    n_items, n_frames = timeline.shape[:2]
    if params.shift_frames:
        most = params.shift_frames
        shift = torch.randint(
            -most, most + 1, (n_items,), generator=generator, device=generator.device
        )
        timeline = shifted(timeline, shift.to(timeline.device))
    if params.noise:
        noise = torch.randn(timeline.shape, generator=generator, device=generator.device)
        timeline = timeline + params.noise * noise.to(timeline)
    if params.time_masks:
        n_masks = params.time_masks * n_trs
        hidden = _masks(n_items, n_masks, params.time_mask_frames, n_frames, generator)
        shape = (n_items, n_frames, *[1] * (timeline.ndim - 2))
        timeline = torch.where(hidden.view(shape).to(timeline.device), mean, timeline)
    if params.frequency_masks:
        masks, bands = params.frequency_masks, params.frequency_mask_bands
        hidden = _masks(n_items, masks, bands, timeline.shape[2], generator)
        timeline = torch.where(hidden[:, None].to(timeline.device), mean, timeline)
    if not context_frames:
        return timeline.reshape(frames.shape)
    windows = timeline.unfold(1, width, width - 2 * context_frames)
    return rearrange(windows, "b t ... f -> b t f ...").contiguous()


def shifted(
    timeline: Float[Tensor, "batch frame *feature"], shift_frames: Int[Tensor, " batch"]
) -> Float[Tensor, "batch frame *feature"]:
    """Each item moved later by its number of frames (earlier if negative); edge frames are held."""
    n_items, n_frames = timeline.shape[:2]
    index = torch.arange(n_frames, device=timeline.device) - shift_frames[:, None]
    item = torch.arange(n_items, device=timeline.device)[:, None]
    return timeline[item, index.clamp(0, n_frames - 1)]


def _timeline(frames: Tensor, context_frames: int) -> Tensor:
    """Every moment of an item once (batch, frame, feature...)."""
    if not context_frames:
        return frames.flatten(1, 2)
    own = frames[:, :, context_frames:-context_frames].flatten(1, 2)
    before, after = frames[:, 0, :context_frames], frames[:, -1, -context_frames:]
    return torch.cat([before, own, after], dim=1)


def _masks(
    n_items: int, n_masks: int, widest: int, length: int, generator: Generator
) -> Bool[Tensor, "item length"]:
    """Where at least one mask lies; widths uniform from 0 to ``widest``, then places uniform."""
    how = {"generator": generator, "device": generator.device}
    widths = torch.randint(0, widest + 1, (n_items, n_masks), **how)
    room = length - widths
    # float32 may round the product up to room + 1.
    starts = (torch.rand(widths.shape, **how) * (room + 1)).long().minimum(room)
    # +1 where a mask begins and -1 where it ends: their running sum counts the masks over a frame.
    ends = torch.zeros(n_items, length + 1, dtype=torch.int32, device=generator.device)
    one = torch.ones_like(starts, dtype=torch.int32)
    ends.scatter_add_(1, starts, one).scatter_add_(1, starts + widths, -one)
    return ends.cumsum(1)[:, :length] > 0


def _check_room(frames: Tensor, params: AugmentationParams, context_frames: int) -> None:
    n_frames = frames.shape[1] * (frames.shape[2] - 2 * context_frames) + 2 * context_frames
    for name in ("shift_frames", "time_mask_frames"):
        if getattr(params, name) >= n_frames:
            raise SettingsError(
                f"{name} = {getattr(params, name)}: expected less than the {n_frames} frames of an "
                "item; use a smaller one, or longer items."
            )
    if params.frequency_masks and frames.ndim != 4:
        raise SettingsError(
            f"frequency_masks = {params.frequency_masks}: pictures have no bands; set it and "
            "frequency_mask_bands to 0."
        )
    if params.frequency_masks and params.frequency_mask_bands >= frames.shape[3]:
        raise SettingsError(
            f"frequency_mask_bands = {params.frequency_mask_bands}: expected less than the "
            f"{frames.shape[3]} bands of a frame."
        )


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
    streams, bands = [], torch.arange(n_bands, device=frames.device)
    for stretch in stretches:
        stream = frames[torch.as_tensor(stretch)].flatten(0, 1)
        streams += [_at_speed(stream, speed) for speed in params.speeds]
        streams += [stream[:, (bands - up).clamp(0, n_bands - 1)] for up in params.band_shifts]
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


# Of the Butterworth response of `low_pass`.
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


NamedLosses = Callable[[nn.Module, Batch], Mapping[str, Float[Tensor, ""]]]


def equal_gradient_weights(
    model: nn.Module,
    batch: Batch,
    losses: NamedLosses,
    shared: Iterable[nn.Parameter] | None = None,
) -> dict[str, float]:
    """A weight for each loss that makes their weighted gradients equally long.

    The geometric mean of the weights is 1, so the learning rate keeps its meaning. The weights are
    found once, where the model stands, and stay. GradNorm (Chen et al. 2018, arXiv:1711.02257,
    equations 1 and 2) starts from the same condition, then goes on to learn the weights at every
    step, so that all losses fall at one rate, from the gradients of the last shared layer alone.

    The model is left as it is: weights, gradients, running statistics and random state.

    Arguments
        losses: (model, batch) -> value by name, as they are to be weighted.
        shared: parameters that the losses compete for; if none are given, those that every loss
            reaches.

    Raises
        SettingsError: a loss has no gradient, or one that is not finite; no parameter is shared.

    A loss that starts near its minimum, as that of an autoencoder that starts at PCA, has hardly a
    gradient and gets a weight as large as that is small: balance before such a start.
    """
    norms = gradient_norms(model, batch, losses, shared)
    mean_log = sum(map(math.log, norms.values())) / len(norms)
    return {name: math.exp(mean_log - math.log(norm)) for name, norm in norms.items()}


def gradient_norms(
    model: nn.Module,
    batch: Batch,
    losses: NamedLosses,
    shared: Iterable[nn.Parameter] | None = None,
) -> dict[str, float]:
    """Euclidean length of each loss's gradient on the shared parameters.

    Arguments and errors: see `equal_gradient_weights`.
    """
    parameters = [one for one in model.parameters() if one.requires_grad]
    if shared is not None:
        parameters = list(shared)
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = {one.device for one in parameters if one.is_cuda}
    gradients = {}
    try:
        with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
            for name, value in losses(model, batch).items():
                if not value.requires_grad:
                    raise _without_gradient(name)
                how = {"retain_graph": True, "allow_unused": True}
                gradients[name] = torch.autograd.grad(value, parameters, **how)
                if all(of is None for of in gradients[name]):
                    raise _without_gradient(name)
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if not gradients:
        raise SettingsError("no losses to balance: name at least one.")
    if shared is None:
        each = zip(*gradients.values(), strict=True)
        common = [index for index, ofs in enumerate(each) if all(of is not None for of in ofs)]
        if not common:
            raise SettingsError(
                f"the losses {', '.join(gradients)} share no parameter: nothing to balance; give "
                "weights by hand."
            )
        gradients = {name: [of[index] for index in common] for name, of in gradients.items()}
    norms = {}
    for name, gradient in gradients.items():
        known = [of for of in gradient if of is not None]
        norms[name] = length = nn.utils.get_total_norm(known).item()
        if not math.isfinite(length):
            raise SettingsError(
                f"the loss {name!r} has a gradient of length {length}: expected a finite one; look "
                "for missing values in its target."
            )
        if length == 0:
            raise _without_gradient(name)
    return norms


def _without_gradient(name: str) -> SettingsError:
    return SettingsError(
        f"the loss {name!r} has no gradient on the shared parameters: no weight can make it pull; "
        "leave it out, or let it depend on the model."
    )
