"""README says nothing that its tables do not hold, and names nothing that is not there."""

import re

import pandas as pd
import pytest
from readme_tables import (
    README,
    ROOT,
    interval,
    measured,
    number,
    rows_of_table,
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


def test_encoders_beside_pca_are_as_measured():
    kept = measured("speech_beside_pca", "temporal preservation").set_index("system")["value"]
    kept = kept.astype(float)
    least, most = re.search(r"all eleven keep (\S+)\s+to (\S+),", README).groups()
    assert len(kept) == 11
    assert [kept.min(), kept.max()] == pytest.approx([number(least), number(most)], abs=6e-4)
    assert kept.idxmax() == "PCA + linear"


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
