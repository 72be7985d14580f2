"""Levels are fused as a plain loop would fuse them, and each reaches the frames it covers."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS

DIMS, FRAMES, DIM = [6, 4, 3], [24, 12, 3], 5


def built(dims=DIMS, frames=FRAMES, **options):
    torch.manual_seed(0)
    return AGGREGATORS.build("pyramid", dims, frames, DIM, hidden_dim=7, **options)


def levels(dims=DIMS, frames=FRAMES):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, n, dim, generator=generator) for n, dim in zip(frames, dims, strict=True)
    ]


@pytest.mark.parametrize("frames", [[24, 12, 3], [25, 13, 7], [8, 8, 1]])
def test_the_sum_at_a_frame_is_of_what_each_level_holds_at_that_time(frames):
    """From level to level, a frame takes the coarse frame that its middle lies in."""
    made, given = built(frames=frames), levels(frames=frames)
    mapped = [lateral(level) for lateral, level in zip(made.laterals, given, strict=True)]
    for frame in range(frames[0]):
        index, expected = frame, mapped[0][:, frame]
        for step in (1, 2):
            index = int((index + 0.5) / frames[step - 1] * frames[step])
            expected = expected + mapped[step][:, index]
        torch.testing.assert_close(made.fused(given)[:, frame], expected)


def test_a_coarse_frame_reaches_the_fine_frames_that_it_covers_and_no_other():
    made, given = built(), levels()
    other = [level.clone() for level in given]
    other[2][:, 1] += 1.0
    change = (made.fused(other) - made.fused(given)).abs().amax(dim=(0, 2))
    assert change[8:16].min() > 1e-2
    assert change[:8].max() == 0
    assert change[16:].max() == 0


def test_a_coarse_level_can_be_left_out_without_changing_what_is_finer():
    made, given = built(), levels()
    silent = [given[0], torch.zeros_like(given[1]), torch.zeros_like(given[2])]
    with torch.no_grad():
        for lateral in made.laterals[1:]:
            lateral.bias.zero_()
    single = built(DIMS[:1], FRAMES[:1])
    single.load_state_dict(
        {name: value for name, value in made.state_dict().items() if name in single.state_dict()}
    )
    torch.testing.assert_close(single(given[:1]), made(silent))


@pytest.mark.parametrize("last_frames", [1, 8, 100])
def test_every_parameter_learns(last_frames):
    made = built(last_frames=last_frames)
    made(levels()).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in made.parameters())
