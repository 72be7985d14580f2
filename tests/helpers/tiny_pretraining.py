"""Encoders of few features, in streams of which pre-training takes seconds."""

import numpy as np
import torch

from subtr.datasets.study import Study
from subtr.models.stream import Stream, StreamParams
from subtr.params import validate
from subtr.timeline import Clock, Split

TR_S, N_FRAMES, N_BANDS, CONTEXT = 1.5, 8, 6, 4
SPLIT = Split(np.arange(5, 60), np.arange(70, 85), np.arange(85, 100))
STUDY = Study("toy", Clock(TR_S, 100, 0.0, N_FRAMES))
# Few features, so that all of them train in seconds.
SMALL = {
    "linear": {"hidden_dim": 8},
    "multiscale": {"hidden_dim": 8, "kernel_frames": [1, 3]},
    "dilated": {"hidden_dim": 8, "depth": 2},
    "attentive_dilated": {"hidden_dim": 8, "dilations": [1, 2], "depth": 1},
    "hierarchical": {"dims": [6, 8, 8], "pool_frames": [2, 2]},
    "transformer": {"hidden_dim": 8, "depth": 1, "feedforward_dim": 16},
    "linear_attention": {"hidden_dim": 8, "depth": 1, "feedforward_dim": 16},
    "conv_transformer": {"conv_dim": 8, "hidden_dim": 8, "depth": 1},
    "frame2d": {"channels": [4], "hidden_dim": 8},
    "two_stream": {"channels": [4], "motion_channels": [4], "hidden_dim": 8},
    "i3d": {"channels": [4], "hidden_dim": 8},
    "s3d": {"channels": [4], "hidden_dim": 8},
    "slowfast": {"blocks": [1, 1], "slow_features": 4, "hidden_dims": [6, 8]},
    "timesformer": {"dim": 8, "depth": 1, "feedforward_dim": 16, "hidden_dim": 8},
}


def stream(encoder="multiscale", in_dim=N_BANDS, seed=0, context=CONTEXT, position="none"):
    torch.manual_seed(seed)
    part = {"name": encoder} | SMALL.get(encoder, {})
    options = {"encoder": part, "context_frames": context, "position": {"name": position}}
    return Stream(in_dim, N_FRAMES, 3, validate(StreamParams, options, "system.yaml: stream"))
