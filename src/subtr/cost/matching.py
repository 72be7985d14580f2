"""The width at which a stream has as many parameters as another, so that they compete alike."""

from collections.abc import Callable

from subtr.cost.measuring import count_parameters
from subtr.errors import SettingsError
from subtr.models import Stream, StreamParams


def matched_width(
    params_at: Callable[[int], StreamParams],
    n_parameters: int,
    in_dim: int | tuple[int, int],
    frames_per_tr: int,
    dim: int,
    step: int = 8,
    widest: int = 1024,
) -> int:
    """The width whose stream comes nearest to ``n_parameters``.

    Arguments
        params_at: width -> a stream of that width; more of it means more parameters.
        in_dim, frames_per_tr, dim: see `subtr.models.Stream`.
        step: widths tried are its multiples, as heads must share a width evenly.
        widest: none beyond it is tried.

    Raises
        SettingsError: the narrowest or the widest is more than a quarter off.
    """

    def count(index: int) -> int:
        return count_parameters(Stream(in_dim, frames_per_tr, dim, params_at(index * step)))

    low, high = 1, widest // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= n_parameters else (low, middle)
    counts = {index * step: count(index) for index in (low, high)}
    width = min(counts, key=lambda one: abs(counts[one] - n_parameters))
    if not 0.75 < counts[width] / n_parameters < 1.33:
        raise SettingsError(
            f"{params_at(width).encoder.name}: {counts[width]:,} parameters at a width of {width} "
            f"are the nearest to {n_parameters:,}; expected at most a quarter off. Choose another "
            "number, or other options."
        )
    return width
