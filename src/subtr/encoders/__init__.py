"""Frames of a TR to frame-level latents; one file a family, chosen by name.

An encoder is built from its input's size and keyword options, and states ``level_dims``,
``frame_hz(input_frame_hz)`` and ``receptive_field_s(input_frame_hz)`` of each level, fine first.
"""

from subtr.encoders.attention import (
    ConvTransformerEncoder,
    LinearAttentionEncoder,
    TransformerEncoder,
)
from subtr.encoders.convolutional import HierarchicalEncoder, LinearEncoder, MultiscaleEncoder
from subtr.encoders.dilated import AttentiveDilatedEncoder, DilatedEncoder
from subtr.encoders.inception import (
    I3dEncoder,
    I3dInceptionEncoder,
    S3dEncoder,
    S3dInceptionEncoder,
)
from subtr.encoders.video import (
    FlowEncoder,
    Frame2dEncoder,
    SlowfastEncoder,
    TimesformerEncoder,
    TwoStreamEncoder,
)
from subtr.params import Registry, answer_as

ENCODERS = Registry(
    "encoder",
    {
        "linear": LinearEncoder,
        "multiscale": MultiscaleEncoder,
        "dilated": DilatedEncoder,
        "attentive_dilated": AttentiveDilatedEncoder,
        "hierarchical": HierarchicalEncoder,
        "transformer": TransformerEncoder,
        "linear_attention": LinearAttentionEncoder,
        "conv_transformer": ConvTransformerEncoder,
    },
)

PICTURE_ENCODERS = Registry(
    "picture encoder",
    {
        "frame2d": Frame2dEncoder,
        "two_stream": TwoStreamEncoder,
        "flow": FlowEncoder,
        "i3d": I3dEncoder,
        "i3d_inception": I3dInceptionEncoder,
        "s3d": S3dEncoder,
        "s3d_inception": S3dInceptionEncoder,
        "slowfast": SlowfastEncoder,
        "timesformer": TimesformerEncoder,
    },
)


answer_as(__name__, ENCODERS)
