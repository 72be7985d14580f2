"""How the house is built: what a reader of any function may count on."""

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "subtr"
MOST_PARAMETERS = 7
# Constructors of layers, networks and estimators, and loaders of studies: what stands in their
# parameter lists is options that are documented there, checked from a params file, and passed by
# name.
OPTIONS = {
    "load_bids",
    "load_development_fmri",
    "load_film",
    "load_simulated",
}


def functions():
    for file in sorted(SOURCE.rglob("*.py")):
        for owner in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
            for one in ast.iter_child_nodes(owner):
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield file.relative_to(SOURCE), name + one.name, one


def parameters(function):
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [one.arg for one in named if one.arg not in ("self", "cls")]
