"""What README says of BOLD is what its tables hold."""

import re

import pandas as pd
import pytest
from readme_tables import (
    README,
    ROOT,
    ends,
    interval,
    measured,
    number,
    rows_of_table,
    whole,
)


def test_order_and_pre_training_are_as_measured():
    order = pd.read_csv(ROOT / "figures" / "order.csv")
    of = (
        order[order["aggregator"] != "nearest"].groupby(["system", "aggregator"])["accuracy"].mean()
    )
    mean = of.xs("mean", level="aggregator")
    blind = mean.index.str.contains("linear, |without position|frame2d")
    assert mean[~blind].min() >= 0.965
    assert mean[blind].between(0.475, 0.525).all()
    r = measured("pretraining", "r")
    r = (
        r[(r["group"] == "") & (r["study"] == "simulated")]
        .set_index("system")["value"]
        .astype(float)
    )
    said = re.search(r"changes by (\S+), (\S+) and (\S+),", README).groups()
    for share, change in zip((10, 30, 100), said, strict=True):
        gain = r[f"tier1, pre-trained, {share}% labelled"] - r[f"tier1, {share}% labelled"]
        assert number(change) == pytest.approx(gain, abs=7e-3)
    # Of the story, with intervals.
    gained = measured("pretraining", "gain in r, mean of seeds")
    gained = gained[(gained["group"] == "") & (gained["study"] == "alice")].set_index("system")
    told = re.findall(r"(\S+) (\[\S+ \S+\])", README[README.index("three of five blocks") :])[:3]
    for share, (change, between) in zip((10, 30, 100), told, strict=True):
        row = ends(gained.loc[f"pre-training, {share}% labelled"])
        assert [number(change), *interval(between)] == pytest.approx(row, abs=6e-3)
        assert row[1] < 0 < row[2]


FEATURES = ("sound power", "onset flux", "mean mel", "word rate")
KINDS = {"a weight for each lag": "ridge", "canonical response": "canonical ridge"}


def test_rivals_on_real_bold_are_as_measured():
    r = measured("alice", "r")
    whole = r[r["group"] == ""].set_index("system")
    for name, *cells in rows_of_table("| | sound power | onset flux |"):
        for feature, cell in zip(FEATURES, cells, strict=True):
            row = whole.loc[f"{KINDS[name]}, {feature}"]
            found = [float(row[end]) for end in ("value", "low", "high")]
            assert [number(cell), *interval(cell)] == pytest.approx(found, abs=6e-3)


def test_aggregators_on_real_bold_are_as_measured():
    r = measured("alice", "r")
    whole = r[r["group"] == ""].set_index("system")["value"].astype(float)
    systems = ["kernels", "multiscale", "lanczos", "mean", "conv", "linear", "attention"]
    systems += ["chosen by nested blocks", "tier1", "averaging"]
    (cells,) = rows_of_table("| kernels | multiscale |")
    for system, cell in zip(systems, cells, strict=True):
        assert number(cell) == pytest.approx(whole[system], abs=6e-3)
    mixed = measured("alice", "r, frames shuffled").set_index("system")["value"].astype(float)
    said = re.search(r"shuffled within the TR it\nfalls to (\S+)\. ", README)[1]
    assert number(said) == pytest.approx(mixed["multiscale"], abs=6e-3)


def test_the_aggregator_of_the_gains_was_chosen_on_the_film():
    share = measured("simulated_aggregators", "r / ceiling")
    share = share[share["group"] == ""].set_index("system")["value"].astype(float)
    assert share.idxmax() == "multiscale"


def test_gains_on_real_bold_are_as_measured():
    def gain(rival):
        rows = measured("alice", f"gain in r over {rival}")
        (row,) = rows[rows["system"] == "multiscale"].to_dict("records")
        return [float(row[end]) for end in ("value", "low", "high")]

    for name, *cells in rows_of_table("| over | sound power |"):
        for feature, cell in zip(FEATURES, cells, strict=True):
            found = gain(f"{KINDS[name]}, {feature}")
            assert [number(cell), *interval(cell)] == pytest.approx(found, abs=6e-3)
    said = re.search(
        r"whose ceiling is (\S+), it carries with r (\S+), word rate with\n(\S+)\. ", README
    )
    single, ceiling = whole("alice", "r, single subjects"), whole("alice", "inter-subject ceiling")
    found = [single.loc[of, "value"] for of in ("multiscale", "ridge, word rate")]
    found = [float(of) for of in (ceiling.loc["listeners", "value"], *found)]
    assert [number(of) for of in said.groups()] == pytest.approx(found, abs=6e-3)
    said = re.search(r"mean of its own latents \((.*?)\)", README)[1]
    assert [number(said), *interval(said)] == pytest.approx(gain("mean"), abs=6e-3)


def test_the_annotated_film_is_as_measured():
    r = whole("sherlock", "r")
    systems = ["speaking", "whole TRs", "TR means", "sub-TR onsets", "TR means, context"]
    systems += ["sub-TR onsets, context", "sub-TR onsets through the HRF"]
    (cells,) = rows_of_table("| who speaks | whole TRs |")
    for system, cell in zip(systems, cells, strict=True):
        assert number(cell) == pytest.approx(float(r.loc[f"ridge, {system}", "value"]), abs=6e-3)
    assert interval(cells[-1]) == pytest.approx(ends(r.loc[f"ridge, {systems[-1]}"])[1:], abs=6e-3)
    for begin, system, rival in (
        (r"helps a little \(", "ridge, TR means", "ridge, whole TRs"),
        (r"does not \(", "ridge, sub-TR onsets", "ridge, TR means"),
    ):
        said = re.search(begin + r"(\S+ \[.*?\])", README)[1]
        row = whole("sherlock", f"gain in r over {rival}").loc[system]
        assert [number(said), *interval(said)] == pytest.approx(ends(row), abs=6e-4)


def test_many_subjects_are_as_measured():
    r = whole("subjects", "r")["value"].astype(float)
    text = README[README.index("**Many subjects**") :].split("\n\n")[0].replace("\n", " ")
    said = [float(of) for of in re.findall(r"(?<![\d.\[])0\.\d\d(?![\d\]])(?!, 0)", text)]
    systems = ["joint", "separate", "separate, fourfold budget", "left out, new head"]
    assert said[1:] == pytest.approx([r[system] for system in systems], abs=6e-3)
    assert r["joint, closed-form head"] == pytest.approx(r["left out, new head"], abs=6e-3)


def test_identification_and_ceilings_are_as_measured():
    table = whole("identification", "identification (pairwise)", ["study", "system"])
    right = table["value"].astype(float)
    said = re.search(r"simulated, (\S+) by tier 1's predictions, (\S+) by the best ridge", README)
    ridge = right["simulated"].drop("tier1").max()
    assert [float(of) for of in said.groups()] == pytest.approx(
        [right["simulated", "tier1"], ridge], abs=6e-3
    )
    said = re.search(r"\*Alice\*, (\S+ \[.*?\]) by tier 1, no more than (\S+) by mean mel", README)
    found = ends(table.loc["alice", "tier1"])
    assert [number(said[1]), *interval(said[1])] == pytest.approx(found, abs=6e-3)
    assert number(said[2]) == pytest.approx(right["alice", "canonical ridge, mean mel"], abs=6e-3)
    counted = pd.read_csv(ROOT / "figures" / "ceilings.csv")
    used = counted[counted["kind"].str.endswith("without each subject")]["value"]
    low, high = re.search(r"data sets in (\S+) to (\S+) %", README).groups()
    assert [float(low), float(high)] == pytest.approx([100 * used.min(), 100 * used.max()], abs=0.1)


def test_size_is_as_measured():
    table = pd.read_csv(ROOT / "figures" / "scale.csv")
    (row,) = table[(table["subjects"] == 100) & (table["parcels"] == 1000)].to_dict("records")
    said = re.search(r"fitted and scored in (\S+) s\nof one core and (\S+) GB", README).groups()
    assert [float(of) for of in said] == pytest.approx([row["cpu_s"], row["peak_gb"]], rel=0.05)
