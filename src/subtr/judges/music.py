"""Judges of music: beats and tags."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from subtr.judges.judge import SoundJudge, sound_at
from subtr.params import SettingsError
from subtr.stimulus.pretrained import package_folder

# Tempo comes in steps of one hop per beat: 2.3 % at 120 beats a minute, well below the tolerance.
_HOP_SAMPLES = 256

_OCTAVES = (1 / 3, 1 / 2, 2.0, 3.0)


@dataclass(frozen=True)
class Beats:
    """Tempo in beats per minute, and the seconds of the beats."""

    tempo_bpm: float
    times_s: Float64[np.ndarray, " beat"]


@dataclass(frozen=True, kw_only=True)
class BeatTracker(SoundJudge):
    """Measures ``tempo``, ``tempo_octave`` and ``beats``, against the original's own estimates.

    tempo: 1 where both tempi are within `tolerance` of each other, else 0.
    tempo_octave: 1 where they are not, but are after doubling, tripling, halving or a third: an
        error that listeners forgive; smaller is better.
    beats: F-measure of beats within `window_s`; NaN where the original has none.
    """

    name: ClassVar[str] = "beats"
    criterion: ClassVar[str] = "music tempo and beat"
    package: ClassVar[str] = "librosa, mir_eval"
    licence: ClassVar[str] = "ISC (librosa), MIT (mir_eval)"
    source: ClassVar[str] = "Ellis 2007, Beat tracking by dynamic programming; Dixon 2007"
    modules: ClassVar[tuple[str, ...]] = ("mir_eval",)
    own_rate_hz: ClassVar[int] = 22050

    tolerance: float = 0.04
    window_s: float = 0.07

    def track(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> Beats:
        """Tempo and beats of a sound; 0 beats a minute where it has none, such as silence."""
        return self._track(sound_at(sound, rate_hz, self.own_rate_hz))

    def _compare(self, original, found):
        self.check()
        import mir_eval

        true, heard = self._track(original), self._track(found)
        same = self._near(true.tempo_bpm, heard.tempo_bpm)
        octave = any(self._near(true.tempo_bpm * times, heard.tempo_bpm) for times in _OCTAVES)
        beats = float("nan")
        if len(true.times_s):
            beats = mir_eval.beat.f_measure(true.times_s, heard.times_s, self.window_s)
        return {"tempo": same, "tempo_octave": octave and not same, "beats": beats}

    def _near(self, true_bpm: float, heard_bpm: float) -> bool:
        return true_bpm > 0 and abs(heard_bpm / true_bpm - 1) <= self.tolerance

    def _track(self, sound: np.ndarray) -> Beats:
        tempo, times_s = librosa.beat.beat_track(
            y=sound, sr=self.own_rate_hz, hop_length=_HOP_SAMPLES, units="time"
        )
        return Beats(float(np.ravel(tempo)[0]), np.asarray(times_s, dtype=np.float64))


def _names(listed: str) -> tuple[str, ...]:
    return tuple(listed.split("|"))


MAGNATAGATUNE = _names(
    "guitar|classical|slow|techno|strings|drums|electronic|rock|fast|piano|ambient|beat|violin|"
    "vocal|synth|female|indian|opera|male|singing|vocals|no vocals|harpsichord|loud|quiet|flute|"
    "woman|male vocal|no vocal|pop|soft|sitar|solo|man|classic|choir|voice|new age|dance|"
    "male voice|female vocal|beats|harp|cello|no voice|weird|country|metal|female voice|choral"
)

MILLION_SONGS = _names(
    "rock|pop|alternative|indie|electronic|female vocalists|dance|00s|alternative rock|jazz|"
    "beautiful|metal|chillout|male vocalists|classic rock|soul|indie rock|Mellow|electronica|80s|"
    "folk|90s|chill|instrumental|punk|oldies|blues|hard rock|ambient|acoustic|experimental|"
    "female vocalist|guitar|Hip-Hop|70s|party|country|easy listening|sexy|catchy|funk|electro|"
    "heavy metal|Progressive rock|60s|rnb|indie pop|sad|House|happy"
)

_MAGIC = 0xDB4775248B80FB57

_FOOTER_BYTES = 48

_FLOAT32 = 1

# Wire types and fields of the protocol buffers BundleEntryProto and TensorShapeProto.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_DTYPE, _SHAPE, _OFFSET, _SIZE = 1, 2, 4, 5

_SHAPE_DIM, _DIM_SIZE = 2, 1


def read_checkpoint(index: Path, data: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    """Name to values of all single-precision variables of one unsharded checkpoint.

    Arguments
        index: the file that ends in .index, a sorted table of names and places.
        data: the file that ends in .data-00000-of-00001.

    Raises
        SettingsError: not a checkpoint of this kind.

    Source: tensorflow/core/util/tensor_bundle; LevelDB's table format, here never compressed.
    """
    table, values = index.read_bytes(), data.read_bytes()
    if int.from_bytes(table[-8:], "little") != _MAGIC:
        raise SettingsError(f"{index} is no index of a TensorFlow checkpoint: install it anew.")
    tensors = {}
    for name, entry in _entries(table):
        fields = dict(_fields(entry))
        if name and fields.get(_DTYPE) == _FLOAT32:
            first = fields.get(_OFFSET, 0)
            shape = [
                dict(_fields(dim)).get(_DIM_SIZE, 0)
                for field, dim in _fields(fields.get(_SHAPE, b""))
                if field == _SHAPE_DIM
            ]
            flat = np.frombuffer(values, "<f4", fields[_SIZE] // 4, first)
            tensors[name.decode()] = flat.reshape(shape)
    return tensors


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table: its footer finds the index block, that finds the data blocks."""
    footer = table[-_FOOTER_BYTES:]
    _, _, at = _handle(footer, 0)
    offset, size, _ = _handle(footer, at)
    for _, handle in _block(table, offset, size):
        offset, size, _ = _handle(handle, 0)
        yield from _block(table, offset, size)


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; each key begins with a part of the one before it."""
    if table[offset + size] != 0:
        raise SettingsError("A compressed checkpoint cannot be read: expected a plain one.")
    n_restarts = int.from_bytes(table[offset + size - 4 : offset + size], "little")
    end = offset + size - 4 * (n_restarts + 1)
    key, at = b"", offset
    while at < end:
        shared, at = _varint(table, at)
        own, at = _varint(table, at)
        length, at = _varint(table, at)
        key = key[:shared] + table[at : at + own]
        yield key, table[at + own : at + own + length]
        at += own + length


def _handle(text: bytes, at: int) -> tuple[int, int, int]:
    offset, at = _varint(text, at)
    size, at = _varint(text, at)
    return offset, size, at


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if length is None:
                length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        yield tag >> 3, value


def _varint(text: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


N_FRAMES = 187

N_MELS = 96

_EPSILON = 1e-3


class MusicNetwork:
    """Tags of 3 s of music: convolutions over timbre and over time, then pooling over all of it.

    Arguments
        folder: holds a checkpoint of musicnn, `.index` and `.data-00000-of-00001`.

    Raises
        SettingsError: no such checkpoint.

    Source: Pons and Serra 2019, musicnn: pre-trained convolutional neural networks for music audio
    tagging; layers as in their models.py, `build_musicnn`.
    """

    def __init__(self, folder: Path):
        read = read_checkpoint(folder / ".index", folder / ".data-00000-of-00001")
        self.weights = {name: torch.tensor(value) for name, value in read.items()}

    @torch.no_grad()
    def __call__(
        self, log_mel: Float32[np.ndarray, "patch 187 96"]
    ) -> Float32[np.ndarray, "patch tag"]:
        """Probability of each tag in each patch of 187 frames (hop 16 ms) and 96 mel bands."""
        heard = self._normed(torch.from_numpy(log_mel)[:, None], 0)
        front = torch.cat([self._front(heard, layer) for layer in range(5)], dim=1)
        middle = [front, self._middle(front, 5)]
        for layer in (6, 7):
            middle.append(middle[-1] + self._middle(middle[-1], layer))
        levels = torch.cat(middle, dim=1)
        pooled = torch.stack([reduce(levels, "b c t -> b c", how) for how in ("max", "mean")], -1)
        flat = self._normed(rearrange(pooled, "b c pool -> b (c pool)"), 9)
        hidden = self._normed(F.relu(self._dense(flat, 0)), 10)
        return torch.sigmoid(self._dense(hidden, 1)).numpy()

    def _front(
        self, heard: Float[Tensor, "patch 1 frame mel"], layer: int
    ) -> Float[Tensor, "patch channel frame"]:
        """A filter along time, and for the first two along frequency; the loudest band counts."""
        kernel = rearrange(self._of("conv2d", layer, "kernel"), "t f i o -> o i t f")
        n_frames = kernel.shape[2]
        # As TensorFlow pads: an even kernel has one frame more after it than before.
        before = (n_frames - 1) // 2
        padded = F.pad(heard, (0, 0, before, n_frames - 1 - before))
        found = F.relu(F.conv2d(padded, kernel, self._of("conv2d", layer, "bias")))
        return reduce(self._normed(found, layer + 1), "b c t f -> b c t", "max")

    def _middle(
        self, below: Float[Tensor, "patch channel frame"], layer: int
    ) -> Float[Tensor, "patch 64 frame"]:
        kernel = rearrange(self._of("conv2d", layer, "kernel"), "t i 1 o -> o i t")
        found = F.conv1d(below, kernel, self._of("conv2d", layer, "bias"), padding="same")
        return self._normed(F.relu(found), layer + 1)

    def _dense(self, below: Float[Tensor, "patch channel"], layer: int) -> Tensor:
        return below @ self._of("dense", layer, "kernel") + self._of("dense", layer, "bias")

    def _normed(self, values: Tensor, layer: int) -> Tensor:
        named = [
            self._of("batch_normalization", layer, part)
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        ]
        return F.batch_norm(values, *named, eps=_EPSILON)

    def _of(self, kind: str, layer: int, part: str) -> Tensor:
        return self.weights[f"{kind}_{layer}/{part}" if layer else f"{kind}/{part}"]


_TAG_HOP_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class MusicTagger(SoundJudge):
    """Measures ``top_tags`` and ``first_tag``.

    top_tags: of the `n_tags` likeliest tags of the original, the share that is among those of the
    reconstruction. first_tag: 1 where the likeliest of both is the same, else 0.
    Music shorter than 3 s cannot be tagged.

    Options
        folder: holds a checkpoint of musicnn; None takes that of the installed package.
        n_tags: how many of the 50 tags are compared.
    """

    name: ClassVar[str] = "tags-magnatagatune"
    criterion: ClassVar[str] = "music genre and instruments"
    package: ClassVar[str] = "musicnn"
    licence: ClassVar[str] = "ISC"
    source: ClassVar[str] = "Pons and Serra 2019, musicnn; tags of MagnaTagATune"
    checkpoint: ClassVar[str] = "MTT_musicnn"
    labels: ClassVar[tuple[str, ...]] = MAGNATAGATUNE
    measures: ClassVar[tuple[str, str]] = ("top_tags", "first_tag")

    folder: Path | None = None
    n_tags: int = 3

    def check(self) -> None:
        if self.folder is None and package_folder("musicnn") is None:
            raise self.missing("its package musicnn, which carries the weights, is not installed")
        if not (self._folder / ".index").is_file():
            raise self.missing(f"{self._folder} holds no checkpoint of musicnn")

    def tag(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> dict[str, float]:
        """Tags, the likeliest first, with their mean probability over patches of 3 s.

        Raises
            SettingsError: less than 3 s of sound, or values that are not finite.
            JudgeMissing: see `check`.
        """
        found = self._probabilities(sound_at(sound, rate_hz, self.own_rate_hz))
        return {self.labels[at]: float(found[at]) for at in np.argsort(-found)}

    def _compare(self, original, found):
        true, heard = (
            np.argsort(-self._probabilities(sound))[: self.n_tags] for sound in (original, found)
        )
        shared = len(set(true) & set(heard)) / self.n_tags
        return dict(zip(self.measures, (shared, true[0] == heard[0]), strict=True))

    def _probabilities(self, sound: np.ndarray) -> Float64[np.ndarray, " tag"]:
        mel = librosa.feature.melspectrogram(
            y=sound, sr=self.own_rate_hz, n_fft=512, hop_length=_TAG_HOP_SAMPLES, n_mels=N_MELS
        )
        log_mel = np.log10(1e4 * mel.T + 1).astype(np.float32)
        n_patches = len(log_mel) // N_FRAMES
        if not n_patches:
            raise SettingsError(
                f"{len(sound) / self.own_rate_hz:.2f} s of sound: tags need at least 3 s."
            )
        patches = log_mel[: n_patches * N_FRAMES].reshape(n_patches, N_FRAMES, N_MELS)
        return self._network(patches).mean(axis=0, dtype=np.float64)

    @property
    def _folder(self) -> Path:
        return self.folder or package_folder("musicnn") / self.checkpoint

    @cached_property
    def _network(self) -> MusicNetwork:
        self.check()
        return MusicNetwork(self._folder)


@dataclass(frozen=True, kw_only=True)
class GenreTagger(MusicTagger):
    """`MusicTagger` with genres, decades and moods of the Million Song Dataset.

    Measures ``top_genres`` and ``first_genre`` in place of ``top_tags`` and ``first_tag``.
    """

    name: ClassVar[str] = "tags-million-songs"
    criterion: ClassVar[str] = "music genre"
    source: ClassVar[str] = "Pons and Serra 2019, musicnn; tags of the Million Song Dataset"
    checkpoint: ClassVar[str] = "MSD_musicnn"
    labels: ClassVar[tuple[str, ...]] = MILLION_SONGS
    measures: ClassVar[tuple[str, str]] = ("top_genres", "first_genre")
