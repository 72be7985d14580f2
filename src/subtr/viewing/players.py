"""Players: listening and viewing reconstructions inline."""

import html
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from IPython import get_ipython
from IPython.display import HTML, Audio, Video, display
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from subtr.datasets.study import Study
from subtr.decoders.griffin_lim import Vocoder
from subtr.decoders.vocoders import Chosen, choose_vocoder, write_sound
from subtr.experiments.results import check_writable
from subtr.params import SettingsError, SubtrError, nearest
from subtr.stimulus.media import resample
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import AAC_HZ, write_film
from subtr.timeline import Clock, Trs
from subtr.viewing.stimulus import checked_trs, reconstructions
from subtr.viewing.style import colour_of


def live_widgets():
    """The module ipywidgets where its widgets can answer, else None and the reason."""
    wish = os.environ.get("SUBTR_STATIC", "")
    if wish not in ("", "0"):
        return None, f"SUBTR_STATIC is {wish}"
    try:
        import ipywidgets
    except ImportError:
        return None, "ipywidgets is not installed"
    # Jupyter and VS Code say so to the kernels they start; papermill and nbconvert do not.
    live = get_ipython() is not None and ({"JPY_SESSION_NAME", "VSCODE_PID"} & set(os.environ))
    if live or wish == "0":
        return ipywidgets, ""
    return None, "this notebook is not live: open it in JupyterLab to choose"


def show_widgets(
    widgets, n_trs: int, first_last: tuple[int, int], names: Sequence[str], show: Callable
) -> None:
    """A slider of TRs and a list of systems above what ``show(trs, names)`` displays.

    ``names`` given to ``show`` is None for all systems. What the user chose wrongly is said in
    place of the players.
    """
    span = widgets.IntRangeSlider(
        value=first_last, max=n_trs - 1, description="TRs", continuous_update=False
    )
    system = widgets.Dropdown(options=["all", *names], description="System")
    output = widgets.Output()

    def refresh(_=None):
        output.clear_output(wait=True)
        first, last = span.value
        with output:
            try:
                show(range(first, last + 1), None if system.value == "all" else [system.value])
            except SubtrError as error:
                print(error)

    for control in (span, system):
        control.observe(refresh, names="value")
    display(widgets.VBox([widgets.HBox([span, system]), output]))
    refresh()


_PICTURE_WIDTH = 240

_LABEL_HEIGHT = 22


def side_by_side(
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]],
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Pictures of several systems beside one another, enlarged by whole factors, names above.

    Arguments
        pictures: name -> (TR, picture, height, width, rgb). Of fewer pictures in a TR than the
            most, each is shown for longer.

    Yields
        Pictures of even height and width.
    """
    n_pictures = max(values.shape[1] for values in pictures.values())
    n_trs = min(len(values) for values in pictures.values())
    labels = {}
    for tr, index in np.ndindex(n_trs, n_pictures):
        tiles = []
        for name, values in pictures.items():
            picture = values[tr, index * values.shape[1] // n_pictures]
            factor = max(1, _PICTURE_WIDTH // picture.shape[1])
            picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
            if name not in labels:
                labels[name] = _label(name, picture.shape[1])
            tiles.append(np.concatenate([labels[name], picture]))
        height = max(len(tile) for tile in tiles)
        height += height % 2
        tiles = [np.pad(tile, ((0, height - len(tile)), (0, 0), (0, 0))) for tile in tiles]
        joined = np.concatenate(tiles, axis=1)
        yield np.pad(joined, ((0, 0), (0, joined.shape[1] % 2), (0, 0)))


def film_of(
    file: Path,
    clock: Clock,
    trs: Int64[np.ndarray, " tr"],
    pictures: Mapping[str, UInt8[np.ndarray, "all_tr _ _ _ 3"]],
    heard: tuple[Float[np.ndarray, " sample"], int] | None,
) -> Path:
    """Writes some TRs of several systems side by side, with sound (samples, rate) if any.

    Raises
        MediaError: see `write_film`.
    """
    sound, rate_hz = heard or (None, None)
    if rate_hz is not None and rate_hz not in AAC_HZ:
        sound, rate_hz = resample(sound, rate_hz, 48000), 48000
    shown = {name: values[trs] for name, values in pictures.items()}
    picture_hz = max(values.shape[1] for values in shown.values()) / clock.tr_s
    return write_film(file, side_by_side(shown), picture_hz, sound, rate_hz)


def _label(name: str, width: int) -> np.ndarray:
    bar = Image.new("RGB", (width, _LABEL_HEIGHT))
    ImageDraw.Draw(bar).text((5, 3), name, fill="white", font=ImageFont.load_default(size=14))
    return np.asarray(bar)


_CONTEXT_TRS = 1


def recorded(
    recording: Float[np.ndarray, " sample"],
    rate_hz: int,
    clock: Clock,
    trs: Int64[np.ndarray, " tr"],
) -> Float32[np.ndarray, " heard"]:
    """What of a recording is heard during consecutive TRs; silence outside of it.

    Arguments
        recording: mono sound, sample 0 at stimulus second 0.
    """
    first = round((clock.onset_s + trs[0] * clock.tr_s) * rate_hz)
    piece = np.zeros(round(len(trs) * clock.tr_s * rate_hz), np.float32)
    heard = recording[max(first, 0) : max(first + len(piece), 0)]
    piece[max(-first, 0) :][: len(heard)] = heard
    return piece


def remade(
    name: str,
    mel: Float[np.ndarray, "all_tr frame mel"],
    vocoder: Vocoder,
    clock: Clock,
    trs: Int64[np.ndarray, " tr"],
) -> Float32[np.ndarray, " heard"]:
    """Consecutive TRs of a log-mel through a vocoder.

    One TR on either side is re-made too, then cut, so that the ends sound as the middle.

    Raises
        SettingsError: TRs that are NaN, with the name of what left them out.
    """
    known = np.isfinite(mel).all(axis=(1, 2))
    if not known[trs].all():
        unknown = ", ".join(map(str, trs[~known[trs]][:6]))
        raise SettingsError(
            f"{name} did not reconstruct TRs {unknown}: choose TRs that every system "
            "reconstructed, such as those of one test block."
        )
    start, stop = trs[0], trs[-1] + 1
    for _ in range(_CONTEXT_TRS):
        start -= start > 0 and known[start - 1]
        stop += stop < len(known) and known[stop]
    sound = vocoder(mel[start:stop], clock.with_frames(mel.shape[1]))
    tr_samples = clock.tr_s * vocoder.rate_hz
    first = round((trs[0] - start) * tr_samples)
    return sound[first : first + round(len(trs) * tr_samples)]


# Players: what each system makes of the same TRs, to hear and to see, in a notebook or as files.
#
# Sound is re-made of every spectrogram by the same vocoder, the original's included, so that what
# differs is the system, not the way to sound.

RECORDING = "original recording"

# What is embedded swells the notebook file.
_LONGEST_S = 15.0


@dataclass(frozen=True)
class Gallery:
    """Sound and pictures of an original and of systems, for the same TRs.

    Arguments
        clock: of the study.
        mel_settings: by which the spectrograms were made.
        mels: name -> log-mel (TR, frame, mel); NaN at TRs that a system did not reconstruct.
        pictures: name -> 0 to 255 (TR, picture, height, width, rgb); any number of pictures.
        recording: mono sound of the stimulus, sample 0 at stimulus second 0; shown and saved as
            "original recording".
        rate_hz: samples per second of ``recording``.
        vocoder: what spectrograms are heard through, and why; None for Griffin-Lim.

    Raises
        SettingsError: nothing to play, names that differ in TRs, or a recording without its rate.
    """

    clock: Clock
    mel_settings: MelSettings
    mels: Mapping[str, Float[np.ndarray, "_ _ _"]] = field(default_factory=dict)
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]] = field(default_factory=dict)
    recording: Float[np.ndarray, " sample"] | None = None
    rate_hz: int | None = None
    vocoder: Chosen | None = None

    def __post_init__(self):
        if self.vocoder is None:
            object.__setattr__(self, "vocoder", choose_vocoder("mixed", self.mel_settings))
        if not self.mels and not self.pictures:
            raise SettingsError("Nothing to play: expected spectrograms, pictures or both.")
        if self.recording is not None and not self.rate_hz:
            raise SettingsError("recording without rate_hz: give its samples per second.")
        for name, values in [*self.mels.items(), *self.pictures.items()]:
            if len(values) != self.clock.n_trs:
                raise SettingsError(
                    f"{name} has {len(values)} TRs, the clock {self.clock.n_trs}: give every "
                    "system for all TRs of the study, and choose TRs when playing."
                )

    @property
    def names(self) -> list[str]:
        """All names: the recording's first, then those of spectrograms and of pictures."""
        recorded = [RECORDING] if self.recording is not None else []
        return list(dict.fromkeys([*recorded, *self.mels, *self.pictures]))

    def sounds(
        self, trs: Trs, names: Sequence[str] | None = None
    ) -> dict[str, tuple[Float32[np.ndarray, " sample"], int]]:
        """Name -> samples of these TRs, and their rate; the recording first where there is one.

        Raises
            SettingsError: an unknown name, TRs not consecutive, or not reconstructed.
        """
        trs = checked_trs(trs, self.clock.n_trs)
        names, sounds = self._checked_names(names), {}
        if RECORDING in names:
            heard = recorded(self.recording, self.rate_hz, self.clock, trs)
            sounds[RECORDING] = (heard, int(self.rate_hz))
        for name in names:
            if name in self.mels:
                heard = remade(name, self.mels[name], self.vocoder.vocoder, self.clock, trs)
                sounds[name] = (heard, self.mel_settings.rate_hz)
        return sounds

    def listen(self, trs: Trs, names: Sequence[str] | None = None) -> None:
        """Shows the spectrograms of these TRs, the vocoder, and each system's sound in a player.

        Raises
            SettingsError: as `sounds`; more than 15 s of TRs.
        """
        trs = self._short(trs)
        sounds = self.sounds(trs, names)
        if mels := {name: self.mels[name] for name in sounds if name in self.mels}:
            display(reconstructions(mels, self.clock, self.mel_settings, trs))
            display(HTML(f"<i>{html.escape(self.vocoder.why)}</i>"))
        for name, (sound, rate_hz) in sounds.items():
            display(HTML(f'<b style="color:{colour_of(name)}">{name}</b>'))
            if rate_hz > (own_hz := self.mel_settings.rate_hz):
                sound, rate_hz = resample(sound, rate_hz, own_hz), own_hz
            # Without normalisation, or differences in loudness would not be heard.
            display(Audio(np.clip(sound, -1, 1), rate=rate_hz, normalize=False))

    def watch(self, trs: Trs, names: Sequence[str] | None = None) -> None:
        """Shows a film of these TRs: the pictures of all systems side by side, with their names.

        Its sound is the recording, else that of the first spectrogram.

        Raises
            SettingsError: no pictures, an unknown name, TRs not consecutive or more than 15 s.
        """
        trs = self._short(trs)
        pictures = self._pictures(names)
        if not pictures:
            raise SettingsError("No pictures to watch: give the gallery pictures of a system.")
        with tempfile.TemporaryDirectory() as folder:
            sound = self.sounds(trs, self.names[:1]).get(self.names[0])
            file = film_of(Path(folder) / "film.mp4", self.clock, trs, pictures, sound)
            display(Video(data=file.read_bytes(), embed=True, mimetype="video/mp4"))

    def save(self, folder: Path | str, trs: Trs) -> list[Path]:
        """Writes a wav and an mp4 a system, named after it, and one mp4 of all side by side.

        Returns
            The files written.

        Raises
            SubtrError: as `sounds`, or the folder cannot be written.
        """
        trs, folder = checked_trs(trs, self.clock.n_trs), check_writable(folder)
        sounds = self.sounds(trs)
        files = [
            write_sound(folder / f"{_slug(name)}.wav", sound, rate_hz)
            for name, (sound, rate_hz) in sounds.items()
        ]
        for name, pictures in self.pictures.items():
            file = folder / f"{_slug(name)}.mp4"
            files.append(film_of(file, self.clock, trs, {name: pictures}, sounds.get(name)))
        if len(self.pictures) > 1:
            file = folder / "side_by_side.mp4"
            files.append(film_of(file, self.clock, trs, self.pictures, sounds.get(self.names[0])))
        return files

    def explore(self, trs: Trs | None = None) -> None:
        """A slider of TRs and a list of systems; where widgets cannot live, a fixed gallery.

        That is: without ipywidgets, outside of a live notebook (papermill, nbconvert), or with
        SUBTR_STATIC=1; a line says so. SUBTR_STATIC=0 shows the widgets anyway.

        Arguments
            trs: those shown first; by default the first 6 s.
        """
        n_first = min(self.clock.n_trs, max(1, int(6.0 / self.clock.tr_s)))
        trs = self._short(range(n_first) if trs is None else trs)
        widgets, why = live_widgets()
        if widgets is not None:
            first_last = (int(trs[0]), int(trs[-1]))
            return show_widgets(widgets, self.clock.n_trs, first_last, self.names, self._show)
        print(f"A fixed gallery of TRs {trs[0]} to {trs[-1]}, for {why}.")
        return self._show(trs, None)

    def _show(self, trs: Trs, names: Sequence[str] | None) -> None:
        self.listen(trs, names)
        if self._pictures(names):
            self.watch(trs, names)

    def _checked_names(self, names: Sequence[str] | None) -> list[str]:
        for name in names or ():
            if name not in self.names:
                raise SettingsError(f"{name!r} is not in the gallery{nearest(name, self.names)}")
        return self.names if names is None else [name for name in self.names if name in names]

    def _pictures(self, names: Sequence[str] | None) -> dict[str, np.ndarray]:
        chosen = self._checked_names(names)
        return {name: self.pictures[name] for name in self.pictures if name in chosen}

    def _short(self, trs: Trs) -> np.ndarray:
        trs = checked_trs(trs, self.clock.n_trs)
        if len(trs) * self.clock.tr_s > _LONGEST_S:
            raise SettingsError(
                f"{len(trs)} TRs last {len(trs) * self.clock.tr_s:g} s: expected at most "
                f"{_LONGEST_S:g} s to embed in a notebook; save(folder, trs) writes longer ones."
            )
        return trs


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


def listen(
    sounds: Mapping[str, Float[np.ndarray, "tr frame mel"]], study: Study, longest_s: float = 15.0
) -> HTML:
    """One audio player a name, each with its sound; none starts by itself.

    All spectrograms go through the same vocoder, the original's included, so that what differs is
    the system.

    Arguments
        sounds: name -> log-mel of the same consecutive TRs, such as ``study.audio[fold.test]``.
        study: whose clock and mel settings they have.
        longest_s: seconds from the first of these TRs that are played; what is embedded swells a
            notebook.

    Raises
        SettingsError: nothing to play, or spectrograms of different TRs.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=60, n_subjects=2)
        >>> players = st.listen({"original": study.audio[:2], "again": study.audio[:2]}, study)
        >>> players.data.count("<audio")
        2
    """
    clock = _clock_of(sounds, study, longest_s)
    vocoder, hz = choose_vocoder("mixed", study.mel_settings), study.mel_settings.rate_hz
    trs, parts = np.arange(clock.n_trs), []
    for name, mel in sounds.items():
        heard = remade(name, np.asarray(mel)[: clock.n_trs], vocoder.vocoder, clock, trs)
        # Without normalisation, or differences in loudness would not be heard.
        player = Audio(np.clip(heard, -1, 1), rate=hz, normalize=False)._repr_html_()
        parts.append(f'<b style="color:{colour_of(name)}">{html.escape(name)}</b>{player}')
    return HTML("\n".join(parts))


def watch(
    videos: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]], study: Study, longest_s: float = 15.0
) -> Video:
    """A silent film of pictures side by side, with their names.

    Arguments
        videos: name -> 0 to 255 (TR, picture, height, width, rgb) of the same consecutive TRs.
        study: whose clock they have.
        longest_s: seconds from the first of these TRs that are shown.

    Raises
        SettingsError: nothing to show, or pictures of different TRs.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=60, n_subjects=2)
        >>> st.watch({"original": study.video[:2]}, study).mimetype
        'video/mp4'
    """
    clock = _clock_of(videos, study, longest_s)
    with tempfile.TemporaryDirectory() as folder:
        file = film_of(Path(folder) / "film.mp4", clock, np.arange(clock.n_trs), videos, None)
        return Video(data=file.read_bytes(), embed=True, mimetype="video/mp4")


def _clock_of(given: Mapping[str, np.ndarray], study: Study, longest_s: float) -> Clock:
    lengths = {name: len(of) for name, of in given.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        said = ", ".join(f"{name} {n} TRs" for name, n in lengths.items()) or "nothing"
        raise SettingsError(f"expected the same TRs of each name, got {said}.")
    n_trs = min(min(lengths.values()), max(1, int(longest_s / study.clock.tr_s)))
    return replace(study.clock, n_trs=n_trs)
