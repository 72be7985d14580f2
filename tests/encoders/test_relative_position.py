"""eRPE: a weight of each distance in seconds, added after the softmax."""

import pytest
import torch

from subtr.encoders.positions import POSITIONS
from subtr.models.stream import Stream, StreamParams
from subtr.params import validate

IN_DIM = 3


def built(trained=True, **options):
    torch.manual_seed(0)
    position = POSITIONS.build("erpe", **options)
    if trained:
        torch.nn.init.normal_(position.values)
        torch.nn.init.normal_(position.log_sharpness)
    return position


def middles_s(n_frames, tr_s):
    return (torch.arange(n_frames) + 0.5) / n_frames * tr_s


def encoded(position, frames, tr_s=1.5):
    """What is appended to the frames."""
    return position(frames, middles_s(frames.shape[1], tr_s), tr_s)[..., frames.shape[2] :]


def test_it_is_the_equation_of_its_paper():
    position, frames = built(n_heads=2), torch.randn(2, 12, IN_DIM)
    times_s, frame_s = middles_s(12, 1.5), 1.5 / 12
    out = encoded(position, frames)
    deviation = frames.var(-1, unbiased=False, keepdim=True).add(1e-5).sqrt()
    alike = (frames - frames.mean(-1, keepdim=True)) / deviation
    knots_s = torch.linspace(-1, 1, 33)  # the learned ones, and zeros at both ends
    for head in range(2):
        values = torch.cat([torch.zeros(1), position.values[head], torch.zeros(1)])
        for i in (0, 5, 11):
            scores = alike @ alike[:, i, :, None] / IN_DIM**0.5 * position.log_sharpness[head].exp()
            weight = scores[..., 0].softmax(-1)
            for j in range(12):
                place = (times_s[i] - times_s[j] + 1) / (knots_s[1] - knots_s[0])
                if 0 <= place < 32:
                    low = int(place)
                    between = torch.lerp(values[low], values[low + 1], place - low)
                    weight[:, j] = weight[:, j] + between * frame_s
            expected = torch.einsum("b j, b j d -> b d", weight, frames)
            found = out[:, i, head * IN_DIM : (head + 1) * IN_DIM]
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_before_training_it_is_attention_without_order():
    position, frames = built(trained=False), torch.randn(2, 12, IN_DIM)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        encoded(position, frames[:, order]), encoded(position, frames)[:, order]
    )
    weights = position.attention(frames)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 12))


def test_after_it_order_counts():
    position, frames = built(), torch.randn(2, 12, IN_DIM)
    backwards = encoded(position, frames.flip(1)).flip(1)
    assert (backwards - encoded(position, frames)).abs().mean() > 0.1


def test_the_same_distance_in_seconds_has_the_same_bias_at_any_tr_and_frame_rate():
    position = built()
    # 0.25 s are one frame of 6 in 1.5 s and four frames of 32 in 2 s.
    one, other = middles_s(6, 1.5), middles_s(32, 2.0)
    here = position.bias(one[:, None] - one)
    there = position.bias(other[:, None] - other)
    torch.testing.assert_close(here[:, 3, 2], there[:, 20, 16])
    torch.testing.assert_close(here[:, 2, 4], there[:, 3, 11])
    assert (here[:, 3, 2] - here[:, 2, 3]).abs() > 1e-3  # before is not after


def test_the_bias_passes_through_its_knots_and_ends_at_its_reach():
    position = built(n_knots=3, reach_s=0.4)
    distance_s = torch.tensor([[-5.0, -0.4, -0.2, 0.0, 0.1, 0.2, 0.4, 5.0]])
    a, b, c = position.values[0].tolist()
    expected = torch.tensor([0, 0, a, b, (b + c) / 2, c, 0, 0])
    torch.testing.assert_close(position.bias(distance_s)[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_smooth_sound_gives_the_same_at_double_the_frame_rate():
    position = built()

    def sound(n_frames):
        time_s = middles_s(n_frames, 1.5)
        return torch.stack([torch.sin(2 * time_s), torch.cos(3 * time_s), time_s], dim=-1)[None]

    coarse, fine = encoded(position, sound(64)), encoded(position, sound(128))
    fine = fine.unflatten(1, (64, 2)).mean(2)  # two fine frames lie in a coarse one
    torch.testing.assert_close(fine, coarse, rtol=0, atol=0.02 * coarse.abs().max().item())


def test_only_distance_counts_not_the_clock():
    position, frames = built(), torch.randn(2, 12, IN_DIM)
    times_s = middles_s(12, 1.5)
    torch.testing.assert_close(
        position(frames, times_s + 3.0, 1.5), position(frames, times_s, 1.5), rtol=1e-4, atol=1e-4
    )


def test_training_reaches_every_number_within_reach():
    position = built(n_heads=2)
    encoded(position, torch.randn(2, 64, IN_DIM)).square().sum().backward()
    assert position.values.grad.abs().min() > 0
    assert position.log_sharpness.grad.abs().min() > 0


@pytest.mark.parametrize("name", sorted(POSITIONS.parts))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_frames_keep_their_precision(name, dtype):
    torch.manual_seed(0)
    position, frames = POSITIONS.build(name), torch.randn(2, 8, IN_DIM)
    exact = position(frames, middles_s(8, 1.5), 1.5)
    out = position(frames.to(dtype), middles_s(8, 1.5), 1.5)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", sorted(POSITIONS.parts))
def test_a_stream_with_any_encoding_runs_at_another_tr_with_the_same_weights(name):
    params = validate(StreamParams, {"position": {"name": name}, "context_frames": 2}, "stream")
    torch.manual_seed(0)
    stream = Stream(IN_DIM, 8, 5, params)
    frames = torch.randn(2, 3, 12, IN_DIM)
    one, other = stream(frames, 1.5), stream(frames, 2.0)
    assert one.shape == other.shape == (2, 3, 5)
    assert one.isfinite().all()
    assert other.isfinite().all()
