"""What is measured on: a reader, other recordings, films, and studies of BOLD.

Read speech with transcripts comes as windows of one TR, for reconstruction without BOLD.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32, Int64

from benchmarks.tables import NotMeasured
from subtr.datasets import load_study
from subtr.datasets.fetch import find_data
from subtr.datasets.simulated import generated_film
from subtr.datasets.study import Study
from subtr.decoders.griffin_lim import GriffinLim
from subtr.decoders.hifi_gan import HIFI_GAN_MEL
from subtr.judges import load_judge
from subtr.params import StudyError
from subtr.stimulus.media import MediaError, probe, resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.pictures import pictures_of_media
from subtr.timeline import Clock, Split

TR_S = 1.5
# TRs of the reader that are kept for stopping, the last before those that are judged.
N_VALIDATION = 16
GENERATED_S, GENERATED_SEED = 720.0, 0
# Name -> file; the generated film has none.
FILMS = {
    "generated": None,
    "tears of steel": "tears_of_steel_battle_70s_800x332.webm",
    "big buck bunny": "bbb_30s_854x480_5.1.mp4",
}


def folder_of(name: str) -> Path:
    """The folder of the data called so, such as "speech/hifi_6097".

    Raises
        NotMeasured: it is missing; the message says where it can be had.
    """
    try:
        return find_data(name)
    except StudyError as error:
        raise NotMeasured(str(error)) from error


def real_study(name: str, load: dict | None = None) -> Study:
    """A study of real BOLD, such as "alice"; raises as `folder_of`."""
    folder_of(name)
    return load_study(name, load or {})


def film_file(name: str) -> Path:
    """The file of one of `FILMS`; raises as `folder_of`."""
    file = folder_of("films") / FILMS[name]
    if not file.is_file():
        raise NotMeasured(f"{file} is missing: put the film there.")
    return file


def film_study(name: str) -> tuple[Study, list[Split]]:
    """One of `FILMS` as a study of pictures, and five blocks of its time to judge by."""
    if FILMS[name] is None:
        media, length_s = generated_film(GENERATED_S, TR_S, GENERATED_SEED), GENERATED_S
    else:
        media = film_file(name)
        length_s = probe(media).duration_s
    clock = Clock.covering(length_s, TR_S)
    study = Study(name, clock, pictures=np.array(pictures_of_media(media, clock)))
    return study, study.splits(5, 2 * TR_S, 0.1)


def music_files() -> list[Path]:
    """Pieces of music. A copy of the data may hold the name of another file in place of one."""
    files = sorted(folder_of("music").glob("*.ogg"))
    return [file for file in files if file.read_bytes()[:4] == b"OggS"]


def reader_study() -> tuple[Study, Split]:
    """100 utterances of one reader to learn from, 16 others to judge by, and how they are split."""
    windows = load_speech(folder_of("speech/hifi_6097"), tr_s=TR_S)
    n_train, n_test = len(windows.train), len(windows.test)
    mel = np.concatenate([windows.train, windows.test])
    run_of_tr = np.repeat([0, 1], [n_train, n_test])
    study = Study("speech", Clock(TR_S, len(mel)), mel=mel, run_of_tr=run_of_tr)
    edge, trs = n_train - N_VALIDATION, np.arange(len(mel))
    return study, Split(trs[:edge], trs[edge:n_train], trs[n_train:])


def vocoder_before(*judges: str) -> GriffinLim:
    """The vocoder that speech is judged through: Griffin-Lim at 129 frames a TR.

    Of originals, more is understood through it than through HiFi-GAN.

    Raises
        JudgeMissing: one of the judges, by name, is not installed.
    """
    for name in judges:
        load_judge(name)
    return GriffinLim(HIFI_GAN_MEL)


@dataclass(frozen=True)
class Utterance:
    """A recording and what is said in it."""

    file: Path
    text: str


@dataclass(frozen=True)
class SpeechWindows:
    """Log-mel windows of a TR each, for learning and for judging.

    Arguments
        train, test: (TR, frame, mel); consecutive TRs where the utterances were joined.
        train_utterance, test_utterance: place in the manifest of the utterance in the middle of
            each window.
    """

    train: Float32[np.ndarray, "train_tr frame mel"]
    test: Float32[np.ndarray, "test_tr frame mel"]
    train_utterance: Int64[np.ndarray, " train_tr"]
    test_utterance: Int64[np.ndarray, " test_tr"]


def read_manifest(folder: Path) -> list[Utterance]:
    """The utterances that ``manifest.json`` of a folder lists, in its order.

    Each line is a JSON object with audio_filepath, relative to the folder, and text.

    Raises
        StudyError: no manifest, or a line that does not name an existing recording.
    """
    file = Path(folder) / "manifest.json"
    if not file.is_file():
        raise StudyError(f"{file} does not exist: expected one JSON object a line.")
    utterances = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            utterance = Utterance(Path(folder) / entry["audio_filepath"], str(entry["text"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{file}, line {number}: expected a JSON object with audio_filepath and text, "
                f"found {line[:60]!r}."
            ) from error
        if not utterance.file.is_file():
            raise StudyError(f"{file}, line {number}: {utterance.file} does not exist.")
        utterances.append(utterance)
    return utterances


def load_speech(
    folder: Path,
    n_train: int = 100,
    n_test: int = 16,
    tr_s: float | int = 1.5,
    frames_per_tr: int = 64,
    mel: MelSettings | None = None,
    joined: bool = True,
) -> SpeechWindows:
    """The first utterances of a folder to learn from, the last ones to be judged on.

    Arguments
        folder: with a manifest, see `read_manifest`.
        n_train, n_test: utterances of each part.
        tr_s, frames_per_tr: length of a window in seconds, and its frames.
        mel: how the log-mel is made.
        joined: see `speech_windows`.

    Raises
        StudyError: too few utterances for both parts, or see `speech_windows`.
        MediaError: a recording cannot be read.
    """
    utterances = read_manifest(folder)
    if n_train < 1 or n_test < 1 or n_train + n_test > len(utterances):
        raise StudyError(
            f"n_train = {n_train}, n_test = {n_test}: {folder} lists {len(utterances)} utterances; "
            "expected at least 1 of each, and none in both parts."
        )
    settings = tr_s, frames_per_tr, mel or MelSettings(), joined
    first = len(utterances) - n_test
    train, train_of = speech_windows(utterances[:n_train], *settings)
    test, test_of = speech_windows(utterances[first:], *settings)
    return SpeechWindows(train, test, train_of, test_of + first)


def speech_windows(
    utterances: list[Utterance],
    tr_s: float | int,
    frames_per_tr: int,
    mel: MelSettings,
    joined: bool = True,
) -> tuple[Float32[np.ndarray, "tr frame mel"], Int64[np.ndarray, " tr"]]:
    """Log-mel windows of whole TRs, and the utterance in the middle of each.

    Arguments
        utterances: recordings of any length.
        tr_s, frames_per_tr, mel: as in `load_speech`.
        joined: whether utterances are put end to end first, which keeps all of the sound but the
            last part of a TR; otherwise no window spans two of them, and the rest of each is lost.

    Raises
        StudyError: the utterances do not fill one window.
        MediaError: a recording cannot be read.
    """
    sounds = [mono_sound(utterance.file, mel.rate_hz) for utterance in utterances]
    ends_s = np.cumsum([len(sound) for sound in sounds]) / mel.rate_hz
    streams = [np.concatenate(sounds)] if joined else sounds
    windows, owners = [], []
    for index, stream in enumerate(streams):
        length_s = len(stream) / mel.rate_hz
        if length_s < tr_s:
            continue
        clock = Clock.covering(length_s, float(tr_s), frames_per_tr=frames_per_tr)
        windows.append(log_mel_of_sound(stream, mel.rate_hz, clock, mel))
        middles_s = clock.tr_times_s() + tr_s / 2
        of_joined = np.searchsorted(ends_s, middles_s, side="right")
        owners.append(of_joined if joined else np.full(clock.n_trs, index))
    if not windows:
        raise StudyError(
            f"{len(utterances)} utterances, none as long as one TR of {tr_s:g} s. Use a shorter "
            "tr_s, or join them."
        )
    return np.concatenate(windows), np.concatenate(owners).astype(np.int64)


def mono_sound(file: Path, rate_hz: int) -> np.ndarray:
    """A recording as one channel at a rate; raises `MediaError` where it cannot be read."""
    try:
        sound, own_rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise MediaError(f"{file} is no readable recording ({error}). Copy it again.") from error
    mono = sound.mean(axis=1)
    return mono if own_rate_hz == rate_hz else resample(mono, own_rate_hz, rate_hz)
