"""Trained networks as files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Int, Int8, UInt8
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.models.autoencoder import NO_FIT, TemporalAutoencoder, VectorFitParams, fitted_vectors
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError, Strict, nearest, validate, whole_file
from subtr.stimulus.mel import MelSettings


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


# Networks as small files, in half precision or INT8.
#
# PyTorch's own dynamic INT8 is deprecated, and leaves convolutions as they are. So INT8 here is of
# the weights alone, with one scale a channel; they are made floats again when the file is read.

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
    """All that a stream is built from; arguments of `subtr.models.stream.Stream`."""

    in_dim: int | tuple[int, int]
    frames_per_tr: int = Field(ge=1)
    dim: int = Field(ge=1)
    params: StreamParams = StreamParams()


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


def _stored(model: nn.Module, form: str) -> dict[str, Tensor]:
    kernels = {
        f"{name}.{weight}"
        for name, module in model.named_modules()
        if isinstance(module, _CONVOLUTIONS)
        # The direction of a kernel whose length is learned apart.
        for weight in ("weight", "parametrizations.weight.original1")
    }
    state = {}
    for name, value in model.state_dict().items():
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


# In the folder of its training.
AUTOENCODER_FILE = "autoencoder.safetensors"

_MODEL = "model."


class AutoencoderSpec(Strict):
    """What an autoencoder is built from, and what it was trained on.

    ``stream``: its vector is the numbers a TR. ``mel``: how the log-mel it was trained on was made;
    None for pictures. ``tr_s``: of the study it was trained on. ``provenance``: study, code and
    parameters that it came from, for readers.
    """

    stream: StreamSpec
    decoder: Part
    mel: MelSettings | None
    tr_s: float = Field(ge=0.1, le=20)
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def modality(self) -> Literal["sound", "pictures"]:
        """What it reconstructs."""
        return "sound" if isinstance(self.stream.in_dim, int) else "pictures"

    def build(self) -> TemporalAutoencoder:
        """The model with fresh weights, drawn from PyTorch's current seed."""
        of = self.stream
        stream = Stream(of.in_dim, of.frames_per_tr, of.dim, of.params)
        if isinstance(of.in_dim, int):
            sizes, registry = (of.dim, of.frames_per_tr, of.in_dim), DECODERS
        else:
            sizes, registry = (of.dim, of.frames_per_tr, *of.in_dim), PICTURE_DECODERS
        return TemporalAutoencoder(stream, self.decoder.build(registry, *sizes))


@dataclass(frozen=True)
class SavedAutoencoder:
    """A trained autoencoder by itself, without the study it was trained on.

    Arguments
        spec: what it is.
        model: in eval mode.
        center, scale: bring log-mel from and to its own units; 0 and 1 for pictures.
    """

    spec: AutoencoderSpec
    model: TemporalAutoencoder
    center: Float[Tensor, "..."]
    scale: Float[Tensor, ""]

    def save(self, file: Path | str, form: str = "fp32") -> Path:
        """Writes it as one safetensors file, whole or not at all; says where.

        Arguments
            form: "fp32" as trained; "fp16" or "bf16" for half precision; "int8" for weights of 8
                bits with one float32 scale a channel, see `quantised`. Biases, and channels too
                short to gain from a scale, stay in float32 then.

        Raises
            SettingsError: no such form; the model holds numbers that are not finite, or such as
                fp16 cannot hold; or the file cannot be written.
        """
        if form not in _FORMS:
            raise SettingsError(f"form = {form!r}{nearest(form, list(_FORMS))}")
        tensors = {"center": self.center.cpu().clone(), "scale": self.scale.cpu().clone()}
        stored = _stored(self.model, form)
        tensors |= {_MODEL + name: value for name, value in stored.items()}
        return write_tensors(Path(file), tensors, {"autoencoder": self.spec.model_dump_json()})

    @torch.no_grad()
    def vectors(
        self,
        stimulus: Float32[np.ndarray, "tr frame mel"] | UInt8[np.ndarray, "tr p h w 3"],
        tr_s: float,
        fit: VectorFitParams = NO_FIT,
    ) -> Float[Tensor, "tr dim"]:
        """The numbers of each TR, from log-mel or from pictures of 0 to 255.

        Arguments
            tr_s: seconds of a TR, any.
            fit: of the vectors to the decoder.
        """
        frames = self._frames(stimulus)
        vectors = self.model.stream(frames[None], tr_s)[0]
        settings = self.spec.mel or MelSettings()
        units = (self.spec.stream.frames_per_tr, self.center, self.scale)
        features = fit.features and fit.features.error(settings, tr_s, *units)
        return fitted_vectors(self.model.decoder, vectors, frames, fit.steps, fit.step, features)

    @torch.no_grad()
    def decoded(
        self, vectors: Float[Tensor, "tr dim"]
    ) -> Float32[np.ndarray, "tr frame mel"] | UInt8[np.ndarray, "tr p h w 3"]:
        """Log-mel or pictures of 0 to 255 of consecutive TRs, from their numbers."""
        found = self.model.decoder(vectors[None])[0] * self.scale + self.center
        return found.numpy() if self.spec.modality == "sound" else pictures_of_frames(found)

    def _frames(self, stimulus) -> Tensor:
        if self.spec.modality == "pictures":
            return frames_of_pictures(stimulus)
        return (torch.from_numpy(stimulus) - self.center) / self.scale


def load_autoencoder(file: Path | str) -> SavedAutoencoder:
    """The autoencoder that `SavedAutoencoder.save` wrote, in float32 on the CPU, for inference.

    On a GPU, ``torch.autocast`` runs it in half precision.

    Raises
        SettingsError: no such file, or not one of these.
    """
    file, remedy = Path(file), f"train it again, or name an {AUTOENCODER_FILE} of a run"
    tensors, about = read_tensors(file, "a trained autoencoder", remedy, key="autoencoder")
    spec = validate(AutoencoderSpec, json.loads(about["autoencoder"]), str(file))
    center, scale = tensors.pop("center"), tensors.pop("scale")
    with torch.random.fork_rng(devices=[]):
        model = spec.build()
    state = {name.removeprefix(_MODEL): value for name, value in tensors.items()}
    try:
        model.load_state_dict(_restored(state))
    except RuntimeError as error:
        raise SettingsError(f"{file}: the weights are not those of its parts: {error}") from error
    return SavedAutoencoder(spec, model.eval(), center, scale)


def frames_of_mel(
    mel: Float32[np.ndarray, "tr frame mel"], train: Int[np.ndarray, " _"]
) -> tuple[Float32[Tensor, "tr frame mel"], Float32[Tensor, " mel"], Float32[Tensor, ""]]:
    """Log-mel as it enters a model, and the center and scale that bring it back to its own units.

    Center is the mean of each band on the training TRs, scale their one standard deviation of all
    bands, so that errors keep the weight that they have in the score.
    """
    frames = torch.from_numpy(np.array(mel, dtype=np.float32))
    known = frames[torch.from_numpy(train)]
    center, scale = known.mean(dim=(0, 1)), known.std()
    return (frames - center) / scale, center, scale


def frames_of_pictures(
    pictures: UInt8[np.ndarray, "tr picture height width 3"],
) -> Float32[Tensor, "tr picture 3 height width"]:
    """Pictures as they enter a model: 0 to 1, colours before rows."""
    return rearrange(torch.from_numpy(pictures), "t p h w c -> t p c h w").float() / 255


def pictures_of_frames(
    frames: Float32[Tensor, "tr picture 3 height width"],
) -> UInt8[np.ndarray, "tr picture height width 3"]:
    """What a model gives, as pictures of 0 to 255."""
    pictures = rearrange(frames.clamp(0, 1), "t p c h w -> t p h w c")
    return (pictures * 255).round().byte().numpy()
