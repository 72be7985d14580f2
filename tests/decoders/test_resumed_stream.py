"""A stream that goes on where it was stopped gives what it would have given."""

import numpy as np
import pytest

from subtr.decoders.griffin_lim import GriffinLim
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock

CLOCK = Clock(1.0, 12, frames_per_tr=32)
SETTINGS = MelSettings(rate_hz=4000, n_mels=12, window_samples=256, fmax_hz=2000)


class ShortBlocks(GriffinLim):
    block_hops = 200


@pytest.mark.parametrize("skip", [0, 1, 2, 3, 99])
def test_pieces_after_those_left_out_are_the_same(skip):
    rng = np.random.default_rng(0)
    log_mel = rng.normal(-4, 1, (12, 32, 12)).astype(np.float32)
    vocoder = ShortBlocks(SETTINGS, n_iter=2)
    pieces = list(vocoder.stream([log_mel], CLOCK))
    again = list(vocoder.stream(np.split(log_mel, 4), CLOCK, skip))
    assert len(pieces) == 4
    assert len(again) == max(0, 4 - skip)
    for one, other in zip(pieces[skip:], again, strict=True):
        np.testing.assert_array_equal(one, other)
