"""``python -m benchmarks.pages``: docs/results/*.md, docs/parameters.md and the findings of README;
and the picture of rooms in docs/design.md.

Results come from figures/*.csv, and so do the words of a verdict, so that no page outlives its
measurement. Each section is a question, how to read the answer, a table, and what it shows.
"""

import argparse

from benchmarks.pages import audio, bold, judges_and_cost, video  # noqa: F401
from benchmarks.pages.parameters import parameters_page
from benchmarks.pages.rooms import with_rooms
from benchmarks.pages.tables import PAGES, ROOT, SECTIONS, number, rows, score, verdict

RESULTS = ROOT / "docs" / "results"
_INTRODUCTION = (
    "Written by `make docs` from [figures/](../../figures); do not edit. A value in brackets is a "
    "95 % interval over blocks of test time (or recordings), widened to hold every seed. An "
    "interval that holds 0 means that the data cannot tell. [The glossary](../glossary.md) "
    "explains the words."
)


def page(name: str) -> str:
    """The text of docs/results/<name>.md."""
    parts = [f"# {PAGES[name]}", _INTRODUCTION]
    for question, tables, bench, write in SECTIONS[name]:
        parts += [f"## {question}", *write(), _source(tables, bench)]
    others = ", ".join(f"[{other}]({other}.md)" for other in PAGES if other != name)
    parts.append(f"Other pages: {others}; [README](../../README.md).")
    return "\n\n".join(parts) + "\n"


def _source(tables: tuple[str, ...], bench: str) -> str:
    links = ", ".join(f"[{name}.csv](../../figures/{name}.csv)" for name in tables)
    text = f"*Measured by `make bench WHAT={bench}`; {links}"
    # Tables say which code measured them since benchmarks write them.
    code = {of for name in tables if "git" in rows(name) for of in rows(name)["git"]} - {""}
    return text + (f"; code {', '.join(sorted(code))}.*" if code else ".*")


def findings() -> list[tuple[str, str, str]]:
    """README's findings: sentence with its number in bold, table, and page that proves it."""
    kept = score("speech", "within-TR R²", "tier1", 128)["value"]
    words = score("heard", "ASR accuracy, Moonshine", "tier1_heard", 128)["value"]
    moves = score("motion", "motion coherence", "block PCA", 3072, study="generated")["value"]
    share = score("simulated", "r / ceiling", "tier1", group="rate 4 Hz")["value"]
    over = score("alice", "gain in r over ridge, word rate", "multiscale")
    beside = {"above 0": "better than", "below 0": "worse than"}.get(
        verdict(over), "not measurably better or worse than"
    )
    return [
        (
            "Not averaging keeps the sound: 128 numbers a TR reach a within-TR R² of "
            f"**{number(kept, 3)}** on real speech, averaging 0; PCA of that size comes close.",
            "speech",
            "audio",
        ),
        (
            "A decoder that redraws buys words: from 128 numbers a TR, fitted to the features of "
            f"one speech recogniser, another understands **{number(words)}** of the words of "
            "unseen sentences.",
            "heard",
            "audio",
        ),
        (
            "Components of small picture blocks, shared over places, bring motion back: motion "
            f"coherence **{number(moves)}**, averaging 0; video networks add next to nothing.",
            "motion",
            "video",
        ),
        (
            "Where the truth is known, timing is found: *simulated* parcels that follow 4 Hz "
            f"modulation are predicted to **{number(share)}** of their noise ceiling, from TR "
            "averages not at all.",
            "simulated",
            "bold",
        ),
        (
            "In real BOLD of a story, features learned from audio predict "
            f"{beside} the rate of words: the difference in r is **{number(over['value'])}**.",
            "alice",
            "bold",
        ),
    ]


def with_findings(readme: str) -> str:
    """README with its block of findings written anew."""
    begin, end = "<!-- findings -->\n", "<!-- /findings -->"
    lines = [
        f"{place}. {sentence} ([{of}](docs/results/{of}.md))\n"
        for place, (sentence, _, of) in enumerate(findings(), 1)
    ]
    before, _, rest = readme.partition(begin)
    return before + begin + "".join(lines) + end + rest.partition(end)[2]


def main(arguments: list[str] | None = None) -> None:
    """Writes the pages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.parse_args(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (RESULTS / f"{name}.md").write_text(page(name), encoding="utf-8")
    (ROOT / "docs" / "parameters.md").write_text(parameters_page(), encoding="utf-8")
    design = ROOT / "docs" / "design.md"
    design.write_text(with_rooms(design.read_text("utf-8")), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_findings(readme.read_text("utf-8")), encoding="utf-8")
    print(f"{', '.join(PAGES)} in {RESULTS}; parameters beside it; findings in {readme}")


if __name__ == "__main__":
    main()
