"""Frame-level latents of a TR to one vector; one file a family, chosen by name.

An aggregator is built from ``level_dims``, ``level_frames``, the vector's ``dim`` and options.
"""

from subtr.aggregators.learned import (
    BlockAggregator,
    ConvAggregator,
    KernelAggregator,
    LinearAggregator,
    ParcelKernelAggregator,
    PyramidAggregator,
)
from subtr.aggregators.pooling import (
    AdaptiveAggregator,
    AttentionAggregator,
    LanczosAggregator,
    MeanAggregator,
    MultiScaleAggregator,
    NearestAggregator,
)
from subtr.params import Registry, answer_as

AGGREGATORS = Registry(
    "aggregator",
    {
        "mean": MeanAggregator,
        "nearest": NearestAggregator,
        "lanczos": LanczosAggregator,
        "multiscale": MultiScaleAggregator,
        "attention": AttentionAggregator,
        "adaptive": AdaptiveAggregator,
        "kernels": KernelAggregator,
        "parcel_kernels": ParcelKernelAggregator,
        "conv": ConvAggregator,
        "pyramid": PyramidAggregator,
        "linear": LinearAggregator,
        "blocks": BlockAggregator,
    },
)

answer_as(__name__, AGGREGATORS)
