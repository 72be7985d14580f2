"""What must be run to be known: memory, time of a step, and the order that an average keeps."""

import functools
import statistics
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from subtr.claims.configurations import (
    COMPARED,
    Setting,
    averaging_of,
    frames_for,
    parts_of,
    sees_pictures,
    stream,
)
from subtr.claims.multiplications import stream_flops
from subtr.cost.measuring import count_parameters, kept_for_backward, median_ms

# Weights, their gradients and two moments of AdamW, in float32.
_BYTES_A_PARAMETER = 16
# A step of fewer takes so little time that other work of the machine would drown it.
_LONG_FLOPS = 2e9
Ratios = Callable[[Setting], list[float]]


@functools.lru_cache
def _memory_gb(name: str, setting: Setting) -> float:
    # Pictures are large, so one TR stands for all; norms over the batch need two TRs of sound.
    n_trs = 1 if sees_pictures(name) else setting.memory_batch
    with torch.random.fork_rng(devices=[]):
        network = stream(name, setting).to(setting.device)
        frames = frames_for(name, setting, n_trs).to(setting.device)
        kept = kept_for_backward(network, frames, setting.tr_s) * setting.memory_batch / n_trs
    return (kept + _BYTES_A_PARAMETER * count_parameters(network)) / 1e9


def memory_gb(name: str) -> Callable[[Setting], float]:
    """GB that training a stream takes: parameters with all that AdamW keeps, and activations."""
    return lambda setting: sum(_memory_gb(one, setting) for one in parts_of(name))


@functools.lru_cache
def step_times_ms(setting: Setting) -> list[dict[str, float]]:
    """Milliseconds of a forward and backward pass of ``batch`` TRs, by stream; one dict a round.

    Within a round streams of one kind take turns, so that what else the machine does meets all
    alike. Short steps are done many at a time, and of sound the median of five turns is taken.
    """
    names = [one for name in COMPARED for one in parts_of(name)]
    names += [one for name in COMPARED for one in parts_of(averaging_of(name))]
    names = list(dict.fromkeys(names))
    kinds = [
        ([name for name in names if sees_pictures(name) == pictures], repeats)
        for pictures, repeats in ((False, 5), (True, 1))
    ]
    with torch.random.fork_rng(devices=[]):
        calls = {name: _steps(name, setting) for name in names}
    rounds: list[dict[str, float]] = [{} for _ in range(setting.rounds)]
    for times in rounds:
        for kind, repeats in kinds:
            taken_ms = median_ms([calls[name][0] for name in kind], repeats, setting.device)
            for name, ms in zip(kind, taken_ms, strict=True):
                times[name] = ms * setting.batch / calls[name][1]
    return rounds


def _steps(name: str, setting: Setting) -> tuple[Callable[[], Any], int]:
    """Steps enough to take a while, and of how many TRs they are."""
    network = stream(name, setting).to(setting.device)
    n_trs = 1 if sees_pictures(name) else setting.batch
    frames = frames_for(name, setting, n_trs).to(setting.device)
    n_steps = max(1, min(50, int(_LONG_FLOPS / (n_trs * stream_flops(name, setting)))))

    def steps():
        for _ in range(n_steps):
            network.zero_grad()
            network(frames, setting.tr_s).sum().backward()

    return steps, n_steps * n_trs


def step_ratio(name: str) -> Ratios:
    """How many times as long as averaging a step of a stream takes; one number a round."""

    def ratios(setting: Setting) -> list[float]:
        return [
            sum(times[one] for one in parts_of(name))
            / sum(times[one] for one in parts_of(averaging_of(name)))
            for times in step_times_ms(setting)
        ]

    return ratios


def fused_attention_speedup(setting: Setting) -> list[float]:
    """How many times as fast fused softmax attention is as the plain one; one number a round."""
    with torch.random.fork_rng(devices=[]):
        # 8 heads of 64 features, as in section 6.4 of the report.
        shape = (3, setting.batch, 8, setting.frames_per_tr, 64)
        given = torch.randn(shape, device=setting.device, requires_grad=True)

    def fused():
        F.scaled_dot_product_attention(*given).sum().backward()

    def plain():
        with sdpa_kernel(SDPBackend.MATH):
            fused()

    times = [median_ms([plain, fused], 15, setting.device) for _ in range(setting.rounds)]
    return [plain_ms / fused_ms for plain_ms, fused_ms in times]


def order_kept(name: str) -> Callable[[Setting], float]:
    """Percent of the variance of TR vectors that changes as the frames within TRs are shuffled.

    Nothing of the order of frames can be known from vectors that keep 0 % of it.
    """

    def kept(setting: Setting) -> float:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            network = stream(name, setting).double().eval()
            frames = frames_for(name, setting, 16).double()
            shuffled = frames[:, :, torch.randperm(setting.frames_per_tr)]
            vectors, others = (network(one, setting.tr_s) for one in (frames, shuffled))
        changed = (vectors - others).square().sum() / (vectors - vectors.mean(0)).square().sum()
        # Sums in another order differ in their last digits.
        return 100 * float(changed) if changed > 1e-20 else 0.0

    return kept


def middle(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


MEMORY = {f"{name}_memory_gb": memory_gb(name) for name in COMPARED}
ORDER = {"position_order_kept": order_kept("positions")}
TIMES: dict[str, Ratios] = {
    **{f"{name}_step_ratio": step_ratio(name) for name in COMPARED},
    "fused_attention_speedup": fused_attention_speedup,
}
ON_GRAPHICS_CARDS = ("fused_attention_speedup",)
