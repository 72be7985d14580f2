"""Counting and timing of any module: parameters, FLOPs, memory kept for training, milliseconds."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from subtr.params import SettingsError


class Timing(NamedTuple):
    """How steps are measured.

    ``batch``: TRs of a step; memory and times are of all of them. ``repeats``: steps timed, after
    two to warm up. ``device``: where to measure, such as "cpu" or "cuda".
    """

    batch: int = 8
    repeats: int = 7
    device: str = "cpu"


def count_parameters(module: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def forward_flops(module: nn.Module, *inputs: Any) -> int:
    """FLOPs of one forward pass, a multiplication with its addition counted as two.

    Matrix products and convolutions are counted; sums, norms and activations are not.
    """
    # The CPU's fused attention is unknown to the counter, its plain twin is not.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def kept_for_backward(module: nn.Module, *inputs: Any) -> int:
    """Bytes that a forward pass keeps for the backward pass, without parameters and buffers.

    Memory that several operations keep counts once.
    """
    owned = {_memory(tensor) for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if _memory(tensor) not in owned:
            kept[_memory(tensor)] = tensor.untyped_storage().nbytes()
        # Held until the pass is over, so that no address is used again; detached, so that no node
        # of the graph holds itself.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = module(*inputs)
    del result
    return sum(kept.values())


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def median_ms(calls: list[Callable[[], Any]], repeats: int = 7, device: str = "cpu") -> list[float]:
    """Median milliseconds of each call, after two to warm up.

    They take turns, so that what else the machine does meets all alike.
    """
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 2):
        for call, own in zip(calls, times, strict=True):
            start = _now_s(device)
            call()
            if turn >= 2:
                own.append(1000 * (_now_s(device) - start))
    return [statistics.median(own) for own in times]


def _now_s(device: str) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def check_steps(frames_per_tr: int, tr_s: float, timing: Timing) -> None:
    """Raises SettingsError where there would be nothing to measure, or nothing to measure on."""
    least = {"frames_per_tr": frames_per_tr, "batch": timing.batch, "repeats": timing.repeats}
    for name, value in least.items():
        if value < 1:
            raise SettingsError(f"{name} = {value}: expected at least 1.")
    if not tr_s > 0:
        raise SettingsError(f"tr_s = {tr_s}: expected seconds, more than 0.")
    try:
        torch.zeros(1, device=timing.device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device = {timing.device!r} cannot be used here: {error}") from error
