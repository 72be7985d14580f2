"""A trained autoencoder: TRs of a study as they come back through its numbers."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from subtr.datasets.study import Study
from subtr.fitting_vectors import NO_FIT, VectorFitParams, fitted_vectors
from subtr.items import window_batches
from subtr.models import TemporalAutoencoder
from subtr.timeline import consecutive


@dataclass(frozen=True)
class Autoencoder:
    """A trained autoencoder with what it was trained on.

    Arguments
        model: in eval mode.
        n_floats: numbers a TR.
        frames: the stimulus as it enters the model: standardised log-mel, or pictures from 0 to 1.
        center, scale: bring log-mel back to its own units; 0 and 1 for pictures.
        history: of the training.
    """

    model: TemporalAutoencoder
    n_floats: int
    frames: Float[Tensor, "tr frame *feature"]
    center: Float[Tensor, "..."]
    scale: Float[Tensor, ""]
    history: pd.DataFrame

    @torch.no_grad()
    def reconstruct(
        self,
        trs: Int[np.ndarray, " _"],
        study: Study,
        fit: VectorFitParams = NO_FIT,
        carried: Callable[[Float[Tensor, "_ dim"]], Float[Tensor, "_ dim"]] = lambda vectors: (
            vectors
        ),
    ) -> Float[Tensor, "_ frame *feature"]:
        """TRs of the study as they come back, in the stimulus's own units.

        On a GPU where there is one.

        Arguments
            fit: of the vectors to the decoder.
            carried: what becomes of the vectors on their way to the decoder, such as rounding.
        """
        tr_s, found = study.clock.tr_s, []
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # A copy: whoever else has the model finds it where it was.
        model = deepcopy(self.model).to(device)
        units = (self.frames.shape[1], self.center, self.scale)
        features = fit.error(study.mel_settings, tr_s, *units)
        for batch in window_batches(self.frames, consecutive(trs, study.run_of_tr)):
            frames = batch["frames"][0].to(device)
            vectors = model.stream(frames[None], tr_s)[0]
            vectors = fitted_vectors(model.decoder, vectors, frames, fit.steps, fit.step, features)
            vectors = carried(vectors.to(self.frames.device)).to(device)
            found.append(model.decoder(vectors[None])[0].to(self.frames.device))
        return torch.cat(found) * self.scale + self.center
