"""Recordings beside the study's stimulus, that a system may learn from and is never tested on."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from tqdm.auto import tqdm

from subtr.datasets.study import Study
from subtr.models.batches import Batch, WindowBatches
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.cache import file_digest
from subtr.stimulus.media import probe
from subtr.stimulus.mel import log_mel_of_media
from subtr.timeline import Clock, consecutive
from subtr.training.augmentation import perturbed
from subtr.training.systems import AutoencoderParams

# How recordings are compared, see `KnownSound`.
RATE_HZ = 10.0
N_BANDS = 16
PROBE_S = 6.0
# What is shorter is not told from chance.
LEAST_S = 3.0

# Pearson r; see benchmarks/stimulus_duplicates.py for what unlike recordings come to, and copies.
LEAST_R = 0.5

# What changes less than this is silence, which is like nothing.
_SILENT = 1e-3

_PROBES_AT_ONCE = 128


class KnownSound:
    """A recording that is looked for in others, wherever in it what they hold lies.

    Stretches of 6 s of the recording, one every 3 s, are slid along the other, and compared in how
    its spectrum's slope changes (steps between 16 bands, 10 times a second), which keeps through
    codecs, gain and filters, and is not alike in two sounds that merely begin together. Where one
    fits, the 3 s before and after count too, for a copy may begin and end between two of them.

    A copy at another speed is not found. Recordings of less than 6 s are compared whole, those of
    less than 3 s, or of one band, are never said to be the same.

    Arguments
        log_mel: of the recording.
        tr_s: length of a TR.

    Source: after Haitsma and Kalker 2002, A highly robust audio fingerprinting system (ISMIR),
    with the differences themselves in the place of their signs.
    """

    def __init__(self, log_mel: Float[np.ndarray, "tr frame mel"], tr_s: float):
        self.n_frames = log_mel.shape[1]
        self.per_step = max(round(self.n_frames / tr_s / RATE_HZ), 1)
        self.rate_hz = self.n_frames / tr_s / self.per_step
        self.slopes = slopes(log_mel, self.per_step)

    def trs_of(self, other: Float[np.ndarray, "tr frame mel"]) -> Bool[np.ndarray, " tr"]:
        """True for TRs of the other that hold sound of the recording; its mel is made alike."""
        one, two = self.slopes, slopes(other, self.per_step)
        probe = min(round(PROBE_S * self.rate_hz), one.shape[1], two.shape[1])
        if probe < round(LEAST_S * self.rate_hz) or not len(one):
            return np.zeros(len(other), bool)
        if two.shape[1] == probe:
            return np.full(len(other), bool((best_r(two, one, probe) >= LEAST_R).any()))
        same = np.zeros(len(other), bool)
        for first in torch.nonzero(best_r(one, two, probe) >= LEAST_R)[:, 0].tolist():
            begin, end = first - probe // 2, first + probe + probe // 2
            begin_tr = max(begin, 0) * self.per_step // self.n_frames
            same[begin_tr : -(-end * self.per_step // self.n_frames)] = True
        return same


def slopes(log_mel: Float[np.ndarray, "tr frame mel"], per_step: int) -> Float32[Tensor, "band _"]:
    """Steps from band to band, averaged over so many frames."""
    frames = torch.from_numpy(np.array(log_mel, np.float32)).flatten(0, 1)
    n_steps = len(frames) // per_step
    steps = frames[: n_steps * per_step].unflatten(0, (n_steps, per_step)).mean(1)
    bands = torch.tensor_split(steps, min(N_BANDS + 1, steps.shape[1]), dim=1)
    return torch.stack([band.mean(1) for band in bands]).diff(dim=0)


def best_r(
    one: Float32[Tensor, "band _"], two: Float32[Tensor, "band _"], probe: int
) -> Float32[Tensor, " _"]:
    """Of each place of the second, Pearson r with the stretch of the first that is most like it."""
    probes = rearrange(one.unfold(1, probe, max(probe // 2, 1)), "band n step -> n band step")
    probes = probes - probes.mean(2, keepdim=True)
    lengths = probes.flatten(1).norm(dim=1)
    # Of each place, the length of what is there once its own mean is taken off, band by band.
    moments = F.avg_pool1d(torch.stack([two, two.square()]), probe, 1).double()
    places = (probe * (moments[1] - moments[0].square()).sum(0)).clamp_min(0).sqrt().float()
    best = torch.full_like(places, -1.0)
    for some, length in zip(
        probes.split(_PROBES_AT_ONCE), lengths.split(_PROBES_AT_ONCE), strict=True
    ):
        r = F.conv1d(two, some) / length.clamp_min(_SILENT)[:, None] / places.clamp_min(_SILENT)
        best = torch.maximum(best, r.amax(0))
    return best


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
    format, see `KnownSound`: a warning says how much of which file.

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
