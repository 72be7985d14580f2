"""Two pathways against plain convolutions of the same weights, and the paper's size."""

import pytest
import torch
import torch.nn.functional as F

from subtr.encoders.video import SlowfastEncoder
from subtr.params import SettingsError

R50 = {
    "blocks": (3, 4, 6, 3),
    "slow_features": 64,
    "fast_share": 8,
    "slow_frames": 4,
    "lateral_frames": 7,
    "hidden_dims": (0, 0),
    "space": "mean",
    "norm": "batch",
    "activation": "relu",
}
SMALL = {"blocks": (2, 1, 1), "slow_features": 4, "fast_share": 2, "norm": "none"}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def convolved(film, weight, stride=(1, 1, 1)):
    return F.conv3d(film, weight, None, stride, tuple(size // 2 for size in weight.shape[2:]))


def plain(weights, pictures, blocks, every, names=("fast", "slow")):
    """The paper's network without norms; weights by name, as the encoder's state has them."""
    film = pictures.transpose(1, 2)
    levels = {"fast": film, "slow": film[:, :, (every - 1) // 2 :: every]}
    for name in names:
        stem = convolved(levels[name], weights[f"{name}_stem.0.convolution.weight"], (1, 2, 2))
        levels[name] = F.max_pool3d(F.relu(stem), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, n_blocks in enumerate(blocks):
        kernel = weights[f"laterals.{stage}.0.convolution.weight"]
        # 5 frames at the places of 4 and of one before.
        told = F.relu(F.conv3d(F.pad(levels["fast"], (0, 0, 0, 0, 1, 0)), kernel, None, (4, 1, 1)))
        levels["slow"] = torch.cat([levels["slow"], told], dim=1)
        for name in names:
            for block in range(n_blocks):
                at, stride = f"{name}.{stage}.{block}", 2 if stage and not block else 1
                kernels = [weights[f"{at}.body.{layer}.convolution.weight"] for layer in (0, 3, 6)]
                came_in = levels[name]
                latents = F.relu(convolved(came_in, kernels[0]))
                latents = F.relu(convolved(latents, kernels[1], (1, stride, stride)))
                resized = weights.get(f"{at}.shortcut.0.convolution.weight")
                if resized is not None:
                    came_in = convolved(came_in, resized, (1, stride, stride))
                levels[name] = F.relu(convolved(latents, kernels[2]) + came_in)
    return [levels[name].mean((3, 4)).mT for name in names]


def test_the_encoder_is_two_residual_networks_and_their_laterals():
    torch.manual_seed(0)
    options = SMALL | {"activation": "relu", "space": "mean", "hidden_dims": (0, 0)}
    encoder = SlowfastEncoder(18, 32, **options).double()
    pictures = torch.rand(2, 8, 3, 18, 32, dtype=torch.float64)
    expected = plain(encoder.state_dict(), pictures, SMALL["blocks"], 4)
    for level, theirs in zip(encoder(pictures), expected, strict=True):
        torch.testing.assert_close(level, theirs, rtol=1e-6, atol=1e-9)


@torch.no_grad()
def test_the_fast_pathway_tells_the_slow_one_and_is_told_nothing():
    torch.manual_seed(0)
    encoder = SlowfastEncoder(18, 32, **SMALL)
    pictures = torch.rand(1, 8, 3, 18, 32)
    unseen = pictures.clone()
    unseen[:, [0, 2, 3, 4, 6, 7]] = torch.rand(1, 6, 3, 18, 32)  # all that slow_stem is not given
    fast, slow = encoder(pictures)
    assert (encoder(unseen)[1] - slow).abs().max() > 1e-5
    for name, parameter in encoder.named_parameters():
        if name.startswith("laterals"):
            parameter.zero_()
    fast_alone, slow_alone = encoder(pictures)
    assert torch.equal(fast_alone, fast)
    torch.testing.assert_close(encoder(unseen)[1], slow_alone)


def test_the_parameters_of_slowfast_r50():
    with torch.device("meta"):
        encoder = SlowfastEncoder(224, 224, **R50)
        table = SlowfastEncoder(224, 224, **R50 | {"slow_frames": 8, "lateral_frames": 5})
    assert encoder.level_dims == [256, 2048]
    head = (256 + 2048) * 400 + 400
    # With the map to 400 classes 34.57 million, as published for 8 x 8 with laterals of 7 frames.
    assert (count(encoder), count(encoder) + head) == (33_644_488, 34_566_488)
    # The paper's table 1 has laterals of 5, and one picture of 8 in the slow pathway.
    assert (count(table), count(table) + head) == (33_558_216, 34_480_216)
    assert count(SlowfastEncoder(36, 64)) == 627_540


def test_levels_are_the_two_rates():
    encoder = SlowfastEncoder(9, 16)
    assert encoder.frame_hz(8.0) == [8, 2]
    # Fast: 5 pictures and 2 for each of 3 blocks. Slow: before the second stage the lateral has
    # told of 7 + 4 pictures, and each of two kernels of 3 adds 4 on either side.
    assert encoder.receptive_field_s(1.0) == [11, 27]


def test_what_does_not_divide_is_refused():
    with pytest.raises(SettingsError, match="fast_share = 3: expected a divisor of slow_feat"):
        SlowfastEncoder(9, 16, fast_share=3)
    with pytest.raises(SettingsError, match="6 frames cannot be taken 4 at a time"):
        SlowfastEncoder(9, 16)(torch.zeros(1, 6, 3, 9, 16))
