"""Masked pre-training of a stream."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Generator, Tensor, nn

from subtr.datasets.study import Fold
from subtr.models.batches import EPOCHS_APART, Batch, ChangedBatches, WindowBatches, epoch_seed
from subtr.models.stream import EncoderPart, with_position
from subtr.params import SettingsError, Strict, unhashed_default
from subtr.timeline import consecutive
from subtr.training.fit import Fitting, TrainingParams, fit


class PretrainingParams(Strict):
    """What is hidden, how it is redrawn, and for how long this is learned.

    ``mask``: "tube" hides the same bands (squares of a picture) for a whole window, "random" hides
    patches anywhere. ``decoder_cells``: the share of running cells that is redrawn, None for all.
    ``fill``: what hidden patches become, one learned patch or the mean. ``patch_pixels``: side of
    a square.
    ``stimulus``: "train" shows the training TRs alone, so that the test film stays one that the
    network never met, which is what scores are taken to mean. "all" shows the stimulus of test TRs
    and gaps too, never their BOLD: no score of it may stand beside others without saying so.
    ``target``: "stimulus" redraws what is hidden; "features" draws, in its place, the features that
    the study has at the frames where something is hidden, such as ``speech_features``.
    """

    mask: Literal["tube", "random"] = "tube"
    mask_ratio: float = Field(0.9, gt=0, lt=1)
    decoder_cells: float | None = Field(None, gt=0, lt=1, multiple_of=0.25)
    fill: Literal["token", "mean"] = "token"
    patch_frames: int = Field(4, ge=1)
    patch_bands: int = Field(1, ge=1)
    patch_pixels: int = Field(8, ge=1)
    decoder_dim: int = Field(64, ge=1, le=8192)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    stimulus: Literal["train", "all"] = "train"
    target: Literal["stimulus", "features"] = unhashed_default("stimulus")
    training: TrainingParams = TrainingParams()


# Which patches of a clip are hidden from an encoder, and which of them a decoder must redraw.
#
# A clip is a cube of patches (time, cell). Cells are ranges of bands of a log-mel spectrogram, or
# squares of a picture, row by row. Every function is pure: the same generator gives the same mask.

# Patches of a running cell: two by two neighbours of a picture, four neighbouring ranges of bands.
PATCHES_PER_CELL = 4


def tube_mask(
    n_items: int, n_times: int, n_cells: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where hidden: the same cells at every time of an item, others in the next item.

    Arguments
        ratio: share of the cells that is hidden, to the nearest whole cell.

    Raises
        SettingsError: the ratio hides none or all of the cells.

    Source: Tong et al. 2022, VideoMAE: tube masking at 0.90 to 0.95.
    """
    hidden = _exactly(n_items, n_cells, ratio, generator)
    return hidden[:, None].expand(-1, n_times, -1).clone()


def random_mask(
    n_items: int, n_times: int, n_cells: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where hidden: patches anywhere in time and space, each item others.

    Arguments
        ratio: share of all patches that is hidden, to the nearest whole patch.

    Raises
        SettingsError: the ratio hides none or all of the patches.

    Source: Huang et al. 2022, Masked autoencoders that listen: unstructured masking.
    """
    hidden = _exactly(n_items, n_times * n_cells, ratio, generator)
    return hidden.view(n_items, n_times, n_cells)


def running_cells(
    n_items: int, n_times: int, space: tuple[int, ...], share: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where the decoder redraws: a share of every cell of four patches, which runs on in time.

    At each time the choice within a cell moves on by one patch, so that after four times every
    patch was chosen equally often. All cells of an item run alike; items begin anywhere.

    Arguments
        space: ranges of bands (n_ranges,), or squares of a picture (rows, columns).
        share: of the four patches of a cell, how many are chosen: 0.25, 0.5 or 0.75.

    Raises
        SettingsError: another share.

    Source: Wang et al. 2023, VideoMAE V2, decoder masking; Qing et al. 2023, Masked action
    recognition, running cells.
    """
    n_chosen = round(share * PATCHES_PER_CELL)
    if not 0 < n_chosen < PATCHES_PER_CELL or abs(n_chosen - share * PATCHES_PER_CELL) > 1e-9:
        raise SettingsError(f"decoder_cells = {share:g}: expected 0.25, 0.5 or 0.75.")
    if len(space) == 1:
        within = torch.arange(space[0]) % PATCHES_PER_CELL
    else:
        rows, columns = (torch.arange(n) % 2 for n in space)
        within = (2 * rows[:, None] + columns).flatten()
    start = torch.randint(PATCHES_PER_CELL, (n_items, 1, 1), generator=generator)
    turn = start + torch.arange(n_times)[:, None] + within
    return turn % PATCHES_PER_CELL < n_chosen


def dual_masks(
    n_items: int,
    n_times: int,
    space: tuple[int, ...],
    kind: Literal["tube", "random"],
    ratio: float,
    decoder_cells: float | None,
    generator: Generator,
) -> tuple[Bool[Tensor, "item time cell"], Bool[Tensor, "item time cell"]]:
    """What is hidden from the encoder, and which of that the decoder is to redraw.

    The two differ only where ``decoder_cells`` is given: then what is redrawn is what is hidden
    and in the running cells. No patch is both seen and redrawn.

    Raises
        SettingsError: as the masks themselves do.
    """
    make = tube_mask if kind == "tube" else random_mask
    hidden = make(n_items, n_times, math.prod(space), ratio, generator)
    if decoder_cells is None:
        return hidden, hidden
    return hidden, hidden & running_cells(n_items, n_times, space, decoder_cells, generator)


def _exactly(
    n_items: int, n_patches: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item patch"]:
    n_hidden = round(ratio * n_patches)
    if not 0 < n_hidden < n_patches:
        raise SettingsError(
            f"mask_ratio = {ratio:g} hides {n_hidden} of {n_patches} patches: expected some hidden "
            "and some seen; use smaller patches or another ratio."
        )
    order = torch.rand(n_items, n_patches, generator=generator).argsort(dim=1)
    return order.argsort(dim=1) < n_hidden


@dataclass(frozen=True)
class Patches:
    """Patches of ``patch_frames`` frames by ``patch_side`` bands, or by a square of pixels.

    Arguments
        n_frames: frames of a window.
        feature: shape of a frame: (bands,), or (3, height, width).
        patch_frames: frames of a patch.
        patch_side: bands of a patch, or pixels along either side of a square.

    Raises
        SettingsError: a window or frame that does not divide into whole patches.
    """

    n_frames: int
    feature: tuple[int, ...]
    patch_frames: int
    patch_side: int

    def __post_init__(self):
        name = "patch_bands" if self._is_sound else "patch_pixels"
        for option, size, lengths in (
            ("patch_frames", self.patch_frames, [self.n_frames]),
            (name, self.patch_side, self._sides),
        ):
            if any(length % size for length in lengths):
                raise SettingsError(
                    f"{option} = {size}: expected a divisor of "
                    f"{' and of '.join(map(str, lengths))}, the {option.removeprefix('patch_')} of "
                    "a window with its context."
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one patch: (frame, band), or (frame, 3, height, width)."""
        space = (self.patch_side,) if self._is_sound else (3, self.patch_side, self.patch_side)
        return (self.patch_frames, *space)

    @property
    def n_times(self) -> int:
        """Patches after each other."""
        return self.n_frames // self.patch_frames

    @property
    def space(self) -> tuple[int, ...]:
        """Patches beside each other: (ranges of bands,), or (rows, columns) of squares."""
        return tuple(side // self.patch_side for side in self._sides)

    def tiled(self, patch: Float[Tensor, "..."]) -> Float[Tensor, "frame *feature"]:
        """One patch, repeated over a window."""
        beside = self.space if self._is_sound else (1, *self.space)
        return patch.tile(self.n_times, *beside)

    def spread(self, mask: Bool[Tensor, "item time cell"]) -> Bool[Tensor, "item frame *_feature"]:
        """A mask of patches as one of values; for pictures one colour stands for all three."""
        size = self.patch_side
        mask = repeat(mask, "i t c -> i (t f) c", f=self.patch_frames)
        if self._is_sound:
            return repeat(mask, "i f c -> i f (c b)", b=size)
        rows = self.space[0]
        return repeat(mask, "i f (r c) -> i f 1 (r h) (c w)", r=rows, h=size, w=size)

    @property
    def _is_sound(self) -> bool:
        return len(self.feature) == 1

    @property
    def _sides(self) -> tuple[int, ...]:
        return self.feature if self._is_sound else self.feature[1:]


class MaskedAutoencoder(nn.Module):
    """A stream's position and encoder, and a light decoder that maps each frame's latents alone.

    As the decoder knows no time, what a hidden frame held must be found by the encoder. Encoders
    here slide over all frames, so hidden patches are filled rather than left out; running cells
    then decide by which patches the decoder is judged, and save no work.

    Arguments
        stream: whose position and encoder learn; its aggregator is not touched.
        patches: of the window.
        tr_s: repetition time in seconds.
        mean: of each feature in training; what hidden patches become.
        deviation: of all features from it, so that the decoder need not learn their scale.
        decoder_dim: features of a frame in the decoder.
        token: hidden patches differ from the mean by one learned patch, the same everywhere.
        target: mean and deviation of what is drawn in the place of the frames themselves, such as
            features of a speech model; None draws the frames.
    """

    def __init__(
        self,
        stream: EncoderPart,
        patches: Patches,
        tr_s: float,
        mean: Float[Tensor, " *feature"],
        deviation: float,
        decoder_dim: int,
        token: bool,
        target: tuple[Float[Tensor, " value"], float] | None = None,
    ):
        super().__init__()
        self.position, self.encoder = stream.position, stream.encoder
        self.context_frames, self.frames_per_tr = stream.context_frames, stream.frames_per_tr
        self.patches, self.tr_s, self.deviation = patches, tr_s, deviation
        self.register_buffer("mean", mean)
        self.token = nn.Parameter(torch.zeros(patches.shape)) if token else None
        dims = self.encoder.level_dims
        self.maps = nn.ModuleList(nn.Linear(dim, decoder_dim) for dim in dims)
        self.target_deviation = deviation if target is None else target[1]
        if target is not None:
            self.register_buffer("_target_mean", target[0])
        self.frames = nn.Linear(decoder_dim, self.target_mean.numel())

    @property
    def target_mean(self) -> Float[Tensor, " *value"]:
        """Of what is drawn, in training."""
        return getattr(self, "_target_mean", self.mean)

    def filled(
        self, frames: Float[Tensor, "item frame *feature"], hidden: Bool[Tensor, "item time cell"]
    ) -> Float[Tensor, "item frame *feature"]:
        """What the encoder is shown."""
        fill = self.mean.expand(frames.shape[1:])
        if self.token is not None:
            fill = fill + self.patches.tiled(self.token)
        return torch.where(self.patches.spread(hidden), fill, frames)

    def forward(
        self, frames: Float[Tensor, "item frame *feature"], hidden: Bool[Tensor, "item time cell"]
    ) -> Float[Tensor, "item frame *value"]:
        shown = self.filled(frames, hidden)
        window = self.tr_s, self.context_frames, self.frames_per_tr
        shown = with_position(self.position, shown, *window)
        n_frames = frames.shape[1]
        levels = zip(self.maps, self.encoder(shown), strict=True)
        # Each frame takes the latent of a coarser level that covers it.
        latents = [
            nn.functional.interpolate(rearrange(map_(level), "i f d -> i d f"), size=n_frames)
            for map_, level in levels
        ]
        latents = rearrange(torch.stack(latents).sum(0), "i d f -> i f d")
        drawn = self.frames(nn.functional.gelu(latents))
        drawn = drawn.view(*frames.shape[:2], *self.target_mean.shape)
        return self.target_mean + self.target_deviation * drawn


def pretrain(
    fold: Fold,
    stream: EncoderPart,
    frames: Float[Tensor, "tr frame *feature"],
    targets: Float[Tensor, "tr frame value"] | None = None,
) -> pd.DataFrame:
    """Trains the encoder of a stream, in place, to redraw what is hidden of windows of a stimulus.

    A window is as long as what the encoder gets of a TR, context included, and begins at any frame
    of a stretch of consecutive TRs; it never reaches beyond it. The weights of the best validation
    loss are kept. What is finished or interrupted in the fold's folder goes on as in
    `subtr.training.fit.fit`.

    Arguments
        fold: its ``params`` are `PretrainingParams`. Its training TRs are learned from, its
            validation TRs decide when to stop.
        frames: the stimulus without context; other TRs are not looked at.
        targets: of each frame, drawn where something is hidden; None redraws what is hidden.

    Returns
        History as of `subtr.training.fit.fit`. The loss is the squared error of redrawn patches
        over the variance of the training stretches; ``explained``, the share of that error which a
        network that knows the mean alone would make and this one does not.

    Raises
        SettingsError: patches that do not divide the window, a mask that hides none or all of it,
            or no stretch as long as a window.
        TrainingError: as `subtr.training.fit.fit`.

    Source: Tong et al. 2022; Wang et al. 2023, VideoMAE V2; Huang et al. 2022, for spectrograms.
    """
    params, seed, study = fold.params, fold.seed, fold.study
    n_frames, feature = frames.shape[1], tuple(frames.shape[2:])
    width = n_frames + 2 * stream.context_frames
    side = params.patch_bands if len(feature) == 1 else params.patch_pixels
    patches = Patches(width, feature, params.patch_frames, side)
    parts = {"training": fold.train, "validation": fold.validation}
    of_part = {
        name: _frames_of(consecutive(trs, study.run_of_tr), n_frames, width, name)
        for name, trs in parts.items()
    }
    # A timeline of single frames, so that a window of any width may begin at any of them.
    timeline = frames.flatten(0, 1)[:, None]
    trained = torch.as_tensor(np.concatenate(of_part["training"]))
    scale, target_scale, n_channels = _scale(timeline[trained]), None, None
    if targets is not None:
        n_channels = frames.shape[-1]
        timeline = torch.cat([timeline, targets.flatten(0, 1)[:, None]], dim=-1)
        target_scale = _scale(timeline[trained][..., n_channels:])
    torch.manual_seed(seed)
    how = params.decoder_dim, params.fill == "token", target_scale
    model = MaskedAutoencoder(stream, patches, study.clock.tr_s, *scale, *how)

    def masked(batch: Batch, generator: Generator) -> Batch:
        window = batch["frames"].squeeze(2)
        size = len(window), patches.n_times, patches.space
        how = params.mask, params.mask_ratio, params.decoder_cells
        hidden, redrawn = dual_masks(*size, *how, generator)
        masks = {"hidden": hidden, "redrawn": redrawn}
        if targets is None:
            return {"frames": window, **masks}
        # What comes behind the stimulus in a frame is what is asked for.
        return {"frames": window[..., :n_channels], "wanted": window[..., n_channels:], **masks}

    def batches(epoch: int) -> ChangedBatches:
        of_epoch = epoch_seed(seed, epoch)
        sizes = width, params.batch_size, params.batches_per_epoch
        windows = WindowBatches(timeline, of_part["training"], *sizes, of_epoch)
        return ChangedBatches(windows, masked, of_epoch)

    def objective(model: MaskedAutoencoder, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        wanted = batch.get("wanted", batch["frames"])
        asked = patches.spread(batch["redrawn"]).expand_as(batch["frames"])
        if "wanted" in batch:
            asked = asked.any(-1, keepdim=True).expand_as(wanted)
        error = (model(batch["frames"], batch["hidden"]) - wanted).square()[asked].mean()
        known = (model.target_mean - wanted).square()[asked].mean()
        return error / model.target_deviation**2, {"explained": 1 - (error / known).detach()}

    firsts = [stretch[: len(stretch) - width + 1 : width] for stretch in of_part["validation"]]
    firsts = torch.as_tensor(np.concatenate(firsts)).split(params.batch_size)
    windows = [{"frames": timeline[first[:, None] + torch.arange(width)]} for first in firsts]
    # Masks as of an epoch that is never reached.
    unseen = ChangedBatches(windows, masked, epoch_seed(seed, EPOCHS_APART - 1))
    fitting = Fitting(model, objective, batches, list(unseen), params.training, seed)
    history = fit(fitting, fold.folder, fold.label)
    # `fit` leaves a model ready to predict; the stream's own training is still to come.
    stream.train()
    return history


def pretrain_members(
    fold: Fold,
    streams: Iterable[EncoderPart],
    frames: Float[Tensor, "tr frame *feature"],
    targets: Float[Tensor, "tr frame value"] | None = None,
) -> tuple[list[nn.Parameter], float]:
    """`pretrain` for each of several streams, each from a seed of its own.

    Arguments
        fold: see `pretrain`; test TRs are shown only where ``params.stimulus`` is "all".
        targets: see `pretrain`.

    Returns
        The parameters that now start from a solution, and the seconds that it took.
    """
    if fold.params.stimulus == "all":
        shown = np.setdiff1d(np.arange(fold.study.clock.n_trs), fold.validation)
        fold = fold.using(split=replace(fold.split, train=shown))
    started, spent_s = [], 0.0
    for member, stream in enumerate(streams):
        own = fold.using(
            folder=fold.folder / f"member{member}",
            # No ensemble has more than 64 members, so no two seeds share one.
            seed=64 * fold.seed + member,
            label=f"{fold.label} pre-training {member}",
        )
        history = pretrain(own, stream, frames, targets)
        spent_s += history.attrs["training time_s"]
        started += [*stream.position.parameters(), *stream.encoder.parameters()]
    return started, spent_s


def _scale(frames: Tensor) -> tuple[Tensor, float]:
    """The mean of each feature, and the deviation of all from it."""
    known = frames.squeeze(1)
    mean = known.mean(0)
    return mean, (known - mean).square().mean().clamp_min(1e-12).sqrt().item()


def _frames_of(stretches, n_frames: int, width: int, part: str) -> list[np.ndarray]:
    """Stretches of TRs as stretches of frames, as far as they hold a window."""
    each = [np.arange(trs[0] * n_frames, (trs[-1] + 1) * n_frames) for trs in stretches]
    kept = [frames for frames in each if len(frames) >= width]
    if not kept:
        longest = max(map(len, each), default=0)
        raise SettingsError(
            f"a window of {width} frames, of which {n_frames} are the TR's own: no stretch of "
            f"{part} is longer than {longest}; use a smaller context_frames or more TRs for {part}."
        )
    return kept
