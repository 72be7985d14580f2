"""``python -m subtr.figures``: figures and tables of README, from what `make verify` measured."""

import argparse
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from subtr import figures
from subtr.result_tables import group_table, results_table, summary
from subtr.results import read_results

_SIZES = (64, 128, 256, 512)
_HEARD_SIZES = (64, 128, 256, 512, 1024)
# Table -> folders of `make verify`; further ones that match a name with a star.
_TABLES = {
    "speech": (*(f"speech_{size}" for size in _SIZES), "speech_ablation"),
    "simulated": ("simulated",),
    "alice": ("alice", "alice_learned"),
    "speech_encoders": tuple(f"speech_encoders_{size}" for size in _SIZES),
    "speech_aggregators": tuple(f"speech_aggregators_{size}" for size in _SIZES),
    "speech_beside_pca": ("speech_beside_pca",),
    "simulated_encoders": tuple(f"simulated_encoders_{size}" for size in _SIZES),
    "simulated_aggregators": ("simulated_aggregators",),
    "simulated_joint": ("simulated_joint",),
    "pretraining": ("pretraining_simulated", "pretraining_alice"),
    "quantised": ("quantised_*",),
    "sherlock": ("sherlock",),
    "subjects": ("subjects",),
    "identification": ("identification",),
    "motion": ("motion_*",),
    "intelligibility": tuple(f"intelligibility_{size}" for size in _HEARD_SIZES),
    "heard": ("heard_128", "heard_256", "heard_512"),
    "heard_hifi_gan": ("hifi_gan_128", "hifi_gan_512"),
    "more_speech": ("more_speech_128", "more_speech_512"),
    "more_speech_voice": ("more_speech_voice_128", "more_speech_voice_pca_128"),
    "more_speech_hifi_gan": ("more_speech_hifi_gan_128", "more_speech_hifi_gan_512"),
    "heard_bits": tuple(f"heard_bits_{bits}" for bits in (1024, 2048, 4096)),
    "strangers": tuple(f"strangers_{size}" for size in _HEARD_SIZES),
    "speakers": tuple(f"speakers_{size}" for size in _HEARD_SIZES),
    "sound_losses": ("sound_losses",),
    "picture_losses": ("picture_losses",),
    "vocoders": ("vocoders/*",),
    "music": ("music_128", "music_512"),
}
_TITLE = "# Measured\n\nMade by `make verify && make figures`; intervals are of 95 %.\n"
# Measurements of other columns, copied as they are.
_COPIED = (
    *("order", "modulation_transfer", "haemodynamics", "deconvolution", "scale", "ceilings"),
    *("video_judges", "judges", "film_reconstruction", "same_sound"),
)


def main(arguments: list[str] | None = None) -> None:
    """Draws what has been measured, says what is missing."""
    parser = argparse.ArgumentParser(prog="python -m subtr.figures", description=__doc__)
    parser.add_argument("--runs", default="runs", help="the folder of results")
    parser.add_argument("--out", default="figures", help="where to")
    given = parser.parse_args(arguments)
    matplotlib.use("Agg")
    verified, out = Path(given.runs) / "verify", Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    found = {name: _of(verified, *folders) for name, folders in _TABLES.items()}
    for name, folders in _TABLES.items():
        by_size = f"{name}_{_SIZES[0]}" in folders
        if by_size and len(found[name]) and (out / f"{name}.csv").exists():
            kept = _not_measured_again(pd.read_csv(out / f"{name}.csv"), found[name])
            found[name] = pd.concat([kept, found[name]], ignore_index=True)
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
        r = found["alice"][found["alice"]["metric"] == "r"]
        drawn["alice"] = figures.score_map(r.replace({"group": {"": "all"}}), "held-out r")
    if len(found["speech"]) and len(found["simulated"]):
        bold = found["simulated"]
        both = pd.concat([found["speech"], bold])
        shown = both["system"].isin(["averaging", "mean", "PCA", "tier1"])
        drawn["headline"] = figures.headline(both[shown])
    if len(found["intelligibility"]):
        shown = [*("ASR accuracy", "ASR accuracy, Moonshine"), "stoi", "temporal preservation"]
        of_all = pd.concat([found[name] for name in ("intelligibility", "heard", "more_speech")])
        drawn["intelligibility"] = figures.quality_by_floats(of_all, shown)
    drawn |= _compared(found)
    for name in _COPIED:
        if (verified / f"{name}.csv").exists():
            copied = pd.read_csv(verified / f"{name}.csv")
            copied.to_csv(out / f"{name}.csv", index=False, float_format="%.4f")
            if name == "modulation_transfer":
                drawn[name] = figures.transfer_by_training(copied, tr_s=1.5, frames_per_tr=64)
            if name == "haemodynamics":
                drawn[name] = figures.peak_recovery(copied)
            if name == "deconvolution":
                drawn[name] = figures.deconvolution_gain(copied)
    for name, figure in drawn.items():
        figure.savefig(out / f"{name}.png", dpi=150, bbox_inches="tight")
    text = out / "results.md"
    sections = (_sections(text.read_text()) if text.exists() else {}) | _tables(found)
    text.write_text(_TITLE + "".join(f"\n## {name}\n{of}" for name, of in sections.items()))
    print(f"{len(drawn)} figures and results.md in {out.resolve()}")


def _compared(found: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Maps of the encoders and aggregators: by tuning class, and by band and by size of speech."""
    drawn = {}
    for part in ("encoders", "aggregators"):
        rows = found[f"simulated_{part}"]
        if len(rows):
            chosen = (rows["metric"] == "r / ceiling") & (rows["group"] != "")
            smallest = rows["floats_per_tr"] == rows["floats_per_tr"].min()
            drawn[f"simulated_{part}"] = figures.score_map(rows[chosen & smallest], "r / ceiling")
        rows = found[f"speech_{part}"]
        if len(rows):
            kept = rows[rows["metric"] == "temporal preservation"]
            by = "floats_per_tr" if part == "encoders" else "metric"
            if by == "metric":
                rows = rows[rows["floats_per_tr"] == 128]
                kept = rows[rows["metric"].str.startswith("temporal preservation")]
                kept = kept.assign(metric=kept["metric"].str.removeprefix("temporal preservation "))
                kept = kept.replace({"metric": {"temporal preservation": "whole"}})
            drawn[f"speech_{part}"] = figures.score_map(kept, "temporal preservation", by)
    return drawn


def _of(verified: Path, *names: str) -> pd.DataFrame:
    matching = [folder for name in names for folder in sorted(verified.glob(name))]
    tables = [folder for folder in matching if (folder / "scores.csv").exists()]
    if not tables:
        print(f"{names[0]}: nothing in {verified}; run `make verify` first.")
        return pd.DataFrame()
    return pd.concat([read_results(folder) for folder in tables], ignore_index=True)


def _learning(rows: pd.DataFrame) -> pd.DataFrame:
    """Tier 1 and PCA at the smallest size, where they differ most."""
    smallest = rows["floats_per_tr"] == rows["floats_per_tr"].min()
    return rows[rows["system"].isin(["PCA", "tier1"]) & smallest]


def _not_measured_again(kept: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of sizes that an earlier run left and this one lacks, as often as they had seeds.

    So often repeated, they come out of `summary` as they went in.
    """
    absent = ~kept["floats_per_tr"].isin(rows["floats_per_tr"]) & kept["floats_per_tr"].notna()
    texts = ["group", "metric", "modality"]
    kept = kept[absent].astype(dict.fromkeys(texts, object)).fillna(dict.fromkeys(texts, ""))
    repeated = kept.loc[kept.index.repeat(kept["n_seeds"])]
    seeds = repeated.groupby(level=0).cumcount()
    return repeated.drop(columns="n_seeds").assign(seed=seeds)


def _sections(text: str) -> dict[str, str]:
    """Table -> its text, of what earlier runs left; those whose results are gone stay."""
    parts = [part.partition("\n") for part in text.split("\n## ")[1:]]
    return {name: of for name, _, of in parts}


def _tables(found: dict[str, pd.DataFrame]) -> dict[str, str]:
    """All tables as text: score, 95 % interval, floor and ceiling; gains and controls."""
    sections = {}
    for name, rows in found.items():
        if not len(rows):
            continue
        tables = [results_table(rows)]
        metric = next((one for one in ("r / ceiling", "r") if one in set(rows["metric"])), None)
        if metric and (rows["group"] != "").any():
            sizes = rows.groupby("floats_per_tr") if "encoders" in name else [("", rows)]
            tables += [group_table(of_size, metric) for _, of_size in sizes]
        further = summary(
            rows[rows["metric"].str.contains("gain|shuffled|time_s|^temporal preservation")]
        )
        columns = ["system", "floats_per_tr", "metric", "value", "low", "high", "n_seeds"]
        further = further[columns].round(3).astype(object).fillna("").set_index("system")
        tables += [further] if len(further) else []
        sections[name] = "".join(f"\n```\n{table.to_string()}\n```\n" for table in tables)
    return sections


if __name__ == "__main__":
    main()
