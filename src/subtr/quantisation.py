"""Codes instead of floats: coarse ones for each TR, fine ones for its frames given the coarse."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from subtr.losses import Diagnostics
from subtr.params import SettingsError, SubtrError
from subtr.quantiser_params import QuantiserParams


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

    @property
    def bits_per_tr(self) -> int:
        """See `QuantiserParams.bits_per_tr`."""
        return self.params.bits_per_tr

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
