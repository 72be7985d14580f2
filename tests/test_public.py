"""The names that ``import subtr as st`` gives: light to import, listed, and shown by examples."""

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import subtr as st
from subtr.params import SettingsError

README = Path(__file__).resolve().parents[1] / "README.md"
REGISTRIES = [name for name in st.__all__ if name.islower() and name.endswith("s")]
REGISTRIES = [name for name in REGISTRIES if hasattr(getattr(st, name), "options")]
# What users are meant to call; registries are shown by their class.
SHOWN = [name for name in st.__all__ if not name.startswith("_") and name not in REGISTRIES]


def run_examples(text, name):
    globals_, parser = {}, doctest.DocTestParser()
    test = parser.get_doctest(text, globals_, name, None, 0)
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    outcome = runner.run(test, out=said.append)
    assert outcome.attempted, f"{name} has no example"
    assert not outcome.failed, "".join(said)


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_examples(inspect.getdoc(getattr(st, name)), name)


def test_the_example_of_a_registry_runs():
    from subtr.params import Registry

    run_examples(inspect.getdoc(Registry), "Registry")


def test_the_lines_of_readme_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    run_examples(blocks[0], "README.md")


def test_importing_loads_neither_torch_nor_any_other_library_of_weight():
    heavy = ("torch", "numpy", "pandas", "matplotlib", "sklearn", "pydantic", "IPython")
    code = f"import sys, subtr; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_names_are_listed_before_they_are_loaded():
    code = "import sys, subtr; print(sorted(subtr.__all__) == dir(subtr), 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "False"]


def test_a_name_is_the_same_whether_its_room_was_imported_before_or_not():
    code = (
        "import subtr.encoders.video, subtr as st; "
        "print(st.encoders['linear'].__name__, 'linear' in st.encoders)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["LinearEncoder", "True"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Encoder'"):
        _ = st.Encoder


def test_help_begins_with_how_to_start():
    assert "How to start" in "\n".join(st.__doc__.splitlines()[:4])


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_registry_is_a_mapping_of_names_that_says_what_each_is(name):
    registry = getattr(st, name)
    said, drawn = repr(registry), registry._repr_html_()
    assert list(registry) == registry._ipython_key_completions_()
    assert len(registry)
    for part in registry:
        assert part in registry
        assert part in dir(registry)
        assert part in said
        assert f"<b>{part}</b>" in drawn
        assert registry.doc(part) in said
        assert callable(registry[part])
    with pytest.raises(SettingsError, match="is no known"):
        registry["no such part"]


def test_options_of_a_part_are_those_it_is_built_with():
    assert st.aggregators.options("mean") == {}
    options = st.encoders.options("multiscale")
    assert st.encoders.check("multiscale", options) == options


def test_a_part_is_found_by_attribute_too():
    assert st.encoders.multiscale is st.encoders["multiscale"]
    with pytest.raises(AttributeError):
        _ = st.encoders.multiscal
