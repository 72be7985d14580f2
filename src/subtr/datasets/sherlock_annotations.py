"""What happens in each segment of the Sherlock film, on the clock of the scanner, within its TRs.

A thousand segments were annotated by hand, with onsets in whole seconds, so that 1 in 3 begins on
the border of a TR of 1.5 s and 2 in 3 within one.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64

from subtr.params import StudyError

TR_S = 1.5
RUN_TRS = (946, 1030)
# A place is a feature of its own when the film stays in it for at least so long.
_LEAST_PLACE_S = 60.0
_COLUMNS = {
    "onset_s": "Start Time (s)",
    "end_s": "End Time (s)",
    "first_tr": "Start Time (TRs, 1.5s)",
    "last_tr": "End Time (TRs, 1.5s)",
    "scene": "Scene Segments",
    "space": "Space-In/Outdoor",
    "people": "Name - All",
    "focus": "Name - Focus",
    "speaking": "Name - Speaking",
    "location": "Location",
    "camera": "Camera Angle",
    "music": "Music Presence",
    "words": "Words on Screen",
    **{f"arousal {rater}": f"Arousal - Rater {rater}" for rater in range(1, 5)},
    **{f"valence {rater}": f"Valence - Rater {rater}" for rater in range(1, 5)},
}
_CAMERA = {
    "close up": "close",
    "long shot": "long",
    "over the shoulder": "over the shoulder",
    "camera at an angle": "angle|top|bird",
    "camera moves": "tracking|sequence|steadicam|handheld|pan|zoom|crane|dolly|tilt",
}


def read_segments(file: Path) -> pd.DataFrame:
    """The segments that BOLD was measured in, one row each, in order.

    The table's seconds start anew in the second run, so the columns of TRs say which run a segment
    is in, and are checked against the seconds. Segments 481 and 482, after the last volume of run
    1, have no TRs and are left out. Where the seconds of two segments leave a hole (1 to 3 s, ten
    times), the former goes on.

    Returns
        run (0 or 1), onset_s and offset_s from the run's first TR on, first_tr and last_tr from 0
        over both runs, and the annotations as they were written, NaN where nothing was.

    Raises
        StudyError: no such table, or TRs and seconds that contradict each other.
    """
    try:
        sheet = pd.read_excel(file)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise StudyError(f"{file} cannot be read as an Excel table: {error}") from error
    sheet.columns = [str(name).strip() for name in sheet.columns]
    if lacking := [name for name in _COLUMNS.values() if name not in sheet]:
        raise StudyError(
            f"{file} has no column {lacking[0]!r}: expected the annotations of 1000 segments by "
            "Chen et al. 2017. Copy the file again."
        )
    table = pd.DataFrame({ours: sheet[theirs] for ours, theirs in _COLUMNS.items()})
    for text in ("scene", "space", "people", "focus", "speaking", "location", "camera", "music"):
        table[text] = table[text].str.strip()
    table = table[table["first_tr"].notna()].reset_index(drop=True)
    run = (table["first_tr"] > RUN_TRS[0]).to_numpy().astype(int)
    table["run"] = run
    # The table counts TRs from 1, and rounds seconds to the nearest one.
    table[["first_tr", "last_tr"]] = table[["first_tr", "last_tr"]].astype(int) - 1
    begins_s = (table["first_tr"] - run * RUN_TRS[0]) * TR_S
    apart_s = (begins_s - table["onset_s"]).abs()
    if (apart_s > TR_S / 2 + 1e-6).any():
        row = int(apart_s.argmax())
        raise StudyError(
            f"{file}: segment {row + 1} begins at {table['onset_s'][row]} s, but its TR "
            f"{table['first_tr'][row] + 1} at {begins_s[row]:g} s of its run: expected the same "
            f"within half a TR of {TR_S:g} s."
        )
    following = table["onset_s"].shift(-1)
    ends_s = np.array(RUN_TRS)[run] * TR_S
    last = np.diff(run, append=-1) != 0
    table["offset_s"] = np.where(last, ends_s, following)
    return table.drop(columns="end_s").astype({"onset_s": float})


def annotations(segments: pd.DataFrame) -> pd.DataFrame:
    """One number a segment and feature: the annotations, coded.

    Who speaks and who is in focus, how many are there, music, indoors (1, 0, or 0.5 where neither),
    camera, words on screen, mean arousal (1 to 5) and valence (-1 to 1) of four raters, and each
    place that the film stays in for a minute or longer.
    """
    coded = {"speaking": segments["speaking"].notna()}
    for name in ("Sherlock", "John"):
        for what, column in (("speaks", "speaking"), ("in focus", "focus")):
            coded[f"{name} {what}"] = segments[column].str.contains(rf"\b{name}\b", na=False)
    coded["people"] = segments["people"].str.count(",") + 1
    coded["music"] = segments["music"].eq("Yes")
    coded["indoor"] = segments["space"].map({"Indoor": 1.0, "Outdoor": 0.0}).fillna(0.5)
    for name, pattern in _CAMERA.items():
        found = segments["camera"].str.contains(pattern, flags=re.IGNORECASE, na=False)
        coded[name] = found
    coded["words on screen"] = segments["words"].notna()
    arousal = segments[[f"arousal {rater}" for rater in range(1, 5)]].astype(float)
    coded["arousal"] = arousal.mean(axis=1)
    signs = [segments[f"valence {rater}"].map({"+": 1.0, "-": -1.0}) for rater in range(1, 5)]
    coded["valence"] = pd.concat(signs, axis=1).mean(axis=1)
    place = segments["location"].str.split(" - ").str[0]
    stays_s = (segments["offset_s"] - segments["onset_s"]).groupby(place).sum()
    for name in stays_s[stays_s >= _LEAST_PLACE_S].sort_values(ascending=False).index:
        coded[f"place: {name}"] = place.eq(name)
    return pd.DataFrame(coded).astype(float)


def annotation_frames(
    segments: pd.DataFrame, frames_per_tr: int
) -> tuple[tuple[str, ...], Float32[np.ndarray, "1976 frame feature"]]:
    """The annotations in each frame, both runs one after the other, and their names.

    A frame holds the mean over its own seconds, so that the mean over a TR's frames is exact for
    any number of them. Besides those of ``annotations`` there are three that are 1 in the frame in
    which something begins: "segment begins", "scene begins", "speech begins" (after silence or
    another's).

    Arguments
        segments: see `read_segments`.
    """
    coded = annotations(segments)
    speaker = segments["speaking"].fillna("")
    begins = {
        "segment begins": np.ones(len(segments), bool),
        "scene begins": segments["scene"].notna().to_numpy(),
        "speech begins": ((speaker != speaker.shift()) & (speaker != "")).to_numpy(),
    }
    runs = []
    for run, n_trs in enumerate(RUN_TRS):
        of = (segments["run"] == run).to_numpy()
        edges_s = np.arange(n_trs * frames_per_tr + 1) * (TR_S / frames_per_tr)
        onset_s = segments["onset_s"].to_numpy()[of]
        stops_s = np.append(onset_s, segments["offset_s"].to_numpy()[of][-1])
        held = _means(coded.to_numpy()[of], stops_s, edges_s)
        index = np.searchsorted(edges_s, onset_s + 1e-9, side="right") - 1
        struck = np.zeros((len(held), len(begins)))
        for column, when in enumerate(begins.values()):
            struck[index[when[of]], column] = 1.0
        runs.append(np.concatenate([held, struck], axis=1))
    frames = np.concatenate(runs).astype(np.float32)
    names = (*coded.columns, *begins)
    return names, frames.reshape(sum(RUN_TRS), frames_per_tr, len(names))


def annotation_trs(segments: pd.DataFrame) -> Float64[np.ndarray, "1976 feature"]:
    """The annotations rounded to whole TRs, by the table's own columns of TRs.

    A TR that two segments claim gets the later one; one that none claims, the one before.
    """
    segment_of_tr = np.full(sum(RUN_TRS), -1)
    for index, (first, last) in enumerate(
        zip(segments["first_tr"], segments["last_tr"], strict=True)
    ):
        segment_of_tr[first : max(last, first) + 1] = index
    filled = np.maximum.accumulate(segment_of_tr)
    return annotations(segments).to_numpy()[np.maximum(filled, 0)]


def _means(
    values: Float64[np.ndarray, "segment feature"],
    stops_s: Float64[np.ndarray, " stop"],
    edges_s: Float64[np.ndarray, " edge"],
) -> Float64[np.ndarray, "frame feature"]:
    """Mean between neighbouring edges of what is constant between neighbouring stops."""
    # The integral is linear between stops, so its values at the edges are exact.
    integral = np.cumsum(values * np.diff(stops_s)[:, None], axis=0)
    integral = np.concatenate([np.zeros((1, values.shape[1])), integral])
    at_edges = np.stack([np.interp(edges_s, stops_s, column) for column in integral.T], axis=1)
    return np.diff(at_edges, axis=0) / np.diff(edges_s)[:, None]
