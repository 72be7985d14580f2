"""Every figure, as a function of arrays or results tables that returns a matplotlib Figure."""

from subtr.figures.attention import attention_over_tr
from subtr.figures.bold import bold_by_group, bold_reliability, lag_scan
from subtr.figures.cost import cost_benefit
from subtr.figures.decoding import identification, lesions
from subtr.figures.encoding import (
    COORDINATES,
    brain_map,
    parcel_gains,
    peak_times,
    timescales,
    variance_parts,
)
from subtr.figures.features import feature_strips
from subtr.figures.haemodynamics import deconvolution_gain, peak_recovery
from subtr.figures.headline import headline
from subtr.figures.identifiability import recoverable_map, recoverable_rates
from subtr.figures.levels import without_parts
from subtr.figures.modulation import modulation_spectra, modulation_transfer, transfer_by_training
from subtr.figures.quality import quality_by_floats
from subtr.figures.score_map import score_map
from subtr.figures.scores import (
    preservation_by_band,
    preservation_by_floats,
    training_curves,
    training_panels,
)
from subtr.figures.stimulus import picture_strips, reconstructions, within_tr
from subtr.figures.style import colour_of
from subtr.figures.subjects import scale, subject_gains
from subtr.figures.systems import change_strips, scores_of_systems

__all__ = [
    "COORDINATES",
    "attention_over_tr",
    "bold_by_group",
    "bold_reliability",
    "brain_map",
    "change_strips",
    "colour_of",
    "cost_benefit",
    "deconvolution_gain",
    "feature_strips",
    "headline",
    "identification",
    "lag_scan",
    "lesions",
    "modulation_spectra",
    "modulation_transfer",
    "parcel_gains",
    "peak_recovery",
    "peak_times",
    "picture_strips",
    "preservation_by_band",
    "preservation_by_floats",
    "quality_by_floats",
    "reconstructions",
    "recoverable_map",
    "recoverable_rates",
    "scale",
    "score_map",
    "scores_of_systems",
    "subject_gains",
    "timescales",
    "training_curves",
    "training_panels",
    "transfer_by_training",
    "variance_parts",
    "within_tr",
    "without_parts",
]
