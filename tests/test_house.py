"""How the house is built: what a reader of any module may count on."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "subtr"
TREES = {
    file.relative_to(SOURCE.parent).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
    for file in sorted(SOURCE.rglob("*.py"))
}
MOST_PARAMETERS = 7
LONGEST_FILE = 600
# To be lowered as code goes, never raised: `make count` says where the house stands.
MOST_FILES, MOST_LINES = 104, 31_000
# Loaders of studies: all but the media file are options, checked by name from a params file.
LOADERS = {"load_bids", "load_development_fmri", "load_film", "load_simulated"}


def parameters(function):
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [one.arg for one in named if one.arg not in ("self", "cls")]


def too_many_of(tree):
    """Functions and methods with more parameters than a reader can keep in mind.

    Constructors are left out here: options of layers and estimators are given by name.
    """
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            allowed = one.name == "__init__" or one.name in LOADERS
            if not allowed and len(parameters(one)) > MOST_PARAMETERS:
                yield f"{one.name}({', '.join(parameters(one))})"


def test_no_function_takes_more_than_a_reader_can_keep_in_mind():
    found = {file: list(too_many_of(tree)) for file, tree in TREES.items()}
    assert {file: of for file, of in found.items() if of} == {}


def test_a_function_of_eight_parameters_would_be_found():
    arguments = ", ".join("abcdefgh")
    tree = ast.parse(f"class One:\n    def many(self, {arguments}):\n        pass")
    assert list(too_many_of(tree)) == [f"many({arguments})"]


def test_a_file_holds_one_subject_and_the_house_stays_thin():
    lines = {file: len((SOURCE.parent / file).read_text("utf-8").splitlines()) for file in TREES}
    assert {file: n for file, n in lines.items() if n > LONGEST_FILE} == {}
    assert len(lines) <= MOST_FILES
    assert sum(lines.values()) <= MOST_LINES


def test_no_module_imports_from_its_own_package():
    """A package's ``__init__`` is its contract with others, and comes after all that is in it."""
    found = {
        file
        for file, tree in TREES.items()
        for module in imports_of(tree)
        if not file.endswith("__init__.py")
        and file.count("/") == 2
        and module == file.rpartition("/")[0].replace("/", ".")
        and not _names_submodules(tree, module)
    }
    assert found == set()


def _names_submodules(tree, package):
    """``from package import module`` brings a file, not what ``__init__`` holds."""
    folder = SOURCE.parent / package.replace(".", "/")
    return all(
        (folder / f"{each.name}.py").is_file()
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom) and one.module == package
        for each in one.names
    )


def constructors():
    for file, tree in TREES.items():
        for owner in ast.walk(tree):
            if isinstance(owner, ast.ClassDef):
                for one in owner.body:
                    is_constructor = isinstance(one, ast.FunctionDef) and one.name == "__init__"
                    if is_constructor and len(parameters(one)) > MOST_PARAMETERS:
                        yield pytest.param(owner, one, id=f"{file}:{owner.name}")


@pytest.mark.parametrize(("owner", "constructor"), constructors())
def test_long_constructors_say_what_each_option_is(owner, constructor):
    said = ast.get_docstring(owner) or ""
    unsaid = [name for name in parameters(constructor) if name not in said]
    # "the others: see `Fitting`", "as `Stream`": said elsewhere.
    assert not unsaid or "see `" in said or "as `" in said, unsaid


def imports_of(tree):
    """Modules of ours that are imported, when a function is called too."""
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("subtr"):
            yield one.module
            yield from (f"{one.module}.{each.name}" for each in one.names)


def test_no_import_is_for_the_type_checker_alone():
    """A module that may only be named has a circle to hide."""
    hidden = [file for file, tree in TREES.items() if "TYPE_CHECKING" in ast.dump(tree)]
    assert hidden == []


def test_modules_import_one_another_in_one_direction():
    modules = {
        file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): tree
        for file, tree in TREES.items()
    }
    below = {
        name: {of for of in imports_of(tree) if of in modules} for name, tree in modules.items()
    }
    while True:
        free = {name for name, of in below.items() if not of}
        if not free:
            break
        below = {name: of - free for name, of in below.items() if name not in free}
    assert below == {}, "these import one another in a circle"
