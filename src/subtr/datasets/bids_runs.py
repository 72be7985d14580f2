"""One run of a BIDS study, of all subjects, on the volumes of its stimulus."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from subtr.datasets.bids_atlas import Atlas
from subtr.datasets.bids_bold import ConfoundSettings, parcel_bold, run_confounds
from subtr.datasets.bids_events import Shown, first_and_last, shown_in
from subtr.datasets.bids_files import Images, RunFiles, RunKey
from subtr.params import StudyError, StudyWarning


@dataclass(frozen=True)
class JoinedRun:
    """A run as it goes into the study; ``first`` is the volume that it begins with."""

    shown: list[Shown]
    first: int
    n_trs: int
    bold: dict[str, np.ndarray]
    confounds: dict[str, pd.DataFrame]
    files: tuple[Path, ...]

    def begins(self, tr_s: float) -> tuple[Path | None, float]:
        """For `Study.run_stimuli`: a run with several media has no one file to play."""
        one = self.shown[0]
        return one.media if len(self.shown) == 1 else None, self.first * tr_s - one.onset_s


def shown_to(
    root: Path, of: dict[str, RunFiles], film: Path | None, onset_s: float | None
) -> dict[str, list[Shown]]:
    """What each subject was shown in a run; raises StudyError where that was not the same."""
    plan = {subject: shown_in(root, run, film, onset_s) for subject, run in of.items()}
    (first, wanted), *others = plan.items()
    for subject, shown in others:
        same = [one.media for one in shown] == [one.media for one in wanted]
        spread = [one.onset_s - other.onset_s for one, other in zip(shown, wanted, strict=False)]
        if not same or max(spread) - min(spread) > 0.1:
            raise StudyError(
                f"{of[subject]} was shown {[one.media.name for one in shown][:4]} at "
                f"{[one.onset_s for one in shown][:4]} s, but {first} "
                f"{[one.media.name for one in wanted][:4]} at "
                f"{[one.onset_s for one in wanted][:4]} s: expected the same for all. Choose "
                "subjects who were shown the same."
            )
    return plan


def read_run(
    of: dict[str, RunFiles],
    plan: dict[str, list[Shown]],
    images: Images,
    atlas: Atlas,
    settings: ConfoundSettings | None,
    tr_s: float,
    named: list[str],
) -> JoinedRun:
    """The BOLD and confounds of a run, on the volumes of its stimulus.

    Arguments
        of, plan: files of each subject who has the run, and what they were shown.
        named: all subjects of the study; those without the run get NaN and a ``StudyWarning``.

    Raises
        StudyError: a stimulus after the last volume, or onsets that no common volumes fit.
    """
    reference = next(iter(of))
    series = {subject: parcel_bold(run, images, atlas) for subject, run in of.items()}
    first, last = first_and_last(plan[reference], tr_s, 10**9)
    starts = {}
    for subject, shown in plan.items():
        later_s = shown[0].onset_s - plan[reference][0].onset_s
        later = round(later_s / tr_s)
        if abs(later_s - later * tr_s) > 0.1:
            raise StudyError(
                f"{of[subject]}: its stimulus began {later_s:g} s later than that of {reference}, "
                f"which is no whole number of TRs of {tr_s:g} s: one clock cannot hold both."
            )
        starts[subject] = first + later
    n_trs = min(last - first, max(len(series[name]) - starts[name] for name in of))
    if n_trs < 1:
        raise StudyError(f"{of[reference]}: its stimulus begins after the last volume.")
    bold, confounds, files = {}, {}, []
    for name in named:
        bold[name] = np.full((n_trs, len(atlas.names)), np.nan)
        confounds[name] = pd.DataFrame(index=range(n_trs))
        if name not in of:
            run = said(next(iter(of.values())).key)
            warnings.warn(f"{name} lacks {run}: masked.", StudyWarning, stacklevel=4)
            continue
        whole = slice(max(starts[name], 0), starts[name] + n_trs)
        values = series[name].copy()
        if settings is not None:
            table, usable = run_confounds(of[name], settings, len(values))
            values[~usable] = np.nan
            confounds[name] = table.iloc[whole].reset_index(drop=True)
        kept, before = values[whole], max(-starts[name], 0)
        bold[name][before : before + len(kept)] = kept
        confounds[name].index = range(before, before + len(confounds[name]))
        confounds[name] = confounds[name].reindex(range(n_trs), fill_value=0.0)
        if len(kept) < n_trs:
            warnings.warn(
                f"{of[name]} has {len(kept)} of the {n_trs} volumes that the stimulus lasts: the "
                "others are masked.",
                StudyWarning,
                stacklevel=4,
            )
        files += [*of[name].images, *(one.media for one in plan[name])]
    return JoinedRun(plan[reference], first, n_trs, bold, confounds, tuple(files))


def said(key: RunKey) -> str:
    """Session and run as a reader would say them."""
    parts = [f"{what} {of}" for what, of in zip(("session", "run"), key, strict=True) if of]
    return " ".join(parts) or "the only run"
