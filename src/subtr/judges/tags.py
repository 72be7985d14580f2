"""What kind of music it is: genres, instruments and moods, as listeners tag them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import librosa
import numpy as np
from jaxtyping import Float, Float64

from subtr.judges.music_tags import MAGNATAGATUNE, MILLION_SONGS
from subtr.judges.musicnn_network import N_FRAMES, N_MELS, MusicNetwork
from subtr.judges.sound import SoundJudge, sound_at
from subtr.params import SettingsError
from subtr.stimulus.pretrained import package_folder

_HOP_SAMPLES = 256


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
            y=sound, sr=self.own_rate_hz, n_fft=512, hop_length=_HOP_SAMPLES, n_mels=N_MELS
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
