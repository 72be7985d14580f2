"""Parameter files: YAML to validated models, registries of names, errors, files written whole."""

import difflib
import hashlib
import html
import inspect
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

# Ranges that options of many parts have in common.
Dim = Annotated[int, Field(ge=1, le=8192)]  # features of a layer
DimOrNone = Annotated[int, Field(ge=0, le=8192)]  # 0 leaves the layer out
Dims = Annotated[
    tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
]
WideDim = Annotated[int, Field(ge=1, le=65536)]
Number = Annotated[int, Field(ge=1, le=256)]  # of heads, kernels, periods
Depth = Annotated[int, Field(ge=1, le=64)]
NFrames = Annotated[int, Field(ge=1, le=4096)]
KernelFrames = Annotated[int, Field(ge=1, le=511)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


def git_hash() -> str:
    """Short hash of the commit of this code, "-dirty" behind it after changes; or "unknown"."""
    here = Path(__file__).resolve()
    describe = ["describe", "--always", "--dirty", "--exclude", "*"]
    try:
        for command in (["ls-files", "--error-unmatch", here.name], describe):
            git = ["git", "-C", str(here.parent), *command]
            done = subprocess.run(git, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


class SubtrError(Exception):
    """Something the user gave cannot be used; the message says what, why and what to do.

    Example
        >>> import subtr as st
        >>> try:
        ...     st.encoders["multi_scale"]
        ... except st.SubtrError as error:
        ...     print(str(error).partition(" Known")[0])
        'multi_scale' is no known encoder. Did you mean 'multiscale'?
    """


class SettingsError(SubtrError, ValueError):
    """A parameter is unknown, misspelt, of the wrong unit or out of range."""


class StudyError(SubtrError, ValueError):
    """The stimulus and the BOLD of a study do not fit together, or a part of it is missing."""


class StudyWarning(UserWarning):
    """A part of a study is unusable and was masked or left out; the message names it."""


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A place beside ``file`` to write to, which takes its name when the block ends without error.

    Otherwise, Ctrl-C included, what was written vanishes and ``file`` stays as it was. An OSError
    of the writing is left to the caller, who knows the remedy.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


# Parameter files: YAML in, validated models out; a wrong key or value stops a run at once.
#
# A parameter set is a folder of YAML files: ``study_<name>.yaml`` says what is measured and how,
# ``system_<name>.yaml`` says what is trained. ``smoke``, ``gallery`` and ``full`` come with the
# repository. A file may begin with ``base: smoke`` and then says only what differs from the file of
# the same name in that set, see `layers_of`.

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def params_folder(name: str | Path) -> Path:
    """The folder of a parameter set, by name (``smoke``, ``full``) or by path.

    Raises
        SettingsError: there is no such set; the message lists those that exist.
    """
    if Path(name).is_dir():
        return Path(name)
    root = Path(os.environ.get("SUBTR_PARAMS", Path(__file__).resolve().parents[2] / "params"))
    if (root / name).is_dir():
        return root / name
    known = sorted(folder.name for folder in root.glob("*") if folder.is_dir())
    raise SettingsError(
        f"params = {str(name)!r}: no such parameter set in {root}{nearest(str(name), known)}"
    )


def nearest(name: str, known: list[str]) -> str:
    """The end of a message about an unknown name: the nearest right one, then all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f". Did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(known) or 'none'}."


class _NoRepeatedKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing; this loader complains."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise SettingsError(
                    f"{node.start_mark.name}: the key {key!r} stands twice; keep one."
                )
        return super().construct_mapping(node, deep)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises
        SettingsError: the file is missing, is not YAML, or is not a mapping.
    """
    if not file.is_file():
        known = sorted(other.stem for other in file.parent.glob("*.yaml"))
        raise SettingsError(f"{file} does not exist{nearest(file.stem, known)}")
    try:
        with file.open(encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=_NoRepeatedKeys)
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file} holds {type(content).__name__}, expected keys and values.")
    return content


def validate(model: type[Model], values: dict[str, Any], source: str) -> Model:
    """``values`` as a validated model.

    Raises
        SettingsError: one line for each wrong key or value, with its path in the file, the value,
            what is allowed, and for an unknown key the nearest right one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"  {_explain(model, problem)}" for problem in error.errors()]
        raise SettingsError(f"{source}:\n" + "\n".join(lines)) from None


def layers_of(file: Path) -> dict[Path, dict[str, Any]]:
    """A YAML file, then those that it builds on, each without its key ``base``.

    ``base`` is a parameter set, whose file of the same name is meant, or a YAML file beside this
    one. Sets are looked for beside the file's own folder first, then as `params_folder` does.

    Raises
        SettingsError: as `read_yaml` and `params_folder`; ``base`` is no text, or goes in a circle.
    """
    layers: dict[Path, dict[str, Any]] = {}
    while True:
        if file in layers:
            raise SettingsError(f"{file}: base goes in a circle; one file must stand without it.")
        content = read_yaml(file)
        base = content.pop("base", None)
        layers[file] = content
        if base is None:
            return layers
        if not isinstance(base, str):
            raise SettingsError(f"{file}: base = {base!r}: expected a set or a file.")
        if base.endswith(".yaml"):
            file = file.parent / base
        else:
            beside = file.resolve().parent.parent / base
            file = (beside if beside.is_dir() else params_folder(base)) / file.name


def layered(over: dict[str, Any], under: dict[str, Any]) -> dict[str, Any]:
    """``under`` with what ``over`` says in its place, key by key, also within mappings.

    A part, which is a mapping with a ``name``, takes the place of the whole part below it: the
    options of one encoder are not those of another.
    """
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = layered(value, below) if both and "name" not in value else value
    return merged


def load_params(model: type[Model], file: Path) -> Model:
    """A YAML file on top of those that it builds on, as a validated model.

    Raises
        SettingsError: as `layers_of` and `validate`, naming the file that holds the wrong value.

    Example
        >>> import subtr as st
        >>> from subtr.params import params_folder
        >>> from subtr.experiments.data import SystemParams
        >>> file = params_folder("smoke") / "system_tier1.yaml"
        >>> st.load_params(SystemParams, file).sound.stream.encoder.name
        'multiscale'
    """
    layers = layers_of(file)
    merged: dict[str, Any] = {}
    for content in reversed(layers.values()):
        merged = layered(content, merged)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        said: dict[Path, list[str]] = {}
        for problem in error.errors():
            said.setdefault(_layer_of(layers, problem["loc"]), []).append(_explain(model, problem))
    parts = ["\n".join([f"{of}:", *(f"  {line}" for line in said[of])]) for of in said]
    raise SettingsError("\n".join(parts))


def _layer_of(layers: dict[Path, dict[str, Any]], path: tuple[Any, ...]) -> Path:
    """The file that goes furthest along a path; of several, the one on top."""
    return max(layers, key=lambda file: _steps_along(layers[file], path))


def _steps_along(content: Any, path: tuple[Any, ...]) -> int:
    if not path or not isinstance(content, dict) or path[0] not in content:
        return 0
    return 1 + _steps_along(content[path[0]], path[1:])


def params_hash(*models: BaseModel) -> str:
    """Twelve hexadecimal digits that change when any value of the parameters changes."""
    text = "\n".join(model.model_dump_json() for model in models)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def unhashed_default(default: Any) -> Any:
    """A field of a later version, of which `params_hash` knows only when it is not the default.

    So what was trained before there was a choice is still found by its hash; the default must stay
    what was done then.
    """
    return Field(default, exclude_if=lambda value: value == default)


def options_model(factory: Callable[..., Any], skip: tuple[str, ...] = ()) -> type[Strict]:
    """A model of the keyword-only options of a class or function, from its annotations.

    So an encoder's options are checked before anything is loaded, without a second list of them.
    ``skip`` names options that the program itself passes.
    """
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = inspect.get_annotations(inspect.unwrap(target), eval_str=True)
    fields: dict[str, Any] = {}
    for name, option in inspect.signature(target).parameters.items():
        if option.kind is option.KEYWORD_ONLY and name not in skip:
            default = ... if option.default is option.empty else option.default
            fields[name] = (hints.get(name, Any), default)
    return create_model(f"{factory.__name__} options", __base__=Strict, **fields)


def check_options(
    factory: Callable[..., Any], options: dict[str, Any], source: str, skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """``options`` checked and converted by `options_model`; only those given are returned."""
    checked = validate(options_model(factory, skip), options, source)
    return {name: getattr(checked, name) for name in options}


def _explain(model: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        owner = _model_at(model, problem["loc"][:-1])
        known = sorted(owner.model_fields) if owner else []
        return f"{path}: unknown key{nearest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"{path}: missing; give it a value."
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path} = {problem['input']!r}: {message[0].lower()}{message[1:]}."


def _model_at(model: type[BaseModel] | None, path: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model that holds the key at ``path``; list positions and mapping keys are passed over."""
    for part in path:
        if model is None:
            return None
        if part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, list, dict, tuple, Literal):
        found = (_model_in(part) for part in get_args(annotation))
        return next((part for part in found if part), None)
    return None


class Registry:
    """The parts of one kind, by name, as a read-only mapping.

    Arguments
        kind: what the parts are, for messages: "encoder", "aggregator".
        parts: name to class or function. Its positional arguments come from the program, the
            keyword-only ones are options of the params file.

    Example
        >>> import subtr as st
        >>> "multiscale" in st.encoders
        True
        >>> st.encoders["multiscale"].__name__
        'MultiscaleEncoder'
        >>> st.encoders.options("linear")
        {'hidden_dim': 128}
    """

    def __init__(self, kind: str, parts: dict[str, Callable[..., Any]]):
        self.kind, self.parts = kind, dict(parts)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self.parts:
            raise SettingsError(
                f"{name!r} is no known {self.kind}{nearest(name, sorted(self.parts))}"
            )
        return self.parts[name]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        parts = self.__dict__.get("parts", {})
        if name not in parts:
            raise AttributeError(f"{name!r} is neither part nor method of this registry.")
        return parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __contains__(self, name: object) -> bool:
        return name in self.parts

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.parts]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.parts)

    def names(self) -> list[str]:
        """All names."""
        return list(self.parts)

    def doc(self, name: str) -> str:
        """The first line of a part's documentation."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]

    def options(self, name: str) -> dict[str, Any]:
        """Option -> default of a part; "required" where there is none.

        Raises
            SettingsError: as `check`.
        """
        fields = options_model(self[name]).model_fields
        return {
            option: "required" if field.is_required() else field.default
            for option, field in fields.items()
        }

    def _table(self) -> list[tuple[str, str, str]]:
        return [
            (name, self.doc(name), ", ".join(f"{key}={of!r}" for key, of in options.items()))
            for name in self.parts
            for options in [self.options(name)]
        ]

    def __repr__(self) -> str:
        width = max(map(len, self.parts), default=0)
        lines = [f"{len(self)} parts of the kind {self.kind!r}:"]
        for name, doc, options in self._table():
            lines.append(f"  {name:<{width}}  {doc}")
            lines += [f"  {'':<{width}}  options: {options}"] if options else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><b>{html.escape(name)}</b></td><td style='text-align:left'>"
            f"{html.escape(doc)}</td><td style='text-align:left'><code>{html.escape(options)}"
            "</code></td></tr>"
            for name, doc, options in self._table()
        )
        head = f"<tr><th>{html.escape(self.kind)}</th><th>what it is</th><th>options</th></tr>"
        return f"<table>{head}{rows}</table>"

    def check(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """The options of the part called ``name``, checked and converted.

        Raises
            SettingsError: unknown name or option, with the nearest right one; or a bad value.
        """
        return check_options(self[name], options, f"{self.kind} {name!r}")

    def build(self, name: str, *given: Any, **options: Any) -> Any:
        """A part made from what the program gives and the user's options.

        Raises
            SettingsError: as `check`.
        """
        return self[name](*given, **self.check(name, options))


class Room(types.ModuleType):
    """A package that is asked as the registry of its parts is: ``st.encoders["multiscale"]``.

    A package and its registry have one name in public, `subtr.encoders`, and Python keeps the
    package there. A module of the package goes before a part of the same name.
    """

    registry: Registry

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.registry[name]

    def __getattr__(self, name: str) -> Any:
        if "registry" in self.__dict__ and not name.startswith("__"):
            return getattr(self.registry, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.registry)

    def __len__(self) -> int:
        return len(self.registry)

    def __contains__(self, name: object) -> bool:
        return name in self.registry

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self.registry)]

    def __repr__(self) -> str:
        return repr(self.registry)

    def _repr_html_(self) -> str:
        return self.registry._repr_html_()

    def _ipython_key_completions_(self) -> list[str]:
        return self.registry.names()


def answer_as(package: str, registry: Registry) -> None:
    """Makes a package answer as its registry, see `Room`."""
    module = sys.modules[package]
    module.__class__ = Room
    module.registry = registry
