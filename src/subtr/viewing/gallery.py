"""Players: what each system makes of the same TRs, to hear and to see, in a notebook or as files.

Sound is re-made of every spectrogram by the same vocoder, the original's included, so that what
differs is the system, not the way to sound.
"""

import html
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from IPython.display import HTML, Audio, Video, display
from jaxtyping import Float, Float32, UInt8

from subtr.decoders.vocoders import Chosen, choose_vocoder, write_sound
from subtr.experiments.results import check_writable
from subtr.figures.stimulus import checked_trs, reconstructions
from subtr.figures.style import colour_of
from subtr.params import SettingsError, nearest
from subtr.stimulus.media import resample
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock, Trs
from subtr.viewing.explorer import live_widgets, show_widgets
from subtr.viewing.film import film_of
from subtr.viewing.sounds import recorded, remade

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
