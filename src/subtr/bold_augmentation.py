"""Training items of BOLD, augmented anew in each epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from subtr.augmentation import augment
from subtr.datasets.study import Fold
from subtr.models.batches import Batch, Stimulus, epoch_seed, parts_of


@dataclass
class _AugmentedItem:
    """All training items as one batch, augmented anew; the seed decides how."""

    batch: Batch
    of_part: dict[str, tuple]
    seed: int

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        changed = {
            name: augment(self.batch[name], params, generator, mean, context)
            for name, (params, mean, context) in self.of_part.items()
        }
        yield self.batch | changed


def batches_of_epoch(
    fold: Fold, train: Batch, stimulus: Stimulus
) -> Callable[[int], list[Batch] | _AugmentedItem]:
    """Epoch -> its only batch, augmented as the parameters say, the same whenever it is asked.

    Arguments
        fold: its ``params`` are `BoldParams`.
        train: all training items.
        stimulus: of the whole study; what masks leave is the mean of the training TRs.
    """
    params, has_sound = fold.params, fold.study.frames is not None
    pictures = params.pictures
    of_sound = (params.augmentation, params.stream.context_frames)
    of_pictures = (None, 0)
    if pictures is not None:
        of_pictures = (pictures.augmentation, pictures.context_pictures)
    wanted = {"frames": of_sound if has_sound else of_pictures}
    if "pictures" in train:
        wanted["pictures"] = of_pictures
    known, of_part = torch.from_numpy(fold.train), {}
    for name, (augmentation, context) in wanted.items():
        if augmentation is not None:
            mean = parts_of(stimulus)[name][known].mean((0, 1))
            of_part[name] = (augmentation, mean, context)
    if not of_part:
        return lambda _: [train]
    return lambda epoch: _AugmentedItem(train, of_part, epoch_seed(fold.seed, epoch))
