"""Parameters that papermill must not misspell."""

import ast
from collections.abc import Sequence

from subtr.params import SettingsError, nearest

# How papermill begins the cell that it puts behind the one tagged `parameters`.
_INJECTED = "# Parameters\n"


def check_parameters(cells: Sequence[str]) -> None:
    """Refuses what papermill only warns about: parameters that the notebook does not have.

    Arguments
        cells: the code that has been run so far, IPython's ``In``.

    Raises
        SettingsError: an unknown name, or a value of another type than the notebook's own.
    """
    known: dict[str, object] = {}
    for cell in cells:
        given = _assigned(cell)
        if not cell.startswith(_INJECTED):
            known |= given
            continue
        for name, value in given.items():
            if name not in known:
                raise SettingsError(f"unknown parameter {name!r}{nearest(name, list(known))}")
            if type(value) is not type(known[name]):
                raise SettingsError(
                    f"{name} = {value!r}: expected {type(known[name]).__name__}, such as "
                    f"{known[name]!r}. papermill's -r passes text as it is, -p guesses its type."
                )


def _assigned(cell: str) -> dict[str, object]:
    """Name -> value of each plain constant that a cell assigns; nothing if it is not Python."""
    values = {}
    try:
        statements = ast.parse(cell).body
    except SyntaxError:  # magics
        return {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return values
