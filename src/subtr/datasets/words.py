"""When each word of a story is spoken, and how many begin in each TR."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from subtr.params import StudyError
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
