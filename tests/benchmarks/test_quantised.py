"""Bits go where they help most, and numbers are told as exactly as their bits allow."""

from itertools import product

import numpy as np
import pytest

from benchmarks.quantised import CLIP_OF_BITS, allotted_bits, told


@pytest.mark.parametrize("n_bits", [0, 1, 5, 8])
def test_no_other_allotment_of_the_bits_leaves_less_error(n_bits):
    """By the model that each bit quarters the square error of its number."""
    deviations = np.array([3.0, 1.3, 0.9, 0.2])

    def error(bits):
        return float(np.sum(deviations**2 / 4.0 ** np.array(bits)))

    bits = allotted_bits(deviations, n_bits)
    assert bits.sum() == n_bits
    every = [of for of in product(range(n_bits + 1), repeat=4) if sum(of) == n_bits]
    assert error(bits) == pytest.approx(min(map(error, every)))


def test_no_number_gets_more_bits_than_there_are_clips_for():
    bits = allotted_bits([100.0, 1e-3], 12)
    assert bits.tolist() == [len(CLIP_OF_BITS) - 1, 12 - len(CLIP_OF_BITS) + 1]


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
def test_numbers_are_told_within_half_a_step(bits):
    clip = CLIP_OF_BITS[bits]
    numbers = np.linspace(-clip, clip, 4001)[:-1, None]
    found = told(numbers, [bits], [clip])
    assert np.abs(found - numbers).max() <= clip / 2**bits + 1e-12
    assert len(np.unique(found)) == 2**bits


def test_numbers_beyond_the_clip_and_without_bits():
    found = told(np.array([[9.0, 9.0], [-9.0, -9.0]]), [1, 0], [1.5, 0.0])
    np.testing.assert_allclose(found, [[0.75, 0], [-0.75, 0]])
