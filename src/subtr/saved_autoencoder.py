"""A trained autoencoder as one file that holds all it needs to be used on another film."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Int, UInt8
from pydantic import Field
from torch import Tensor

from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.export import StreamSpec
from subtr.fitting_vectors import NO_FIT, VectorFitParams, fitted_vectors
from subtr.models import TemporalAutoencoder
from subtr.params import SettingsError, Strict, validate
from subtr.stimulus.mel import MelSettings
from subtr.streams import Part, Stream
from subtr.tensor_files import read_tensors, write_tensors

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

    def save(self, file: Path | str) -> Path:
        """Writes it as one safetensors file, whole or not at all; raises SettingsError."""
        tensors = {"center": self.center, "scale": self.scale}
        tensors |= {_MODEL + name: value for name, value in self.model.state_dict().items()}
        # Weights that share memory cannot be written; copies can.
        tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
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
        features = fit.error(settings, tr_s, *units)
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
    """The autoencoder that `SavedAutoencoder.save` wrote, on the CPU and for inference.

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
        model.load_state_dict(state)
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
