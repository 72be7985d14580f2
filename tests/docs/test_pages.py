"""The pages say what the tables hold, and name nothing that is not there."""

import re
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from benchmarks.pages.__main__ import PAGES, RESULTS, findings, page, with_findings
from benchmarks.pages.parameters import parameters_page
from benchmarks.pages.rooms import rooms, with_rooms
from subtr.encoders import ENCODERS
from subtr.judges import JUDGES
from subtr.params import SettingsError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TEXTS += sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_results_are_as_the_command_writes_them(name):
    written = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    assert written == page(name), f"{name}.md is stale: run `make docs`"


def test_parameters_are_as_the_command_writes_them():
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert written == parameters_page(), "docs/parameters.md is stale: run `make docs`"
    for name in ENCODERS.parts:
        assert f"### `{name}`" in written


def test_the_picture_of_rooms_is_that_of_the_contract_and_the_imports():
    design = (ROOT / "docs" / "design.md").read_text("utf-8")
    assert design == with_rooms(design), "docs/design.md is stale: run `make docs`"
    assert all(f"    {room} --> " in design for room in rooms()[2:])


def test_findings_are_as_the_command_writes_them():
    assert with_findings(README) == README, "README's findings are stale: run `make docs`"
    assert len(findings()) == 5


@pytest.mark.parametrize("finding", findings(), ids=lambda of: of[1])
def test_the_number_of_a_finding_stands_in_its_table(finding):
    sentence, table, results = finding
    (said,) = re.findall(r"\*\*(.*?)\*\*", sentence)
    value = float(said.replace("−", "-"))
    measured = pd.to_numeric(pd.read_csv(ROOT / "figures" / f"{table}.csv")["value"]).dropna()
    most = 0.51 * 10 ** -len(said.split(".")[1])
    assert (measured - value).abs().min() <= most
    assert f"{table}.csv" in (RESULTS / f"{results}.md").read_text(encoding="utf-8")


def test_every_published_table_is_on_a_page():
    pages = "".join(page(name) for name in PAGES)
    published = {file.stem for file in (ROOT / "figures").glob("*.csv")}
    assert published <= set(re.findall(r"figures/(\w+)\.csv\)", pages))


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("text", TEXTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(text):
    prose = re.sub(r"```.*?```", "", text.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http", "#")):
            continue
        place, _, _ = link.partition("#")
        assert (text.parent / place).exists(), link


def test_every_link_within_parameters_has_its_heading():
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", written, re.MULTILINE)}
    links = set(re.findall(r"\]\(#(\w+)\)", written))
    assert links
    assert links <= headings


@pytest.mark.parametrize("text", TEXTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_target_is_in_the_makefile(text):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    said = text.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z]+)|^ {4}make ([a-z]+)", said, re.MULTILINE)
    for target in {one or other for one, other in named}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_benchmark_that_a_page_names_is_there():
    for name in PAGES:
        for what in re.findall(r"make bench WHAT=(\w+)", page(name)):
            assert (ROOT / "benchmarks" / f"{what}.py").is_file(), what


def test_every_notebook_is_in_readme_and_is_there():
    notebooks = {file.stem for file in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(re.findall(r"^\| `(\d\d_\w+)`", README, re.MULTILINE)) == notebooks


def test_every_judge_is_named_with_its_licence():
    written = (RESULTS / "judges.md").read_text(encoding="utf-8")
    for of in JUDGES.parts.values():
        assert f"| `{of.name}` | {of.criterion} | {of.package} | {of.licence} |" in written


def test_the_encoder_of_contributing_works():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    encoder, its_test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {"Annotated": Annotated, "Field": Field, "SettingsError": SettingsError, "nn": nn}
    names |= {"F": F, "Float": Float, "Tensor": Tensor, "rearrange": rearrange, "torch": torch}
    exec(encoder, names)
    exec(its_test, names)
    names["test_a_constant_stays_a_constant"]()
    smooth = names["SmoothEncoder"](2, hidden_dim=2, window_frames=9)
    frames = torch.zeros(1, 31, 2)
    frames[:, 15] = 1
    reached = (smooth(frames)[0] != smooth(torch.zeros_like(frames))[0]).any(-1).sum()
    assert reached == 9
    assert smooth.receptive_field_s(3.0) == [3.0]
    with pytest.raises(SettingsError, match="odd"):
        names["SmoothEncoder"](2, window_frames=4)
