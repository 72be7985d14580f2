"""What vocoders lose of real speech and music: the ceiling of all that is reconstructed."""

import time

import librosa
import numpy as np
import pytest
from scipy.stats import bootstrap

from subtr.baselines.reconstruction import PCARival
from subtr.clock import Clock
from subtr.datasets.recordings import read_manifest
from subtr.judges import JudgeMissing
from subtr.judges.intelligibility import Intelligibility
from subtr.judges.quality import Dnsmos, Pesq
from subtr.metrics import mel_correlation
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.vocoders import HIFI_GAN_MEL, GriffinLim, HifiGan, WeightsError

SEEDS = (0, 1, 2)
TR_S = 1.5
JUDGES = (Intelligibility(), Pesq(), Dnsmos())
SPEECH = ("hifi_6097", "librispeech", "fsdd")
LOWER_IS_BETTER = "spectral convergence"

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def hifi_gan():
    try:
        return HifiGan(HIFI_GAN_MEL)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", autouse=True)
def _judges():
    for judge in JUDGES:
        try:
            judge.check()
        except JudgeMissing as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def sounds(data_dir):
    """Name of a set -> name of a recording -> its sound at the rate of HiFi-GAN."""
    speech, rate_hz = data_dir / "speech", HIFI_GAN_MEL.rate_hz

    def of(file, start_s=0.0, length_s=None):
        return librosa.load(file, sr=rate_hz, offset=start_s, duration=length_s)[0]

    read = [one.file for one in read_manifest(speech / "hifi_6097")[-16:]]
    # A copy of the data may hold the name of another file in place of a piece.
    pieces = [
        file
        for file in sorted((data_dir / "music").glob("*.ogg"))
        if file.read_bytes()[:4] == b"OggS"
    ]
    takes = {}
    for file in sorted((speech / "fsdd" / "recordings").glob("[0-4]_*_0.wav")):
        takes.setdefault(file.stem.split("_")[1], []).append(of(file))
    return {
        "hifi_6097": {file.stem: of(file) for file in read},
        "librispeech": {
            file.stem: of(file, 1.0, 6.0) for file in sorted((speech / "librispeech").glob("*.ogg"))
        },
        # One digit is too short to be judged.
        "fsdd": {speaker: np.concatenate(digits) for speaker, digits in takes.items()},
        "music": {file.stem: of(file, 2.0, 5.0) for file in pieces},
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
        LOWER_IS_BETTER: lost,
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


def mean_of(rows, metric):
    (value,) = (row["value"] for row in rows if row["metric"] == metric)
    return value


def griffin_lims(settings, seeds=SEEDS):
    return [GriffinLim(settings, seed=seed) for seed in seeds]


@pytest.mark.parametrize("name", [*SPEECH, "music"])
def test_griffin_lim_returns_an_exact_spectrogram_best(sounds, hifi_gan, scored_of, name):
    of = name, sounds[name]
    frames = hifi_gan.frames_per_tr(TR_S)
    learned = rows_of(*of, "hifi_gan", [hifi_gan], frames)
    same = rows_of(*of, "griffin_lim", griffin_lims(HIFI_GAN_MEL), frames)
    usual = rows_of(*of, "griffin_lim, usual mel", griffin_lims(MelSettings(), [0]), 64)
    scored_of(f"vocoders/{name}", learned + same + usual)
    assert mean_of(same, "mel correlation") > mean_of(learned, "mel correlation")
    assert mean_of(same, LOWER_IS_BETTER) < mean_of(learned, LOWER_IS_BETTER)
    if name in SPEECH:
        assert mean_of(learned, "stoi") > 0.93
        assert mean_of(same, "stoi") > mean_of(learned, "stoi")


def test_hifi_gan_makes_the_better_speech_of_a_reconstruction(
    sounds, data_dir, hifi_gan, scored_of
):
    rate_hz, frames, n_floats = HIFI_GAN_MEL.rate_hz, 128, 512
    read = read_manifest(data_dir / "speech" / "hifi_6097")[:100]
    learned_from = np.concatenate([librosa.load(one.file, sr=rate_hz)[0] for one in read])
    clock = Clock.covering(len(learned_from) / rate_hz, TR_S, frames_per_tr=frames)
    flat = log_mel_of_sound(learned_from, rate_hz, clock, HIFI_GAN_MEL).reshape(-1, 80)
    windows = np.stack([flat[i : i + frames] for i in range(0, len(flat) - frames, 16)])
    pca = PCARival(n_floats).fit(windows)
    some = dict(list(sounds["hifi_6097"].items())[-6:])
    of = "hifi_6097", some
    learned = rows_of(*of, "PCA, hifi_gan", [hifi_gan], frames, pca.reconstruct)
    same = rows_of(*of, "PCA, griffin_lim", griffin_lims(HIFI_GAN_MEL), frames, pca.reconstruct)
    rows = [row | {"floats_per_tr": n_floats} for row in learned + same]
    scored_of("vocoders/reconstructed", rows)
    for metric in ("stoi", "estoi", "dnsmos"):
        assert mean_of(learned, metric) > mean_of(same, metric), metric


def test_what_fewer_frames_than_hops_cost(sounds, hifi_gan, scored_of):
    some = dict(list(sounds["hifi_6097"].items())[:5])
    rows = {
        frames: rows_of("hifi_6097", some, f"hifi_gan, {frames} frames", [hifi_gan], frames)
        for frames in (32, 64, 128, 129)
    }
    scored_of("vocoders/frames", [row for of in rows.values() for row in of])
    stoi = {frames: mean_of(of, "stoi") for frames, of in rows.items()}
    assert stoi[32] < stoi[64] < stoi[129]
    assert stoi[128] == pytest.approx(stoi[129], abs=0.005)
