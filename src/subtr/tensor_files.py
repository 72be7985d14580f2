"""Weights, and what they are the weights of, in one safetensors file."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from subtr.params import SettingsError, whole_file


def write_tensors(file: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> Path:
    """Writes tensors and texts, whole or not at all; says where.

    Raises
        SettingsError: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part:
            save_file(tensors, part, about)
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"{file} cannot be written: {error}. Choose another place.") from error
    return file


def read_tensors(
    file: Path, expected: str, remedy: str, key: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_tensors` wrote: tensors and texts.

    Arguments
        expected, remedy: for the message, such as "a stream" and "export it again".
        key: a text that the file must have.

    Raises
        SettingsError: no such file, or not one of this kind.
    """
    try:
        with safe_open(file, "pt") as stored:
            about = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"{file}: expected {expected}, but {error!r}; {remedy}.") from error
    if key not in about:
        raise SettingsError(f"{file}: expected {expected}, but it holds no {key!r}; {remedy}.")
    return tensors, about
