"""Sound of some TRs: cut from a recording, or made again of a spectrogram."""

import numpy as np
from jaxtyping import Float, Float32, Int64

from subtr.decoders.griffin_lim import Vocoder
from subtr.params import SettingsError
from subtr.timeline import Clock

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
