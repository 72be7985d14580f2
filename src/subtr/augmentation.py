"""Stimulus shifted in time and masked, so that a network cannot lean on any one frame or band."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from subtr.models.stream import AugmentationParams
from subtr.params import SettingsError


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
