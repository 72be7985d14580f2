"""What every learned system is compared with, made for one study: no gradient trains these."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped

from subtr.datasets.study import Fold, Study
from subtr.decoders.griffin_lim import GriffinLim, Vocoder
from subtr.models.linear import fit_pca, holds_components, lanczos_rival, mean_rival, nearest_rival
from subtr.models.ridge import ridge_features, ridge_prediction
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Split, consecutive


class Rival(NamedTuple):
    """A rival's name, the numbers that it keeps of a TR, and what it gives for the test TRs."""

    name: str
    floats_per_tr: float
    result: Shaped[np.ndarray, "..."]


def sound_rivals(
    study: Study,
    splits: list[Split],
    pca_floats: tuple[int, ...],
    vocoder: Vocoder | None = None,
    seed: int = 0,
) -> list[Rival]:
    """Reconstructions of the log-mel of all test TRs, fold after fold.

    Besides the rivals there is their ceiling when heard: the original through a vocoder (by default
    Griffin-Lim) and back.
    """
    vocoder = vocoder or GriffinLim(study.mel_settings)
    mel = np.asarray(study.mel, dtype=np.float32)
    n_frames, n_mels = mel.shape[1:]
    found = _held(mel, splits, study, n_mels)
    for n_floats in pca_floats:
        found += _pca(mel, splits, study, n_floats, seed)
    round_trips = [_round_trip(study, mel, split, vocoder) for split in splits]
    return [*found, Rival("round trip", n_frames * n_mels, np.concatenate(round_trips))]


def picture_rivals(
    study: Study, splits: list[Split], pca_floats: tuple[int, ...], seed: int = 0
) -> list[Rival]:
    """Reconstructions of the pictures of all test TRs, fold after fold."""
    shape = study.pictures.shape[1:]
    flat = np.asarray(study.pictures).reshape(*study.pictures.shape[:2], -1).astype(np.float32)
    found = _held(flat, splits, study, flat.shape[2])
    for n_floats in pca_floats:
        found += _pca(flat, splits, study, n_floats, seed)
    as_pictures = []
    for name, n_floats, windows in found:
        pictures = np.clip(np.rint(windows), 0, 255).astype(np.uint8).reshape(-1, *shape)
        as_pictures.append(Rival(name, n_floats, pictures))
    return as_pictures


def bold_rivals(folds: list[Fold]) -> list[Rival]:
    """Ridge on what the usual pipelines would use; numbers a TR are those of the feature.

    With a weight for each lag ("ridge, word rate"), and behind the canonical response ("canonical
    ridge, word rate"), unless feature or BOLD went through a response already.
    """
    found, study = [], folds[0].study
    for name, of in ridge_features(study).items():
        if study.hrf_applied or name in study.convolved:
            kinds = {"ridge": {"fir_s": 0.0}}
        else:
            kinds = {"ridge": {}, "canonical ridge": {"canonical": True}}
        for kind, options in kinds.items():
            prediction = ridge_prediction(folds, of, **options)
            found.append(Rival(f"{kind}, {name}", of.shape[1], prediction))
    return found


def _held(windows, splits: list[Split], study: Study, n_floats: int) -> list[Rival]:
    named = {"mean": mean_rival, "nearest": nearest_rival, "Lanczos": lanczos_rival}
    found = []
    for name, rival in named.items():
        # Lanczos looks at the neighbouring TRs, so it gets consecutive ones.
        parts = [rival(windows[trs]) for split in splits for trs in _stretches(split, study)]
        found.append(Rival(name, n_floats, np.concatenate(parts)))
    return found


def _pca(windows, splits: list[Split], study: Study, n_floats: int, seed: int) -> list[Rival]:
    parts = []
    for split in splits:
        stretches = consecutive(split.train, study.run_of_tr)
        if not holds_components(windows, stretches, n_floats):
            return []  # too little to learn so many components from
        pca = fit_pca(torch.tensor(windows), stretches, n_floats, seed)
        parts.append(pca.reconstruct(windows[split.test]))
    return [Rival("PCA", n_floats, np.concatenate(parts))]


def _round_trip(study: Study, mel: np.ndarray, split: Split, vocoder: Vocoder) -> np.ndarray:
    parts = []
    for trs in _stretches(split, study):
        clock = type(study.clock)(study.clock.tr_s, len(trs), 0.0, study.clock.frames_per_tr)
        sound = vocoder(mel[trs], clock)
        parts.append(log_mel_of_sound(sound, vocoder.rate_hz, clock, study.mel_settings))
    return np.concatenate(parts)


def _stretches(split: Split, study: Study) -> list[np.ndarray]:
    return consecutive(split.test, study.run_of_tr)
