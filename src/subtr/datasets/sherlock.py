"""Sherlock: 17 viewers of 50 minutes of film, six regions, and a thousand annotated segments.

Source: Chen, Leong, Honey, Yong, Norman and Hasson 2017, Shared memories reveal shared structure in
neural activity across individuals, Nature Neuroscience 20. No licence is stated: use and cite it,
never redistribute it.
"""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.io
from jaxtyping import Float32, Float64
from pydantic import Field

from subtr.bold.hrf import convolve_hrf
from subtr.datasets.fetch import find_data
from subtr.datasets.study import Study
from subtr.params import StudyError
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import PictureSettings, tracks_of_media
from subtr.timeline import Clock

# Segments were annotated by hand, with onsets in whole seconds, so that 1 in 3 begins on the border
# of a TR of 1.5 s and 2 in 3 within one.
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


# Name in the files' names -> region. a1_rev comes without series, though there is a file of it.
REGIONS = {
    "aud_early": "early auditory",
    "early_visual": "early visual",
    "pmc_nn": "posterior medial",
    "ddmn_mpfc": "medial prefrontal",
    "post_parahipp": "parahippocampal",
    "bilateral_hipp": "hippocampus",
}

N_TRS = sum(RUN_TRS)
N_VIEWERS = 17

# By how much the authors moved the BOLD back, so that it lies beside what it responds to.
SHIFT_TRS = 3
_SEGMENTS = "Sherlock_Segments_1000_NN_2017.xlsx"


def load_sherlock(
    media: Path | None = None,
    *,
    tr_s: Annotated[float | int, Field(ge=TR_S, le=TR_S)] = TR_S,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    mel: MelSettings | None = MelSettings(),  # noqa: B008
    pictures: PictureSettings | None = PictureSettings(),  # noqa: B008
    run_onsets_s: tuple[float, float] = (0.0, RUN_TRS[0] * TR_S),
    undo_shift: bool = False,
) -> Study:
    """The study, runs of 946 and 1030 TRs one after the other.

    The authors moved the BOLD back by 3 TRs (4.5 s) against its film, so by default ``hrf_applied``
    is set and nothing delays the stimulus a second time. What is left of the haemodynamic response
    is its width: several TRs before and after bear on a volume.

    Features (TR, frame, feature) are the annotations with their onsets within the TR, see
    `annotation_frames`; predictors are shown them where there is no film, or ``mel`` is None.
    Regressors: "speaking" and "annotations, whole TRs" by the table's own columns of TRs, and, with
    the shift, "annotations, HRF": from their onsets through the SPM response, moved back by the
    same 3 TRs as the BOLD, which is one shift and not two.

    Arguments
        media: the user's copy of the film, as it was shown; None for the annotations alone.
        tr_s: repetition time in seconds; these data have 1.5.
        frames_per_tr: frames in each TR, of features and log-mel.
        mel, pictures: what a model is shown of the film; None leaves sound or pictures out.
        run_onsets_s: seconds of the film's file at which each run's first volume begins, negative
            where that is before the file starts. By default, one file holds what both runs showed,
            one after the other: the cartoon and the film, and again.
        undo_shift: moves the BOLD of each run 3 TRs later, to when it was measured; for responses
            that model the lag themselves. Each run then begins 3 TRs later.

    Viewer s5 watched all, but no volumes of the last 50 TRs were kept, and the last one is repeated
    instead: masked, with a ``StudyWarning``.

    Raises
        StudyError: the data are missing or of another shape, or the film is too short.
        MediaError, CacheError: see ``log_mel_of_media``.
    """
    folder = find_data("sherlock")
    segments = read_segments(folder / _SEGMENTS)
    names, features = annotation_frames(segments, frames_per_tr)
    by_tr = annotation_trs(segments)
    regressors = {"speaking": by_tr[:, :1], "annotations, whole TRs": by_tr}
    if not undo_shift:
        regressors["annotations, HRF"] = through_hrf(features.astype(np.float64))
    n_cut = SHIFT_TRS if undo_shift else 0
    run_of_tr = np.repeat(np.arange(2), RUN_TRS)
    place = np.concatenate([np.arange(n_trs) for n_trs in RUN_TRS])
    shown, measured = place >= n_cut, place < np.array(RUN_TRS)[run_of_tr] - n_cut
    onsets_s = tuple(float(onset_s) + n_cut * TR_S for onset_s in run_onsets_s)
    sound, seen = None, None
    if media is not None:
        media = Path(media)
        clocks = _clocks(media, [n_trs - n_cut for n_trs in RUN_TRS], frames_per_tr, onsets_s)
        sound, seen = tracks_of_media(media, clocks, mel, pictures)
    moved = "to when it was measured again" if undo_shift else "beside its film by its authors"
    return Study(
        name="sherlock",
        clock=Clock(TR_S, int(shown.sum()), onsets_s[0] if media else 0.0, frames_per_tr),
        mel=sound,
        mel_settings=mel or MelSettings(),
        pictures=seen,
        features=features[shown],
        feature_names=names,
        bold={name: of[measured] for name, of in _viewers(folder / "roicorr").items()},
        parcels=pd.DataFrame({"tuning": list(REGIONS.values())}, index=list(REGIONS)),
        regressors={name: of[shown] for name, of in regressors.items()},
        run_of_tr=run_of_tr[shown],
        run_stimuli=tuple((media, onset_s) for onset_s in onsets_s) if media else (),
        bold_lag_s=5.0 if undo_shift else 0.0,
        hrf_applied=not undo_shift,
        media=media,
        notes=(f"BOLD was moved {SHIFT_TRS} TRs ({SHIFT_TRS * TR_S:g} s), {moved}.",),
    )


def through_hrf(
    frames: Float64[np.ndarray, "1976 frame feature"],
) -> Float64[np.ndarray, "1976 feature"]:
    """Frames through the SPM response, run by run, and back by as many TRs as the BOLD was moved.

    After a run's last TR, what was last goes on; only its first 4.5 s of response are seen.
    """
    moved = []
    for of in np.split(frames, [RUN_TRS[0]]):
        longer = np.concatenate([of, np.repeat(of[-1:], SHIFT_TRS, axis=0)])
        step_s = TR_S / frames.shape[1]
        moved.append(convolve_hrf(longer.reshape(-1, frames.shape[2]), step_s, TR_S)[SHIFT_TRS:])
    return np.concatenate(moved)


def _viewers(folder: Path) -> dict[str, Float64[np.ndarray, "1976 region"]]:
    """BOLD by viewer. That s5's stays at one value from TR 1926 on is for the study to mask."""
    regions = [_series(folder / f"{name}_sherlock_movie_roicorr.mat") for name in REGIONS]
    stacked = np.stack(regions, axis=2)
    return {f"s{index + 1}": stacked[:, index] for index in range(N_VIEWERS)}


def _series(file: Path) -> Float64[np.ndarray, "1976 17"]:
    try:
        series = scipy.io.loadmat(file)["roitc"]
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(
            f"{file} cannot be read: expected a variable roitc ({error!r})."
        ) from error
    if series.shape != (N_TRS, N_VIEWERS):
        raise StudyError(
            f"{file}: roitc has shape {series.shape}, expected {(N_TRS, N_VIEWERS)}, TRs and "
            "viewers. Copy the folder roicorr again."
        )
    return series.astype(np.float64)


def _clocks(media: Path, lengths, frames_per_tr: int, onsets_s) -> list[Clock]:
    """A clock for each run, over the film's own seconds."""
    length_s, clocks = probe(media).duration_s, []
    for number, (n_trs, onset_s) in enumerate(zip(lengths, onsets_s, strict=True), 1):
        clocks.append(Clock(TR_S, n_trs, onset_s, frames_per_tr))
        end_s = onset_s + clocks[-1].duration_s
        if length_s < end_s - TR_S:
            raise StudyError(
                f"{media} lasts {length_s:.1f} s, but run {number} goes on to second {end_s:g}: "
                "expected what both runs showed, cartoons included, in one file; or set "
                "run_onsets_s to the seconds of your file at which the runs begin."
            )
    return clocks
