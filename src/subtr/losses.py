"""Losses; each returns its value and diagnostics by name."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Diagnostics = dict[str, Tensor]


def reconstruction_loss(
    reconstruction: Float[Tensor, "*batch frame feature"],
    original: Float[Tensor, "*batch frame feature"],
    level_weight: float = 1.0,
    within_weight: float = 1.0,
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """Squared error within the TR, plus that of the TR's mean level, per value of the original.

    The first part alone decides the temporal preservation, the second how loud each TR is.

    Arguments
        level_weight, within_weight: of the two parts; 1 and 1 make the plain mean squared error.

    Diagnostics: ``within``, ``level``, and ``temporal_preservation`` of the batch.
    """
    error = reconstruction - original
    level_error = error.mean(dim=-2, keepdim=True)
    within = (error - level_error).square().mean()
    level = level_error.square().mean()
    deviation = original - original.mean(dim=-2, keepdim=True)
    kept = 1 - within / deviation.square().mean().clamp_min(1e-12)
    named = {"within": within, "level": level, "temporal_preservation": kept}
    value = within_weight * within + level_weight * level
    return value, {k: v.detach() for k, v in named.items()}


def bold_loss(
    prediction: Mapping[str, Float[Tensor, "*tr parcel"]],
    bold: Mapping[str, Float[Tensor, "*tr parcel"]],
    kind: Literal["correlation", "mse"] = "correlation",
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """How far predicted BOLD is from measured, averaged over subjects and parcels.

    Arguments
        prediction, bold: subject -> BOLD; volumes that are NaN in ``bold`` are left out.
        kind: 1 - Pearson r over all volumes given, or the mean squared error.

    Diagnostics: ``r``, the mean correlation.
    """
    losses, correlations = [], []
    for subject, measured in bold.items():
        measured = measured.flatten(0, -2)
        predicted = prediction[subject].flatten(0, -2)
        known = measured.isfinite()
        measured = torch.where(known, measured, 0)
        r = _correlation(predicted, measured, known)
        correlations.append(r)
        if kind == "correlation":
            losses.append(1 - r)
        else:
            error = torch.where(known, predicted - measured, 0).square()
            losses.append(error.sum(0) / known.sum(0).clamp_min(1))
    mean_r = torch.stack(correlations).mean()
    return torch.stack(losses).mean(), {"r": mean_r.detach()}


def _correlation(predicted: Tensor, measured: Tensor, known: Tensor) -> Tensor:
    """Pearson r of each column over known rows; 0 for a constant or unknown one."""
    n = known.sum(0).clamp_min(1)
    a = torch.where(known, predicted - (predicted * known).sum(0) / n, 0)
    b = torch.where(known, measured - (measured * known).sum(0) / n, 0)
    # Clamped before the root, whose slope at 0 would make the gradient NaN.
    norm = (a.square().sum(0) * b.square().sum(0)).clamp_min(1e-12).sqrt()
    return (a * b).sum(0) / norm
