"""What do vocoders lose of real speech and music? The ceiling of all that is reconstructed.

Data: three sets of speech and pieces of music. About 20 minutes on two cores. Needs `make judges`
and the weights of HiFi-GAN.
Expected: Griffin-Lim returns an exact spectrogram best, HiFi-GAN makes the better speech of a
reconstruction, and fewer frames than hops cost intelligibility.
"""

import time
from pathlib import Path

import librosa
import numpy as np
from scipy.stats import bootstrap

from benchmarks.data import TR_S, folder_of, music_files, read_manifest
from benchmarks.tables import Row
from subtr.decoders.griffin_lim import GriffinLim
from subtr.decoders.hifi_gan import HIFI_GAN_MEL, HifiGan
from subtr.judges.audio import Dnsmos, Intelligibility, Pesq
from subtr.metrics.temporal import mel_correlation
from subtr.models.linear import PCABaseline
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

SEEDS = (0, 1, 2)
JUDGES = (Intelligibility(), Pesq(), Dnsmos())
SETS = ("hifi_6097", "librispeech", "fsdd", "music")


def run(folder: Path, sets=SETS, reconstruction=True, frames=(32, 64, 128, 129)) -> list[Row]:
    """Rows of round trips of each set; of PCA made audible; of fewer frames than hops."""
    for judge in JUDGES:
        judge.check()
    hifi_gan, recordings, rows = HifiGan(HIFI_GAN_MEL), sounds(), []
    for name in sets:
        rows += round_trips(name, recordings[name], hifi_gan)
    if reconstruction:
        rows += of_a_reconstruction(recordings["hifi_6097"], hifi_gan)
    some = dict(list(recordings["hifi_6097"].items())[:5])
    for n in frames:
        rows += rows_of("hifi_6097", some, f"hifi_gan, {n} frames", [hifi_gan], n)
    return rows


def sounds():
    """Name of a set -> name of a recording -> its sound at the rate of HiFi-GAN."""
    rate_hz = HIFI_GAN_MEL.rate_hz

    def of(file, start_s=0.0, length_s=None):
        return librosa.load(file, sr=rate_hz, offset=start_s, duration=length_s)[0]

    read = [one.file for one in read_manifest(folder_of("speech/hifi_6097"))[-16:]]
    takes = {}
    for file in sorted((folder_of("speech/fsdd") / "recordings").glob("[0-4]_*_0.wav")):
        takes.setdefault(file.stem.split("_")[1], []).append(of(file))
    return {
        "hifi_6097": {file.stem: of(file) for file in read},
        "librispeech": {
            file.stem: of(file, 1.0, 6.0)
            for file in sorted(folder_of("speech/librispeech").glob("*.ogg"))
        },
        # One digit is too short to be judged.
        "fsdd": {speaker: np.concatenate(digits) for speaker, digits in takes.items()},
        "music": {file.stem: of(file, 2.0, 5.0) for file in music_files()},
    }


def scores(sound, vocoder, frames_per_tr, changed=None):
    """Measure -> value for the round trip of a sound at the rate of HiFi-GAN.

    ``changed``: what becomes of the log-mel on its way.
    """
    rate_hz = HIFI_GAN_MEL.rate_hz
    n_trs = int(np.ceil(len(sound) / rate_hz / TR_S))
    clock = Clock(TR_S, n_trs, frames_per_tr=frames_per_tr)
    settings = vocoder.settings
    log_mel = log_mel_of_sound(sound, rate_hz, clock, settings)
    log_mel = log_mel if changed is None else changed(log_mel)
    started_s = time.process_time()
    found = vocoder(log_mel, clock)
    spent_s = time.process_time() - started_s
    if vocoder.rate_hz != rate_hz:
        found = librosa.resample(found, orig_sr=vocoder.rate_hz, target_sr=rate_hz)
    found = np.pad(found, (0, max(0, len(sound) - len(found))))[: len(sound)]
    mels = [log_mel_of_sound(one, rate_hz, clock.with_frames(64)) for one in (sound, found)]
    spectra = [np.abs(librosa.stft(one, n_fft=1024, hop_length=256)) for one in (sound, found)]
    lost = np.linalg.norm(spectra[0] - spectra[1]) / np.linalg.norm(spectra[0])
    judged = [judge.compare(sound, found, rate_hz) for judge in JUDGES]
    return {
        **{name: value for of in judged for name, value in of.items()},
        "mel correlation": mel_correlation(*mels),
        # Arik, Jun and Diamos 2019, Fast spectrogram inversion, equation 1.
        "spectral convergence": lost,
        "seconds of sound a second of one core": len(sound) / rate_hz / spent_s,
    }


def rows_of(name, recordings, system, vocoders, frames_per_tr, changed=None):
    """Tidy rows: the mean over recordings and seeds, its interval over recordings."""
    found = [
        [scores(sound, vocoder, frames_per_tr, changed) for vocoder in vocoders]
        for sound in recordings.values()
    ]
    settings = vocoders[0].settings
    labels = {"study": name, "system": system, "modality": "sound"}
    labels["floats_per_tr"] = frames_per_tr * settings.n_mels
    rows = []
    for metric in found[0][0]:
        values = np.array([[one[metric] for one in of] for of in found])
        each = values.mean(1)
        low, high = bootstrap((each,), np.mean, method="percentile", rng=0).confidence_interval
        rows.append(labels | {"metric": metric, "value": each.mean(), "low": low, "high": high})
    return rows


def griffin_lims(settings, seeds=SEEDS):
    return [GriffinLim(settings, seed=seed) for seed in seeds]


def round_trips(name, recordings, hifi_gan) -> list[Row]:
    of = name, recordings
    frames = hifi_gan.frames_per_tr(TR_S)
    learned = rows_of(*of, "hifi_gan", [hifi_gan], frames)
    same = rows_of(*of, "griffin_lim", griffin_lims(HIFI_GAN_MEL), frames)
    usual = rows_of(*of, "griffin_lim, usual mel", griffin_lims(MelSettings(), [0]), 64)
    return learned + same + usual


def of_a_reconstruction(recordings, hifi_gan) -> list[Row]:
    """Of 512 components a TR of a reader, learned from 100 other utterances."""
    rate_hz, frames, n_floats = HIFI_GAN_MEL.rate_hz, 128, 512
    read = read_manifest(folder_of("speech/hifi_6097"))[:100]
    learned_from = np.concatenate([librosa.load(one.file, sr=rate_hz)[0] for one in read])
    clock = Clock.covering(len(learned_from) / rate_hz, TR_S, frames_per_tr=frames)
    flat = log_mel_of_sound(learned_from, rate_hz, clock, HIFI_GAN_MEL).reshape(-1, 80)
    windows = np.stack([flat[i : i + frames] for i in range(0, len(flat) - frames, 16)])
    pca = PCABaseline(n_floats).fit(windows)
    of = "hifi_6097", dict(list(recordings.items())[-6:])
    learned = rows_of(*of, "PCA, hifi_gan", [hifi_gan], frames, pca.reconstruct)
    same = rows_of(*of, "PCA, griffin_lim", griffin_lims(HIFI_GAN_MEL), frames, pca.reconstruct)
    return [row | {"floats_per_tr": n_floats} for row in learned + same]
