"""Vectors of consecutive TRs to log-mel frames or pictures.

A decoder is built from the vector's size, the frames of a TR and the size of a frame, and options.
"""

from subtr.decoders.mel import HeldDecoder, LinearDecoder, MultiReceptiveDecoder, RefinedDecoder
from subtr.decoders.pictures import BlockPictureDecoder, LinearPictureDecoder, PictureDecoder
from subtr.params import Registry, answer_as

DECODERS = Registry(
    "decoder",
    {
        "held": HeldDecoder,
        "linear": LinearDecoder,
        "refined": RefinedDecoder,
        "multi_receptive": MultiReceptiveDecoder,
    },
)

PICTURE_DECODERS = Registry(
    "picture decoder",
    {
        "conv": PictureDecoder,
        "linear_pictures": LinearPictureDecoder,
        "block_pictures": BlockPictureDecoder,
    },
)

answer_as(__name__, DECODERS)
