"""A trained stream as a small file, in half precision or INT8, and what that costs in score.

PyTorch's own dynamic INT8 is deprecated, and leaves convolutions as they are. So INT8 here is of
the weights alone, with one scale a channel; they are made floats again when the file is read.
"""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float, Int8
from pydantic import Field
from torch import Tensor, nn

from subtr.params import SettingsError, Strict, nearest, validate
from subtr.streams import Stream, StreamParams
from subtr.tensor_files import read_tensors, write_tensors

# In INT8 it is the dtype of what stays a float.
_FORMS = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,
}
_SCALE = ".scale"
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# With fewer numbers a channel, a scale beside them saves too little.
_FEWEST = 8


class StreamSpec(Strict):
    """All that a stream is built from; arguments of `subtr.models.Stream`."""

    in_dim: int | tuple[int, int]
    frames_per_tr: int = Field(ge=1)
    dim: int = Field(ge=1)
    params: StreamParams = StreamParams()

    def build(self) -> Stream:
        """A stream of these parts, freshly initialised, without a change to later random draws."""
        with torch.random.fork_rng(devices=[]):
            return Stream(self.in_dim, self.frames_per_tr, self.dim, self.params)


def save_stream(stream: Stream, spec: StreamSpec, file: Path | str, form: str = "fp16") -> Path:
    """Writes weights and parameters as one safetensors file, whole or not at all; says where.

    Arguments
        stream: trained; as ``spec`` builds it.
        form: "fp32" as trained; "fp16" or "bf16" for half precision; "int8" for weights of 8 bits
            with one float32 scale a channel, see `quantised`. Biases, and channels too short to
            gain from a scale, stay in float32 then.

    Raises
        SettingsError: no such form; the stream is not of ``spec``, holds numbers that are not
            finite, or such as fp16 cannot hold; or the file cannot be written.
    """
    if form not in _FORMS:
        raise SettingsError(f"form = {form!r}{nearest(form, list(_FORMS))}")
    file, state = Path(file), _stored(stream, form)
    _fill(spec.build(), _restored(state), file)
    about = {"spec": spec.model_dump_json(), "form": form}
    return write_tensors(file, state, about)


def load_stream(file: Path | str) -> tuple[Stream, StreamSpec]:
    """The stream that `save_stream` wrote, in float32 and for inference, and what it is built from.

    On a GPU, ``torch.autocast`` runs it in half precision.

    Raises
        SettingsError: no such file, or not one of `save_stream`.
    """
    file = Path(file)
    state, about = read_tensors(
        file, "a stream written by save_stream", "export it again", key="spec"
    )
    try:
        content = json.loads(about["spec"])
    except ValueError as error:
        raise SettingsError(f"{file}: its spec is no JSON, {error}; export it again.") from error
    spec = validate(StreamSpec, content, str(file))
    return _fill(spec.build(), _restored(state), file).eval(), spec


def quantised(
    weight: Float[Tensor, "*channel within"],
) -> tuple[Int8[Tensor, "*channel within"], Float[Tensor, "*channel 1"]]:
    """Whole numbers from -127 to 127 and a scale a channel, whose product is nearest the weights.

    No weight moves by more than half its channel's scale, which is its largest weight / 127.

    Source: Jacob et al. 2018 (arXiv 1712.05877), section 2.1, with zero point 0.
    """
    scale = weight.abs().amax(dim=-1, keepdim=True).float() / 127
    # A channel of zeros needs some scale that is not zero.
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale


def loss_by_form(
    stream: Stream,
    spec: StreamSpec,
    score: Callable[[Stream], float],
    forms: Iterable[str] = ("fp16", "bf16", "int8"),
) -> pd.DataFrame:
    """What a score loses by each form: columns form, bytes (of the file), score, loss.

    The first row is float32, of which ``loss`` is the fall: positive where the form is worse.

    Arguments
        score: of a stream at inference; more is better, such as temporal preservation.

    Raises
        SettingsError: as `save_stream`.
    """
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for form in ("fp32", *forms):
            file = save_stream(stream, spec, Path(folder) / f"{form}.safetensors", form)
            value = float(score(load_stream(file)[0]))
            row = {"form": form, "bytes": file.stat().st_size, "score": value}
            rows.append(row | {"loss": (rows[0]["score"] if rows else value) - value})
    return pd.DataFrame(rows)


def _stored(stream: Stream, form: str) -> dict[str, Tensor]:
    kernels = {
        f"{name}.{weight}"
        for name, module in stream.named_modules()
        if isinstance(module, _CONVOLUTIONS)
        # The direction of a kernel whose length is learned apart.
        for weight in ("weight", "parametrizations.weight.original1")
    }
    state = {}
    for name, value in stream.state_dict().items():
        value = value.detach().cpu().contiguous()
        if not value.is_floating_point():
            state[name] = value.clone()
            continue
        # What is summed over lies in the last axis, but for kernels, where taps are summed too.
        flat = value.flatten(1) if name in kernels else value
        if form == "int8" and flat.ndim > 1 and flat.shape[-1] >= _FEWEST:
            whole, state[name + _SCALE] = quantised(flat)
            state[name] = whole.reshape(value.shape)
            numbers = state[name + _SCALE]
        else:
            numbers = state[name] = value.to(_FORMS[form], copy=True)
        if not numbers.isfinite().all():
            raise SettingsError(
                f"{name} as {form}: a number is not finite, or too large for it: use 'bf16', or "
                "train again where the weights themselves have gone astray."
            )
    return state


def _restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    restored = {}
    for name, value in state.items():
        scale = state.get(name + _SCALE)
        if value.dtype == torch.int8 and scale is not None:
            value = (value.reshape(*scale.shape[:-1], -1) * scale).reshape(value.shape)
        restored[name] = value.float() if value.is_floating_point() else value
    scales = {name + _SCALE for name, value in state.items() if value.dtype == torch.int8}
    return {name: value for name, value in restored.items() if name not in scales}


def _fill(stream: Stream, state: dict[str, Tensor], file: Path) -> Stream:
    try:
        stream.load_state_dict(state)
    except RuntimeError as error:
        raise SettingsError(f"{file}: the weights are not those of its parts: {error}") from error
    return stream
