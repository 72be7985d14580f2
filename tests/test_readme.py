"""README says nothing that its tables do not hold, and names nothing that is not there."""

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

from subtr.aggregators import AGGREGATORS
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.positions import POSITIONS
from subtr.vocoders import VOCODERS

TUNING = ["mean", "rate 2 Hz", "rate 4 Hz", "rate 8 Hz", "order", "onset", "motion"]


def test_speech_is_as_measured():
    kept = measured("speech", "temporal preservation")
    gains = measured("speech", "gain over PCA")
    for floats, averaging, *systems, gain in rows_of_table("| floats per TR |"):
        of_size = kept[kept["floats_per_tr"].astype(float) == float(floats)].set_index("system")
        assert number(averaging) == pytest.approx(float(of_size.loc["mean", "value"]), abs=1e-6)
        for system, value in zip(("PCA", "tier1"), systems, strict=True):
            assert number(value) == pytest.approx(float(of_size.loc[system, "value"]), abs=6e-4)
        (row,) = gains[gains["floats_per_tr"].astype(float) == float(floats)].to_dict("records")
        said, found = (
            [number(gain), *interval(gain)],
            [row[end] for end in ("value", "low", "high")],
        )
        assert said == pytest.approx([float(value) for value in found], abs=6e-4)


def test_known_truth_is_as_measured():
    share = measured("simulated", "r / ceiling").set_index(["system", "group"])["value"]
    for name, *cells in rows_of_table("| | mean level |"):
        system = {"tier 1": "tier1"}.get(name, name)
        for tuning, cell in zip(TUNING, cells, strict=True):
            assert number(cell) == pytest.approx(float(share[system, tuning]), abs=6e-3)


@pytest.mark.parametrize("part", ["encoder", "aggregator"])
def test_parts_are_compared_as_measured(part):
    table = measured(f"simulated_{part}s", "r / ceiling")
    table = table[table["floats_per_tr"].astype(float) == 64]
    share = table.set_index(["system", "group"])["value"]
    rows = rows_of_table(f"| {part}, behind")
    assert len(rows) == 8
    for name, *cells in rows:
        for tuning, cell in zip(TUNING, cells, strict=False):
            assert number(cell) == pytest.approx(float(share[name, tuning]), abs=6e-3)


def test_encoders_of_speech_are_as_measured():
    kept = measured("speech_encoders", "temporal preservation")
    kept = kept[kept["floats_per_tr"].astype(float) == 128].set_index("system")["value"]
    kept = kept.astype(float).drop("mean")
    said = re.search(r"keep\n(\S+) \(.*\) to (\S+) \(none.*\n.* the (\S+) of PCA", README).groups()
    encoders = kept.drop("PCA")
    found = [encoders.min(), encoders.max(), kept["PCA"]]
    assert [encoders.idxmin(), encoders.idxmax()] == ["conv_transformer", "linear"]
    assert [number(of) for of in said] == pytest.approx(found, abs=6e-3)


def test_aggregators_of_speech_are_as_measured():
    kept = measured("speech_aggregators", "temporal preservation")
    kept = kept[kept["floats_per_tr"].astype(float) == 128].set_index("system")["value"]
    said = re.search(
        r"keep (\S+) to\n(\S+) \(pyr.* kernels (\S+) to (\S+), .*\n.* (\S+) to (\S+):", README
    )
    groups = [
        ["pyramid", "conv", "multiscale", "linear", "blocks"],
        ["kernels", "parcel_kernels"],
        ["mean", "nearest", "lanczos", "attention", "adaptive"],
    ]
    assert sorted(name for of in groups for name in of) == sorted(AGGREGATORS.parts)
    ends = [end for of in groups for end in (kept[of].astype(float).agg(["min", "max"]))]
    assert [number(of) for of in said.groups()] == pytest.approx(ends, abs=6e-3)


def test_codes_are_as_measured():
    kept = measured("quantised", "temporal preservation").set_index("system")["value"]
    table = pd.read_csv(ROOT / "figures" / "quantised.csv")
    for bits, *cells, gain in rows_of_table("| bits per TR |"):
        rivals = [f"PCA, {bits} bits, {how}" for how in ("uniform", "allotted")]
        for cell, system in zip(cells, [*rivals, f"codes, {bits} bits"], strict=True):
            assert number(cell) == pytest.approx(float(kept[system]), abs=6e-4)
        (row,) = table[table["metric"] == f"gain over {rivals[1]}"].to_dict("records")
        found = [row[end] for end in ("value", "low", "high")]
        assert [number(gain), *interval(gain)] == pytest.approx(found, abs=1.1e-3)


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
    said = re.search(r"changes by (\S+), (\S+) and (\S+)\.", README).groups()
    for share, change in zip((10, 30, 100), said, strict=True):
        gain = r[f"tier1, pre-trained, {share}% labelled"] - r[f"tier1, {share}% labelled"]
        assert number(change) == pytest.approx(gain, abs=7e-3)


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


def test_what_the_encoder_adds_is_as_measured():
    (row,) = measured("speech", "gain over no encoder").to_dict("records")
    said = re.search(r"convolutions before the vector add (\S+ \[.*?\])", README)[1]
    found = [float(row[end]) for end in ("value", "low", "high")]
    assert [number(said), *interval(said)] == pytest.approx(found, abs=6e-4)


def test_what_fitting_and_copies_give_is_as_measured():
    kept = measured("speech", "temporal preservation").set_index(["system", "floats_per_tr"])
    before, after = re.search(r"lifts 128 floats\nfrom (\S+) to (\S+);", README).groups()
    alone = float(kept.loc[("tier1, no encoder", 128.0), "value"])
    assert number(before) == pytest.approx(alone, abs=6e-4)
    assert number(after) == pytest.approx(float(kept.loc[("tier1", 128.0), "value"]), abs=6e-4)
    copies = re.search(r"the\ncopies too comes to (\S+) at 512 floats", README)[1]
    assert number(copies) == pytest.approx(
        float(kept.loc[("PCA, copies too", 512.0), "value"]), abs=6e-4
    )


def test_every_file_and_target_that_it_names_is_there():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).is_file(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)\b", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for notebook in re.findall(r"`(\d\d_\w+)`", README):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file(), notebook


@pytest.mark.parametrize(
    "registry",
    [ENCODERS, PICTURE_ENCODERS, AGGREGATORS, POSITIONS, DECODERS, PICTURE_DECODERS, VOCODERS],
    ids=lambda registry: registry.kind,
)
def test_every_part_is_listed(registry):
    listed = dict(rows_of_table("| part | names |"))[registry.kind]
    assert re.findall(r"`(\w+)`", listed) == list(registry.parts)
