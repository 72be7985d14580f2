"""Sherlock: 17 viewers of 50 minutes of film, six regions, and a thousand annotated segments.

Source: Chen, Leong, Honey, Yong, Norman and Hasson 2017, Shared memories reveal shared structure in
neural activity across individuals, Nature Neuroscience 20. No licence is stated: use and cite it,
never redistribute it.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.io
from jaxtyping import Float64
from pydantic import Field

from subtr.bold.hrf import convolve_hrf
from subtr.datasets.locate import find_data
from subtr.datasets.sherlock_annotations import (
    RUN_TRS,
    TR_S,
    annotation_frames,
    annotation_trs,
    read_segments,
)
from subtr.params import StudyError
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.study import Study
from subtr.timeline import Clock

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
    ``sherlock_annotations``; predictors are shown them where there is no film, or ``mel`` is None.
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
        sound, seen = _tracks(media, clocks, mel, pictures)
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


def _tracks(media: Path, clocks: list[Clock], mel, pictures):
    """Log-mel and pictures of all runs, None where the file or the settings have none."""
    info, sound, seen = probe(media), None, None
    if mel is not None and info.sound_rate_hz is not None:
        sound = np.concatenate([log_mel_of_media(media, clock, mel) for clock in clocks])
    if pictures is not None and info.width is not None:
        seen = np.concatenate([pictures_of_media(media, clock, pictures) for clock in clocks])
    return sound, seen
