"""Recordings beside the study's stimulus, that a system may learn from and is never tested on."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from subtr.datasets.study import Study
from subtr.models.batches import Batch, WindowBatches
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.cache import file_digest
from subtr.stimulus.duplicates import KnownSound
from subtr.stimulus.media import probe
from subtr.stimulus.mel import log_mel_of_media
from subtr.timeline import Clock, consecutive
from subtr.training.augmentation import perturbed
from subtr.training.systems import AutoencoderParams


def files_of(folder: Path) -> list[Path]:
    """The folder's files in order, hidden ones left out.

    Raises
        StudyError: no such folder, or nothing in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise StudyError(f"other_recordings: {folder} is no folder; give one with recordings.")
    found = sorted(one for one in folder.iterdir() if one.is_file() and one.name[0] != ".")
    if not found:
        raise StudyError(f"other_recordings: {folder} is empty; put recordings into it.")
    return found


def with_other_recordings(study: Study, folder: Path) -> Study:
    """The study with the log-mel of every recording of a folder, whole TRs of each, and a note.

    Recordings shorter than a TR are left out, and so is what is heard in the study too, in whatever
    format, see `subtr.stimulus.duplicates`: a warning says how much of which file.

    Raises
        StudyError: see `files_of`; the study has no sound; one of the recordings is the study's
            own stimulus, whose test time must not be learned from; or nothing as long as a TR is
            left.
        MediaError, CacheError: see `log_mel_of_media`.
    """
    if study.mel is None:
        raise StudyError(f"{study.name}: other_recordings need a study with sound.")
    files, clock = files_of(folder), study.clock
    media = [study.media, *(one for one, _ in study.run_stimuli)]
    own = {file_digest(Path(one)) for one in media if one is not None}
    found, notes = [], []
    known = KnownSound(study.mel, clock.tr_s)
    for file in tqdm(files, desc="other recordings", delay=3, disable=None):
        if file_digest(file) in own:
            raise StudyError(
                f"other_recordings: {file} is the stimulus of {study.name}, whose test time would "
                "be learned from. Take it out of the folder."
            )
        n_trs = int(probe(file).duration_s // clock.tr_s)
        if n_trs:
            of_file = Clock(clock.tr_s, n_trs, 0.0, study.mel.shape[1])
            mel = log_mel_of_media(file, of_file, study.mel_settings)
            pieces, said = _unheard(study, known, file, mel)
            found, notes = found + pieces, notes + said
    if not found:
        raise StudyError(
            f"other_recordings: nothing in {folder} is as long as a TR of {clock.tr_s:g} s and not "
            f"heard in {study.name} too; put other recordings into it."
        )
    minutes = sum(map(len, found)) * clock.tr_s / 60
    note = f"{study.name}: {minutes:.1f} min of other recordings, for systems with others_share."
    return replace(study, other_mel=tuple(found), notes=(*study.notes, *notes, note))


def _unheard(
    study: Study, known: KnownSound, file: Path, mel: Float[np.ndarray, "tr frame mel"]
) -> tuple[list[Float[np.ndarray, "_ frame mel"]], list[str]]:
    """The pieces of a recording between what the study holds too, and a note of what that is."""
    same = known.trs_of(mel)
    pieces = consecutive(np.flatnonzero(~same), np.zeros(len(mel), int))
    tr_s, notes = study.clock.tr_s, []
    if same.any():
        notes = [
            f"{study.name}: {same.sum() * tr_s:g} of {len(mel) * tr_s:g} s of {file} are heard in "
            "the study too, and are not learned from."
        ]
        warnings.warn(notes[0], StudyWarning, stacklevel=3)
    return [np.asarray(mel)[piece] for piece in pieces], notes


@dataclass(frozen=True)
class OtherWindows:
    """Other recordings as they enter a training.

    Arguments
        frames: of all of them, in the units of the study's standardised training time.
        stretches: the TRs of each, copies included.
        share: of each batch that they make up.
    """

    frames: Float[Tensor, "tr frame mel"]
    stretches: list[Int[np.ndarray, " _"]]
    share: float

    @classmethod
    def of(
        cls, study: Study, center: Tensor, scale: Tensor, params: AutoencoderParams
    ) -> "OtherWindows":
        """With copies as ``params.perturbation`` makes them of the study's own.

        Raises
            SettingsError: the study has no other recordings.
        """
        if not study.other_mel:
            raise SettingsError(
                f"others_share = {params.others_share:g}: {study.name} has no other recordings. "
                "Name a folder of them as other_recordings in the study's YAML, or set 0."
            )
        ends = np.cumsum([len(one) for one in study.other_mel])
        stretches = np.split(np.arange(ends[-1]), ends[:-1])
        frames = (torch.from_numpy(np.concatenate(study.other_mel)) - center) / scale
        return cls(*perturbed(frames, stretches, params.perturbation), params.others_share)


@dataclass
class MixedBatches:
    """Batches whose first items are the study's own, and whose last ones are others."""

    own: WindowBatches
    others: WindowBatches

    @property
    def seed(self) -> int:
        """Of the study's own windows."""
        return self.own.seed

    def __len__(self) -> int:
        return len(self.own)

    def __iter__(self) -> Iterator[Batch]:
        for own, other in zip(self.own, self.others, strict=True):
            yield {"frames": torch.cat([own["frames"], other["frames"]])}


def mixed_windows(
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    others: OtherWindows | None,
    item_trs: int,
    batch_size: int,
    n_batches: int,
    seed: int,
) -> WindowBatches | MixedBatches:
    """Windows of the study, see `WindowBatches`, of which a share gives way to others.

    Raises
        SettingsError: a batch of one item, which cannot be shared.
    """
    if others is None:
        return WindowBatches(frames, stretches, item_trs, batch_size, n_batches, seed)
    if batch_size < 2:
        raise SettingsError("batch_size = 1: expected 2 or more with others_share.")
    n_others = min(max(round(others.share * batch_size), 1), batch_size - 1)
    own = WindowBatches(frames, stretches, item_trs, batch_size - n_others, n_batches, seed)
    theirs = others.frames, others.stretches
    return MixedBatches(own, WindowBatches(*theirs, item_trs, n_others, n_batches, seed))
