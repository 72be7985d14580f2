"""The picture of the house in docs/design.md: rooms of the contract, arrows of their imports."""

import ast
import tomllib
from pathlib import Path

from benchmarks.pages.tables import ROOT

SOURCE = ROOT / "src" / "subtr"
_OPEN, _CLOSE = "<!-- rooms -->", "<!-- /rooms -->"


def rooms() -> list[str]:
    """Rooms from the lowest up, as the import contract in pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return contract["layers"][::-1]


def imported() -> dict[str, set[str]]:
    """Room -> the other rooms that its files import from."""
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for file in sorted(SOURCE.rglob("*.py")):
        room = _room(file)
        if room not in found:
            continue
        for one in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("subtr"):
                parts = [*one.module.split("."), one.names[0].name]
                found[room] |= {parts[1]} & set(found) - {room}
    return found


def picture() -> str:
    """A Mermaid graph. An arrow that a longer way already says is left out."""
    direct = imported()
    lines = ["```mermaid", "flowchart BT"]
    for room in rooms():
        lines += [f"    {room} --> {below}" for below in _needed(direct, room)]
    return "\n".join([*lines, "```"])


def with_rooms(page: str) -> str:
    """docs/design.md with the picture as it is now."""
    before, rest = page.split(_OPEN)
    after = rest.split(_CLOSE)[1]
    return f"{before}{_OPEN}\n{picture()}\n{_CLOSE}{after}"


def _room(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def _needed(direct: dict[str, set[str]], room: str) -> list[str]:
    through = {far for near in direct[room] for far in _reached(direct, near)}
    return [below for below in direct if below in direct[room] - through]


def _reached(direct: dict[str, set[str]], room: str) -> set[str]:
    return direct[room] | {far for near in direct[room] for far in _reached(direct, near)}
