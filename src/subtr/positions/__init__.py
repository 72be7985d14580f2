"""Temporal positional encodings: they tell each frame when in its TR it is.

An encoding is built from its options alone. It is given frames, the second since the TR's onset at
each frame's middle (negative in frames of the TR before) and the TR in seconds, and ``out_dim``
says how many features a frame has then. What was there stays first; codes are appended. All take
any number of frames and any TR, also others than those of training.
"""

from subtr.params import Registry
from subtr.positions.elapsed import ElapsedTime
from subtr.positions.erpe import RelativePosition
from subtr.positions.none import NoPosition
from subtr.positions.sinusoidal import Sinusoidal, TimeAware
from subtr.positions.tape import LengthScaledPosition
from subtr.positions.time2vec import Time2Vec

POSITIONS = Registry(
    "position",
    {
        "none": NoPosition,
        "elapsed": ElapsedTime,
        "sinusoidal": Sinusoidal,
        "time_aware": TimeAware,
        "time2vec": Time2Vec,
        "tape": LengthScaledPosition,
        "erpe": RelativePosition,
    },
)

__all__ = [
    "POSITIONS",
    "ElapsedTime",
    "LengthScaledPosition",
    "NoPosition",
    "RelativePosition",
    "Sinusoidal",
    "Time2Vec",
    "TimeAware",
]
