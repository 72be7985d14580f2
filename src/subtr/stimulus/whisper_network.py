"""The encoder of Whisper in torch, for gradients, from weights in CTranslate2's form."""

import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.params import SettingsError

# CTranslate2's numbers of types of values.
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_ENCODER = "encoder/"
# Of every published size of Whisper.
_HEAD_DIM = 64


class WhisperNetwork(nn.Module):
    """Log-mel -> what each layer of Whisper's encoder makes of it; weights do not learn.

    Arguments
        file: model.bin of a Whisper model.

    Raises
        SettingsError: the file is none, or holds weights of whole numbers.

    Source: Radford et al. 2023, Robust speech recognition via large-scale weak supervision,
    section 2.2; `subtr.stimulus.speech_models.WhisperEncoder` gives the same last layer.
    """

    def __init__(self, file: Path | str):
        super().__init__()
        for name, values in read_weights(file).items():
            if name.startswith(_ENCODER) and values.ndim:
                if not np.issubdtype(values.dtype, np.floating):
                    raise SettingsError(
                        f"{file}: {name} is of {values.dtype}; expected weights that were not "
                        "quantised, float16 or float32."
                    )
                kept = torch.from_numpy(values.astype(np.float32))
                self.register_buffer(_key(name.removeprefix(_ENCODER)), kept, persistent=False)
        if "conv1__weight" not in self._buffers:
            raise SettingsError(f"{file}: holds no encoder of Whisper.")
        layers = {key.split("__")[0] for key in self._buffers if key.startswith("layer_")}
        self.n_layers = len(layers - {"layer_norm"})

    def forward(
        self, log_mel: Float[Tensor, "batch mel frame"]
    ) -> list[Float[Tensor, "batch half_frame feature"]]:
        """The output of each layer, the last of them normalised; at most 3000 frames."""
        x = F.gelu(F.conv1d(log_mel, *self._weights("conv1"), padding=1))
        x = F.gelu(F.conv1d(x, *self._weights("conv2"), stride=2, padding=1)).mT
        x = x + self.position_encodings__encodings[: x.shape[1]]
        found = []
        for index in range(self.n_layers):
            layer = f"layer_{index}/"
            x = x + self._attended(self._normed(x, f"{layer}self_attention/"), layer)
            inner = self._linear(self._normed(x, f"{layer}ffn/"), f"{layer}ffn/linear_0")
            x = x + self._linear(F.gelu(inner), f"{layer}ffn/linear_1")
            found.append(x)
        return [*found[:-1], self._normed(x, "")]

    def _attended(self, x: Tensor, layer: str) -> Tensor:
        asked = self._linear(x, f"{layer}self_attention/linear_0")
        of = rearrange(asked, "b t (part head c) -> part b head t c", part=3, c=_HEAD_DIM)
        found = rearrange(F.scaled_dot_product_attention(*of), "b head t c -> b t (head c)")
        return self._linear(found, f"{layer}self_attention/linear_1")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, *self._weights(name))

    def _normed(self, x: Tensor, part: str) -> Tensor:
        gain, shift = (
            self._buffers[_key(f"{part}layer_norm/{name}")] for name in ("gamma", "beta")
        )
        return F.layer_norm(x, x.shape[-1:], gain, shift)

    def _weights(self, name: str) -> tuple[Tensor, Tensor]:
        return self._buffers[_key(f"{name}/weight")], self._buffers[_key(f"{name}/bias")]


def read_weights(file: Path | str) -> dict[str, np.ndarray]:
    """Name -> weights of a model in CTranslate2's form, as they lie in the file.

    Raises
        SettingsError: the file is cut short, or of another form.
    """
    file = Path(file)
    content, at, found = file.read_bytes(), 0, {}

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, content, at)
        at += struct.calcsize(kind)
        return value

    def text() -> str:
        nonlocal at
        size = number("H")
        said = content[at : at + size]
        at += size
        return said.rstrip(b"\0").decode()

    try:
        _version, _model, _revision = number("I"), text(), number("I")
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            of, size = np.dtype(_TYPES[number("B")]), number("I")
            values = np.frombuffer(content, of, size // of.itemsize, at)
            found[name] = values.reshape(shape)
            at += size
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file}: no model in CTranslate2's form, or one that is cut short at byte {at}: "
            f"{error}. Install it anew."
        ) from error
    return found


def _key(name: str) -> str:
    # Names of buffers hold neither slash nor dot.
    return name.replace("/", "__")
