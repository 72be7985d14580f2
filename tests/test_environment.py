"""What is installed is listed once, and every way to install agrees with it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS["test"]]


def locked():
    """Name -> version of each line of the lock file."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), f"{pin} is not exact"
    names = [canonicalize_name(pin.name) for pin in pins]
    assert len(names) == len(set(names))
    return dict(zip(names, (str(pin.specifier)[2:] for pin in pins), strict=True))


@pytest.mark.parametrize("requirement", REQUIRED, ids=lambda requirement: requirement.name)
def test_every_dependency_is_locked_within_its_bounds(requirement):
    version = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)
    assert "+" not in version, "a local build cannot be had from the package index"


@pytest.mark.parametrize("requirement", REQUIRED, ids=lambda requirement: requirement.name)
def test_every_dependency_has_a_lower_bound_and_no_upper(requirement):
    assert [one.operator for one in requirement.specifier] == [">="]


def environment():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [Requirement(line) for line in listed if isinstance(line, str)]
    (pip,) = [line["pip"] for line in listed if isinstance(line, dict)]
    return plain, pip


def test_the_conda_environment_installs_the_package_and_nothing_of_its_own():
    plain, pip = environment()
    assert {one.name for one in plain} == {"python", "pip"}
    assert pip == ["-e .[test]"]


def test_the_conda_environment_has_a_python_that_the_package_takes():
    plain, _ = environment()
    (python,) = [one.specifier for one in plain if one.name == "python"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    for minor in range(20):
        assert not python.contains(f"3.{minor}.0") or allowed.contains(f"3.{minor}.0")
    assert any(python.contains(f"3.{minor}.0") for minor in range(11, 20))


@pytest.mark.parametrize("target", ["run", "test", "lab", "bench", "clean"])
def test_make_knows_its_targets(target):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert re.search(rf"^\.PHONY:.*\b{target}\b", makefile, re.MULTILINE)
