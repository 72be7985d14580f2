"""Encoders learn to redraw hidden patches of a stimulus, before any BOLD is shown to them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from subtr.errors import SettingsError
from subtr.fitting import Fitting
from subtr.items import Batch, WindowBatches, consecutive
from subtr.masked_autoencoder import MaskedAutoencoder
from subtr.masking import dual_masks
from subtr.params import Strict
from subtr.patches import Patches
from subtr.splits import Split
from subtr.streams import EncoderPart
from subtr.training import fit
from subtr.training_params import TrainingParams


class PretrainingParams(Strict):
    """What is hidden, how it is redrawn, and for how long this is learned.

    ``mask``: "tube" hides the same bands (squares of a picture) for a whole window, "random" hides
    patches anywhere. ``decoder_cells``: the share of running cells that is redrawn, None for all.
    ``fill``: what hidden patches become, one learned patch or the mean. ``patch_pixels``: side of
    a square.
    ``stimulus``: "train" shows the training TRs alone, so that the test film stays one that the
    network never met, which is what scores are taken to mean. "all" shows the stimulus of test TRs
    and gaps too, never their BOLD: no score of it may stand beside others without saying so.
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
    training: TrainingParams = TrainingParams()


@dataclass
class _MaskedBatches:
    """Windows, what is hidden of them and what of that is redrawn; the seed decides the masks."""

    windows: Iterable[Batch]
    patches: Patches
    params: PretrainingParams
    seed: int

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        how = self.params.mask, self.params.mask_ratio, self.params.decoder_cells
        for batch in self.windows:
            frames = batch["frames"].squeeze(2)
            size = len(frames), self.patches.n_times, self.patches.space
            hidden, redrawn = dual_masks(*size, *how, generator)
            yield {"frames": frames, "hidden": hidden, "redrawn": redrawn}


def pretrain(
    stream: EncoderPart,
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    validation: list[Int[np.ndarray, " _"]],
    tr_s: float,
    params: PretrainingParams,
    folder: Path,
    seed: int,
    label: str,
) -> pd.DataFrame:
    """Trains the encoder of a stream, in place, to redraw what is hidden of windows of a stimulus.

    A window is as long as what the encoder gets of a TR, context included, and begins at any frame
    of a stretch; it never reaches beyond it. The weights of the best validation loss are kept.
    What is finished or interrupted in ``folder`` goes on as in `subtr.training.fit`.

    Arguments
        frames: the stimulus without context; TRs outside of the stretches are not looked at.
        stretches, validation: consecutive TRs each, see `subtr.items.consecutive`.
        tr_s: repetition time in seconds.
        seed: of decoder, windows, masks and what else is random.

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
    n_frames, feature = frames.shape[1], tuple(frames.shape[2:])
    width = n_frames + 2 * stream.context_frames
    side = params.patch_bands if len(feature) == 1 else params.patch_pixels
    patches = Patches(width, feature, params.patch_frames, side)
    parts = {"training": stretches, "validation": validation}
    of_part = {name: _frames_of(of, n_frames, width, name) for name, of in parts.items()}
    # A timeline of single frames, so that a window of any width may begin at any of them.
    timeline = frames.flatten(0, 1)[:, None]
    known = timeline[torch.as_tensor(np.concatenate(of_part["training"]))].squeeze(1)
    mean = known.mean(0)
    deviation = (known - mean).square().mean().clamp_min(1e-12).sqrt().item()
    torch.manual_seed(seed)
    token = params.fill == "token"
    model = MaskedAutoencoder(stream, patches, tr_s, mean, deviation, params.decoder_dim, token)

    def batches(epoch: int) -> _MaskedBatches:
        of_epoch = seed * 1_000_003 + epoch
        sizes = width, params.batch_size, params.batches_per_epoch
        windows = WindowBatches(timeline, of_part["training"], *sizes, of_epoch)
        return _MaskedBatches(windows, patches, params, of_epoch)

    def objective(model: MaskedAutoencoder, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        original = batch["frames"]
        redrawn = patches.spread(batch["redrawn"]).expand_as(original)
        error = (model(original, batch["hidden"]) - original).square()[redrawn].mean()
        known = (model.mean - original).square()[redrawn].mean()
        return error / deviation**2, {"explained": 1 - (error / known).detach()}

    firsts = [stretch[: len(stretch) - width + 1 : width] for stretch in of_part["validation"]]
    firsts = torch.as_tensor(np.concatenate(firsts)).split(params.batch_size)
    windows = [{"frames": timeline[first[:, None] + torch.arange(width)]} for first in firsts]
    # Masks as of an epoch that is never reached.
    unseen = _MaskedBatches(windows, patches, params, seed * 1_000_003 + 1_000_002)
    fitting = Fitting(model, objective, batches, list(unseen), params.training, seed)
    history = fit(fitting, folder, label)
    # `fit` leaves a model ready to predict; the stream's own training is still to come.
    stream.train()
    return history


def pretrain_members(
    streams: Iterable[EncoderPart],
    frames: Float[Tensor, "tr frame *feature"],
    split: Split,
    run_of_tr: Int[np.ndarray, " tr"],
    tr_s: float,
    params: PretrainingParams,
    folder: Path,
    seed: int,
    label: str,
) -> tuple[list[nn.Parameter], float]:
    """`pretrain` for each of several streams, each from a seed of its own.

    Arguments
        split: training TRs are learned from, validation TRs decide when to stop; test TRs are
            shown only where ``params.stimulus`` is "all".

    Returns
        The parameters that now start from a solution, and the seconds that it took.
    """
    shown = split.train
    if params.stimulus == "all":
        shown = np.setdiff1d(np.arange(len(run_of_tr)), split.validation)
    parts = consecutive(shown, run_of_tr), consecutive(split.validation, run_of_tr)
    started, spent_s = [], 0.0
    for member, stream in enumerate(streams):
        place, said = folder / f"member{member}", f"{label} pre-training {member}"
        # No ensemble has more than 64 members, so no two seeds share one.
        history = pretrain(stream, frames, *parts, tr_s, params, place, 64 * seed + member, said)
        spent_s += history.attrs["training time_s"]
        started += [*stream.position.parameters(), *stream.encoder.parameters()]
    return started, spent_s


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
