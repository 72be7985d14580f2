"""Cost of streams: parameters, multiplications, memory and time."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from subtr.encoders.convolutional import MultiscaleConvolution
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError

# Weights, their gradients and two moments of AdamW, in float32.
BYTES_A_PARAMETER = 16


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


@dataclass(frozen=True)
class StreamCost:
    """One stream's cost.

    parameters: numbers that are learned.
    flops: of a forward pass of one TR, see `forward_flops`.
    activation_bytes: what a forward pass of the batch keeps for the backward pass, its input
        included, parameters and their gradients not.
    receptive_field_ms: milliseconds of input that a frame of each level of the encoder sees, fine
        first; infinite where it is all of the window. A positional encoding may widen it.
    forward_ms: median time of a pass of the batch at inference.
    step_ms: median time of a forward and a backward pass of the batch.
    """

    parameters: int
    flops: int
    activation_bytes: int
    receptive_field_ms: tuple[float, ...]
    forward_ms: float
    step_ms: float


def stream_cost(
    params: StreamParams,
    in_dim: int | tuple[int, int],
    frames_per_tr: int,
    tr_s: float,
    dim: int,
    timing: Timing = Timing(),  # noqa: B008
) -> StreamCost:
    """The cost of the stream that ``params`` describe, freshly initialised, in float32.

    Arguments
        params, in_dim, frames_per_tr, dim: see `subtr.models.stream.Stream`.
        tr_s: seconds of a TR.
        timing: TRs of a step, how many steps, and where.

    Raises
        SettingsError: the parts do not fit each other, or the frames of a TR; no step to time; no
            such device.
    """
    check_steps(frames_per_tr, tr_s, timing)
    batch, repeats, device = timing
    # Weights are random here, and must not change what the caller draws afterwards.
    with torch.random.fork_rng(devices=[]):
        stream = Stream(in_dim, frames_per_tr, dim, params).to(device)
        n_frames = frames_per_tr + 2 * params.context_frames
        feature = (3, *in_dim) if isinstance(in_dim, tuple) else (in_dim,)
        frames = torch.rand(batch, 1, n_frames, *feature).to(device)

    def step():
        stream.zero_grad()
        stream(frames, tr_s).sum().backward()

    activation_bytes = kept_for_backward(stream, frames, tr_s)
    (step_ms,) = median_ms([step], repeats, device)
    stream.eval()
    with torch.no_grad():
        (forward_ms,) = median_ms([lambda: stream(frames, tr_s)], repeats, device)
    fields_s = stream.encoder.receptive_field_s(frames_per_tr / tr_s)
    return StreamCost(
        parameters=count_parameters(stream),
        flops=forward_flops(stream, frames[:1], tr_s),
        activation_bytes=activation_bytes,
        receptive_field_ms=tuple(1000 * seconds for seconds in fields_s),
        forward_ms=forward_ms,
        step_ms=step_ms,
    )


def cost_table(
    encoders: Iterable[Part | str],
    aggregators: Iterable[Part | str],
    in_dim: int | tuple[int, int],
    frames_per_tr: int,
    tr_s: float,
    dim: int,
    timing: Timing = Timing(),  # noqa: B008
) -> pd.DataFrame:
    """The cost of every encoder with every aggregator, one row a pair.

    Columns: system (both names), encoder, aggregator, floats_per_tr, batch; those of `StreamCost`,
    ``receptive_field_ms`` as text, one number a level; ``problem``, why a pair could not be
    measured, or "".

    Arguments
        encoders, aggregators: names, or names with options.
        the others: see `stream_cost`.

    Raises
        SettingsError: no step to time, or no such device, so that no pair could be measured.
    """
    check_steps(frames_per_tr, tr_s, timing)
    parts = [
        [Part(name=one) if isinstance(one, str) else one for one in some]
        for some in (encoders, aggregators)
    ]
    pairs = [(encoder, aggregator) for encoder in parts[0] for aggregator in parts[1]]
    rows = []
    for encoder, aggregator in tqdm(pairs, desc="cost", unit="pair", mininterval=1):
        row = {"encoder": _label(encoder), "aggregator": _label(aggregator)}
        row = (
            {"system": " + ".join(row.values())}
            | row
            | {"floats_per_tr": dim, "batch": timing.batch}
        )
        try:
            params = StreamParams(encoder=encoder, aggregator=aggregator)
            cost = stream_cost(params, in_dim, frames_per_tr, tr_s, dim, timing)
            seen = " ".join(f"{ms:.4g}" for ms in cost.receptive_field_ms)
            row |= asdict(cost) | {"receptive_field_ms": seen, "problem": ""}
        except (ValueError, RuntimeError, ImportError) as error:
            row["problem"] = f"{error}".strip() or type(error).__name__
        rows.append(row)
    measured = [field.name for field in fields(StreamCost)]
    names = ["system", "encoder", "aggregator", "floats_per_tr", "batch", *measured, "problem"]
    table = pd.DataFrame(rows, columns=names)
    whole = ["parameters", "flops", "activation_bytes"]
    return table.astype({name: "Int64" for name in whole}).fillna({"receptive_field_ms": ""})


def _label(part: Part) -> str:
    options = ", ".join(f"{name}={value}" for name, value in part.options.items())
    return f"{part.name} ({options})" if options else part.name


FRONT = "multiscale front"

_KERNEL_FRAMES = (1, 3, 5, 7, 11)


def front_table(
    in_dim: int,
    out_dim: int,
    frames_per_tr: int,
    tr_s: float,
    timing: Timing = Timing(),  # noqa: B008
) -> pd.DataFrame:
    """The parallel kernels of the multi-scale encoder, as trained and collapsed into one kernel.

    Columns as of `cost_table`, as far as they apply at inference, and ``speed_ratio``: how many
    times faster than as trained a pass of the batch is.

    Arguments
        in_dim, out_dim: see `MultiscaleConvolution`; its kernels are the report's.
        the others: see `stream_cost`.

    Raises
        SettingsError: as `stream_cost`.
    """
    check_steps(frames_per_tr, tr_s, timing)
    batch, repeats, device = timing
    with torch.random.fork_rng(devices=[]):
        trained = MultiscaleConvolution(in_dim, out_dim, _KERNEL_FRAMES).to(device).eval()
        frames = torch.rand(batch, in_dim, frames_per_tr).to(device)
        collapsed = trained.collapsed()
    fronts = {FRONT: trained, f"{FRONT}, collapsed": collapsed}
    with torch.no_grad():
        calls = [lambda front=front: front(frames) for front in fronts.values()]
        times_ms = median_ms(calls, repeats, device)
    rows = [
        {
            "system": name,
            "batch": batch,
            "parameters": count_parameters(front),
            "flops": forward_flops(front, frames[:1]),
            "receptive_field_ms": f"{1000 * max(_KERNEL_FRAMES) * tr_s / frames_per_tr:.4g}",
            "forward_ms": forward_ms,
            "speed_ratio": times_ms[0] / forward_ms,
            "problem": "",
        }
        for (name, front), forward_ms in zip(fronts.items(), times_ms, strict=True)
    ]
    return pd.DataFrame(rows)
