"""Small models of sound and of BOLD, to teach and to be taught."""

from functools import partial

import torch

from subtr.decoders import DECODERS
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.encoding_model import BoldPredictor, ReadoutParams
from subtr.models.stream import Stream, StreamParams
from subtr.params import validate
from subtr.training.distillation import distillation_loss, follow_autoencoder
from subtr.training.losses import bold_loss

TR_S, N_FRAMES, N_BANDS, N_PARCELS = 2.0, 8, 4, 3
LINEAR = {"encoder": {"name": "linear", "hidden_dim": 4}, "aggregator": {"name": "linear"}}
follow_sound = partial(follow_autoencoder, tr_s=TR_S)
squared = partial(bold_loss, kind="mse")


def stream_params():
    return validate(StreamParams, LINEAR, "system.yaml: stream")


def autoencoder(seed=0, dim=5):
    torch.manual_seed(seed)
    stream = Stream(N_BANDS, N_FRAMES, dim, stream_params())
    return TemporalAutoencoder(stream, DECODERS.build("linear", dim, N_FRAMES, N_BANDS))


def predictor(seed=0, dim=4, members=1, subjects=("a", "b"), dropout=0.0):
    torch.manual_seed(seed)
    readout = ReadoutParams(vector_dim=dim, members=members, dropout=dropout)
    shape = (N_BANDS, N_FRAMES, TR_S, list(subjects), N_PARCELS)
    return BoldPredictor(*shape, stream_params(), readout)


def sound(seed=0, n_items=2, n_trs=20):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_items, n_trs, N_FRAMES, N_BANDS, generator=generator)


def loss_of(pair, output_loss, **weights):
    return distillation_loss(pair, output_loss, **weights)
