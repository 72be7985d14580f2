"""What README says of words that are understood is what their tables hold."""

import re

import pytest
from readme_tables import (
    README,
    ends,
    interval,
    measured,
    number,
    rows_of_table,
    whole_row,
)

_WORDS = {"Whisper": "ASR accuracy", "Moonshine": "ASR accuracy, Moonshine"}


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


def test_words_after_more_speech_are_as_measured():
    tables = ("more_speech", "more_speech_hifi_gan")
    rows = rows_of_table("| floats per TR, more speech |")
    assert len(rows) == 4
    share = {}
    for floats, judge, *cells in rows:
        metric = _WORDS[judge]
        for table, cell, ceiling in zip(tables, cells[::2], cells[1::2], strict=True):
            row = whole_row(table, metric, "tier1_more_speech", floats)
            assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=6e-3)
            found = float(whole_row(table, metric, "round trip")["value"])
            assert number(ceiling) == pytest.approx(found, abs=6e-3)
            share[table, floats, judge] = float(row["value"]) / found
    said = re.search(
        r"before Whisper it keeps (\S+) of what the original gives at 128 floats and (\S+) at "
        r"512,\nand both aims are held; before Moonshine (\S+) and (\S+), by HiFi-GAN (\S+) "
        r"of Whisper's",
        README,
    ).groups()
    found = [
        share["more_speech", size, judge]
        for judge in ("Whisper", "Moonshine")
        for size in ("128", "512")
    ]
    found.append(share["more_speech_hifi_gan", "128", "Whisper"])
    assert [number(one) for one in said] == pytest.approx(found, abs=6e-3)
    assert share["more_speech", "128", "Whisper"] > 0.80
    assert share["more_speech", "512", "Whisper"] > 0.95
    said = re.search(
        r"structure (\S+)\s+against (\S+), STOI (\S+) against (\S+)\)", README
    ).groups()
    found = [
        float(whole_row(table, metric, system, 128)["value"])
        for metric in ("temporal preservation", "stoi")
        for table, system in (("more_speech", "tier1_more_speech"), ("heard", "tier1_heard"))
    ]
    assert [number(one) for one in said] == pytest.approx(found, abs=6e-4)


def test_words_of_a_voice_that_was_heard_for_long_are_as_measured():
    said = re.search(
        r"keeps at 128 floats (\S+) of what Whisper and (\S+) of what Moonshine\s+understands of "
        r"them whole; fitted PCA, from the same minutes, (\S+) and (\S+)\. So",
        README,
    ).groups()
    found = [
        float(whole_row("more_speech_voice", metric, system)["value"])
        / float(whole_row("more_speech_voice", metric, "round trip")["value"])
        for system in ("tier1_more_speech", "PCA fitted")
        for metric in _WORDS.values()
    ]
    assert [number(one) for one in said] == pytest.approx(found, abs=6e-3)


def test_losses_of_sound_are_as_measured():
    rows = rows_of_table("| sound trained by |")
    assert len(rows) == 6
    gained = {}
    for name, kept, gain, words in rows:
        named = re.findall(r"`(\w+)", name) or ["squared error"]
        for metric, cell, most in (
            ("temporal preservation", kept, 6e-4),
            ("gain over the squared error", gain, 6e-5),
            ("ASR accuracy", words, 6e-3),
        ):
            if cell:
                row = whole_row("sound_losses", metric, f"tier1, {named[0]}")
                assert [number(cell), *interval(cell)] == pytest.approx(ends(row), abs=most)
        gained[named[0]] = interval(gain) if gain else None
    # None is worth having, as README says.
    assert gained.pop("within_tr")[0] < 0
    assert gained.pop("squared error") is None
    assert all(high < 0 for _, high in gained.values())
    ceiling = float(whole_row("sound_losses", "ASR accuracy", "tier1, spectral")["ceiling"])
    said = re.search(r"`tiny\.en`, (\S+) of them", README)[1]
    assert number(said) == pytest.approx(ceiling, abs=6e-3)


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
