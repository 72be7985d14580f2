"""Encoders learn to redraw hidden patches of a stimulus, before any BOLD is shown to them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.datasets.study import Fold
from subtr.fitting import Fitting
from subtr.masked_autoencoder import MaskedAutoencoder
from subtr.masking import dual_masks
from subtr.models.batches import EPOCHS_APART, Batch, WindowBatches, epoch_seed
from subtr.models.stream import EncoderPart
from subtr.params import SettingsError
from subtr.patches import Patches
from subtr.pretraining_params import PretrainingParams
from subtr.timeline import consecutive
from subtr.training import fit

__all__ = ["PretrainingParams", "pretrain", "pretrain_members"]


@dataclass
class _MaskedBatches:
    """Windows, what is hidden of them and what of that is redrawn; the seed decides the masks.

    With ``n_channels``, what comes behind so many values of a frame is no part of the stimulus, but
    what is asked for.
    """

    windows: Iterable[Batch]
    patches: Patches
    params: PretrainingParams
    seed: int
    n_channels: int | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        how = self.params.mask, self.params.mask_ratio, self.params.decoder_cells
        for batch in self.windows:
            frames = batch["frames"].squeeze(2)
            size = len(frames), self.patches.n_times, self.patches.space
            hidden, redrawn = dual_masks(*size, *how, generator)
            masks = {"hidden": hidden, "redrawn": redrawn}
            if self.n_channels is None:
                yield {"frames": frames, **masks}
            else:
                shown, wanted = frames[..., : self.n_channels], frames[..., self.n_channels :]
                yield {"frames": shown, "wanted": wanted, **masks}


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
    `subtr.training.fit`.

    Arguments
        fold: its ``params`` are `PretrainingParams`. Its training TRs are learned from, its
            validation TRs decide when to stop.
        frames: the stimulus without context; other TRs are not looked at.
        targets: of each frame, drawn where something is hidden; None redraws what is hidden.

    Returns
        History as of `subtr.training.fit`. The loss is the squared error of redrawn patches over
        the variance of the training stretches; ``explained``, the share of that error which a
        network that knows the mean alone would make and this one does not.

    Raises
        SettingsError: patches that do not divide the window, a mask that hides none or all of it,
            or no stretch as long as a window.
        TrainingError: as `subtr.training.fit`.

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

    def batches(epoch: int) -> _MaskedBatches:
        of_epoch = epoch_seed(seed, epoch)
        sizes = width, params.batch_size, params.batches_per_epoch
        windows = WindowBatches(timeline, of_part["training"], *sizes, of_epoch)
        return _MaskedBatches(windows, patches, params, of_epoch, n_channels)

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
    unseen = _MaskedBatches(
        windows, patches, params, epoch_seed(seed, EPOCHS_APART - 1), n_channels
    )
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
