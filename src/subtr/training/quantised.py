"""Discrete codes: quantisation, and training of an autoencoder of codes."""

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32, Int, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from subtr.datasets.study import Fold
from subtr.decoders import DECODERS
from subtr.models.batches import Batch, WindowBatches, epoch_seed, window_batches
from subtr.models.linear import PCABaseline, windows_of
from subtr.models.saved import frames_of_mel
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError, Strict, SubtrError
from subtr.timeline import consecutive
from subtr.training.fit import Fitting, TrainingParams, fit
from subtr.training.losses import Diagnostics, reconstruction_loss
from subtr.training.systems import QuantiserParams, SoundParams


class Quantised(NamedTuple):
    """What codes tell of TR vectors and of their frame-level latents.

    ``fine_added`` is the part of ``latents`` that the fine codes add to what the coarse ones
    explain. Gradients of vectors, latents and fine_added pass straight to what was quantised.
    """

    vectors: Float[Tensor, "batch tr dim"]
    latents: Float[Tensor, "batch tr frame fine_dim"]
    fine_added: Float[Tensor, "batch tr frame fine_dim"]
    coarse_codes: Int[Tensor, "batch tr codebook"]
    fine_codes: Int[Tensor, "batch tr frame fine_codebook"]
    loss: Float[Tensor, ""]
    diagnostics: Diagnostics


class HierarchicalQuantiser(nn.Module):
    """Residual vector quantisation of TR vectors, and of frame-level latents given their codes.

    A linear map says from the coarse codes what the latents should be; the fine codes tell the
    rest. Codes start by k-means, follow running means of what they stand for, and are put
    elsewhere when they stand for nothing.

    Arguments
        dim: size of the TR vector.
        fine_dim: size of a frame-level latent.

    Source: Dhariwal et al. 2020 (Jukebox, levels of codes); Zeghidour et al. 2021 (SoundStream,
    residual quantisation); section 2.3 of the report.
    """

    def __init__(self, dim: int, fine_dim: int, params: QuantiserParams):
        super().__init__()
        self.params, self.fine_dim = params, fine_dim
        self.coarse = _residual(dim, params.n_coarse, params.coarse_size, params)
        self.explained = self.fine = None
        if params.n_fine:
            self.explained = nn.Linear(dim, params.fine_frames * fine_dim)
            self.fine = _residual(fine_dim, params.n_fine, params.fine_size, params)
        self.register_buffer("ready", torch.tensor(False))

    @torch.no_grad()
    def start_coarse(self, vectors: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Puts the coarse codes by k-means; gives the vectors as these tell them.

        Raises
            SettingsError: fewer vectors than codes of a codebook.
        """
        _check_enough("coarse_size", self.params.coarse_size, len(vectors))
        return self.coarse.train(True)(vectors[None])[0][0]

    @torch.no_grad()
    def start_fine(
        self, quantised: Float[Tensor, "n dim"], latents: Float[Tensor, "n frame fine_dim"]
    ) -> None:
        """Least squares for what coarse codes explain of latents, k-means for what they do not.

        Raises
            SettingsError: fewer latents than codes of a codebook.
        """
        self.ready.fill_(True)
        if self.fine is None:
            return
        flat = latents.flatten(1)
        _check_enough("fine_size", self.params.fine_size, latents.shape[0] * latents.shape[1])
        center = quantised.mean(0)
        # The smallest of the solutions: coarse codes may not fill their space.
        weight = torch.linalg.pinv(quantised - center, rtol=1e-5) @ (flat - flat.mean(0))
        self.explained.weight.copy_(weight.T)
        self.explained.bias.copy_(flat.mean(0) - center @ weight)
        self.fine.train(True)((flat - self.explained(quantised)).reshape(1, -1, self.fine_dim))

    def forward(
        self,
        vectors: Float[Tensor, "batch tr dim"],
        latents: Float[Tensor, "batch tr frame fine_dim"],
    ) -> Quantised:
        """Codes of TR vectors and frame-level latents, and what the codes tell.

        The loss is the commitment plus, in the mean square, what the coarse codes fail to explain
        of the latents. Diagnostics: ``commitment``, and of each level ``perplexity`` (codes in
        equal use that would be as hard to guess) and ``used`` (share of codes met in this batch),
        averaged over codebooks.

        Raises
            SubtrError: the codes have not been started.
        """
        if not self.ready:
            raise SubtrError(
                "The quantiser has no codes yet: call start_coarse and start_fine with latents of "
                "training data first. Codes put by data to be judged would leak."
            )
        n_trs = vectors.shape[1]
        told, coarse_codes, _ = self.coarse(vectors)
        told = told.detach()
        commitment = F.mse_loss(vectors, told)
        named = _usage("coarse", coarse_codes, self.params.coarse_size)
        if self.fine is None:
            added, unexplained = torch.zeros_like(latents), vectors.new_zeros(())
            fine_codes = coarse_codes.new_zeros(*latents.shape[:3], 0)
            fine = added
        else:
            expected = self.explained(told).unflatten(-1, (-1, self.fine_dim))
            unexplained = F.mse_loss(expected, latents.detach())
            residual = rearrange(latents - expected.detach(), "b t f d -> (b t) f d")
            rest, fine_codes, _ = self.fine(residual)
            commitment = commitment + F.mse_loss(residual, rest.detach())
            added = _straight_through(residual, rest)
            added, fine_codes = (
                rearrange(part, "(b t) f d -> b t f d", t=n_trs) for part in (added, fine_codes)
            )
            fine = expected.detach() + added
            named |= _usage("fine", fine_codes, self.params.fine_size)
        loss = self.params.commitment * commitment + unexplained
        named["commitment"] = commitment.detach()
        vectors = _straight_through(vectors, told)
        return Quantised(vectors, fine, added, coarse_codes, fine_codes, loss, named)

    @torch.no_grad()
    def from_codes(
        self,
        coarse_codes: Int[Tensor, "batch tr codebook"],
        fine_codes: Int[Tensor, "batch tr frame fine_codebook"],
    ) -> tuple[Float[Tensor, "batch tr dim"], Float[Tensor, "batch tr frame fine_dim"]]:
        """TR vectors, and what the fine codes add, from nothing but codes."""
        vectors = self.coarse.get_output_from_indices(coarse_codes)
        if self.fine is None:
            return vectors, vectors.new_zeros(*fine_codes.shape[:3], self.fine_dim)
        flat = rearrange(fine_codes, "b t f q -> (b t) f q")
        added = self.fine.get_output_from_indices(flat)
        return vectors, rearrange(added, "(b t) f d -> b t f d", t=fine_codes.shape[1])


def _residual(dim: int, n_codebooks: int, size: int, params: QuantiserParams) -> ResidualVQ:
    return ResidualVQ(
        dim=dim,
        num_quantizers=n_codebooks,
        codebook_size=size,
        kmeans_init=True,
        decay=params.decay,
        threshold_ema_dead_code=params.dead_below,
        # Gradients pass once: the library would hand them on once for every codebook.
        route_gradients_to_input=False,
        commitment_weight=0.0,
        beam_size=1,
        eval_beam_size=params.search_width,
    )


def _straight_through(latents: Tensor, told: Tensor) -> Tensor:
    return latents + (told - latents).detach()


def _usage(level: str, codes: Tensor, size: int) -> Diagnostics:
    counts = F.one_hot(codes.flatten(0, -2), size).float().mean(0)
    perplexity = torch.special.entr(counts).sum(-1).exp().mean()
    used = (counts > 0).float().mean()
    return {f"{level} perplexity": perplexity, f"{level} used": used}


def _check_enough(name: str, size: int, n_vectors: int) -> None:
    if n_vectors < size:
        raise SettingsError(
            f"{name} = {size}: only {n_vectors} vectors to put so many codes by. Use a smaller "
            f"{name}, at most {2 ** int(math.log2(max(n_vectors, 1)))}, or more training data."
        )


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


# More windows or latents than these would make the start slower, not better.
_MOST_START_WINDOWS = 4096

_MOST_START_PATCHES = 32768


def coded(params: SoundParams, n_floats: int) -> QuantisedParams:
    """What a system's ``sound`` says of an autoencoder of codes, ``n_floats`` a TR before them."""
    own = {name: getattr(params.codes, name) for name in QuantiserParams.model_fields}
    both = QuantisedParams.model_fields.keys() & SoundParams.model_fields
    shared = {name: getattr(params, name) for name in both}
    return QuantisedParams(
        quantiser=QuantiserParams(**own),
        vector_dim=n_floats - params.codes.fine_floats,
        fine_dim=params.codes.fine_dim,
        coarse_weight=params.codes.coarse_weight,
        **shared,
    )


class QuantisedSound(NamedTuple):
    """Log-mel of the test TRs from all codes and from the coarse alone, the codes, the history."""

    whole: Float32[np.ndarray, "test frame mel"]
    coarse: Float32[np.ndarray, "test frame mel"]
    coarse_codes: Int64[np.ndarray, "test codebook"]
    fine_codes: Int64[np.ndarray, "test fine_frame fine_codebook"]
    history: pd.DataFrame


def reconstruct_quantised(fold: Fold) -> QuantisedSound:
    """Trains on the fold's training TRs, and tells its test TRs by codes.

    Arguments
        fold: its ``params`` are `QuantisedParams`.

    Raises
        SettingsError: parts that do not fit one another, or less training data than codes.
        TrainingError: see `subtr.training.fit.fit`.
    """
    study, split, params, seed = fold.study, fold.split, fold.params, fold.seed
    frames, center, scale = frames_of_mel(study.mel, split.train)
    tr_s = study.clock.tr_s
    torch.manual_seed(seed)
    model = QuantisedAutoencoder(frames.shape[2], frames.shape[1], params)
    stretches = consecutive(split.train, study.run_of_tr)
    started = _start(model, windows_of(frames, stretches), params.start, tr_s, seed)

    def batches(epoch: int) -> WindowBatches:
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        return WindowBatches(frames, stretches, *sizes, epoch_seed(seed, epoch))

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
    history = fit(fitting, fold.folder, fold.label)
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
        pca = PCABaseline(model.dim, seed).fit(windows)
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
        fine = PCABaseline(fine_dim, seed).fit(patches[:, None].numpy())
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


def _basis(pca: PCABaseline) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that analyse, columns that synthesise, the mean.

    One scale for all components: an error of a code then costs what it costs in the frames.
    """
    components = torch.from_numpy(pca.components)
    scale = float(np.sqrt(np.mean(pca.deviations**2)))
    return components / scale, components.T * scale, torch.from_numpy(pca.mean)
