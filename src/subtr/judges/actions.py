"""How things move: a probe on optical flow, which needs no weights."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from subtr.judges.probes import Probe
from subtr.stimulus.flow import consistent_pixels, optical_flow

_N_DIRECTIONS = 16
_LAGS = (1, 2, 3)
# Pixels per picture, of pictures 64 pixels wide.
_SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class FlowActions(Probe):
    """Histograms of flow: how fast, and how the directions of motion turn within the TR.

    Turns alone count, not the directions, so that an action is the same whichever way it goes.
    From 1.5 s nobody can tell a bounce from a drift that has not yet met the edge: the ceiling is
    what the same probe says of the original.
    """

    name: ClassVar[str] = "actions"
    criterion: ClassVar[str] = "action"
    package: ClassVar[str] = "opencv-contrib-python-headless"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Kroeger et al. 2016 (flow); Dalal, Triggs and Schmid 2006 (histograms)"

    def _features(self, film):
        flow = optical_flow(film)
        trusted = consistent_pixels(film, flow)
        scale = 64 / film.shape[3]
        pairs = zip(flow[:, 1:] * scale, trusted[:, 1:], strict=True)
        return np.stack([_of_tr(of, kept) for of, kept in pairs])


def _of_tr(
    flow: Float[np.ndarray, "step height width xy"], trusted: np.ndarray
) -> Float[np.ndarray, " feature"]:
    speed = np.linalg.norm(flow, axis=-1) * trusted
    bounds = itertools.pairwise((*_SPEEDS, np.inf))
    fast = np.array([((speed >= low) & (speed < high)).mean() for low, high in bounds])
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    turn = np.floor((angle / (2 * np.pi) % 1) * _N_DIRECTIONS).astype(int) % _N_DIRECTIONS
    directions = np.stack(
        [
            np.bincount(of.ravel(), weight.ravel(), _N_DIRECTIONS)
            for of, weight in zip(turn, np.where(speed > _SPEEDS[0], speed, 0), strict=True)
        ]
    )
    turns = []
    for lag in (lag for lag in _LAGS if lag < len(directions)):
        here, after = directions[:-lag], directions[lag:]
        by = np.array([(here * np.roll(after, -k, axis=1)).sum() for k in range(_N_DIRECTIONS)])
        # Clockwise and anticlockwise alike.
        folded = by + np.roll(by[::-1], 1)
        turns.append(folded[: _N_DIRECTIONS // 2 + 1] / max(folded.sum(), 1e-9))
    steady = directions.sum(1) / max(directions.sum(), 1e-9)
    return np.concatenate([np.log1p(100 * fast), *turns, np.sort(steady)])
