"""Rows of results with planted scores."""

import pandas as pd

from subtr.experiments.results import COLUMNS


def row(system, value, half=0.02, **labels):
    of = {"study": "s", "seed": 0, "modality": "sound", "floats_per_tr": 64, "group": ""}
    of |= {"metric": "within-TR R²", "low": value - half, "high": value + half}
    return of | {"system": system, "value": value} | labels


def table(*rows):
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))
