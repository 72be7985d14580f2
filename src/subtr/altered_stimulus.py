"""A predictor's stimulus with its frames changed, and its context along with them."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import butter, sosfiltfilt

from subtr.datasets.study import Study
from subtr.items import Stimulus, parts_of, stimulus_of, with_context
from subtr.params import SettingsError


def altered(
    stimulus: Stimulus, study: Study, change: Callable[[np.ndarray], np.ndarray]
) -> Stimulus:
    """Changes the frames of each TR, and then the context, which repeats the same frames.

    Arguments
        change: frames or pictures (TR, frame, ...) -> the same number of them.
    """
    n_frames = {"frames": study.clock.frames_per_tr}
    if study.pictures is not None:
        n_frames["pictures"] = study.pictures.shape[1]
        if study.frames is None:
            n_frames["frames"] = n_frames["pictures"]
    parts = {}
    for name, of in parts_of(stimulus).items():
        n_context = (of.shape[1] - n_frames[name]) // 2
        bare = change(of[:, n_context : n_context + n_frames[name]].numpy())
        bare = torch.from_numpy(np.ascontiguousarray(bare, dtype=np.float32))
        parts[name] = with_context(bare, n_context, study.run_of_tr)
    return stimulus_of(parts)


def without_fast_changes(
    windows: Float[np.ndarray, "tr frame *feature"],
    run_of_tr: np.ndarray,
    tr_s: float | int,
    cutoff_hz: float | int,
) -> Float[np.ndarray, "tr frame *feature"]:
    """Frames without modulation faster than ``cutoff_hz``, run by run.

    A Butterworth filter of order 4, forwards and backwards, so that nothing moves in time; half of
    the amplitude is left at the cut-off.

    Raises
        SettingsError: a cut-off beyond what frames of this rate can hold.
    """
    frame_hz = windows.shape[1] / tr_s
    if not 0 < cutoff_hz < frame_hz / 2:
        raise SettingsError(
            f"cutoff_hz = {cutoff_hz:g}: expected more than 0 and less than {frame_hz / 2:g} Hz, "
            f"half of {frame_hz:g} frames a second."
        )
    low_pass = butter(4, cutoff_hz, fs=frame_hz, output="sos")
    out = np.empty(windows.shape)
    for run in np.unique(run_of_tr):
        of_run = windows[run_of_tr == run]
        flat = of_run.reshape(-1, *windows.shape[2:])
        out[run_of_tr == run] = sosfiltfilt(low_pass, flat, axis=0).reshape(of_run.shape)
    return out
