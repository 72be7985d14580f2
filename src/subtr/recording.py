"""The sound of a study as it was recorded."""

import numpy as np
from jaxtyping import Float32

from subtr.datasets.study import Study
from subtr.stimulus.media import probe, sound_spans
from subtr.timeline import Trs


def recorded(study: Study, trs: Trs) -> tuple[Float32[np.ndarray, " sample"] | None, int | None]:
    """The recording of consecutive TRs, from the onset of the first on, and its rate in Hz.

    None for a study without media, or media without sound.
    """
    media, onset_s = study.stimulus_at(int(trs[0]))
    rate_hz = None if media is None else probe(media).sound_rate_hz
    if rate_hz is None:
        return None, None
    first = round(onset_s * rate_hz)
    stop = round((onset_s + len(trs) * study.clock.tr_s) * rate_hz)
    (sound,) = sound_spans(media, rate_hz, [(first, stop)])
    return sound, rate_hz
