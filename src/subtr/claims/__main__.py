"""``python -m subtr.claims``: what the report claims beside what is measured here."""

import argparse
import sys
import textwrap
from pathlib import Path

import pandas as pd

from subtr.claims.configurations import Setting
from subtr.claims.table import RULE, claims_table
from subtr.params import SubtrError, validate
from subtr.results import check_writable, read_results


def main(arguments: list[str] | None = None) -> int:
    """Measures, reads results, writes a CSV, prints the table and how often each verdict."""
    parser = argparse.ArgumentParser(prog="python -m subtr.claims", description=__doc__)
    parser.add_argument(
        "--results", nargs="*", metavar="FOLDER", help="of results; runs/bench/* by default"
    )
    parser.add_argument("--out", default="runs/claims/claims.csv", help="the CSV")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; 0 times nothing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    folders = given.results
    if folders is None:
        folders = sorted(file.parent for file in Path("runs/bench").glob("*/scores.csv"))
    out = Path(given.out)
    try:
        options = {"rounds": given.rounds, "device": given.device}
        setting = validate(Setting, options, "python -m subtr.claims")
        check_writable(out.parent)
        tables = [read_results(folder) for folder in folders]
        table = claims_table(pd.concat(tables, ignore_index=True) if tables else None, setting)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table.to_csv(out, index=False)
    print(table.drop(columns="note").to_string(index=False, max_colwidth=60))
    said = table["verdict"].str.partition(":")[0].value_counts()
    print("\n" + "   ".join(f"{name} {number}" for name, number in said.items()))
    print("\n" + textwrap.fill(RULE, 100))
    print(f"\nResults of {', '.join(map(str, folders)) or 'nothing'}\nTable    {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
