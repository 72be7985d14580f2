"""BOLD back to the stimulus: volumes of several TRs -> TR vector -> sound or pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Fold, Study
from subtr.models.stimulus_decoder import WINDOW_S, BoldDecoder, StimulusCode
from subtr.params import SettingsError, nearest
from subtr.timeline import Split

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
