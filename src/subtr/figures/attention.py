"""What attention looks at, over the spectrogram that it looks at."""

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from subtr.figures.style import colour_of, panels, styled
from subtr.params import SettingsError
from subtr.timeline import Clock


@styled
def attention_over_tr(
    maps: Float[np.ndarray, "head query key"],
    mel: Float[np.ndarray, "tr frame mel"],
    clock: Clock,
    tr: int | Int[np.ndarray, ""],
    context_s: float = 0.0,
) -> Figure:
    """The spectrogram of a TR, how much each moment of it is attended to, and the heads' maps.

    In a map a row is the moment that asks, a column the moment that is looked at. 1 would be
    attention spread evenly.

    Arguments
        maps: weights of one layer; each row sums to 1, see `subtr.encoders.attention`.
        mel: log-mel of the whole study, with its clock.
        tr: the TR that the window is of.
        context_s: seconds of the neighbouring TRs that the window has on either side.

    Raises
        SettingsError: the TR is outside of the study.
    """
    if not 0 <= tr < len(mel):
        raise SettingsError(f"tr = {tr}: expected one from 0 to {len(mel) - 1}.")
    n_heads, _, n_keys = maps.shape
    columns = min(n_heads, 4)
    rows = -(-n_heads // columns)
    figure, axes = panels(
        2 + rows,
        columns,
        height_in=3.4 + 2.3 * rows,
        gridspec_kw={"height_ratios": [1.3, 0.8] + [2.0] * rows},
    )
    top, received = (_across(figure, axes, row) for row in range(2))
    start_s, end_s = -context_s, clock.tr_s + context_s
    stream = rearrange(mel, "tr frame mel -> (tr frame) mel")
    n_frames = mel.shape[1]
    context = round(context_s / clock.tr_s * n_frames)
    index = np.arange(tr * n_frames - context, (tr + 1) * n_frames + context)
    shown = stream[np.clip(index, 0, len(stream) - 1)].T
    extent = (start_s, end_s, -0.5, len(shown) - 0.5)
    top.imshow(shown, extent=extent, origin="lower", aspect="auto", cmap="magma")
    top.set(title=f"Log-mel of TR {tr}", ylabel="mel band", xticklabels=[])
    even = maps * n_keys
    key_s = start_s + (np.arange(n_keys) + 0.5) * (end_s - start_s) / n_keys
    for head in even.mean(axis=1):
        received.plot(key_s, head, linewidth=1, color=colour_of("PCA"), alpha=0.6)
    received.axhline(1, color="#999999", linewidth=0.8, zorder=0)
    received.set(title="Attention that each moment gets, a line a head (1: evenly spread)")
    received.set_ylim(bottom=0)
    received.set_xlabel("time within the TR (s)")
    largest = float(np.percentile(even, 99.5))
    for place, axis in enumerate(axes[2:].ravel()):
        if place >= n_heads:
            axis.set_visible(False)
            continue
        image = axis.imshow(
            even[place],
            extent=(start_s, end_s, end_s, start_s),
            cmap="viridis",
            vmin=0,
            vmax=largest,
            aspect="auto",
        )
        axis.set(title=f"head {place + 1}", xlabel="looked at (s)")
    axes[2, 0].set_ylabel("asks (s)")
    for axis in (top, received, *axes[2:].ravel()):
        for border in (0, clock.tr_s) if context_s else ():
            axis.axvline(border, color="white" if axis is not received else "#999999", ls=":", lw=1)
        axis.set_xlim(start_s, end_s)
    figure.colorbar(image, ax=list(axes[2:].ravel()), label="attention (1: even)", aspect=20)
    return figure


def _across(figure: Figure, axes: np.ndarray, row: int):
    """One panel in place of a row of them."""
    grid = axes[row, 0].get_gridspec()
    for axis in axes[row]:
        axis.remove()
    return figure.add_subplot(grid[row, :])
