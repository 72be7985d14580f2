"""docs/parameters.md: every key of the params files, from the models that check them."""

import inspect
import re
import types
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from benchmarks.pages.tables import table
from subtr.aggregators import AGGREGATORS
from subtr.datasets import STUDIES
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.decoders.vocoders import VOCODERS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.positions import POSITIONS
from subtr.experiments.data import StudyParams, SystemParams
from subtr.experiments.identifiability import IdentifiabilityParams
from subtr.models.responses import RESPONSES
from subtr.params import Registry, options_model

_FILES = {
    "study_<name>.yaml": StudyParams,
    "system_<name>.yaml": SystemParams,
    "identifiability.yaml": IdentifiabilityParams,
}
_REGISTRIES: dict[str, Registry] = {
    "Studies (`load` of a study's file)": STUDIES,
    "Encoders of audio": ENCODERS,
    "Encoders of video": PICTURE_ENCODERS,
    "Aggregators": AGGREGATORS,
    "Positions": POSITIONS,
    "Decoders of audio": DECODERS,
    "Decoders of video": PICTURE_DECODERS,
    "Responses of BOLD": RESPONSES,
    "Vocoders": VOCODERS,
}
_INTRODUCTION = """# Parameters

Written by `make docs` from the models that check params files; do not edit.

A parameter set is a folder of YAML files, chosen by `PARAMS=`: `smoke` (minutes on a laptop),
`gallery` (one file for each system of the report), `full` (the GPU node), or a folder of yours.
A misspelt key or an impossible value stops a run at once, with the nearest right one.

A part is written by name, with its options beside it:

```yaml
encoder: {name: multiscale, hidden_dim: 32, separable: true}
```
"""
_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path",
          dict: "mapping", Any: "anything", type(None): "null"}  # fmt: skip
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def parameters_page() -> str:
    """The text of docs/parameters.md."""
    parts = [_INTRODUCTION.rstrip()]
    for file, model in _FILES.items():
        parts += [f"## `{file}`", *_model_section(model)]
    parts += ["## Blocks of a file", "What the keys above hold, in alphabetical order."]
    factories = [of for registry in _REGISTRIES.values() for of in registry.parts.values()]
    models = _nested(*_FILES.values(), *map(options_model, factories))
    for model in sorted(models, key=lambda one: one.__name__):
        parts += [f"### {model.__name__}", *_model_section(model)]
    for title, registry in _REGISTRIES.items():
        parts.append(f"## {title}")
        for name, factory in registry.parts.items():
            parts += [f"### `{name}`", *_part_section(factory)]
    return "\n\n".join(parts) + "\n"


def _model_section(model: type[BaseModel]) -> list[str]:
    described = {}
    for one in reversed(model.__mro__):
        described |= _described(inspect.cleandoc(one.__dict__.get("__doc__") or ""))
    return [_first_sentence(model), _options(model, described)]


def _part_section(factory) -> list[str]:
    text = inspect.getdoc(factory) or inspect.getdoc(factory.__init__) or ""
    model = options_model(factory)
    options = _options(model, _described(text)) if model.model_fields else "No options."
    return [_first_sentence(factory), options]


def _options(model: type[BaseModel], described: dict[str, str]) -> str:
    lines = []
    for name, field in model.model_fields.items():
        kind, limits = _type(field.annotation)
        limits = [*_bounds(field.metadata), *limits]
        text = field.description or described.get(name, "")
        lines.append([f"`{name}`", kind, _default(field), ", ".join(limits), _cell(text)])
    return table(["key", "type", "default", "bounds", "what it is"], lines)


def _nested(*models: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that these hold, at any depth."""
    found: set[type[BaseModel]] = set()
    waiting = list(models)
    while waiting:
        for field in waiting.pop().model_fields.values():
            inside = _models_in(field.annotation) - found
            found |= inside
            waiting += inside
    return found - set(models)


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in _models_in(part)}


def _type(annotation: Any) -> tuple[str, list[str]]:
    """A type as a reader of YAML would say it, and the bounds that it carries."""
    kind, inside = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        name, limits = _type(inside[0])
        return name, [*_bounds(inside[1:]), *limits]
    if kind is Literal:
        return " or ".join(f"`{value}`" for value in inside), []
    if kind in (Union, types.UnionType):
        # A whole number is a number, too.
        parts = [part for part in inside if not (part is int and float in inside)]
        named = [_type(part) for part in parts]
        limits = [limit for _, of in named for limit in of]
        return " or ".join(dict.fromkeys(name for name, _ in named)), limits
    if (kind is tuple and Ellipsis in inside) or kind is list:
        name, limits = _type(inside[0])
        return f"list of {name}", [f"each {limit}" for limit in limits]
    if kind is tuple:
        return f"list of {len(inside)}", [f"each {limit}" for limit in _type(inside[0])[1]]
    if kind is dict:
        return "mapping", []
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})", []
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation))), []


def _bounds(metadata) -> list[str]:
    """What annotated-types and `pydantic.Field` say of a value."""
    found = []
    for one in metadata:
        inner = getattr(one, "metadata", None)
        if inner:  # a Field inside Annotated
            found += _bounds(inner)
            continue
        for name, sign in _LIMITS.items():
            limit = getattr(one, name, None)
            if limit is not None:
                found.append(f"{sign} {limit:g}")
        if getattr(one, "min_length", None):
            found.append(f"at least {one.min_length}")
        if getattr(one, "multiple_of", None):
            found.append(f"multiple of {one.multiple_of:g}")
    return found


def _default(field) -> str:
    if field.is_required():
        return "*required*"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    return _yaml(value)


def _yaml(value: Any) -> str:
    """A default as YAML would say it."""
    if isinstance(value, BaseModel):
        return f"`{value.name}`" if hasattr(value, "name") else "its own defaults"
    if is_dataclass(value):
        return "its own defaults"
    if value is None or isinstance(value, bool):
        return {None: "`null`", True: "`true`", False: "`false`"}[value]
    if isinstance(value, (tuple, list)):
        return f"`[{', '.join(str(one) for one in value)}]`"
    if value == {}:
        return "`{}`"
    return f"`{value}`"


def _described(text: str) -> dict[str, str]:
    """Name -> what a docstring says of it: ````name``: ...`` or an entry under Arguments."""
    found = {}
    arguments = re.search(r"^Arguments\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    if arguments:
        body = inspect.cleandoc(arguments[1])
        for names, of in re.findall(r"^([\w, ]+): (.*?)(?=^[\w, ]+: |\Z)", body, re.M | re.S):
            found |= dict.fromkeys(names.split(", "), of)
    named = re.compile(r"((?:``\w+``, )*``\w+``):\s(.*?)(?=(?:``\w+``, )*``\w+``:\s|\n\n|\Z)", re.S)
    for names, of in named.findall(text):
        found |= dict.fromkeys(re.findall(r"\w+", names), of)
    return {name: _sentence(of) for name, of in found.items()}


def _sentence(text: str) -> str:
    """One line that ends in a full stop; what a docstring put behind a semicolon stays."""
    line = " ".join(text.split()).rstrip(" ;")
    return line if not line or line.endswith(".") else f"{line}."


def _first_sentence(of: Any) -> str:
    text = inspect.getdoc(of) or inspect.getdoc(of.__init__) or ""
    return _cell(_sentence(text.partition("\n\n")[0]))


def _cell(text: str) -> str:
    """Text for Markdown: code as Markdown has it, no bar that would end a cell."""
    return re.sub(r"\bNone\b", "null", text.replace("``", "`").replace("|", "\\|"))
