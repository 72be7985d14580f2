"""Recordings of speech joined to one study, and its reconstructions cut into utterances again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.data import N_VALIDATION, TR_S
from subtr.datasets.study import Fold, Study
from subtr.decoders.griffin_lim import Vocoder
from subtr.decoders.hifi_gan import HIFI_GAN_MEL
from subtr.decoders.mel import LinearDecoder
from subtr.experiments.data import SystemParams
from subtr.models.autoencoder import VectorFitParams, fitted_vectors
from subtr.models.linear import PCABaseline, fit_pca
from subtr.params import load_params, params_folder, params_hash
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Clock, Split, consecutive
from subtr.training.autoencoders import train_sound

# As many as there are hops of 256 samples, with which HiFi-GAN could read the spectrogram too.
FRAMES_PER_TR = round(TR_S * HIFI_GAN_MEL.rate_hz / 256)


@dataclass(frozen=True)
class Spoken:
    """Training utterances as the first run of a study, each group of test utterances as another.

    Arguments
        split: of the TRs; those of all groups are its test.
        trs: group -> its TRs; the last of them ends in silence.
        sounds: group -> its utterances, mono at the vocoder's rate.
    """

    study: Study
    split: Split
    trs: dict[str, np.ndarray]
    sounds: dict[str, list[np.ndarray]]
    vocoder: Vocoder

    def original(self, group: str) -> np.ndarray:
        """Log-mel of a group's TRs."""
        return self.study.mel[self.trs[group]]

    def spoken_by(self, vocoder: Vocoder) -> "Spoken":
        """The same log-mel, made audible by another vocoder."""
        return replace(self, vocoder=vocoder)

    def utterances(self, group: str, windows: np.ndarray) -> list[np.ndarray]:
        """Log-mel of a group's TRs as sounds, one an utterance, as long as the recordings."""
        joined = self.vocoder(np.asarray(windows, np.float32), self.study.clock)
        ends = np.cumsum([len(sound) for sound in self.sounds[group]])
        return np.split(joined[: ends[-1]], ends[:-1])


def spoken(
    train: Sequence[np.ndarray],
    groups: Mapping[str, Sequence[np.ndarray]],
    vocoder: Vocoder,
    others: Sequence[np.ndarray] = (),
) -> Spoken:
    """A study of recordings at the vocoder's rate, with log-mel as it reads it.

    Arguments
        others: recordings that systems with ``others_share`` learn from too.
    """
    mels = [_log_mel(np.concatenate(list(part)), vocoder) for part in (train, *groups.values())]
    lengths = [len(mel) for mel in mels]
    mel = np.concatenate(mels)
    study = Study(
        "speech",
        Clock(TR_S, len(mel), 0.0, mel.shape[1]),
        mel=mel,
        mel_settings=vocoder.settings,
        other_mel=tuple(_log_mel(sound, vocoder) for sound in others),
        run_of_tr=np.repeat(np.arange(len(lengths)), lengths),
    )
    known, *tests = np.split(np.arange(len(mel)), np.cumsum(lengths)[:-1])
    split = Split(known[:-N_VALIDATION], known[-N_VALIDATION:], np.concatenate(tests))
    sounds = {group: list(of) for group, of in groups.items()}
    return Spoken(study, split, dict(zip(groups, tests, strict=True)), sounds, vocoder)


def components(speech: Spoken, n_floats: int) -> PCABaseline:
    """PCA of all that is not judged: of validation TRs too, which systems only stop by."""
    known = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    return fit_pca(torch.from_numpy(speech.study.mel), known, n_floats)


def learned(speech, n_floats, seed, folder, system="tier1", max_epochs=None):
    """A system, tier 1 if none is named, and its parameters."""
    params = parameters(system, max_epochs)
    weights = params_hash(params.of_weights())
    place = folder / f"heard_{n_floats}" / f"seed{seed}_{weights}"
    said = f"{system}, speech for the vocoder, {n_floats} floats, seed {seed}"
    found = train_sound(
        Fold(speech.study, speech.split, params.of_size(n_floats), place, seed, said)
    )
    return found, params


def redrawn(speech: Spoken, group: str, n_floats: int, seed: int, folder: Path, system: str):
    """Log-mel of a group's TRs from a system, and its parameters.

    Kept beside the weights, so that a GPU can train and fit, and another machine judge.
    """
    params = parameters(system)
    place = folder / f"redrawn_{group}_{n_floats}" / f"seed{seed}_{params_hash(params)}.npy"
    if not place.exists():
        model, params = learned(speech, n_floats, seed, folder, system)
        found = model.reconstruct(speech.trs[group], speech.study, params.vector_fit).numpy()
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(place, found)
    return np.load(place), params


def fit_to_what_is_heard() -> VectorFitParams:
    """How vectors are fitted to what Whisper's tiny.en hears, as a user would have it."""
    file = params_folder("full") / "system_tier1_heard.yaml"
    return load_params(SystemParams, file).sound.vector_fit


def linear_heard(pca: PCABaseline, speech: Spoken, group: str) -> np.ndarray:
    """Log-mel of a group from components whose numbers are fitted to what is heard."""
    fit, study = fit_to_what_is_heard(), speech.study
    known = study.mel[speech.split.train]
    center, scale = torch.from_numpy(known.mean((0, 1))), torch.tensor(float(known.std()))
    frames = (torch.from_numpy(speech.original(group)) - center) / scale
    decoder = LinearDecoder(len(pca.components), *frames.shape[1:])
    synthesis = torch.from_numpy(pca.components.T * pca.deviations) / scale
    mean = torch.from_numpy(pca.mean).reshape(frames.shape[1:])
    decoder.start_from(synthesis, ((mean - center) / scale).flatten())
    vectors = torch.from_numpy(pca.encode(speech.original(group)) / pca.deviations)
    error = fit.features.error(study.mel_settings, TR_S, frames.shape[1], center, scale)
    fitted = fitted_vectors(decoder, vectors, frames, fit.steps, fit.step, error)
    with torch.no_grad():
        return (decoder(fitted[None])[0] * scale + center).numpy()


def parameters(system="tier1", max_epochs=None):
    """As they are, at the precision that a GPU has: twice as fast on recent CPUs too."""
    params = load_params(SystemParams, params_folder("full") / f"system_{system}.yaml").sound
    changed = {"precision": "bf16"} | ({"max_epochs": max_epochs} if max_epochs else {})
    training = params.training.model_copy(update=changed)
    return params.model_copy(update={"training": training})


def _log_mel(sound: np.ndarray, vocoder: Vocoder) -> np.ndarray:
    n_trs = -(-len(sound) // round(TR_S * vocoder.rate_hz))
    clock = Clock(TR_S, n_trs, 0.0, FRAMES_PER_TR)
    return log_mel_of_sound(sound, vocoder.rate_hz, clock, vocoder.settings)
