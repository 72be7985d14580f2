"""``python -m subtr.figures``: figures and tables of README, from what `make verify` measured."""

import argparse
from pathlib import Path

import matplotlib
import pandas as pd

from subtr import figures
from subtr.results import group_table, read_results, results_table, summary

_SPEECH = ("speech_64", "speech_128", "speech_512", "speech_ablation")


def main(arguments: list[str] | None = None) -> None:
    """Draws what has been measured, says what is missing."""
    parser = argparse.ArgumentParser(prog="python -m subtr.figures", description=__doc__)
    parser.add_argument("--runs", default="runs", help="the folder of results")
    parser.add_argument("--out", default="figures", help="where to")
    given = parser.parse_args(arguments)
    matplotlib.use("Agg")
    verified, out = Path(given.runs) / "verify", Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    found = {"speech": _of(verified, *_SPEECH)}
    found |= {name: _of(verified, name) for name in ("simulated", "alice")}
    for name, rows in found.items():
        if len(rows):
            summary(rows).to_csv(out / f"{name}.csv", index=False, float_format="%.4f")
    drawn = {}
    if len(found["speech"]):
        drawn["speech"] = figures.preservation_by_floats(found["speech"])
        drawn["speech_by_band"] = figures.preservation_by_band(_learning(found["speech"]))
    if len(found["simulated"]):
        drawn["simulated"] = figures.bold_by_group(found["simulated"])
    if len(found["alice"]):
        drawn["alice"] = figures.bold_by_group(found["alice"], "r")
    if len(found["speech"]) and len(found["simulated"]):
        bold = found["simulated"]
        both = pd.concat([found["speech"], bold])
        shown = both["system"].isin(["averaging", "mean", "PCA", "tier1"])
        drawn["headline"] = figures.headline(both[shown])
    for name, figure in drawn.items():
        figure.savefig(out / f"{name}.png", dpi=150, bbox_inches="tight")
    (out / "results.md").write_text(_tables(found))
    print(f"{len(drawn)} figures and results.md in {out.resolve()}")


def _of(verified: Path, *names: str) -> pd.DataFrame:
    tables = [verified / name for name in names if (verified / name / "scores.csv").exists()]
    if not tables:
        print(f"{names[0]}: nothing in {verified}; run `make verify` first.")
        return pd.DataFrame()
    return pd.concat([read_results(folder) for folder in tables], ignore_index=True)


def _learning(rows: pd.DataFrame) -> pd.DataFrame:
    """Tier 1 and PCA at the smallest size, where they differ most."""
    smallest = rows["floats_per_tr"] == rows["floats_per_tr"].min()
    return rows[rows["system"].isin(["PCA", "tier1"]) & smallest]


def _tables(found: dict[str, pd.DataFrame]) -> str:
    """All tables as text: score, 95 % interval, floor and ceiling; gains and controls."""
    parts = ["# Measured\n\nMade by `make verify && make figures`; intervals are of 95 %.\n"]
    for name, rows in found.items():
        if not len(rows):
            continue
        tables = [results_table(rows)]
        if name == "simulated":
            tables.append(group_table(rows))
        elif name == "alice":
            tables.append(group_table(rows, "r"))
        further = summary(
            rows[rows["metric"].str.contains("gain|shuffled|time_s|^temporal preservation")]
        )
        columns = ["system", "floats_per_tr", "metric", "value", "low", "high", "n_seeds"]
        further = further[columns].round(3).fillna("").set_index("system")
        parts.append(f"## {name}\n")
        tables += [further] if len(further) else []
        parts += [f"```\n{table.to_string()}\n```\n" for table in tables]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
