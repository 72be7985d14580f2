import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from subtr.decoders import griffin_lim as hops
from subtr.decoders.griffin_lim import Hops, overlapping


def parts_of(table, *ends):
    return np.split(table, ends)


@pytest.mark.parametrize("ends", [(), (1, 2, 3), (50,), (13, 13, 99)])
@pytest.mark.parametrize(("n_rows", "context"), [(10, 3), (7, 7), (200, 5), (90, 10)])
def test_blocks_cover_every_row_once_with_what_is_around(ends, n_rows, context):
    table = np.arange(100.0)[:, None]
    blocks = list(overlapping(parts_of(table, *ends), n_rows, context))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == 100
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    for block in blocks:
        first = max(0, block.start - context)
        np.testing.assert_array_equal(block.rows, table[first : block.stop + context])
        assert block.before == block.start - first
        # The last block too has enough to overlap with the one before.
        assert block.stop - block.start >= min(context, 100)


@pytest.mark.parametrize(
    ("frame_samples", "hop", "centre"),
    [(375.0, 250, 0.0), (516.796875, 256, 128.0), (80.3, 256, 0.0)],
)
def test_frames_lie_on_hops_as_one_spline_puts_them(monkeypatch, frame_samples, hop, centre):
    monkeypatch.setattr(hops, "_BLOCK_FRAMES", 37)
    frames = np.random.default_rng(0).standard_normal((400, 3))
    n_hops = int(400 * frame_samples // hop) + 1
    grid = Hops(frame_samples, hop, centre, n_hops)
    found = np.concatenate(list(grid.resampled(parts_of(frames, 5, 130, 131))))
    # Frame k is centred on sample (k + 1/2) frame_samples.
    spline = CubicSpline((np.arange(400) + 0.5) * frame_samples, frames)
    at = np.clip(np.arange(n_hops) * hop + centre, 0.5 * frame_samples, 399.5 * frame_samples)
    np.testing.assert_allclose(found, spline(at), atol=1e-9)


def test_one_frame_is_held():
    found = np.concatenate(list(Hops(100.0, 40, 0.0, 3).resampled([np.ones((1, 2))])))
    np.testing.assert_array_equal(found, np.ones((3, 2)))
