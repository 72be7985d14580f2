"""Lesions of the decoder, not of a brain: what is decoded when a region says nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from subtr.bold_scores import SEGMENT_S
from subtr.datasets.study import Study
from subtr.decoding import Decoded, FittedFold, decode
from subtr.decoding_scores import PREFIX, identified
from subtr.metrics.inference import block_bootstrap
from subtr.params import SettingsError, nearest
from subtr.scoring import Row

WHOLE = "whole brain"


def lesioned(
    fitted: Sequence[FittedFold], study: Study, region: str, only: bool = False
) -> Decoded:
    """Decodes with a region's z-scored BOLD held at its training mean.

    The weights stay as they were learned with all regions, so what is lost is what this decoder
    took from the region; a decoder that had never seen it might find the same elsewhere.

    Arguments
        region: a tuning class or region of the study's parcels, or the name of a parcel.
        only: silence all others instead.

    Raises
        SettingsError: no such region.
    """
    tuning = study.parcels["tuning"].astype(str)
    chosen = (tuning == region).to_numpy() | (study.parcels.index.astype(str) == region)
    if not chosen.any():
        known = list(dict.fromkeys(tuning))
        raise SettingsError(f"region = {region!r}: no such{nearest(region, known)}")
    return decode(fitted, study, ~chosen if only else chosen)


def lesions(
    fitted: Sequence[FittedFold],
    study: Study,
    /,
    regions: Sequence[str] | None = None,
    segment_s: float | int = SEGMENT_S,
    **labels: Any,
) -> tuple[dict[str, Decoded], list[Row]]:
    """Each region silenced in turn: what is then decoded, and what of identification is lost.

    Rows, ``group`` a region: "from BOLD: identification (pairwise) without" and "... by it alone"
    with intervals, "... lost without" the difference to the whole brain, of the same segments, with
    an interval over them.

    Arguments
        regions: all of the study by default.

    Returns
        "whole brain" and "without <region>" -> decoded; rows.
    """
    if regions is None:
        regions = list(dict.fromkeys(study.parcels["tuning"].astype(str)))
    found = {WHOLE: decode(fitted, study)}
    whole = identified(found[WHOLE], study, segment_s=segment_s, n_draws=1)
    metric, rows = f"{PREFIX}identification (pairwise)", []
    for region in regions:
        without = found[f"without {region}"] = lesioned(fitted, study, region)
        lost = identified(without, study, segment_s=segment_s, n_draws=1)
        alone = lesioned(fitted, study, region, only=True)
        kept = identified(alone, study, segment_s=segment_s, n_draws=1)
        scores = {
            "without": lost.pairwise,
            "by it alone": kept.pairwise,
            "lost without": whole.pairwise - lost.pairwise,
        }
        for name, each in scores.items():
            ends = block_bootstrap(
                lambda of, each=each: float(np.mean(each[of])), len(each), min(2, len(each) // 2)
            )
            row = {"metric": f"{metric} {name}", "group": region, "value": float(each.mean())}
            row |= {"low": ends.low, "high": ends.high}
            rows.append(row | {"floor": 0.0 if name == "lost without" else 0.5})
    labels |= {"modality": found[WHOLE].modality}
    return found, [labels | row for row in rows]
