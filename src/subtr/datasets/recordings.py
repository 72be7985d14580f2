"""Read speech with transcripts, cut into windows of one TR: for reconstruction without BOLD."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32, Int64

from subtr.clock import Clock
from subtr.errors import StudyError
from subtr.stimulus.container import MediaError
from subtr.stimulus.media import resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound


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
    sounds = [_sound(utterance.file, mel.rate_hz) for utterance in utterances]
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


def _sound(file: Path, rate_hz: int) -> np.ndarray:
    try:
        sound, own_rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise MediaError(f"{file} is no readable recording ({error}). Copy it again.") from error
    mono = sound.mean(axis=1)
    return mono if own_rate_hz == rate_hz else resample(mono, own_rate_hz, rate_hz)
