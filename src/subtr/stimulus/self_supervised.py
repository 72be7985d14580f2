"""wav2vec 2.0, HuBERT and their like, which learned from sound without labels."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from subtr.errors import SettingsError
from subtr.stimulus.cache import file_digest
from subtr.stimulus.speech_models import FrameGrid, SpeechModel, SpeechModelError


class SelfSupervisedModel(SpeechModel):
    """A model of `transformers` that begins with convolutions over the waveform.

    Nothing is downloaded: a name is looked up in the user's Hugging Face cache.

    Arguments
        name: of a model, such as "facebook/wav2vec2-base", or a folder that holds one.
        layer: see `subtr.stimulus.speech_models.open_speech_model`.

    Raises
        SpeechModelError: `transformers` or the model is not there, or the folder is not one.
        SettingsError: no such layer, or a model that does not begin with convolutions.

    Source: Baevski et al. 2020, wav2vec 2.0; Hsu et al. 2021, HuBERT.
    """

    supervised = False

    def __init__(self, name: str, layer: int = -1):
        try:
            import transformers
        except ImportError as error:
            raise SpeechModelError(
                f"{name}: the package transformers is not installed. Install it with "
                "pip install 'subtr[features]'."
            ) from error
        self.name, self._folder = name, _folder_of(name)
        try:
            config = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
            extractor = transformers.Wav2Vec2FeatureExtractor.get_feature_extractor_dict(
                self._folder, local_files_only=True
            )[0]
        except (OSError, ValueError) as error:
            raise SpeechModelError(
                f"{self._folder} holds no model of transformers ({error}). Expected config.json, "
                "preprocessor_config.json and model.safetensors; copy it again."
            ) from error
        if not hasattr(config, "conv_kernel"):
            raise SettingsError(
                f"model = {name!r} is of type {config.model_type}: expected one that begins with "
                "convolutions over the waveform, such as wav2vec2, hubert or wavlm."
            )
        n_layers = config.num_hidden_layers
        if not -n_layers - 1 <= layer <= n_layers:
            raise SettingsError(
                f"layer = {layer}: {name} has {n_layers}; expected 0 to {n_layers}, or -1 for the "
                "last."
            )
        rate_hz = extractor.get("sampling_rate", 16_000)
        self.layer = layer % (n_layers + 1)
        self.grid = FrameGrid.of_convolutions(
            rate_hz, tuple(config.conv_kernel), tuple(config.conv_stride)
        )
        self._normalised = extractor.get("do_normalize", True)
        self.digest = self._digest()

    @torch.no_grad()
    def features(
        self, sound: Float32[np.ndarray, " sample"]
    ) -> Float32[np.ndarray, "frame feature"]:
        """See `SpeechModel`. Sound is brought to mean 0 and variance 1 where the model wants it."""
        if self._normalised:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        found = self._model(torch.from_numpy(sound)[None], output_hidden_states=True)
        return found.hidden_states[self.layer][0].float().numpy()

    @cached_property
    def _model(self) -> torch.nn.Module:
        import transformers

        return transformers.AutoModel.from_pretrained(self._folder, local_files_only=True).eval()

    def _digest(self) -> str:
        kept = [*self._folder.glob("*.safetensors"), *self._folder.glob("*.bin")]
        parts = [str(self.layer)]
        for file in [self._folder / "config.json", *sorted(kept)]:
            parts += [file.name, file_digest(file)]
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def _folder_of(name: str) -> Path:
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise SpeechModelError(
            f"{name} is neither a folder nor a model in the Hugging Face cache. Fetch it once with "
            f"`hf download {name}` where there is internet, or give the folder it lies in."
        ) from error
