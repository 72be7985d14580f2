"""Frame-level latents of a TR to one vector; one file a family, chosen by name.

An aggregator is built from ``level_dims``, ``level_frames``, the vector's ``dim`` and options.
"""

from subtr.aggregators.adaptive import AdaptiveAggregator
from subtr.aggregators.attention import AttentionAggregator
from subtr.aggregators.blocks import BlockAggregator
from subtr.aggregators.conv import ConvAggregator
from subtr.aggregators.kernels import KernelAggregator
from subtr.aggregators.lanczos import LanczosAggregator
from subtr.aggregators.linear import LinearAggregator
from subtr.aggregators.mean import MeanAggregator, NearestAggregator
from subtr.aggregators.multiscale import MultiScaleAggregator
from subtr.aggregators.parcel_kernels import ParcelKernelAggregator
from subtr.aggregators.pyramid import PyramidAggregator
from subtr.params import Registry

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
