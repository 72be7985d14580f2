"""``python -m benchmarks.figures``: draws the figures of README and docs from the tables there."""

import argparse
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.drawing import (
    deconvolution_gain,
    peak_recovery,
    score_map,
    transfer_by_training,
)
from benchmarks.tables import published
from subtr.viewing import bold, scores

# Tables of results, which stand there as means over seeds.
_SUMMARISED = (
    *("speech", "simulated", "alice", "intelligibility", "heard", "more_speech"),
    *("speech_encoders", "speech_aggregators", "simulated_encoders", "simulated_aggregators"),
)


def main(arguments: list[str] | None = None) -> None:
    """Draws what has been measured, says what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument("--tables", default="figures", help="the folder of tables")
    parser.add_argument("--out", default="figures", help="where to")
    given = parser.parse_args(arguments)
    matplotlib.use("Agg")
    tables, out = Path(given.tables), Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    found = {name: published(tables / f"{name}.csv") for name in _SUMMARISED}
    for name, rows in found.items():
        if not len(rows):
            print(f"{name}: no table in {tables}; run `make bench` first.")
    drawn = _of_results(found) | _compared(found) | _of_other_tables(tables)
    for name, figure in drawn.items():
        figure.savefig(out / f"{name}.png", dpi=150, bbox_inches="tight")
    print(f"{len(drawn)} figures in {out.resolve()}")


def _of_results(found: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    drawn = {}
    speech, simulated, alice = (found[name] for name in ("speech", "simulated", "alice"))
    if len(speech):
        drawn["speech"] = scores.within_tr_r2_by_floats(speech)
        drawn["speech_by_band"] = scores.within_tr_r2_by_band(_learning(speech))
    if len(simulated):
        drawn["simulated"] = bold.bold_by_group(simulated)
    if len(alice):
        r = alice[alice["metric"] == "r"]
        drawn["alice"] = score_map(r.replace({"group": {"": "all"}}), "held-out r")
    if len(speech) and len(simulated):
        both = pd.concat([speech, simulated])
        shown = both["system"].isin(["averaging", "mean", "PCA", "tier1"])
        drawn["headline"] = bold.headline(both[shown])
    if len(found["intelligibility"]):
        shown = [*("ASR accuracy", "ASR accuracy, Moonshine"), "stoi", "within-TR R²"]
        of_all = pd.concat([found[name] for name in ("intelligibility", "heard", "more_speech")])
        drawn["intelligibility"] = scores.quality_by_floats(of_all, shown)
    return drawn


def _of_other_tables(tables: Path) -> dict[str, Figure]:
    """Figures of tables that have columns of their own."""
    how = {
        "modulation_transfer": lambda of: transfer_by_training(of, 1.5, 64),
        "haemodynamics": peak_recovery,
        "deconvolution": deconvolution_gain,
    }
    files = {name: tables / f"{name}.csv" for name in how}
    return {name: how[name](pd.read_csv(file)) for name, file in files.items() if file.exists()}


def _compared(found: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Maps of the encoders and aggregators: by tuning class, and by band and by size of speech."""
    drawn = {}
    for part in ("encoders", "aggregators"):
        rows = found[f"simulated_{part}"]
        if len(rows):
            chosen = (rows["metric"] == "r / ceiling") & (rows["group"] != "")
            smallest = rows["floats_per_tr"] == rows["floats_per_tr"].min()
            drawn[f"simulated_{part}"] = score_map(rows[chosen & smallest], "r / ceiling")
        rows = found[f"speech_{part}"]
        if len(rows):
            kept = rows[rows["metric"] == "within-TR R²"]
            by = "floats_per_tr" if part == "encoders" else "metric"
            if by == "metric":
                rows = rows[rows["floats_per_tr"] == 128]
                kept = rows[rows["metric"].str.startswith("within-TR R²")]
                kept = kept.assign(metric=kept["metric"].str.removeprefix("within-TR R² "))
                kept = kept.replace({"metric": {"within-TR R²": "whole"}})
            drawn[f"speech_{part}"] = score_map(kept, "within-TR R²", by)
    return drawn


def _learning(rows: pd.DataFrame) -> pd.DataFrame:
    """Tier 1 and PCA at the smallest size, where they differ most."""
    smallest = rows["floats_per_tr"] == rows["floats_per_tr"].min()
    return rows[rows["system"].isin(["PCA", "tier1"]) & smallest]


if __name__ == "__main__":
    main()
