"""``python -m subtr.cost``: the cost of every encoder with every aggregator, as a table."""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch

from subtr.aggregators import AGGREGATORS
from subtr.cost.front import front_table
from subtr.cost.measuring import Timing
from subtr.cost.streams import cost_table
from subtr.encoders import ENCODERS
from subtr.errors import SubtrError
from subtr.results import check_writable


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes a CSV, prints the table."""
    parser = argparse.ArgumentParser(prog="python -m subtr.cost", description=__doc__)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS.parts), metavar="NAME")
    parser.add_argument("--aggregators", nargs="+", default=list(AGGREGATORS.parts), metavar="NAME")
    parser.add_argument("--features", type=int, default=128, help="of a frame")
    parser.add_argument("--frames", type=int, default=64, help="of a TR")
    parser.add_argument("--tr", type=float, default=1.5, help="seconds of a TR")
    parser.add_argument("--floats", type=int, default=64, help="size of the TR's vector")
    parser.add_argument("--batch", type=int, default=8, help="TRs of a step")
    parser.add_argument("--repeats", type=int, default=7, help="steps timed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", default="runs/cost/cost.csv", help="the CSV")
    given = parser.parse_args(arguments)
    try:
        table = _measured(given)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{given.features} features, {given.frames} frames, TR {given.tr:g} s, {given.floats} "
        f"floats a TR, {given.batch} TRs a step; {given.device}, {torch.get_num_threads()} threads"
    )
    print(readable(table).to_string())
    ratio = table["speed_ratio"].iloc[-1]
    print(f"\nThe multi-scale front runs {ratio:.1f} times as fast when collapsed into one kernel.")
    print(f"Table    {given.out}")
    return 0


def _measured(given: argparse.Namespace) -> pd.DataFrame:
    for registry, names in ((ENCODERS, given.encoders), (AGGREGATORS, given.aggregators)):
        for name in names:
            registry.check(name, {})
    out = Path(given.out)
    check_writable(out.parent)
    sizes = (given.frames, given.tr)
    timing = Timing(given.batch, given.repeats, given.device)
    table = cost_table(
        given.encoders, given.aggregators, given.features, *sizes, given.floats, timing
    )
    # 256 features, as in the report.
    front = front_table(given.features, 256, *sizes, timing)
    table = pd.concat([table, front], ignore_index=True)
    table.to_csv(out, index=False, float_format="%.6g")
    return table


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


if __name__ == "__main__":
    sys.exit(main())
