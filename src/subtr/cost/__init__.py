"""What a stream costs: parameters, FLOPs, memory for training, time seen, time of a step.

``make cost`` measures every encoder with every aggregator.
"""

from subtr.cost.front import FRONT, front_table
from subtr.cost.measuring import (
    Timing,
    count_parameters,
    forward_flops,
    kept_for_backward,
    median_ms,
)
from subtr.cost.streams import StreamCost, cost_table, stream_cost

__all__ = [
    "FRONT",
    "StreamCost",
    "Timing",
    "cost_table",
    "count_parameters",
    "forward_flops",
    "front_table",
    "kept_for_backward",
    "median_ms",
    "stream_cost",
]
