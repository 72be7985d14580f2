import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from subtr.experiments.judged import main
from subtr.judges import JUDGES, judge_table, load_judge
from subtr.judges.judge import Judge, JudgeMissing
from subtr.params import SettingsError, SubtrError


@dataclass(frozen=True, kw_only=True)
class Present(Judge):
    name: ClassVar[str] = "present"
    criterion: ClassVar[str] = "tempo"
    package: ClassVar[str] = "numpy"
    licence: ClassVar[str] = "BSD"
    source: ClassVar[str] = "none"
    modules: ClassVar[tuple[str, ...]] = ("numpy",)
    width: int = 3


@dataclass(frozen=True, kw_only=True)
class Absent(Present):
    name: ClassVar[str] = "absent"
    package: ClassVar[str] = "no-such-package"
    modules: ClassVar[tuple[str, ...]] = ("numpy", "no_such_module_of_subtr")


@pytest.fixture
def two_judges(monkeypatch):
    monkeypatch.setattr(JUDGES, "parts", {"present": Present, "absent": Absent})


@pytest.mark.usefixtures("two_judges")
def test_options_are_checked():
    assert load_judge("present", width=5).width == 5
    with pytest.raises(SettingsError, match=r"widht: unknown key.*'width'"):
        load_judge("present", widht=5)
    with pytest.raises(SettingsError, match=r"'presemt' is no known judge.*'present'"):
        load_judge("presemt")


@pytest.mark.usefixtures("two_judges")
def test_a_missing_judge_says_what_and_how():
    said = r"'absent'.*no_such_module_of_subtr.*make judges.*no-such-package"
    with pytest.raises(JudgeMissing, match=said) as raised:
        load_judge("absent")
    assert isinstance(raised.value, SubtrError)


@pytest.mark.usefixtures("two_judges")
def test_the_table_skips_with_a_reason():
    table = judge_table().set_index("name")
    assert table.available.to_dict() == {"present": True, "absent": False}
    assert table.why_not["present"] == ""
    assert "no_such_module_of_subtr" in table.why_not["absent"]


def test_every_judge_says_what_it_is():
    for name, judge in JUDGES.parts.items():
        assert judge.name == name
        for text in (judge.criterion, judge.package, judge.licence, judge.source):
            assert text


def test_what_is_installed_is_pinned_with_digests():
    root = Path(__file__).resolve().parents[2]
    files = sorted(root.glob("requirements-judges*.txt"))
    assert len(files) == 3
    for file in files:
        lines = [line for line in file.read_text().splitlines() if line[:1] not in "# "]
        assert lines
        for line in lines:
            assert re.fullmatch(r"[\w.-]+==[\w.]+ \\", line), line
    assert re.search(r"^judges:", (root / "Makefile").read_text(), re.MULTILINE)


def test_the_program_says_why_a_judge_is_missing(capsys):
    main()
    said = capsys.readouterr().out
    assert re.search(r"^no +emotion", said, re.MULTILINE)
    assert "Give model=" in " ".join(said.split())
    for name in JUDGES.parts:
        assert name in said
