"""The stimulus as a predictor of BOLD is given it: scaled on training TRs, with context."""

from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from subtr.bold_params import BoldParams
from subtr.datasets.study import Study
from subtr.models.batches import SoundAndPictures, Stimulus, with_context
from subtr.models.encoding_model import BoldPredictor, readout_of
from subtr.models.stream import PictureStreamParams
from subtr.params import SettingsError
from subtr.timeline import Split


def standardised_frames(
    study: Study,
    split: Split,
    context_frames: int = 0,
    n_bands: int | None = None,
    features: bool = False,
) -> Float[Tensor, "tr wider channel"]:
    """Log-mel, each band brought to mean 0 and variance 1 on the training TRs, with context.

    Of a study without sound, its features; ``features`` puts them behind the bands of one with
    sound. They have no neighbours to be averaged with, so ``n_bands`` is for sound alone.

    Raises
        SettingsError: more bands than the log-mel has, or no features to be shown.
    """
    frames = np.asarray(study.frames, dtype=np.float32)
    if n_bands is not None and study.mel is not None:
        if n_bands > frames.shape[-1]:
            raise SettingsError(f"n_bands = {n_bands}: the log-mel has {frames.shape[-1]} bands.")
        ranges = np.array_split(frames, n_bands, axis=-1)
        frames = np.stack([part.mean(axis=-1) for part in ranges], axis=-1)
    if features and study.features is None:
        raise SettingsError(
            f"features = true: {study.name} has none. Give its study file speech_features, or "
            "leave features out."
        )
    if features and study.mel is not None:
        frames = np.concatenate([frames, study.features], axis=-1)
    known = frames[split.train]
    spread = known.std(axis=(0, 1))
    scaled = (frames - known.mean(axis=(0, 1))) / np.where(spread > 1e-6, spread, 1.0)
    return with_context(torch.from_numpy(scaled), context_frames, study.run_of_tr)


def standardised_pictures(
    study: Study, split: Split, params: PictureStreamParams, context: bool = True
) -> Float[Tensor, "tr wider rgb height width"]:
    """Pictures, each colour of mean 0 and all of variance 1 on the training TRs, with context.

    An encoder of optical flow is given them from 0 to 1, as flow needs brightness.
    """
    pictures = rearrange(torch.from_numpy(np.array(study.pictures)), "t p h w c -> t p c h w")
    pictures = pictures.float() / 255
    if not params.takes_flow:
        known = pictures[torch.from_numpy(split.train)]
        center = known.mean((0, 1, 3, 4))[:, None, None]
        pictures = (pictures - center) / (known - center).square().mean().sqrt().clamp_min(1e-6)
    return with_context(pictures, params.context_pictures * context, study.run_of_tr)


def bold_stimulus(study: Study, split: Split, params: BoldParams) -> Stimulus:
    """All that a predictor with these parameters is shown of a study.

    Raises
        SettingsError: the study lacks pictures that are asked for, or has neither track; or as
            `standardised_frames`.
    """
    if params.pictures is not None and study.pictures is None:
        raise SettingsError(
            f"pictures: {study.name} has none; leave them out, or use a system of sound alone."
        )
    sound = pictures = None
    if params.pictures is not None:
        pictures = standardised_pictures(study, split, params.pictures)
    if study.frames is not None:
        how = (params.stream.context_frames, params.n_bands, params.features)
        sound = standardised_frames(study, split, *how)
    if sound is None and pictures is None:
        raise SettingsError(
            f"{study.name} has no sound and no features: give the system's bold pictures to "
            "predict from."
        )
    if sound is None or pictures is None:
        return pictures if sound is None else sound
    return SoundAndPictures(sound, pictures)


def bold_predictor(study: Study, params: BoldParams) -> BoldPredictor:
    """The untrained network for a study; what is random in it comes from torch's generator.

    Raises
        SettingsError: as `readout_of`, or `BoldPredictor`.
    """
    n_channels = None
    if study.frames is not None:
        n_channels = (study.mel is not None and params.n_bands) or study.frames.shape[-1]
        if params.features and study.mel is not None:
            n_channels += len(study.feature_names)
    # Deconvolved BOLD lies beside its stimulus; its series themselves are not needed here.
    aligned = study if params.deconvolve is None else replace(study, bold={}, hrf_applied=True)
    predictor = BoldPredictor(
        n_channels,
        study.clock.frames_per_tr,
        study.clock.tr_s,
        ["mean"] if params.target == "mean" else study.subjects,
        len(study.parcels),
        params.stream,
        readout_of(aligned, params.readout),
        params.pictures,
        None if study.pictures is None else study.pictures.shape[1:4],
    )
    predictor.undone_response = params.deconvolve and params.deconvolve.response
    return predictor
