"""Film to BOLD: trains a predictor on each fold, and the ridge rivals beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from subtr.baselines import FirRidge, mean_mel, onset_flux, sound_power
from subtr.bold_scoring import cleaned_bold
from subtr.errors import SettingsError
from subtr.items import Batch, consecutive, timeline_batch, with_context
from subtr.labelled import labelled_bold, labelled_trs
from subtr.losses import bold_loss
from subtr.metrics import shuffle_frames
from subtr.models import BoldPredictor, ReadoutParams, StreamParams
from subtr.params import Strict
from subtr.pretraining import PretrainingParams, pretrain_members
from subtr.splits import Split
from subtr.study import Study
from subtr.training import Fitting, TrainingParams, fit


class BoldParams(Strict):
    """Log-mel -> TR vector -> BOLD: what is built and how it is trained.

    ``target``: the subjects' mean as one series, or each subject with a head of their own.
    ``n_bands``: ranges of neighbouring mel bands that are averaged first, since minutes of BOLD
    cannot tell what each of 128 bands is for; None keeps every band.
    ``pretraining``: encoders first learn to redraw hidden patches of the stimulus, each member by
    itself; then they learn from BOLD at ``training.started_rate``.
    ``labelled_fraction``: share of the training TRs, in blocks, whose BOLD may be learned from; the
    stimulus of all training TRs stays for pre-training and for scaling. Validation TRs keep their
    BOLD, and when to stop is decided by them, so that what is labelled in all is more than this.
    """

    stream: StreamParams = StreamParams()
    readout: ReadoutParams = ReadoutParams()
    training: TrainingParams = TrainingParams()
    target: Literal["mean", "subjects"] = "mean"
    loss: Literal["correlation", "mse"] = "correlation"
    n_bands: int | None = Field(None, ge=1)
    item_trs: int = Field(60, ge=8)
    pretraining: PretrainingParams | None = None
    labelled_fraction: float = Field(1.0, gt=0, le=1)


def predict_bold(
    study: Study,
    splits: list[Split],
    params: BoldParams,
    drift_order: int,
    folder: Path,
    seed: int,
    label: str,
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], pd.DataFrame]:
    """Held-out predictions of every test block, each by a network that never met it.

    Returns
        "mean" (all frames in order), "frames shuffled" (the same networks, given each TR's frames
        in random order), and with heads of their own each subject -> prediction (TR, parcel), NaN
        at TRs that no fold tests; and the history of all trainings, with a column ``fold``.
    """
    shape = (study.clock.n_trs, len(study.parcels))
    predictions: dict[str, np.ndarray] = {}
    histories, spent_s = [], 0.0
    for fold, split in enumerate(splits):
        predictor, frames, history = _fit_fold(
            study, split, params, drift_order, folder / f"fold{fold}", seed, f"{label} fold {fold}"
        )
        spent_s += history.attrs["training time_s"]
        histories.append(history.assign(fold=fold))
        shuffled = torch.from_numpy(shuffle_frames(frames.numpy(), seed))
        found = _timeline(predictor, frames, study)
        mixed = _timeline(predictor, shuffled, study)
        found["mean"] = _mean_of(found)
        found["frames shuffled"] = _mean_of(mixed)
        for name, prediction in found.items():
            predictions.setdefault(name, np.full(shape, np.nan))
            predictions[name][split.test] = prediction[split.test]
    history = pd.concat(histories, ignore_index=True)
    history.attrs["training time_s"] = spent_s
    return predictions, history


def _fit_fold(study, split, params, drift_order, folder, seed, label):
    labelled = labelled_trs(split, params.labelled_fraction, study, seed)
    subjects, mean = labelled_bold(study, split, labelled, drift_order)
    targets = {"mean": mean} if params.target == "mean" else subjects
    bold = {name: torch.tensor(of, dtype=torch.float32) for name, of in targets.items()}
    frames = standardised_frames(study, split, params.stream.context_frames, params.n_bands)
    torch.manual_seed(seed)
    predictor = BoldPredictor(
        frames.shape[-1],
        study.clock.frames_per_tr,
        study.clock.tr_s,
        list(bold),
        len(study.parcels),
        params.stream,
        params.readout,
    )
    started, before_s = [], 0.0
    if params.pretraining is not None:
        bare = standardised_frames(study, split, 0, params.n_bands)
        place = folder / "pretraining"
        started, before_s = pretrain_members(
            predictor.streams, bare, split, study.run_of_tr, study.clock.tr_s, params.pretraining,
            place, seed, label,
        )  # fmt: skip

    def batch(trs):
        stretches = consecutive(trs, study.run_of_tr)
        lead = predictor.n_lead_trs
        return timeline_batch(frames, bold, stretches, study.run_of_tr, lead, params.item_trs)

    def objective(model: BoldPredictor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        # Each member learns by itself; it is their mean that predicts.
        each = [bold_loss(one, batch["bold"], params.loss) for one in model.each(batch["frames"])]
        loss = torch.stack([value for value, _ in each]).mean()
        return loss, {"r": torch.stack([named["r"] for _, named in each]).mean()}

    train, validation = batch(labelled), batch(split.validation)
    fitting = Fitting(
        predictor, objective, lambda _: [train], [validation], params.training, seed, started
    )
    history = fit(fitting, folder, label)
    history.attrs["training time_s"] += before_s
    return predictor, frames, history


def standardised_frames(
    study: Study, split: Split, context_frames: int = 0, n_bands: int | None = None
) -> Float[Tensor, "tr wider band"]:
    """Log-mel, each band brought to mean 0 and variance 1 on the training TRs, with context.

    Raises
        SettingsError: more bands than the log-mel has.
    """
    mel = np.asarray(study.mel, dtype=np.float32)
    if n_bands is not None:
        if n_bands > mel.shape[-1]:
            raise SettingsError(f"n_bands = {n_bands}: the log-mel has {mel.shape[-1]} bands.")
        ranges = np.array_split(mel, n_bands, axis=-1)
        mel = np.stack([part.mean(axis=-1) for part in ranges], axis=-1)
    known = mel[split.train]
    spread = known.std(axis=(0, 1))
    scaled = (mel - known.mean(axis=(0, 1))) / np.where(spread > 1e-6, spread, 1.0)
    return with_context(torch.from_numpy(scaled), context_frames, study.run_of_tr)


@torch.no_grad()
def _timeline(predictor: BoldPredictor, frames: Tensor, study: Study) -> dict[str, np.ndarray]:
    """BOLD of the whole study, run by run, by head."""
    out: dict[str, np.ndarray] = {}
    for run in np.unique(study.run_of_tr):
        (trs,) = np.nonzero(study.run_of_tr == run)
        for name, bold in predictor(frames[torch.as_tensor(trs)][None]).items():
            out.setdefault(name, np.full((study.clock.n_trs, bold.shape[-1]), np.nan))
            out[name][trs] = bold[0].double().numpy()
    return out


def _mean_of(predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.mean(list(predictions.values()), axis=0)


def ridge_features(study: Study) -> dict[str, Float64[np.ndarray, "tr feature"]]:
    """What the usual pipelines would feed to a ridge regression, by name."""
    features: dict[str, np.ndarray] = {}
    if study.mel is not None:
        features["mean mel"] = mean_mel(study.mel)
        features["sound power"] = sound_power(study.mel)
        features["onset flux"] = onset_flux(study.mel)
    return features | {name: np.asarray(of, float) for name, of in study.regressors.items()}


def ridge_prediction(
    study: Study,
    splits: list[Split],
    features: Float64[np.ndarray, "tr feature"],
    drift_order: int,
    fir_s: float = 16.0,
) -> Float64[np.ndarray, "tr parcel"]:
    """FIR ridge's prediction of every test block.

    It learns from training and validation TRs, as it chooses its penalty by blocks within them.
    """
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for split in splits:
        _, mean = cleaned_bold(study, split, drift_order)
        known = np.sort(np.concatenate([split.train, split.validation]))
        ridge = FirRidge(study.clock.tr_s, 0.0 if study.hrf_applied else fir_s)
        ridge.fit(features, mean, known, study.run_of_tr)
        prediction[split.test] = ridge.predict(features, split.test, study.run_of_tr)
    return prediction
