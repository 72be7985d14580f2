"""Sound without a trained vocoder: Griffin-Lim."""

from typing import Annotated

import librosa
import numpy as np
from jaxtyping import Float32
from pydantic import Field

from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock
from subtr.vocoders.hops import Block, Hops
from subtr.vocoders.magnitudes import magnitudes_of_mel
from subtr.vocoders.vocoder import Vocoder


class GriffinLim(Vocoder):
    """Magnitudes by `magnitudes_of_mel`, phases by fast Griffin-Lim with librosa.

    Source: Perraudin, Balazs and Sondergaard 2013, A fast Griffin-Lim algorithm. It takes any
    `MelSettings` and any frames per TR, and knows nothing of what sound is like: what it adds by
    itself is heard in the round trip of the original.

    Arguments
        settings: of the spectrograms.
        n_iter: iterations.
        seed: of the first phases; the same seed gives the same sound.
    """

    name = "griffin_lim"
    block_hops = 4096
    context_hops = 16
    fade_hops = 4

    def __init__(
        self,
        settings: MelSettings,
        *,
        n_iter: Annotated[int, Field(ge=1, le=10_000)] = 48,
        seed: Annotated[int, Field(ge=0)] = 0,
    ):
        super().__init__(settings)
        self.n_iter, self.seed = n_iter, seed

    def frames_per_tr(self, tr_s: float) -> int:
        return max(1, round(tr_s * self.rate_hz / (self.settings.window_samples // 4)))

    def _hops(self, clock: Clock, n_samples: int) -> Hops:
        frame_samples = self.rate_hz * clock.frame_s
        # A hop of at most a quarter window keeps the frames consistent with one another.
        hop = max(1, min(round(frame_samples), self.settings.window_samples // 4))
        return Hops(frame_samples, hop, 0.0, n_samples // hop + 1)

    def _sound(
        self, block: Block, hop_samples: int, n_samples: int | None
    ) -> Float32[np.ndarray, " sample"]:
        sound = librosa.griffinlim(
            magnitudes_of_mel(block.rows, self.settings),
            n_iter=self.n_iter,
            hop_length=hop_samples,
            n_fft=self.settings.window_samples,
            momentum=0.99,
            length=n_samples,
            random_state=np.random.default_rng([self.seed, block.start]),
        )
        return sound.astype(np.float32)
