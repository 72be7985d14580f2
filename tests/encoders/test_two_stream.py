"""Two streams against what they are made of."""

import pytest
import torch

from subtr.encoders.video import Frame2dEncoder, TwoStreamEncoder, differences, flow_pictures


def test_differences_add_up_to_the_pictures():
    pictures = torch.rand(2, 9, 3, 4, 5, dtype=torch.float64)
    difference = differences(pictures)
    assert not difference[:, 0].any()
    assert torch.equal(difference[:, 4], pictures[:, 4] - pictures[:, 3])
    torch.testing.assert_close(pictures[:, :1] + difference.cumsum(1), pictures)


@pytest.mark.parametrize("motion", ["differences", "flow"])
@pytest.mark.parametrize("fusion", ["map", "mean", "concatenate"])
def test_fusion_is_what_its_name_says(fusion, motion):
    torch.manual_seed(0)
    encoder = TwoStreamEncoder(9, 16, hidden_dim=6, fusion=fusion, motion=motion)
    pictures = torch.rand(2, 5, 3, 9, 16)
    moves = {"differences": differences, "flow": flow_pictures}[motion]
    (seen,), (moved,) = encoder.appearance(pictures), encoder.motion(moves(pictures))
    if fusion == "mean":
        expected = 0.5 * seen + 0.5 * moved
    elif fusion == "concatenate":
        expected = torch.cat([seen, moved], dim=2)
    else:
        of_seen, of_moved = encoder.map.weight[:, :6], encoder.map.weight[:, 6:]
        expected = seen @ of_seen.T + moved @ of_moved.T + encoder.map.bias
    torch.testing.assert_close(encoder(pictures)[0], expected)


def test_a_constant_light_changes_nothing_in_the_motion_stream():
    torch.manual_seed(0)
    encoder = TwoStreamEncoder(9, 16, fusion="concatenate", hidden_dim=6)
    pictures = torch.rand(1, 5, 3, 9, 16)
    (dark,), (light,) = encoder(pictures), encoder(pictures + 0.5)
    torch.testing.assert_close(dark[..., 6:], light[..., 6:], rtol=1e-4, atol=1e-5)
    assert (dark[..., :6] - light[..., :6]).abs().max() > 1e-2


def test_parameters_are_those_of_two_networks_and_a_map():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    parts = Frame2dEncoder(36, 64), Frame2dEncoder(36, 64, channels=(8, 16, 32))
    assert count(TwoStreamEncoder(36, 64)) == sum(map(count, parts)) + 256 * 128 + 128
    assert count(TwoStreamEncoder(36, 64)) == 554_624
    assert count(parts[0]) == 351_616
