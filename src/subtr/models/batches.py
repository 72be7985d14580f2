"""What a network is shown: windows of stimulus, runs of TRs with their BOLD, altered stimuli."""

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, Shaped
from scipy.signal import butter, sosfiltfilt
from torch import Generator, Tensor

from subtr.datasets.study import Study
from subtr.params import SettingsError

Batch = dict[str, Tensor | dict[str, Tensor]]

# Seeds of trainings are further apart than any training has epochs.
EPOCHS_APART = 1_000_003


class SoundAndPictures(NamedTuple):
    """Both of the same TRs, each at its own rate.

    ``frames`` (item..., TR, frame, band) and ``pictures`` (item..., TR, picture, rgb, height,
    width), each with its own context.
    """

    frames: Tensor
    pictures: Tensor


Stimulus = Tensor | SoundAndPictures


def parts_of(stimulus: Stimulus) -> dict[str, Tensor]:
    """What a batch holds of a stimulus: "frames", and "pictures" where they come beside sound."""
    if isinstance(stimulus, SoundAndPictures):
        return stimulus._asdict()
    return {"frames": stimulus}


def stimulus_of(parts: Mapping[str, Tensor | dict[str, Tensor]]) -> Stimulus:
    """What `parts_of` took apart, of a batch."""
    if "pictures" in parts:
        return SoundAndPictures(parts["frames"], parts["pictures"])
    return parts["frames"]


def runs_of(
    stimulus: Stimulus, run_of_tr: Int[np.ndarray, " tr"]
) -> Iterator[tuple[Int[np.ndarray, " _"], Stimulus]]:
    """The TRs of each run, and the stimulus of them as a batch of one item."""
    for run in np.unique(run_of_tr):
        (trs,) = np.nonzero(run_of_tr == run)
        chosen = torch.as_tensor(trs)
        yield trs, stimulus_of({name: of[chosen][None] for name, of in parts_of(stimulus).items()})


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of all that is random in an epoch, so that a resumed run goes on with the same."""
    return seed * EPOCHS_APART + epoch


@dataclass
class WindowBatches:
    """Random runs of ``item_trs`` TRs that begin at any frame of the given stretches of TRs.

    Arguments
        frames: the stimulus (TR, frame, feature...), on the device where it is wanted.
        stretches: consecutive TRs each, see `consecutive`; shorter ones than an item are left out.
        item_trs: TRs of an item.
        batch_size, n_batches: items of a batch, batches of an epoch.
        seed: the same seed, epoch by epoch, gives the same batches.
        any_offset: begin at any frame, or at the borders of TRs alone.

    Raises
        SettingsError: no stretch is as long as an item.
    """

    frames: Shaped[Tensor, "tr frame *feature"]
    stretches: list[Int[np.ndarray, " _"]]
    item_trs: int
    batch_size: int
    n_batches: int
    seed: int
    any_offset: bool = True

    def __post_init__(self):
        n_frames = self.frames.shape[1]
        step = 1 if self.any_offset else n_frames
        longest = max(map(len, self.stretches), default=0)
        if longest < self.item_trs:
            raise SettingsError(
                f"item_trs = {self.item_trs}: no more than {longest} consecutive TRs are there to "
                "train on; use a smaller item_trs."
            )
        self._starts = np.concatenate(
            [
                np.arange(stretch[0] * n_frames, (stretch[-1] - self.item_trs + 1) * n_frames + 1)[
                    ::step
                ]
                for stretch in self.stretches
            ]
        )

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self.seed)
        n_frames = self.frames.shape[1]
        stream = self.frames.flatten(0, 1)
        within = torch.arange(self.item_trs * n_frames, device=stream.device)
        for _ in range(self.n_batches):
            starts = torch.as_tensor(rng.choice(self._starts, self.batch_size)).to(stream.device)
            items = stream[starts[:, None] + within]
            yield {"frames": rearrange(items, "b (t f) ... -> b t f ...", f=n_frames)}


@dataclass
class ChangedBatches:
    """Batches that are changed on their way, the same each time that they are gone through.

    Arguments
        batches: as they are.
        change: (batch, generator) -> what takes its place.
        seed: of the generator, from which comes all that is random in the change.
    """

    batches: Sized
    change: Callable[[Batch, Generator], Batch]
    seed: int

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        for batch in self.batches:
            yield self.change(batch, generator)


def window_batches(
    frames: Shaped[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    longest_trs: int = 64,
) -> list[Batch]:
    """Every TR of the stretches once, in order: one batch a piece of a stretch."""
    pieces = [
        piece
        for stretch in stretches
        for piece in np.array_split(stretch, -(-len(stretch) // longest_trs))
    ]
    return [{"frames": frames[torch.as_tensor(piece)][None]} for piece in pieces]


def with_context(
    frames: Float[Tensor, "tr frame *feature"], n_context: int, run_of_tr: Int[np.ndarray, " tr"]
) -> Float[Tensor, "tr wider *feature"]:
    """Each TR's frames with ``n_context`` of its neighbours' on either side; 0 outside of a run."""
    if not n_context:
        return frames
    wider, n_frames = [], frames.shape[1]
    nothing = frames.new_zeros(n_context, *frames.shape[2:])
    for run in np.unique(run_of_tr):
        (trs,) = np.nonzero(run_of_tr == run)
        stream = torch.cat([nothing, frames[torch.as_tensor(trs)].flatten(0, 1), nothing])
        windows = stream.unfold(0, n_frames + 2 * n_context, n_frames)
        wider.append(rearrange(windows, "t ... m -> t m ..."))
    return torch.cat(wider)


def timeline_batch(
    stimulus: Stimulus,
    bold: Mapping[str, Float[Tensor, "tr parcel"]],
    stretches: list[Int[np.ndarray, " _"]],
    run_of_tr: Int[np.ndarray, " tr"],
    n_lead_trs: int,
    item_trs: int,
    n_after_trs: int = 0,
) -> Batch:
    """Runs of TRs of one length with their BOLD, all in one batch.

    Each item has ``n_lead_trs`` of stimulus before its volumes, for the haemodynamic response to
    look back to, and ``n_after_trs`` after them. BOLD is NaN there, and where an item would repeat
    a volume of another.

    Arguments
        stimulus: of every TR, in order.
        stretches: the TRs whose BOLD may be learned from, see `consecutive`.
        item_trs: volumes of an item.

    Returns
        ``frames`` (item, TR, frame, feature), and ``pictures`` where they come beside sound;
        ``bold`` subject -> (item, TR, parcel); ``wanted`` (item, TR), the TRs whose BOLD is asked
        for. The TRs of an item are lead, volumes and those after.
    """
    parts = parts_of(stimulus)
    windows: dict[str, list[Tensor]] = {name: [] for name in parts}
    wanted, targets = [], {subject: [] for subject in bold}
    for stretch in stretches:
        for first in range(stretch[0], stretch[-1] + 1, item_trs):
            trs = np.arange(first - n_lead_trs, first + item_trs + n_after_trs)
            inside = (trs >= 0) & (trs < len(run_of_tr))
            clipped = np.clip(trs, 0, len(run_of_tr) - 1)
            inside &= run_of_tr[clipped] == run_of_tr[first]
            chosen, index = torch.as_tensor(inside), torch.as_tensor(clipped)
            for name, frames in parts.items():
                shape = (-1, *[1] * (frames.ndim - 1))
                there = chosen.view(shape).to(frames.device)
                windows[name].append(torch.where(there, frames[index], 0))
            own = (trs >= first) & (trs < first + item_trs)
            asked = torch.as_tensor(np.isin(trs, stretch) & own)
            wanted.append(asked)
            for subject, values in bold.items():
                there = asked[:, None].to(values.device)
                targets[subject].append(torch.where(there, values[index], torch.nan))
    stacked = {subject: torch.stack(items) for subject, items in targets.items()}
    shown = {name: torch.stack(items) for name, items in windows.items()}
    return {**shown, "bold": stacked, "wanted": torch.stack(wanted)}


def altered(
    stimulus: Stimulus, study: Study, change: Callable[[np.ndarray], np.ndarray]
) -> Stimulus:
    """Changes the frames of each TR, and then the context, which repeats the same frames.

    Arguments
        change: frames or pictures (TR, frame, ...) -> the same number of them.
    """
    n_frames = {"frames": study.clock.frames_per_tr}
    if study.pictures is not None:
        n_frames["pictures"] = study.pictures.shape[1]
        if study.frames is None:
            n_frames["frames"] = n_frames["pictures"]
    parts = {}
    for name, of in parts_of(stimulus).items():
        n_context = (of.shape[1] - n_frames[name]) // 2
        bare = change(of[:, n_context : n_context + n_frames[name]].numpy())
        bare = torch.from_numpy(np.ascontiguousarray(bare, dtype=np.float32))
        parts[name] = with_context(bare, n_context, study.run_of_tr)
    return stimulus_of(parts)


def without_fast_changes(
    windows: Float[np.ndarray, "tr frame *feature"],
    run_of_tr: np.ndarray,
    tr_s: float | int,
    cutoff_hz: float | int,
) -> Float[np.ndarray, "tr frame *feature"]:
    """Frames without modulation faster than ``cutoff_hz``, run by run.

    A Butterworth filter of order 4, forwards and backwards, so that nothing moves in time; half of
    the amplitude is left at the cut-off.

    Raises
        SettingsError: a cut-off beyond what frames of this rate can hold.
    """
    frame_hz = windows.shape[1] / tr_s
    if not 0 < cutoff_hz < frame_hz / 2:
        raise SettingsError(
            f"cutoff_hz = {cutoff_hz:g}: expected more than 0 and less than {frame_hz / 2:g} Hz, "
            f"half of {frame_hz:g} frames a second."
        )
    low_pass = butter(4, cutoff_hz, fs=frame_hz, output="sos")
    out = np.empty(windows.shape)
    for run in np.unique(run_of_tr):
        of_run = windows[run_of_tr == run]
        flat = of_run.reshape(-1, *windows.shape[2:])
        out[run_of_tr == run] = sosfiltfilt(low_pass, flat, axis=0).reshape(of_run.shape)
    return out
