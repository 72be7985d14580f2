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

_WORDS = {"Whisper": "ASR accuracy", "Moonshine": "ASR accuracy, Moonshine"}


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


def test_what_judges_hear_is_as_measured():
    words = measured("intelligibility", "ASR accuracy").astype({"value": float})
    stoi = measured("intelligibility", "stoi").astype({"value": float})
    of = words.set_index(["system", "floats_per_tr"])
    for floats, pca, tier_1, heard in rows_of_table("| floats per TR, words |"):
        size = next(key for key in of.index.levels[1] if key and float(key) == float(floats))
        for cell, system in ((pca, "PCA"), (tier_1, "tier1")):
            row = of.loc[(system, size)]
            found = [float(row[end]) for end in ("value", "low", "high")]
            assert [number(cell), *interval(cell)] == pytest.approx(found, abs=6e-3)
        (of_size,) = stoi[(stoi["system"] == "tier1") & (stoi["floats_per_tr"] == size)]["value"]
        assert number(heard) == pytest.approx(of_size, abs=6e-3)
    said = re.search(r"tier 1 keeps (\S+) at 128 floats, (\S+) at 256 and (\S+) at 512\.", README)
    ceiling = float(words.set_index("system").loc["round trip", "value"])
    tier_1 = words[words["system"] == "tier1"].astype({"floats_per_tr": float})
    found = tier_1.set_index("floats_per_tr").loc[[128.0, 256.0, 512.0], "value"] / ceiling
    assert [number(of) for of in said.groups()] == pytest.approx(list(found), abs=6e-3)


def test_what_is_fitted_to_be_heard_is_as_measured():
    """Whose words: columns of the table; Moonshine's rows are another measure."""
    systems = ("PCA", "PCA fitted", "tier1", "tier1 fitted")
    rows = rows_of_table("| floats per TR, fitted |")
    assert {judge for _, judge, *_ in rows} == {"Whisper", "Moonshine"}
    share = {}
    for floats, judge, *cells, heard, ceiling in rows:
        metric = _WORDS[judge]
        for cell, system in zip(cells, systems, strict=True):
            row = whole_row("intelligibility", metric, system, floats)
            assert number(cell) == pytest.approx(float(row["value"]), abs=6e-3)
        if heard:
            row = whole_row("heard", metric, "tier1_heard", floats)
            assert [number(heard), *interval(heard)] == pytest.approx(ends(row), abs=6e-3)
            share[floats, judge] = float(row["value"])
        of_ceiling = whole_row("intelligibility", metric, "round trip")
        assert number(ceiling) == pytest.approx(float(of_ceiling["value"]), abs=6e-3)
        best = max(share.get((floats, judge), 0.0), *map(number, cells))
        share[floats, judge] = best / number(ceiling)
    said = re.search(
        r"keeps (\S+) of what Whisper and (\S+) of what\nMoonshine understands .* at 128 floats, "
        r"and (\S+) and (\S+) at 512",
        README,
    ).groups()
    found = [share[size, judge] for size in ("128", "512") for judge in ("Whisper", "Moonshine")]
    assert [number(one) for one in said] == pytest.approx(found, abs=1.2e-2)
    kept = [
        float(whole_row("intelligibility", "temporal preservation", system, 128)["value"])
        for system in ("tier1", "tier1 fitted")
    ]
    paid = re.search(r"structure that is kept falls from (\S+) to (\S+)\.", README).groups()
    assert [number(one) for one in paid] == pytest.approx(kept, abs=6e-4)


def test_words_by_hifi_gan_are_as_measured():
    rows = rows_of_table("| floats per TR, by HiFi-GAN |")
    assert len(rows) == 4
    share = {}
    for floats, judge, *cells, ceiling in rows:
        metric = _WORDS[judge]
        for cell, system in zip(cells, ("PCA fitted", "tier1 fitted", "tier1_heard"), strict=True):
            row = whole_row("heard_hifi_gan", metric, system, floats)
            assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=6e-3)
        heard = float(whole_row("heard_hifi_gan", metric, "tier1_heard", floats)["value"])
        found = float(whole_row("heard_hifi_gan", metric, "round trip")["value"])
        assert number(ceiling) == pytest.approx(found, abs=6e-3)
        share[floats, judge] = heard / found
    said = re.search(
        r"by HiFi-GAN (\S+) of what Whisper and (\S+)\s+of what Moonshine understands "
        r"at 128 floats, and (\S+) and\s+(\S+) at 512",
        README,
    ).groups()
    found = [share[size, judge] for size in ("128", "512") for judge in ("Whisper", "Moonshine")]
    assert [number(one) for one in said] == pytest.approx(found, abs=6e-3)


def test_words_by_bits_are_as_measured():
    rows = rows_of_table("| bits per TR, words |")
    assert rows
    for bits, *cells, heard in rows:
        for cell, system in zip(cells, ("PCA", "tier1"), strict=True):
            row = whole_row("heard_bits", "ASR accuracy", f"{system}, {bits} bits")
            assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=6e-3)
        row = whole_row("heard_bits", "stoi", f"tier1, {bits} bits")
        assert number(heard) == pytest.approx(float(row["value"]), abs=6e-3)


def test_voices_never_learned_from_are_as_measured():
    asked = {"words": ("strangers", "ASR accuracy"), "speakers": ("speakers", "speaker identified")}
    systems = ("PCA", "PCA fitted", "tier1", "tier1 fitted")
    rows = rows_of_table("| floats per TR, strangers |")
    assert {name.split(", ")[1] for name, *_ in rows} == set(asked)
    for name, averaging, *cells, ceiling in rows:
        floats, kind = name.split(", ")
        mean = whole_row(*asked[kind], "mean")
        assert number(averaging) == pytest.approx(float(mean["value"]), abs=6e-3)
        for cell, system in zip(cells, systems, strict=True):
            if not cell and system.endswith("fitted"):
                continue
            row = whole_row(*asked[kind], system, floats)
            assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=6e-3)
        assert number(ceiling) == pytest.approx(float(row["ceiling"]), abs=6e-3)


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
