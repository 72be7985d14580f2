"""The cost of a stream, and of every encoder with every aggregator."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pandas as pd
import torch
from tqdm.auto import tqdm

from subtr.cost.measuring import (
    Timing,
    check_steps,
    count_parameters,
    forward_flops,
    kept_for_backward,
    median_ms,
)
from subtr.models.stream import Part, Stream, StreamParams


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
