"""How much of the stimulus is decoded from BOLD: identification and vector r, as rows."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float32, Shaped

from subtr.bold_scores import IDENTIFIED, OVERLAP_S, SEGMENT_S, identification_rows
from subtr.datasets.study import Study
from subtr.decoding import Decoded
from subtr.metrics.bold import pearson_r, scored_on, standardise_by_fold
from subtr.metrics.identification import Identified, cut_segments, identify
from subtr.metrics.inference import block_bootstrap, held_out_shift_null
from subtr.scoring import Row, block_trs
from subtr.timeline import consecutive

PREFIX = "from BOLD: "
# Pictures are compared at this size: what is finer, linear decoders of BOLD do not draw.
_PICTURES, _HEIGHT, _WIDTH = 4, 18, 32


def identified(
    decoded: Decoded,
    study: Study,
    what: str = "from_bold",
    segment_s: float | int = SEGMENT_S,
    n_draws: int = 100,
) -> Identified:
    """Which of the original's segments is each decoded one? By deviations from the mean stimulus.

    Segments are as long as those of BOLD; neighbours within the response are no distractors.

    Arguments
        what: "from_bold"; "ceiling", by the true vectors; "floor", the mean stimulus.

    Raises
        SettingsError: too few segments far enough apart.
    """
    tr_s = study.clock.tr_s
    stretches = consecutive(np.sort(decoded.trs), study.run_of_tr)
    segments = cut_segments(stretches, max(1, round(segment_s / tr_s)))
    drawn, original = (
        _on_timeline(_deviations(of, decoded), decoded, study)
        for of in (getattr(decoded, what), decoded.original)
    )
    overlap_trs = int(np.ceil(OVERLAP_S / tr_s))
    return identify(drawn, original, segments, overlap_trs, study.run_of_tr, n_draws)


def decoding_rows(decoded: Decoded, study: Study, /, **labels: Any) -> list[Row]:
    """Identification of the stimulus, between mean stimulus and true vectors; and vector r.

    "from BOLD: identification (pairwise)" and "(top-1)": value and interval of what is decoded from
    BOLD; ``ceiling`` is what the true vectors reach through the same decoder, ``floor`` the 95th
    percentile of stimuli moved along in time; those of the mean stimulus have rows of their own.
    "from BOLD: vector r": r over time of each number of the vector, weighted by its variance.

    Raises
        SettingsError: see `identified`.
    """
    found, ceiling, floor = (
        identified(decoded, study, what) for what in ("from_bold", "ceiling", "floor")
    )
    rows = identification_rows(found, PREFIX)
    for name, metric in IDENTIFIED.items():
        (row,) = [row for row in rows if row["metric"] == PREFIX + metric]
        row["ceiling"] = ceiling.value(name)
        said = f"{PREFIX}{metric} of the mean stimulus"
        rows.append({"metric": said, "value": floor.value(name)})
    rows.append(_vector_row(decoded, study.clock.tr_s))
    return [labels | {"modality": decoded.modality} | row for row in rows]


def _vector_row(decoded: Decoded, tr_s: float) -> Row:
    """r of the vector's numbers, each test block by itself, for bases may differ between folds."""
    spread = np.mean([decoded.true_vectors[of].var(axis=0) for of in decoded.folds], axis=0)
    true = standardise_by_fold(decoded.true_vectors, decoded.folds)
    found = scored_on(decoded.vectors, true, decoded.folds)

    def weighted(r: np.ndarray) -> float:
        known = np.isfinite(r)
        return float((r * spread)[known].sum() / spread[known].sum()) if known.any() else np.nan

    n = len(found)
    r, null = held_out_shift_null(decoded.vectors, true, decoded.folds, tr_s)
    chance = np.array([weighted(row) for row in null])
    size = block_trs(n, tr_s)
    low, high = block_bootstrap(lambda of: weighted(pearson_r(found[of], true[of])), n, size, 300)
    return {
        "metric": f"{PREFIX}vector r",
        "value": weighted(r),
        "low": low,
        "high": high,
        "floor": float(np.nanpercentile(chance, 95)),
        "ceiling": 1.0,
    }


def _deviations(shown: np.ndarray, decoded: Decoded) -> Float32[np.ndarray, "test feature"]:
    """Deviations from the training mean of each fold, one row a TR."""
    # Of pictures the mean has whole numbers too, or the mean picture would deviate by rounding.
    whole = shown.dtype == np.uint8
    parts = [
        shown[of].astype(np.float32) - (np.rint(mean) if whole else mean).astype(np.float32)
        for of, mean in zip(decoded.folds, decoded.mean, strict=True)
    ]
    away = np.concatenate(parts)
    if decoded.modality == "pictures":
        away = _smaller(away)
    return away.reshape(len(away), -1)


def _smaller(pictures: Float32[np.ndarray, "tr picture height width 3"]) -> np.ndarray:
    n, height, width = pictures.shape[1:4]
    size = (min(n, _PICTURES), min(height, _HEIGHT), min(width, _WIDTH))
    film = rearrange(torch.from_numpy(pictures), "t p h w c -> t c p h w")
    return F.adaptive_avg_pool3d(film, size).numpy()


def _on_timeline(rows: np.ndarray, decoded: Decoded, study: Study) -> Shaped[np.ndarray, "tr _"]:
    whole = np.full((study.clock.n_trs, rows.shape[1]), np.nan, np.float32)
    whole[decoded.trs] = rows
    return whole
