"""Figures, players, widgets and helpers of notebooks.

Each figure is a function of arrays or results tables that returns a matplotlib Figure.
"""

from subtr.viewing.bold import (
    COORDINATES,
    bold_by_group,
    bold_reliability,
    brain_map,
    identification,
    lag_scan,
    lesions,
    parcel_gains,
    peak_times,
    timescales,
    variance_parts,
)
from subtr.viewing.modulation import (
    modulation_spectra,
    modulation_transfer,
    recoverable_map,
    recoverable_rates,
)
from subtr.viewing.scores import (
    change_strips,
    cost_benefit,
    quality_by_floats,
    scores_of_systems,
    training_curves,
    training_panels,
    within_tr_r2_by_band,
    within_tr_r2_by_floats,
    without_parts,
)
from subtr.viewing.stimulus import (
    attention_over_tr,
    feature_strips,
    picture_strips,
    reconstructions,
    within_tr,
)
from subtr.viewing.style import colour_of

__all__ = [
    "COORDINATES",
    "attention_over_tr",
    "bold_by_group",
    "bold_reliability",
    "brain_map",
    "change_strips",
    "colour_of",
    "cost_benefit",
    "feature_strips",
    "identification",
    "lag_scan",
    "lesions",
    "modulation_spectra",
    "modulation_transfer",
    "parcel_gains",
    "peak_times",
    "picture_strips",
    "quality_by_floats",
    "reconstructions",
    "recoverable_map",
    "recoverable_rates",
    "scores_of_systems",
    "timescales",
    "training_curves",
    "training_panels",
    "variance_parts",
    "within_tr",
    "within_tr_r2_by_band",
    "within_tr_r2_by_floats",
    "without_parts",
]
