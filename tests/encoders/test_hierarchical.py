"""The hierarchy against the report's network, layer by layer, and its sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from subtr.aggregators import AGGREGATORS
from subtr.encoders.convolutional import HierarchicalEncoder
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError

REPORT = {"dims": (256, 512, 512), "norm": "batch", "activation": "relu"}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_encoder_and_mean_compute_the_reports_network():
    torch.manual_seed(0)
    fine = nn.Sequential(nn.Conv1d(5, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU())
    mid_pooling = nn.Conv1d(8, 8, 8, stride=8)
    mid = nn.Sequential(nn.Conv1d(8, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU())
    coarse_pooling = nn.Conv1d(6, 6, 8, stride=8)
    coarse = nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU())
    fusion = nn.Linear(8 + 6 + 7, 4)

    encoder = HierarchicalEncoder(5, **REPORT | {"dims": (8, 6, 7)})
    mean = AGGREGATORS.build("mean", encoder.level_dims, [64, 8, 1], 4)
    for mine, theirs in zip(encoder.convolutions, (fine[0], mid[0]), strict=False):
        mine.convolution.load_state_dict(theirs.state_dict())
    for mine, theirs in zip(encoder.poolings, (mid_pooling, coarse_pooling), strict=True):
        mine.convolution.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        encoder.convolutions[2].convolution.weight.copy_(coarse[0].weight[..., None])
        encoder.convolutions[2].convolution.bias.copy_(coarse[0].bias)
    mean.map.load_state_dict(fusion.state_dict())

    frames = torch.randn(3, 64, 5)
    fine_latents = fine(frames.mT)
    mid_latents = mid(mid_pooling(fine_latents))
    coarse_latents = coarse(coarse_pooling(mid_latents).squeeze(-1))
    levels = encoder(frames)
    for level, theirs in zip(
        levels, (fine_latents, mid_latents, coarse_latents[..., None]), strict=True
    ):
        torch.testing.assert_close(level, theirs.mT, rtol=1e-4, atol=1e-5)
    pooled = [F.adaptive_avg_pool1d(x, 1).squeeze(-1) for x in (fine_latents, mid_latents)]
    fused = fusion(torch.cat([*pooled, coarse_latents], dim=1))
    torch.testing.assert_close(mean(levels), fused, rtol=1e-4, atol=1e-5)


def test_the_parameters_of_the_reports_hierarchy():
    encoder = HierarchicalEncoder(128, **REPORT)
    fusion = AGGREGATORS.build("mean", encoder.level_dims, [64, 8, 1], 512)
    assert count(encoder) == 3_379_712
    assert count(encoder) + count(fusion) == 4_035_584  # the report says 4 million


def test_spans_of_the_reports_levels():
    encoder = HierarchicalEncoder(4)
    frames_per_tr, tr_s = 64, 1.5
    assert [tr_s * hz for hz in encoder.frame_hz(frames_per_tr / tr_s)] == [64, 8, 1]
    # 3 frames, then 8 + 2 of them and a span on either side, then 8 spans.
    seen = [s * frames_per_tr / tr_s for s in encoder.receptive_field_s(frames_per_tr / tr_s)]
    assert seen == pytest.approx([3, 26, 82])


@pytest.mark.parametrize("norm", ["layer", "group", "none"])
def test_no_statistic_crosses_windows_unless_asked_for(norm):
    torch.manual_seed(0)
    encoder = HierarchicalEncoder(3, dims=(8, 8), pool_frames=(4,), norm=norm)  # in training
    frames = torch.randn(4, 20, 3)
    loud = torch.cat([frames[:1], 100 * frames[1:]])
    for level, other in zip(encoder(frames), encoder(loud), strict=True):
        torch.testing.assert_close(level[0], other[0], rtol=1e-4, atol=1e-5)


def test_batch_norm_is_what_it_says():
    torch.manual_seed(0)
    encoder = HierarchicalEncoder(3, dims=(8, 8), pool_frames=(4,), norm="batch")
    frames = torch.randn(4, 20, 3)
    loud = torch.cat([frames[:1], 100 * frames[1:]])
    assert (encoder(frames)[1][0] - encoder(loud)[1][0]).abs().max() > 0.1


def test_frames_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match="60 frames cannot be taken 8 at a time"):
        HierarchicalEncoder(3)(torch.zeros(1, 60, 3))
    with pytest.raises(SettingsError, match=r"pool_frames = \(8,\): expected 2 numbers"):
        HierarchicalEncoder(3, pool_frames=(8,))


@pytest.mark.parametrize(
    ("frames_per_tr", "context_frames", "message"),
    [(60, 0, "frames_per_tr = 60"), (64, 32, "context_frames = 32")],
)
def test_a_stream_refuses_frames_that_no_level_can_take_whole(
    frames_per_tr, context_frames, message
):
    params = StreamParams(encoder=Part(name="hierarchical"), context_frames=context_frames)
    with pytest.raises(SettingsError, match=f"{message}: expected a multiple of 64"):
        Stream(3, frames_per_tr, 4, params)


def test_context_is_cut_off_every_level():
    torch.manual_seed(0)
    params = StreamParams(encoder=Part(name="hierarchical"), context_frames=64)
    stream = Stream(3, 64, 4, params)
    seen = []
    stream.aggregator.register_forward_pre_hook(lambda _, given: seen.extend(given[0]))
    stream(torch.randn(1, 2, 192, 3), 1.5)
    assert [level.shape[1] for level in seen] == [64, 8, 1]
