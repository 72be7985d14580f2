"""Where one recording holds what another does, whatever their format, level or equaliser."""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Float32
from torch import Tensor

RATE_HZ = 10.0

N_BANDS = 16

PROBE_S = 6.0

# What is shorter is not told from chance.
LEAST_S = 3.0

# Pearson r; see benchmarks/stimulus_duplicates.py for what unlike recordings come to, and copies.
LEAST_R = 0.5

# What changes less than this is silence, which is like nothing.
_SILENT = 1e-3

_PROBES_AT_ONCE = 128


class KnownSound:
    """A recording that is looked for in others, wherever in it what they hold lies.

    Stretches of 6 s of the recording, one every 3 s, are slid along the other, and compared in how
    its spectrum's slope changes (steps between 16 bands, 10 times a second), which keeps through
    codecs, gain and filters, and is not alike in two sounds that merely begin together. Where one
    fits, the 3 s before and after count too, for a copy may begin and end between two of them.

    A copy at another speed is not found. Recordings of less than 6 s are compared whole, those of
    less than 3 s, or of one band, are never said to be the same.

    Arguments
        log_mel: of the recording.
        tr_s: length of a TR.

    Source: after Haitsma and Kalker 2002, A highly robust audio fingerprinting system (ISMIR),
    with the differences themselves in the place of their signs.
    """

    def __init__(self, log_mel: Float[np.ndarray, "tr frame mel"], tr_s: float):
        self.n_frames = log_mel.shape[1]
        self.per_step = max(round(self.n_frames / tr_s / RATE_HZ), 1)
        self.rate_hz = self.n_frames / tr_s / self.per_step
        self.slopes = slopes(log_mel, self.per_step)

    def trs_of(self, other: Float[np.ndarray, "tr frame mel"]) -> Bool[np.ndarray, " tr"]:
        """True for TRs of the other that hold sound of the recording; its mel is made alike."""
        one, two = self.slopes, slopes(other, self.per_step)
        probe = min(round(PROBE_S * self.rate_hz), one.shape[1], two.shape[1])
        if probe < round(LEAST_S * self.rate_hz) or not len(one):
            return np.zeros(len(other), bool)
        if two.shape[1] == probe:
            return np.full(len(other), bool((best_r(two, one, probe) >= LEAST_R).any()))
        same = np.zeros(len(other), bool)
        for first in torch.nonzero(best_r(one, two, probe) >= LEAST_R)[:, 0].tolist():
            begin, end = first - probe // 2, first + probe + probe // 2
            begin_tr = max(begin, 0) * self.per_step // self.n_frames
            same[begin_tr : -(-end * self.per_step // self.n_frames)] = True
        return same


def slopes(log_mel: Float[np.ndarray, "tr frame mel"], per_step: int) -> Float32[Tensor, "band _"]:
    """Steps from band to band, averaged over so many frames."""
    frames = torch.from_numpy(np.array(log_mel, np.float32)).flatten(0, 1)
    n_steps = len(frames) // per_step
    steps = frames[: n_steps * per_step].unflatten(0, (n_steps, per_step)).mean(1)
    bands = torch.tensor_split(steps, min(N_BANDS + 1, steps.shape[1]), dim=1)
    return torch.stack([band.mean(1) for band in bands]).diff(dim=0)


def best_r(
    one: Float32[Tensor, "band _"], two: Float32[Tensor, "band _"], probe: int
) -> Float32[Tensor, " _"]:
    """Of each place of the second, Pearson r with the stretch of the first that is most like it."""
    probes = rearrange(one.unfold(1, probe, max(probe // 2, 1)), "band n step -> n band step")
    probes = probes - probes.mean(2, keepdim=True)
    lengths = probes.flatten(1).norm(dim=1)
    # Of each place, the length of what is there once its own mean is taken off, band by band.
    moments = F.avg_pool1d(torch.stack([two, two.square()]), probe, 1).double()
    places = (probe * (moments[1] - moments[0].square()).sum(0)).clamp_min(0).sqrt().float()
    best = torch.full_like(places, -1.0)
    for some, length in zip(
        probes.split(_PROBES_AT_ONCE), lengths.split(_PROBES_AT_ONCE), strict=True
    ):
        r = F.conv1d(two, some) / length.clamp_min(_SILENT)[:, None] / places.clamp_min(_SILENT)
        best = torch.maximum(best, r.amax(0))
    return best
