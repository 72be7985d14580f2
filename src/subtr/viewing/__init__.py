"""Players of what systems make of a stimulus."""

from subtr.viewing.explorer import live_widgets
from subtr.viewing.film import side_by_side
from subtr.viewing.gallery import RECORDING, Gallery

__all__ = ["RECORDING", "Gallery", "live_widgets", "side_by_side"]
