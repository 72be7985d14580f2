"""Decodes the stimulus from BOLD, with lesions and scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Fold, Study
from subtr.experiments.bold_scores import IDENTIFIED, OVERLAP_S, SEGMENT_S, identification_rows
from subtr.experiments.data import ExperimentData
from subtr.experiments.experiment import autoencoder_fold, system_part, trained_autoencoder
from subtr.experiments.results import Row, block_trs, read_table, write_results
from subtr.metrics.bold import pearson_r, scored_on, standardise_by_fold
from subtr.metrics.identification import Identified, cut_segments, identify
from subtr.metrics.inference import block_bootstrap, held_out_shift_null
from subtr.models.stimulus_decoder import (
    WINDOW_S,
    BoldDecoder,
    StimulusCode,
    autoencoder_code,
    components_code,
)
from subtr.params import SettingsError, nearest, params_hash
from subtr.timeline import Split, consecutive

GROUP = "mean"


@dataclass(frozen=True)
class FittedFold:
    """A decoder of one fold with all that it needs to decode the fold's test TRs."""

    split: Split
    code: StimulusCode
    decoder: BoldDecoder
    bold: Float64[np.ndarray, "tr parcel"]
    drift_order: int = 2

    def vectors(
        self, study: Study, silent: Bool[np.ndarray, " parcel"] | None = None
    ) -> Float64[np.ndarray, "test dim"]:
        """Vectors of the test TRs; parcels that are ``silent`` stay at their training mean."""
        bold = self.bold if silent is None else np.where(silent, np.nan, self.bold)
        return self.decoder.predict(bold, self.split.test, study.run_of_tr)


@dataclass(frozen=True)
class Decoded:
    """Held-out TRs as decoded from BOLD, fold after fold, between floor and ceiling.

    Arguments
        modality: "sound" or "pictures".
        trs: TRs of the study.
        folds: positions in ``trs`` of each test block.
        vectors, true_vectors: from BOLD, and from the stimulus.
        original, from_bold, ceiling, floor: the stimulus; decoded from BOLD; decoded from the true
            vectors; the training mean.
        mean: training mean frame of each fold.
    """

    modality: str
    trs: Int[np.ndarray, " test"]
    folds: list[Int[np.ndarray, " _"]]
    vectors: Float64[np.ndarray, "test dim"]
    true_vectors: Float64[np.ndarray, "test dim"]
    original: Shaped[np.ndarray, "test frame *feature"]
    from_bold: Shaped[np.ndarray, "test frame *feature"]
    ceiling: Shaped[np.ndarray, "test frame *feature"]
    floor: Shaped[np.ndarray, "test frame *feature"]
    mean: list[Float64[np.ndarray, "*feature"]]


def fit_decoders(
    folds: Sequence[Fold],
    codes: Sequence[StimulusCode],
    subject: str = GROUP,
    window_s: tuple[float | int, float | int] = WINDOW_S,
) -> list[FittedFold]:
    """A decoder for each fold, from the volumes of training and validation TRs.

    Arguments
        codes: of each fold, learned from its training TRs.
        subject: whose BOLD; "mean" is the subjects' mean.

    Raises
        SettingsError: no such subject; or a gap so short that a training TR's volumes are those of
            a test TR.
    """
    study = folds[0].study
    if subject != GROUP and subject not in study.bold:
        known = [GROUP, *study.subjects]
        raise SettingsError(
            f"subject = {subject!r}: {study.name} has none{nearest(subject, known)}"
        )
    fitted = []
    for of, code in zip(folds, codes, strict=True):
        split, known = of.split, of.known
        bold = _bold_of(study, split, of.drift_order, subject)
        decoder = BoldDecoder(study.clock.tr_s, window_s)
        apart = np.abs(known[:, None] - split.test[None, :])
        same_run = study.run_of_tr[known][:, None] == study.run_of_tr[split.test][None, :]
        if (same_run & (apart <= decoder.last_tr - decoder.first_tr)).any():
            raise SettingsError(
                f"window_s = {tuple(window_s)}: volumes after a test TR are those of a training TR "
                "as well; split with a longer gap_s, or use a shorter window."
            )
        decoder.fit(bold, code.vectors, known, study.run_of_tr)
        fitted.append(FittedFold(split, code, decoder, bold, of.drift_order))
    return fitted


def with_bold_of(fitted: Sequence[FittedFold], study: Study, subject: str) -> list[FittedFold]:
    """The same decoders, given another subject's BOLD: do they carry over?"""
    return [
        replace(fold, bold=_bold_of(study, fold.split, fold.drift_order, subject))
        for fold in fitted
    ]


def decode(
    fitted: Sequence[FittedFold],
    study: Study,
    silent: Bool[np.ndarray, " parcel"] | None = None,
) -> Decoded:
    """The test TRs of all folds, decoded from BOLD; with some parcels silent if given."""
    parts = []
    for fold in fitted:
        code, test = fold.code, fold.split.test
        vectors = fold.vectors(study, silent)
        true = code.vectors[test]
        shown = [code.decoded(of, test, study) for of in (vectors, true)]
        parts.append((vectors, true, code.original[test], *shown, code.mean_stimulus(len(test))))
    trs = np.concatenate([fold.split.test for fold in fitted])
    edges = np.cumsum([len(fold.split.test) for fold in fitted])[:-1]
    joined = [np.concatenate(of) for of in zip(*parts, strict=True)]
    folds = np.split(np.arange(len(trs)), edges)
    means = [fold.code.mean for fold in fitted]
    return Decoded(fitted[0].code.modality, trs, folds, *joined, means)


def _bold_of(study: Study, split: Split, drift_order: int, subject: str) -> np.ndarray:
    subjects, mean = cleaned_bold(study, split, drift_order)
    return mean if subject == GROUP else subjects[subject]


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


COMPONENTS = "PCA"


class DecodedSystem(NamedTuple):
    """A system's decoders, what they give for the test TRs, and the rows of its scores."""

    fitted: list[FittedFold]
    decoded: Decoded
    rows: pd.DataFrame


def can_decode(experiment: ExperimentData, system: str) -> list[str]:
    """Of sound and pictures, what a system can draw from BOLD; nothing where there is none.

    Test blocks must have segments far enough apart to be told from one another.
    """
    study = experiment.study
    trs = np.sort(experiment.reconstruction_trs)
    segment_trs = max(1, round(SEGMENT_S / study.clock.tr_s))
    apart_trs = segment_trs + int(np.ceil(OVERLAP_S / study.clock.tr_s))
    n_segments = max(len(of) // segment_trs for of in consecutive(trs, study.run_of_tr))
    # From the middle one the others are nearest.
    if not study.bold or n_segments // 2 * segment_trs < apart_trs:
        return []
    there = {"sound": study.mel is not None, "pictures": study.pictures is not None}
    params = experiment.system(system)
    return [name for name, of in there.items() if of and getattr(params, name) is not None]


def codes_of(
    experiment: ExperimentData, system: str, modality: str = "sound", seed: int = 0
) -> list[StimulusCode]:
    """The code of each fold that autoencoders are trained on: of a system, or of "PCA".

    A system that has not been trained is trained now, at the first of its sizes.

    Raises
        SettingsError: the study or the system has nothing of the modality.
    """
    study, splits = experiment.study, experiment.reconstruction_splits
    if (study.mel if modality == "sound" else study.pictures) is None:
        raise SettingsError(f"modality = {modality!r}: {study.name} has no {modality}.")
    if system == COMPONENTS:
        n_floats = experiment.params.pca_floats[0]
        return [components_code(study, split, n_floats, modality, seed) for split in splits]
    n_floats = system_part(experiment, system, modality).floats_per_tr[0]
    codes = []
    for index, split in enumerate(splits):
        fold = autoencoder_fold(experiment, system, modality, n_floats, seed, index)
        codes.append(autoencoder_code(trained_autoencoder(fold, modality), study, split))
    return codes


def decode_system(
    experiment: ExperimentData,
    system: str,
    modality: str = "sound",
    seed: int = 0,
    subject: str = GROUP,
    window_s: tuple[float | int, float | int] = WINDOW_S,
) -> DecodedSystem:
    """Decodes the test TRs of `Experiment.reconstruction_splits` from BOLD, and scores them.

    Arguments
        system: see `codes_of`.
        subject: whose BOLD; "mean" is the subjects' mean.
        window_s: see `subtr.models.stimulus_decoder.BoldDecoder`.

    Raises
        SettingsError: the study has no BOLD; or see `codes_of`, `fit_decoders` and `identified`.
    """
    study, settings = experiment.study, experiment.params
    if not study.bold:
        raise SettingsError(f"{study.name} has no BOLD to decode from.")
    codes = codes_of(experiment, system, modality, seed)
    folds = experiment.folds[: len(codes)]
    fitted = fit_decoders(folds, codes, subject, window_s)
    decoded = decode(fitted, study)
    labels: dict[str, Any] = {"study": study.name, "system": system, "seed": seed}
    labels["floats_per_tr"] = codes[0].vectors.shape[1]
    labels["params_hash"] = params_hash(settings)
    rows = decoding_rows(decoded, study, **labels)
    return DecodedSystem(fitted, decoded, kept_rows(experiment, f"{system}_{modality}", seed, rows))


def kept_rows(
    experiment: ExperimentData, name: str, seed: int, rows: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """Writes rows to ``decoding/<name>_seed<seed>.csv`` of the run folder; gives them typed.

    They are no part of `Experiment.results`, which compare systems on all TRs of the study.
    """
    file = experiment.folder / "decoding" / f"{name.replace(' ', '-')}_seed{seed}.csv"
    return read_table(write_results(file, rows))


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
