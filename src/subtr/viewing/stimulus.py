"""Figures of the stimulus: log-mel, pictures, features and attention."""

from collections.abc import Mapping

import librosa
import numpy as np
from einops import rearrange
from jaxtyping import Float, Float64, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock, Trs
from subtr.viewing.style import WIDTH_IN, colour_of, panels, styled

_CMAP = "magma"


@styled
def within_tr(
    mel: Float[np.ndarray, "tr frame mel"],
    clock: Clock,
    mel_settings: MelSettings,
    trs: Trs,
    pictures: UInt8[np.ndarray, "tr picture height width 3"] | None = None,
) -> Figure:
    """What a TR hides: pictures and log-mel of some TRs, and what averaging leaves of them.

    Arguments
        mel: log-mel (TR, frame, mel) of the whole study.
        clock: its clock; its frames may be more or fewer.
        trs: consecutive TRs to show.
        pictures: 0 to 255 (TR, picture, height, width, rgb), or None.

    Raises
        SettingsError: TRs that are not consecutive, or outside of the study.
    """
    trs = checked_trs(trs, len(mel))
    shown = mel[trs]
    rows = [(shown, f"Log-mel spectrogram: {mel.shape[1]} frames in each TR")]
    rows += [(_averaged(shown), "What a mean over the TR leaves of it")]
    heights = [1.6, 1.6]
    n_strips = 0
    if pictures is not None:
        per_tr = max(1, min(pictures.shape[1], 12 // len(trs)))
        height, width = pictures.shape[2:4]
        strip_in = (WIDTH_IN - 1.5) / (per_tr * len(trs)) * height / width
        n_strips, heights = 2, [strip_in, strip_in, *heights]
    figure, axes = panels(
        len(heights),
        height_in=sum(heights) + 0.45 * len(heights),
        gridspec_kw={"height_ratios": heights},
        sharex=True,
    )
    axes = axes[:, 0]
    if pictures is not None:
        chosen = np.linspace(0, pictures.shape[1] - 1, per_tr).round().astype(int)
        _strip(axes[0], pictures[trs][:, chosen], trs, clock)
        axes[0].set_title(f"Pictures: {per_tr} of {pictures.shape[1]} in each TR")
        mean = pictures[trs].mean(1, keepdims=True).round().astype(np.uint8)
        _strip(axes[1], mean, trs, clock, width=1 / per_tr)
        axes[1].set_title("The mean picture of each TR")
    _mel_panels(figure, axes[n_strips:], rows, clock, mel_settings, trs)
    return figure


@styled
def reconstructions(
    mels: Mapping[str, Float[np.ndarray, "tr frame mel"]],
    clock: Clock,
    mel_settings: MelSettings,
    trs: Trs,
) -> Figure:
    """Log-mel spectrograms of the original and of systems, one below the other, on one scale.

    Arguments
        mels: name -> log-mel (TR, frame, mel); "original" comes first, wherever it stands.
        clock: of the study, for seconds.
        trs: consecutive TRs to show.

    Raises
        SettingsError: nothing to show, or TRs that are not consecutive or outside of the study.
    """
    names = _original_first(mels)
    trs = checked_trs(trs, min(len(mels[name]) for name in names))
    figure, axes = panels(len(names), height_in=0.6 + 1.35 * len(names), sharex=True, sharey=True)
    rows = [(mels[name][trs], name) for name in names]
    _mel_panels(figure, axes[:, 0], rows, clock, mel_settings, trs)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_title(name, color=colour_of(name), weight="bold")
    return figure


@styled
def picture_strips(
    pictures: Mapping[str, UInt8[np.ndarray, "tr picture height width 3"]], tr: int
) -> Figure:
    """Pictures of one TR: a row a system, time from left to right; up to 8 evenly chosen.

    Raises
        SettingsError: nothing to show, or a TR outside of the study.
    """
    names = _original_first(pictures)
    checked_trs([tr], min(len(pictures[name]) for name in names))
    n_pictures, height, width = pictures[names[0]].shape[1:4]
    n_shown = min(n_pictures, 8)
    row_in = (WIDTH_IN - 1.6) / n_shown * height / width
    figure, axes = panels(len(names), height_in=0.6 + len(names) * (row_in + 0.12))
    for axis, name in zip(axes[:, 0], names, strict=True):
        strip = pictures[name][tr]
        chosen = np.linspace(0, len(strip) - 1, n_shown).round().astype(int)
        # A white line between pictures.
        tiles = np.pad(strip[chosen], ((0, 0), (0, 0), (0, 2), (0, 0)), constant_values=255)
        axis.imshow(rearrange(tiles, "n h w c -> h (n w) c"), interpolation="nearest")
        axis.set_yticks([height / 2 - 0.5], [name])
        axis.tick_params(axis="y", length=0, labelcolor=colour_of(name))
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
    where = (np.arange(n_shown) + 0.5) * (tiles.shape[2]) - 1
    axis.set_xticks(where, [f"{(c + 0.5) / len(strip):.2f}" for c in chosen])
    axis.set_xlabel(f"time within TR {tr} (TRs)")
    return figure


def checked_trs(trs: Trs, n_trs: int) -> np.ndarray:
    """TRs as an array, consecutive and inside of the study.

    Raises
        SettingsError: they are not.
    """
    trs = np.asarray(list(trs), dtype=int)
    if not len(trs) or trs.min() < 0 or trs.max() >= n_trs or (np.diff(trs) != 1).any():
        shown = ", ".join(map(str, trs[:6])) + (", ..." if len(trs) > 6 else "")
        raise SettingsError(
            f"trs = [{shown}]: expected consecutive TRs from 0 to {n_trs - 1}, such as range(0, 4)."
        )
    return trs


def _original_first(named: Mapping) -> list[str]:
    if not named:
        raise SettingsError("Nothing to show: expected at least one name with its arrays.")
    return sorted(named, key=lambda name: name != "original")


def _averaged(mel: np.ndarray) -> Float64[np.ndarray, "tr frame mel"]:
    return np.broadcast_to(mel.mean(1, keepdims=True), mel.shape).astype(np.float64)


def _strip(axis: Axes, pictures: np.ndarray, trs: np.ndarray, clock: Clock, width=None) -> None:
    """Pictures over the seconds of their TRs, or one per TR in the middle, ``width`` TRs wide."""
    start_s = clock.onset_s + trs[0] * clock.tr_s
    each = width or 1 / pictures.shape[1]
    for index, picture in enumerate(pictures.reshape(-1, *pictures.shape[2:])):
        centre = (index + 0.5) / pictures.shape[1]
        left, right = (start_s + (centre + side * each / 2) * clock.tr_s for side in (-0.97, 0.97))
        axis.imshow(picture, extent=(left, right, 0, 1), aspect="auto", interpolation="nearest")
    axis.set_xlim(start_s, start_s + len(trs) * clock.tr_s)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="x", length=0)


def _mel_panels(figure, axes, rows, clock: Clock, settings: MelSettings, trs) -> None:
    """Spectrograms over seconds, all on the scale of the first, with one colour bar."""
    start_s = clock.onset_s + trs[0] * clock.tr_s
    end_s = start_s + len(trs) * clock.tr_s
    low, high = np.nanpercentile(rows[0][0], [1, 99.8])
    bands_hz = librosa.mel_frequencies(
        settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.fmax_hz
    )[1:-1]
    marks_hz = [hz for hz in (250, 1000, 4000) if settings.fmin_hz < hz < settings.fmax_hz]
    marks = np.interp(marks_hz, bands_hz, np.arange(settings.n_mels))
    for axis, (mel, title) in zip(axes, rows, strict=True):
        image = axis.imshow(
            rearrange(mel, "tr frame mel -> mel (tr frame)"),
            extent=(start_s, end_s, -0.5, settings.n_mels - 0.5),
            origin="lower",
            aspect="auto",
            cmap=_CMAP,
            vmin=low,
            vmax=high,
            interpolation="nearest",
        )
        for tr in range(1, len(trs)):
            axis.axvline(start_s + tr * clock.tr_s, color="white", linewidth=0.8, linestyle=":")
        axis.set_yticks(marks, [f"{hz / 1000:g}" for hz in marks_hz])
        axis.set_title(title)
        axis.set_ylabel("kHz")
    axes[-1].set_xlabel("stimulus time (s); dotted: TRs")
    figure.colorbar(image, ax=list(axes), label="log mel amplitude", pad=0.01, aspect=30)


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
