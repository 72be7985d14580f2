"""Players of what systems make of a stimulus."""

from subtr.viewing.explorer import live_widgets
from subtr.viewing.film import side_by_side
from subtr.viewing.gallery import RECORDING, Gallery
from subtr.viewing.rates import explore_rates, rate_curves

__all__ = ["RECORDING", "Gallery", "explore_rates", "live_widgets", "rate_curves", "side_by_side"]
