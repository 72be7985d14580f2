"""Sound to codes and back: an autoencoder whose TR is told by whole numbers, and its training."""

import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from subtr.baselines import PCARival
from subtr.decoders import DECODERS
from subtr.errors import SettingsError
from subtr.items import Batch, WindowBatches, consecutive, window_batches
from subtr.losses import reconstruction_loss
from subtr.models import Part, Stream, StreamParams
from subtr.params import Strict
from subtr.quantisation import HierarchicalQuantiser, Quantised, QuantiserParams
from subtr.splits import Split
from subtr.study import Study
from subtr.training import Fitting, TrainingParams, fit
from subtr.training_windows import windows_of

# More windows or latents than these would make the start slower, not better.
_MOST_START_WINDOWS = 4096
_MOST_START_PATCHES = 32768


class QuantisedParams(Strict):
    """Frames -> codes -> frames: what is built and how it is trained.

    ``vector_dim``, ``fine_dim``: size of the TR vector and of a fine frame's latent before they
    become codes. ``start``: "pca" starts the linear maps at principal components, of windows for
    the coarse level, of what its codes leave of them for the fine one. ``coarse_weight``: of the
    reconstruction from coarse codes alone. The rest is as in `AutoencoderParams`.
    """

    stream: StreamParams = StreamParams(aggregator=Part(name="linear"))
    decoder: Part = Part(name="linear")
    quantiser: QuantiserParams = QuantiserParams()
    vector_dim: int = Field(32, ge=1, le=8192)
    fine_dim: int = Field(16, ge=1, le=8192)
    start: Literal["random", "pca"] = "random"
    level_weight: float = Field(1.0, ge=0)
    coarse_weight: float = Field(0.25, ge=0)
    item_trs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    training: TrainingParams = TrainingParams()

    @model_validator(mode="after")
    def _can_be_built(self):
        DECODERS.check(self.decoder.name, self.decoder.options)
        if self.stream.context_frames:
            raise ValueError(
                f"stream.context_frames = {self.stream.context_frames}: expected 0, for what a TR "
                "is reconstructed from must come from that TR alone"
            )
        starts = self.stream.aggregator.name == "linear" and self.decoder.name != "held"
        if self.start == "pca" and not starts:
            raise ValueError("start = 'pca' needs the aggregator linear and a decoder not held")
        return self


class _CoarseAndFine(nn.Module):
    """An aggregator whose vector carries the latents of ``n_fine`` frames after its own numbers."""

    def __init__(
        self, coarse: nn.Module, dims: list[int], frames: list[int], n_fine: int, fine_dim: int
    ):
        super().__init__()
        self.coarse, self.n_fine = coarse, n_fine
        if any(n_frames % n_fine for n_frames in frames):
            raise SettingsError(
                f"fine_frames = {n_fine}: expected a divisor of the frames of every level of the "
                f"encoder in a TR, {', '.join(map(str, frames))}."
            )
        self.maps = nn.ModuleList(
            nn.Linear(dim * n_frames // n_fine, fine_dim)
            for dim, n_frames in zip(dims, frames, strict=True)
        )
        for deeper in self.maps[1:]:
            nn.init.zeros_(deeper.weight)
            nn.init.zeros_(deeper.bias)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        fine = sum(
            part(rearrange(level, "b (p k) d -> b p (k d)", p=self.n_fine))
            for part, level in zip(self.maps, levels, strict=True)
        )
        return torch.cat([self.coarse(levels), fine.flatten(1)], dim=1)


class Decoded(NamedTuple):
    """Frames from all codes, from the coarse ones alone, and the codes."""

    whole: Float[Tensor, "batch tr frame feature"]
    coarse: Float[Tensor, "batch tr frame feature"]
    codes: Quantised


class QuantisedAutoencoder(nn.Module):
    """Frames -> a vector a TR and latents of its frames -> codes -> frames.

    The fine level is what the encoder's levels say of each of ``fine_frames`` parts of the TR.

    Arguments
        n_features, n_frames: features of a frame, frames of a TR.

    Raises
        SettingsError: the frames of a TR cannot be cut into ``fine_frames`` parts.
    """

    def __init__(self, n_features: int, n_frames: int, params: QuantisedParams):
        super().__init__()
        dim, quantiser = params.vector_dim, params.quantiser
        self.dim = dim
        self.stream = Stream(n_features, n_frames, dim, params.stream)
        self.fine_shape = (quantiser.fine_frames, params.fine_dim if quantiser.n_fine else 0)
        if quantiser.n_fine:
            rates, dims = self.stream.encoder.frame_hz(1.0), self.stream.encoder.level_dims
            if params.stream.keep_input:
                rates, dims = [1.0, *rates], [n_features, *dims]
            frames = [round(n_frames * rate) for rate in rates]
            whole = _CoarseAndFine(self.stream.aggregator, dims, frames, *self.fine_shape)
            self.stream.aggregator = whole
        self.quantiser = HierarchicalQuantiser(dim, self.fine_shape[1], quantiser)
        told_dim = dim + math.prod(self.fine_shape)
        self.decoder = params.decoder.build(DECODERS, told_dim, n_frames, n_features)

    def latents(
        self, frames: Float[Tensor, "batch tr frame feature"], tr_s: float
    ) -> tuple[Float[Tensor, "batch tr dim"], Float[Tensor, "batch tr fine_frame fine_dim"]]:
        """The TR vector and the frame-level latents, before they become codes."""
        both = self.stream(frames, tr_s)
        return both[..., : self.dim], both[..., self.dim :].unflatten(-1, self.fine_shape)

    def decode(
        self,
        vectors: Float[Tensor, "batch tr dim"],
        fine_added: Float[Tensor, "batch tr fine_frame fine_dim"],
    ) -> Float[Tensor, "batch tr frame feature"]:
        """Frames from what the codes tell; zeros in place of ``fine_added``: from the coarse."""
        return self.decoder(torch.cat([vectors, fine_added.flatten(2)], dim=-1))

    def forward(self, frames: Float[Tensor, "batch tr frame feature"], tr_s: float) -> Decoded:
        told = self.quantiser(*self.latents(frames, tr_s))
        whole = self.decode(told.vectors, told.fine_added)
        coarse = self.decode(told.vectors, torch.zeros_like(told.fine_added))
        return Decoded(whole, coarse, told)


class QuantisedSound(NamedTuple):
    """Log-mel of the test TRs from all codes and from the coarse alone, the codes, the history."""

    whole: Float32[np.ndarray, "test frame mel"]
    coarse: Float32[np.ndarray, "test frame mel"]
    coarse_codes: Int64[np.ndarray, "test codebook"]
    fine_codes: Int64[np.ndarray, "test fine_frame fine_codebook"]
    history: pd.DataFrame


def reconstruct_quantised(
    study: Study, split: Split, params: QuantisedParams, folder: Path, seed: int, label: str
) -> QuantisedSound:
    """Trains on the split's training TRs, and tells its test TRs by codes.

    Arguments
        folder, label: as in `subtr.training.fit`.

    Raises
        SettingsError: parts that do not fit one another, or less training data than codes.
        TrainingError: see `subtr.training.fit`.
    """
    mel = torch.from_numpy(np.array(study.mel, dtype=np.float32))
    known, tr_s = mel[torch.from_numpy(split.train)], study.clock.tr_s
    # One scale for all bands: errors keep the weight that they have in the score.
    center, scale = known.mean(dim=(0, 1)), known.std()
    frames = (mel - center) / scale
    torch.manual_seed(seed)
    model = QuantisedAutoencoder(frames.shape[2], frames.shape[1], params)
    windows = windows_of(frames, consecutive(split.train, study.run_of_tr))
    started = _start(model, windows, params.start, tr_s, seed)
    stretches = consecutive(split.train, study.run_of_tr)

    def batches(epoch: int) -> WindowBatches:
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        return WindowBatches(frames, stretches, *sizes, seed * 1_000_003 + epoch)

    def objective(model: QuantisedAutoencoder, batch: Batch):
        found = model(batch["frames"], tr_s)
        loss, named = reconstruction_loss(found.whole, batch["frames"], params.level_weight)
        if model.quantiser.fine is not None:
            alone, _ = reconstruction_loss(found.coarse, batch["frames"], params.level_weight)
            loss = loss + params.coarse_weight * alone
        if model.training:  # weights are chosen by what is reconstructed
            loss = loss + found.codes.loss
        return loss, named | found.codes.diagnostics

    validation = window_batches(frames, consecutive(split.validation, study.run_of_tr))
    fitting = Fitting(model, objective, batches, validation, params.training, seed, started)
    history = fit(fitting, folder, label)
    with torch.no_grad():
        test = window_batches(frames, consecutive(split.test, study.run_of_tr))
        found = [model(batch["frames"], tr_s) for batch in test]
    whole, coarse = (
        (torch.cat([getattr(part, name)[0] for part in found]) * scale + center).numpy()
        for name in ("whole", "coarse")
    )
    codes = (
        torch.cat([getattr(part.codes, name)[0] for part in found]).numpy()
        for name in ("coarse_codes", "fine_codes")
    )
    return QuantisedSound(whole, coarse, *codes, history)


@torch.no_grad()
def _start(
    model: QuantisedAutoencoder, windows: np.ndarray, start: str, tr_s: float, seed: int
) -> list[nn.Parameter]:
    """Puts the codes by k-means, and the linear maps at principal components if wanted."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(windows))[:_MOST_START_WINDOWS]
    some = torch.from_numpy(windows[chosen])
    aggregator, (n_fine, fine_dim) = model.stream.aggregator, model.fine_shape
    started, n_flat = [], some[0].numel()
    synthesis = torch.zeros(n_flat, model.dim + n_fine * fine_dim)
    if start == "pca":
        pca = PCARival(model.dim, seed).fit(windows)
        analysis, columns, mean = _basis(pca)
        synthesis[:, : model.dim] = columns
        basis = aggregator.coarse if fine_dim else aggregator
        started += basis.start_from(analysis, -analysis @ mean)
        started += model.decoder.start_from(synthesis, mean)
    vectors, _ = _latents(model, some, tr_s)
    told = model.quantiser.start_coarse(vectors)
    if start == "pca" and fine_dim:
        left = some.flatten(1) - told @ columns.T - mean
        patches = left.reshape(-1, n_flat // n_fine)
        patches = patches[torch.from_numpy(rng.permutation(len(patches))[:_MOST_START_PATCHES])]
        fine = PCARival(fine_dim, seed).fit(patches[:, None].numpy())
        analysis, columns, _ = _basis(fine)
        whole = aggregator.maps[0]
        whole.weight.copy_(analysis)
        whole.bias.zero_()
        blocks = torch.block_diag(*[columns] * n_fine)
        synthesis[:, model.dim :] = blocks
        started += [whole.weight, whole.bias]
        model.decoder.start_from(synthesis, mean)
    _, latents = _latents(model, some, tr_s)
    model.quantiser.start_fine(told, latents)
    return started


def _latents(model, windows: Tensor, tr_s: float) -> tuple[Tensor, Tensor]:
    parts = [model.latents(piece[:, None], tr_s) for piece in windows.split(256)]
    return tuple(torch.cat([part[index] for part in parts])[:, 0] for index in (0, 1))


def _basis(pca: PCARival) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that analyse, columns that synthesise, the mean.

    One scale for all components: an error of a code then costs what it costs in the frames.
    """
    components = torch.from_numpy(pca.components)
    scale = float(np.sqrt(np.mean(pca.deviations**2)))
    return components / scale, components.T * scale, torch.from_numpy(pca.mean)
