"""What README says of judges and of motion is what their tables hold."""

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
    whole_row,
)

from subtr.stimulus.same_sound import LEAST_R


def test_a_whole_film_is_as_measured():
    table = pd.read_csv(ROOT / "figures" / "film_reconstruction.csv")
    of = table.set_index(["film_s", "tracks"])
    long, short = of.loc[2880.0], of.loc[180.0]
    tracks = ["sound", "sound+pictures"]
    said = re.search(
        r"sound alone (\S+) times.*most (\S+) GB, with pictures (\S+)\n"
        r"times in (\S+) GB; three minutes take (\S+) and (\S+) GB",
        README,
    ).groups()
    pairs = zip(long.loc[tracks, "times_real_time"], long.loc[tracks, "peak_gb"], strict=True)
    found = [value for pair in pairs for value in pair]
    found += list(short.loc[tracks, "peak_gb"])
    assert [number(one) for one in said] == pytest.approx(found, rel=0.02)
    apart = re.search(r"are (\S+) s apart, less than a picture, which lasts (\S+) s", README)
    ends = long.loc["sound+pictures"]
    found = [ends["apart_s"], ends["picture_s"]]
    assert [number(one) for one in apart.groups()] == pytest.approx(found, abs=6e-3)
    assert ends["ends_apart_s"] == 0


def test_vocoders_are_as_measured():
    table = pd.read_csv(ROOT / "figures" / "vocoders.csv", keep_default_na=False)
    value = table[table["group"] == ""].set_index(["study", "system", "metric"])["value"]
    columns = [
        *(("hifi_6097", "", metric) for metric in ("stoi", "pesq", "dnsmos")),
        *(("music", "", metric) for metric in ("stoi", "pesq")),
        *(("hifi_6097", "PCA, ", metric) for metric in ("stoi", "dnsmos")),
    ]
    for name, *cells, speed in rows_of_table("| vocoder | reader"):
        name = name.strip("`")
        for cell, (study, before, metric) in zip(cells, columns, strict=True):
            assert number(cell) == pytest.approx(value[study, before + name, metric], abs=6e-3)
        found = value["hifi_6097", name, "seconds of sound a second of one core"]
        assert number(speed) == pytest.approx(found, rel=0.1)


def test_what_judges_call_worse_is_as_measured():
    table = pd.read_csv(ROOT / "figures" / "judges.csv")
    value = table.set_index(["judge", "metric", "system"])["value"]
    rows = rows_of_table("| what judges say |")
    assert len(rows) > 8
    for judge, *cells in rows:
        of = tuple(re.fullmatch(r"`(.*)`, (.*)", judge).groups())
        for done, cell in zip(
            ("round trip", "averaged", "shuffled", "noise", "swapped"), cells, strict=True
        ):
            found = value.get((*of, done))
            if cell:
                assert number(cell) == pytest.approx(found, abs=6e-3)
            else:
                assert found is None or pd.isna(found)


def test_what_judges_see_is_as_measured():
    metrics = ["frame correlation", "motion coherence", "tracking success", "scene accuracy"]
    metrics.append("action accuracy")
    table = pd.read_csv(ROOT / "figures" / "video_judges.csv")
    of = table[table["study"] == "generated"].fillna({"floats_per_tr": 0})
    value = of.set_index(["system", "floats_per_tr", "metric"])["value"]
    for name, floats, *cells in rows_of_table("| seen by judges |"):
        system = {"average of each TR": "averaging"}.get(name, name)
        size = float(floats) if system == "block PCA" else 0.0
        for metric, cell in zip(metrics, cells, strict=True):
            assert number(cell) == pytest.approx(value[system, size, metric], abs=6e-3)
    clips = table[(table["system"] == "block PCA") & (table["floats_per_tr"] == 6912)]
    clips = clips.set_index(["metric", "study"])["value"]
    said = re.search(
        r"floats keep frame correlation (\S+) and (\S+), motion coherence (\S+)\nand (\S+), "
        r"tracking (\S+) and (\S+)\. Components",
        README,
    ).groups()
    films = ("tears of steel", "big buck bunny")
    found = [clips[metric, film] for metric in metrics[:3] for film in films]
    assert [number(of) for of in said] == pytest.approx(found, abs=6e-3)


def test_motion_is_as_measured():
    named = {"average of each TR": "mean", "PCA of the whole TR": "PCA"}
    named |= {"two-stream on block PCA": "two-stream, differences"}
    coherence = measured("motion", "motion coherence").astype({"floats_per_tr": float})
    found = coherence.set_index(["study", "system", "floats_per_tr"])["value"]
    for name, floats, *cells in rows_of_table("| | floats per TR | generated film |"):
        system = named.get(name, name.removesuffix(" on block PCA"))
        films = ("generated", "tears of steel", "big buck bunny")
        for film, cell in zip(films, cells, strict=True):
            if cell:
                value = float(found[film, system, float(floats)])
                assert number(cell) == pytest.approx(value, abs=6e-3)


def test_music_is_as_measured():
    named = {
        "average of each TR": "mean",
        "round trip": "round trip",
        "another piece": "another piece",
    }
    named |= {"PCA": "PCA", "tier 1": "tier1"}
    rows = rows_of_table("| music | floats per TR |")
    assert {name for name, *_ in rows} == set(named)
    for name, floats, *cells in rows:
        metrics = ("tempo", "beats", "top_tags", "first_genre")
        for metric, cell in zip(metrics, cells, strict=True):
            row = whole_row("music", metric, named[name], floats or None)
            assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=6e-3)


def test_losses_of_pictures_are_as_measured():
    metrics = ("temporal preservation", "motion coherence", "motion end-point error")
    metrics += ("LPIPS", "tracking success")
    named = {"average of each TR": "mean", "block PCA": "block PCA"}
    named |= {"squared error": "squared error", "and `flow: 1.0`": "flow, weight 1"}
    named["and `flow: 1.0`, `perceptual: 0.01`"] = "flow, weight 1, and perceptual"
    rows = rows_of_table("| pictures trained by |")
    assert len(rows) == 8
    for name, *cells in rows:
        system = named.get(name) or re.search(r"`(\w+)", name)[1]
        for metric, cell in zip(metrics, cells, strict=True):
            value = float(whole_row("picture_losses", metric, system)["value"])
            assert number(cell) == pytest.approx(value, abs=0.51 * 10 ** -len(cell.split(".")[1]))


def test_gains_of_losses_of_pictures_are_as_measured():
    start = README.index("`flow: 0.1`, by which")
    said = re.findall(r"(\S+) (\[\S+ \S+\])", README[start : README.index("test_picture_losses")])
    gained = [
        ("flow", "motion end-point error"),
        ("flow", "motion coherence"),
        ("flow", "temporal preservation"),
        ("perceptual", "LPIPS"),
        ("perceptual", "temporal preservation"),
        ("gradient", "motion end-point error"),
        ("gradient", "temporal preservation"),
    ]
    # The error itself stands between gains.
    error, ours = said.pop(3), whole_row("picture_losses", "motion end-point error", "flow")
    assert [number(error[0]), *interval(error[1])] == pytest.approx(ends(ours), abs=6e-3)
    for (value, between), (system, metric) in zip(said, gained, strict=True):
        row = whole_row("picture_losses", f"gain in {metric}", system)
        digits = len(value.split(".")[1])
        most = 0.51 * 10**-digits
        assert [number(value), *interval(between)] == pytest.approx(ends(row), abs=most)
    tracked = measured("picture_losses", "gain in tracking success")
    assert (tracked["low"].astype(float) < 0).all()
    assert (tracked["high"].astype(float) > 0).all()


def test_copies_of_the_stimulus_are_found_as_measured():
    table = pd.read_csv(ROOT / "figures" / "same_sound.csv")
    found = table[table["metric"] == "found"]
    assert (found["value"] == 1).all()
    assert "sixty copies of ten" in README
    assert (len(found), found["recording"].nunique()) == (60, 10)
    likest, limit = re.search(r"have r (\S+), the limit is (\S+);", README).groups()
    r = table[table["metric"] == "likest r"]["value"].max()
    assert [number(likest), number(limit)] == pytest.approx([r, LEAST_R], abs=6e-3)
