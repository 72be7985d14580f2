"""What was shown when in a run, by its events; and that, on the volumes of the run."""

import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8

from subtr.datasets.bids_files import RunFiles, inherited
from subtr.params import StudyError
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media, log_mel_of_sound
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.timeline import Clock


class Shown(NamedTuple):
    """A media file that began ``onset_s`` seconds after the first volume of its run."""

    onset_s: float
    duration_s: float
    media: Path


def shown_in(root: Path, run: RunFiles, film: Path | None, onset_s: float | None) -> list[Shown]:
    """The stimuli of a run in the order of their onsets.

    Arguments
        film: a media file in place of the only one that the events name; or of what events without
            ``stim_file`` begin with.
        onset_s: when the film began; None to ask the events.

    Raises
        StudyError: no events, none with a stimulus, or a stimulus that does not exist.
    """
    if onset_s is not None:
        if film is None:
            raise StudyError(
                f"onset_s = {onset_s:g}: of what? Give a film with it, or leave it to the events."
            )
        return [Shown(float(onset_s), probe(film).duration_s, film)]
    file = inherited(root, run, "events.tsv")
    if file is None:
        raise StudyError(
            f"{run} has no events: expected *_task-{run.entities['task']}*_events.tsv in {root} "
            "with onset, duration and stim_file. Add it, or give a film and set onset_s to the "
            "second after the first volume at which it began."
        )
    events = _read_events(file)
    if "stim_file" not in events:
        if film is None:
            raise StudyError(
                f"{file} has no column stim_file: name the media of each event in it, relative to "
                f"{root / 'stimuli'}; or give the film that its first event begins."
            )
        return [Shown(float(events["onset"].iloc[0]), probe(film).duration_s, film)]
    events = events[events["stim_file"].notna()]
    if events.empty:
        raise StudyError(f"{file}: no event has a stim_file. Name the media that was shown.")
    named = events["stim_file"].astype(str)
    if film is not None and named.nunique() > 1:
        raise StudyError(
            f"a film stands in for one stimulus, but {file} names {named.nunique()} "
            f"({', '.join(named.unique()[:3])}, ...). Leave the film out, and put these into "
            f"{root / 'stimuli'}."
        )
    shown = []
    for event, name in zip(events.itertuples(), named, strict=True):
        media = film or _stimulus(root, file, name)
        length_s = probe(media).duration_s
        duration_s = float(event.duration)
        lasting = math.isfinite(duration_s) and duration_s > 0
        shown.append(
            Shown(float(event.onset), min(duration_s, length_s) if lasting else length_s, media)
        )
    return sorted(shown)


def first_and_last(shown: list[Shown], tr_s: float, n_trs: int) -> tuple[int, int]:
    """The volumes of a run from the first during a stimulus to one past the last."""
    first = max(math.floor(min(one.onset_s for one in shown) / tr_s + 1e-6), 0)
    end_s = max(one.onset_s + one.duration_s for one in shown)
    return first, min(math.ceil(end_s / tr_s - 1e-6), n_trs)


def run_mel(
    shown: list[Shown], first: int, clock: Clock, settings: MelSettings
) -> Float32[np.ndarray, "tr frame mel"]:
    """Log-mel of all stimuli at their times, silence between them.

    Arguments
        first: the run's volume that the clock begins with.
        clock: gives the TR, the number of TRs and of frames; not its onset.
    """
    silence = np.zeros(settings.window_samples, np.float32)
    empty = log_mel_of_sound(silence, settings.rate_hz, Clock(clock.tr_s, 1, 0.0, 1), settings)
    out = np.tile(empty, (clock.n_trs, clock.frames_per_tr, 1))
    for one in shown:
        if probe(one.media).sound_rate_hz is not None:
            _put(out, one, first, clock, partial(log_mel_of_media, one.media, settings=settings))
    return out


def run_pictures(
    shown: list[Shown], first: int, clock: Clock, settings: PictureSettings
) -> UInt8[np.ndarray, "tr picture height width 3"]:
    """Pictures of all stimuli at their times, black between them; arguments as of `run_mel`."""
    clock = clock.with_frames(settings.frames_per_tr)
    shape = (clock.n_trs, clock.frames_per_tr, settings.height, settings.width, 3)
    out = np.zeros(shape, np.uint8)
    for one in shown:
        if probe(one.media).width is not None:
            _put(out, one, first, clock, partial(pictures_of_media, one.media, settings=settings))
    return out


def _put(out: np.ndarray, one: Shown, first: int, clock: Clock, of_clock) -> None:
    """Writes what ``of_clock`` gives of a stimulus's own seconds where it was on."""
    begin, end = first_and_last([one], clock.tr_s, first + clock.n_trs)
    begin = max(begin, first)
    if end <= begin:
        return
    own = Clock(clock.tr_s, end - begin, begin * clock.tr_s - one.onset_s, clock.frames_per_tr)
    times_s = own.frame_times_s()
    on = (times_s >= 0) & (times_s < one.duration_s)
    out[begin - first : end - first][on] = np.asarray(of_clock(own))[on]


def _read_events(file: Path) -> pd.DataFrame:
    try:
        events = pd.read_csv(file, sep="\t", na_values="n/a")
        events[["onset", "duration"]] = events[["onset", "duration"]].astype(float)
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise StudyError(
            f"{file}: expected a table with tabs, and seconds in onset and duration ({error})."
        ) from error
    if events.empty or events["onset"].isna().any():
        raise StudyError(f"{file}: expected events, each with its onset in seconds.")
    return events.sort_values("onset")


def _stimulus(root: Path, events: Path, name: str) -> Path:
    name = name.removeprefix("bids::").removeprefix("stimuli/")
    media = root / "stimuli" / name
    if not media.is_file():
        raise StudyError(
            f"{events} names {name}, but {media} does not exist. Put it there, or, where one media "
            "file is all that was shown, give it as the film."
        )
    return media
