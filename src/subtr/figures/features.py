"""What people noted about a stimulus, over the frames of a few TRs."""

import numpy as np
from einops import rearrange
from jaxtyping import Float
from matplotlib.figure import Figure

from subtr.figures.stimulus import checked_trs
from subtr.figures.style import panels, styled
from subtr.params import SettingsError
from subtr.timeline import Clock, Trs


@styled
def feature_strips(
    features: Float[np.ndarray, "tr frame feature"],
    names: tuple[str, ...],
    clock: Clock,
    trs: Trs,
    most: int = 16,
) -> Figure:
    """Features of some TRs frame by frame, each from its lowest to its highest in the study.

    Lines stand at the borders of TRs: what changes between them, an average over a TR hides.

    Arguments
        features, names: of the whole study, see ``Study``.
        trs: consecutive TRs to show.
        most: how many features at most; those that change within these TRs come first.

    Raises
        SettingsError: TRs that are not consecutive, or outside of the study; no features.
    """
    if not len(names):
        raise SettingsError("features: none to show.")
    trs = checked_trs(trs, len(features))
    low, high = features.min((0, 1)), features.max((0, 1))
    scaled = (features[trs] - low) / np.where(high > low, high - low, 1)
    shown = rearrange(scaled, "t f v -> v (t f)")
    order = np.argsort(-np.ptp(shown, axis=1), kind="stable")[:most]
    figure, axes = panels(1, height_in=0.5 + 0.22 * len(order))
    axis = axes[0, 0]
    start_s = clock.onset_s + trs[0] * clock.tr_s
    end_s = start_s + len(trs) * clock.tr_s
    extent = (start_s, end_s, len(order) - 0.5, -0.5)
    axis.imshow(shown[order], extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1,
                interpolation="nearest")  # fmt: skip
    for border in range(1, len(trs)):
        axis.axvline(start_s + border * clock.tr_s, linewidth=0.8)
    axis.set_yticks(range(len(order)), [names[index] for index in order])
    axis.set_xlabel("Stimulus time (s)")
    axis.set_title("Features, frame by frame")
    return figure
