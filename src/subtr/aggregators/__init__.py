"""Frame-level latents of a TR to one vector; one file a family, chosen by name.

An aggregator is built from ``level_dims``, ``level_frames``, the vector's ``dim`` and options.
"""

from subtr.aggregators.attention import AttentionAggregator
from subtr.aggregators.conv import ConvAggregator
from subtr.aggregators.kernels import KernelAggregator
from subtr.aggregators.linear import LinearAggregator
from subtr.aggregators.mean import MeanAggregator, NearestAggregator
from subtr.registry import Registry

AGGREGATORS = Registry(
    "aggregator",
    {
        "mean": MeanAggregator,
        "nearest": NearestAggregator,
        "attention": AttentionAggregator,
        "kernels": KernelAggregator,
        "conv": ConvAggregator,
        "linear": LinearAggregator,
    },
)
