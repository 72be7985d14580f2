"""Alice in Wonderland: 27 listeners of a 12-minute story, six regions, and every word's time.

Source: Brennan, Stabler, Van Wagenen, Luh and Hale 2016, Abstract linguistic structure correlates
with temporal activity during naturalistic comprehension, Brain and Language 157-158 (CC BY 4.0).
"""

import re
import warnings
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64
from pydantic import Field

from subtr.datasets.fetch import find_data
from subtr.datasets.study import Study
from subtr.params import StudyError, StudyWarning
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.timeline import Clock

_PAUSES = ("", "sp")


def read_words(textgrid: Path) -> pd.DataFrame:
    """Words of a Praat word tier: columns onset_s, offset_s (stimulus seconds) and word.

    Raises
        StudyError: the file is missing or holds no words.
    """
    try:
        text = textgrid.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{textgrid} cannot be read: expected a Praat TextGrid.") from error
    pattern = r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"'
    rows = [
        (float(onset_s), float(offset_s), word.strip().replace('""', '"'))
        for onset_s, offset_s, word in re.findall(pattern, text)
        if word.strip() not in _PAUSES
    ]
    if not rows:
        raise StudyError(f"{textgrid} holds no words: expected a Praat TextGrid in long form.")
    return pd.DataFrame(rows, columns=["onset_s", "offset_s", "word"])


def word_rate(words: pd.DataFrame, clock: Clock) -> Float64[np.ndarray, "tr 1"]:
    """Words that begin in each TR (n_trs, 1); words outside of the volumes are not counted.

    Arguments
        words: with a column onset_s.
    """
    tr = np.floor((words["onset_s"].to_numpy() - clock.onset_s) / clock.tr_s).astype(int)
    inside = tr[(tr >= 0) & (tr < clock.n_trs)]
    return np.bincount(inside, minlength=clock.n_trs).astype(np.float64)[:, None]


# Columns of the time courses, from the README of the data: anterior temporal (left, right), left
# posterior temporal, inferior parietal, premotor, inferior frontal.
REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")

# The first ten volumes were discarded, which are the 20 s of silence before the story. What was on
# then is known, and shapes the volumes after: BOLD rises steeply when silence ends.
DISCARDED_TRS = 10
RECORDED_TRS = 362
N_TRS = DISCARDED_TRS + RECORDED_TRS
N_PREDICTORS = 12
_RECORDING = "alice_speech_resynthesised_16k.ogg"
_RESYNTHESISED = (
    "The sound is speech resynthesised word by word at the real word times, not the reading that "
    "the listeners heard."
)


def load_alice(
    media: Path | None = None,
    *,
    tr_s: Annotated[float | int, Field(ge=2, le=2)] = 2.0,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    mel: MelSettings = MelSettings(),  # noqa: B008
    space: Literal["6mm", "10mm"] = "6mm",
) -> Study:
    """The study, 372 TRs from the start of the stimulus; of the first ten there is no BOLD.

    Regressors: "word rate", words that begin in each TR (372, 1); and what the authors supply of
    the reading that was heard, through an HRF already: "sound power (supplied)", "word rate
    (supplied)" and "predictors (supplied)" (372, 12), word rate and eleven that are orthogonal to
    it, of frequency, prosody and syntax.

    Arguments
        media: the reading as it was heard (chapter 1 of the LibriVox recording slowed to 120 %,
            with 20 s of silence before); None for the resynthesised speech beside the data.
        tr_s: repetition time in seconds; these data have 2.
        frames_per_tr: frames of the log-mel in each TR.
        mel: what a model is shown of the sound.
        space: radius of the spheres that the regions are averaged over.

    Confounds are six of head motion. Listeners whose BOLD is constant (s33) are left out with a
    ``StudyWarning``.

    Raises
        StudyError: the data are missing or of another shape, or the recording is too short.
        MediaError, CacheError: see ``log_mel_of_media``.
    """
    folder = find_data("alice")
    data = folder / "alice_data_shared"
    clock = Clock(float(tr_s), N_TRS, 0.0, frames_per_tr)
    words = read_words(_one_file(folder / "alice_stim_shared", "*.TextGrid"))
    bold, notes = _listeners(data / space)
    supplied = {
        f"{name} (supplied)": _from_the_start(
            _table(data / f"{next(iter(bold))}-{file}.txt", (RECORDED_TRS, 1))
        )
        for name, file in {"sound power": "sndpwr", "word rate": "rate"}.items()
    }
    predictors = _one_file(data, "*-generic-predictors*")
    supplied["predictors (supplied)"] = _table(predictors, (N_TRS, N_PREDICTORS))
    if media is None and (folder / _RECORDING).is_file():
        media = folder / _RECORDING
        notes.append(_RESYNTHESISED)
    elif media is None:
        warnings.warn(
            f"alice: no recording, for {folder / _RECORDING} does not exist. Only BOLD and word "
            "times are used; give the reading as the film.",
            StudyWarning,
            stacklevel=2,
        )
    else:
        _check_length(media, clock)
    return Study(
        name="alice",
        clock=clock,
        mel=log_mel_of_media(media, clock, mel) if media else None,
        mel_settings=mel,
        bold={name: _from_the_start(of) for name, of in bold.items()},
        parcels=pd.DataFrame({"tuning": REGIONS}, index=list(REGIONS)),
        regressors={"word rate": word_rate(words, clock)} | supplied,
        convolved=tuple(supplied),
        confounds={name: of for name, of in read_motion(folder).items() if name in bold},
        media=media,
        notes=tuple(notes),
    )


def read_motion(folder: Path | None = None) -> dict[str, Float64[np.ndarray, "372 6"]]:
    """Listener -> head motion at each volume: three shifts in mm, three rotations in radians.

    Confounds for ``bold.cleaning.Cleaner``; the excluded s33, whose file is a row short, is left
    out.

    Arguments
        folder: of the data; found by `find_data` when omitted.

    Raises
        StudyError: a file is missing or has another shape.
    """
    files = sorted(((folder or find_data("alice")) / "alice_data_shared").glob("s*-rp_*.txt"))
    shape = (N_TRS, 6)
    named = {file.name.split("-")[0]: file for file in files}
    return {name: _table(file, shape) for name, file in named.items() if name != "s33"}


def _listeners(folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """BOLD of each listener, and who was left out."""
    files = sorted(folder.glob("s*-timecourses.txt"))
    if not files:
        raise StudyError(f"{folder} holds no s*-timecourses.txt. Copy alice_data_shared again.")
    bold, notes = {}, []
    for file in files:
        name, series = file.name.split("-")[0], _table(file, (RECORDED_TRS, len(REGIONS)))
        if np.ptp(series, axis=0).max() > 0:
            bold[name] = series
            continue
        notes.append(f"alice: BOLD of {name} is constant ({file.name}): listener left out.")
        warnings.warn(notes[-1], StudyWarning, stacklevel=3)
    if not bold:
        raise StudyError(f"{folder}: BOLD of every listener is constant. Copy the data again.")
    return bold, notes


def _from_the_start(recorded: np.ndarray) -> np.ndarray:
    """With NaN at the discarded volumes."""
    return np.concatenate([np.full((DISCARDED_TRS, recorded.shape[1]), np.nan), recorded])


def _table(file: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        values = np.loadtxt(file, ndmin=2)
    except (OSError, ValueError) as error:
        raise StudyError(f"{file} cannot be read as numbers: {error}") from error
    if values.shape != shape:
        raise StudyError(
            f"{file} has {values.shape[0]} rows and {values.shape[1]} columns, expected "
            f"{shape[0]} and {shape[1]}. Copy alice_data_shared again."
        )
    return values


def _one_file(folder: Path, pattern: str) -> Path:
    if files := sorted(folder.glob(pattern)):
        return files[0]
    raise StudyError(f"{folder} holds no {pattern}. Copy the folder again.")


def _check_length(media: Path, clock: Clock):
    length_s, end_s = probe(media).duration_s, clock.onset_s + clock.duration_s
    # The last word ends half a second before the last volume.
    if length_s < end_s - clock.tr_s:
        raise StudyError(
            f"{media} lasts {length_s:.1f} s, but the volumes go on to second {end_s:g}: expected "
            "the reading slowed to 120 %, after 20 s of silence. From the LibriVox chapter: ffmpeg "
            "-i chapter.mp3 -af atempo=0.8333,adelay=20s:all=1 alice.flac"
        )
