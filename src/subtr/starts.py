"""Where linear maps of an autoencoder start: at components of the time that is learned from."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from subtr.autoencoder_params import AutoencoderParams
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.linear import BlockPCARival, fit_pca
from subtr.params import SettingsError


def start_model(
    model: TemporalAutoencoder,
    params: AutoencoderParams,
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    seed: int,
) -> list[nn.Parameter]:
    """Sets what ``params.start`` names to a solution learned from the stretches, and gives it.

    Raises
        SettingsError: the windows or blocks hold fewer components; or aggregator and decoder cut
            pictures into different blocks.
    """
    if params.start == "pca":
        return _start_at_components(model, frames, stretches, params.n_floats, seed)
    if params.start == "blocks":
        return _start_at_blocks(model, frames, stretches, params.n_floats, seed)
    return []


def _start_at_components(model, frames, stretches, n_floats, seed) -> list[nn.Parameter]:
    pca = fit_pca(frames, stretches, n_floats, seed)
    components = torch.from_numpy(pca.components)
    # Codes of variance 1, so that what is added to them need not know their scale.
    spread = torch.from_numpy(pca.deviations).clamp_min(1e-6)
    mean = torch.from_numpy(pca.mean)
    analysis = components / spread[:, None]
    started = model.stream.aggregator.start_from(analysis, -analysis @ mean)
    return started + model.decoder.start_from(components.T * spread, mean)


def _start_at_blocks(model, frames, stretches, n_floats, seed) -> list[nn.Parameter]:
    aggregator, decoder = model.stream.aggregator, model.decoder
    if aggregator.blocks != decoder.blocks:
        raise SettingsError(
            f"start = 'blocks': the aggregator has {aggregator.blocks}, expected "
            f"{decoder.blocks} as the decoder has; give both the same block, and the aggregator "
            "the channels and height of the pictures."
        )
    rival = BlockPCARival(decoder.blocks, n_floats, *decoder.weights, seed).fit(frames, stretches)
    started = aggregator.start_from_blocks(rival.analysis, rival.offset)
    return started + decoder.start_from_blocks(rival.synthesis, rival.mean)
