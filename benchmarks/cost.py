"""What does every encoder cost with every aggregator, and what does one collapsed kernel save?

Data: none. About 10 minutes on two cores. Columns as of `subtr.experiments.cost.cost_table`;
``speed_ratio`` says how many times faster the multi-scale encoder's front runs when collapsed into
one kernel.
"""

from pathlib import Path

import pandas as pd
import torch

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS
from subtr.experiments.cost import Timing, cost_table, front_table


def run(
    folder: Path,
    encoders=tuple(ENCODERS.parts),
    aggregators=tuple(AGGREGATORS.parts),
    sizes=(128, 64, 1.5, 64, 8),
    repeats=7,
    device="cpu",
) -> list[dict]:
    """A row a stream, and two of the front of the multi-scale encoder.

    Arguments
        sizes: features of a frame, frames of a TR, seconds of a TR, floats a TR, TRs of a step.
        repeats: steps timed.
        device: cpu or cuda.

    Raises
        SettingsError: an unknown name, or see `subtr.experiments.cost.cost_table`.
    """
    for registry, names in ((ENCODERS, encoders), (AGGREGATORS, aggregators)):
        for name in names:
            registry.check(name, {})
    features, frames, tr_s, floats, batch = sizes
    timing = Timing(batch, repeats, device)
    table = cost_table(encoders, aggregators, features, frames, tr_s, floats, timing)
    # 256 features, as in the report.
    front = front_table(features, 256, frames, tr_s, timing)
    table = pd.concat([table, front], ignore_index=True)
    table = table.assign(device=device, threads=torch.get_num_threads())
    print(
        f"{features} features, {frames} frames, TR {tr_s:g} s, {floats} floats a TR, {batch} TRs a "
        f"step; {device}, {torch.get_num_threads()} threads"
    )
    print(readable(table).to_string())
    ratio = table["speed_ratio"].iloc[-1]
    print(f"\nThe multi-scale front runs {ratio:.1f} times as fast when collapsed into one kernel.")
    return table.to_dict("records")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table in thousands and millions, for reading; a column only where it says something."""
    shown = pd.DataFrame(
        {
            "parameters, k": table["parameters"].astype(float) / 1e3,
            "MFLOP a TR": table["flops"].astype(float) / 1e6,
            "MB kept": table["activation_bytes"].astype(float) / 1e6,
            "sees, ms": table["receptive_field_ms"],
            "forward, ms": table["forward_ms"],
            "step, ms": table["step_ms"],
            "times as fast": table.get("speed_ratio"),
            "problem": table["problem"],
        }
    )
    shown.index = pd.Index(table["system"], name="encoder + aggregator")
    text = shown.map(lambda cell: f"{cell:.4g}" if isinstance(cell, float) else cell)
    text = text.replace({"nan": "", None: ""})
    return text.loc[:, (text != "").any()]
