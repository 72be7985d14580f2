"""Numbers told by a few bits each, the harder rival of learned codes."""

import numpy as np

# Where validation cuts b bits a number, in standard deviations.
CLIP_OF_BITS = (0.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0, 3.5, 3.5)


def allotted_bits(deviations, bits_per_tr):
    """Bits a number: each goes to the number whose error is largest, and halves it."""
    error, bits = np.asarray(deviations, np.float64) ** 2, np.zeros(len(deviations), int)
    for _ in range(bits_per_tr):
        largest = np.argmax(np.where(bits < len(CLIP_OF_BITS) - 1, error, 0))
        bits[largest] += 1
        error[largest] /= 4
    assert bits.sum() == bits_per_tr
    return bits


def told(numbers, bits, clips):
    """Numbers, in standard deviations, as 2^bits equal steps within their clip tell them.

    ``bits``, ``clips``: one a number; of 0 bits comes 0.
    """
    bits, clips = np.asarray(bits), np.asarray(clips, np.float64)
    step = 2 * clips / 2.0**bits
    half = 2.0 ** (bits - 1)
    place = np.clip(np.floor(numbers / np.where(bits, step, 1)), -half, half - 1)
    return np.where(bits, (place + 0.5) * step, 0)
