"""Several spans of time at once: how far a frame is drawn from, and what that is good for."""

import pytest
import torch

from subtr.decoders import DECODERS
from subtr.decoders.mel import DilatedResiduals, MultiReceptiveField
from subtr.params import SettingsError

N_FRAMES, N_FEATURES = 48, 8


def built(**options):
    torch.manual_seed(0)
    return DECODERS.build("multi_receptive", 3, N_FRAMES, N_FEATURES, **options)


def reached(refinement, n_frames, at):
    """Frames whose input changes the output at one frame."""
    torch.nn.init.normal_(refinement.give.weight, std=0.1)
    spectrogram = torch.randn(1, n_frames, N_FEATURES, requires_grad=True)
    refinement(spectrogram)[0, at].sum().backward()
    (frames,) = spectrogram.grad[0].abs().amax(1).nonzero(as_tuple=True)
    return frames.min().item() - at, frames.max().item() - at


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernels": (3,), "dilations": (1,)},
        {"kernels": (1, 5), "dilations": (2, 4), "depth": 2, "patch": 2},
    ],
    ids=["as it comes", "one", "two deep"],
)
def test_a_frame_is_drawn_from_just_as_far_as_the_decoder_says(options):
    decoder = built(hidden_dim=8, **options)
    far, patch = decoder.reach_frames, decoder.refinement.patch
    # A frame at one edge of its patch reaches furthest ahead, one at the other furthest back.
    edges = [reached(decoder.refinement, 4 * far, 2 * far + at) for at in range(patch)]
    assert max(last for _, last in edges) == far
    assert min(first for first, _ in edges) == -far


def test_the_longest_block_decides_how_far():
    assert DilatedResiduals(2, 7, (1, 3)).reach == 3 * 1 + 3 * 3
    assert MultiReceptiveField(2, (3, 7, 5), (1, 3)).reach == 12


def test_a_fusion_is_the_mean_of_its_blocks():
    torch.manual_seed(0)
    fusion = MultiReceptiveField(4, (3, 5, 7), (1, 2))
    latents = torch.randn(2, 4, 20, 6)
    alone = [block(latents) for block in fusion]
    torch.testing.assert_close(fusion(latents), sum(alone) / 3)


def test_it_begins_as_its_linear_part():
    decoder, vectors = built(), torch.randn(2, 3, 3)
    torch.testing.assert_close(decoder(vectors), decoder.linear(vectors))


def test_a_frame_is_drawn_from_the_next_tr_too():
    decoder = built(hidden_dim=8)
    torch.nn.init.normal_(decoder.refinement.give.weight, std=0.1)
    vectors = torch.randn(1, 3, 3)
    changed = vectors.clone()
    changed[0, 1] += 1
    moved = (decoder(changed) - decoder(vectors)).abs().amax((0, 3))
    assert moved[0, -1] > 1e-4
    assert moved[2, 0] > 1e-4


@pytest.mark.parametrize(("kernel", "learns"), [(3, False), (11, True)])
def test_long_kernels_learn_what_short_ones_cannot_see(kernel, learns):
    """An echo four patches later: only a block that reaches so far can add it."""
    torch.manual_seed(0)
    decoder = built(hidden_dim=8, kernels=(kernel,), dilations=(1,))
    refinement, patch = decoder.refinement, decoder.refinement.patch
    optimiser = torch.optim.Adam(refinement.parameters(), lr=0.01)
    for _ in range(150):
        dry = torch.randn(4, 20, 1, N_FEATURES).repeat(1, 1, patch, 1).flatten(1, 2)
        echo = torch.roll(dry, 4 * patch, dims=1)
        echo[:, : 4 * patch] = 0
        error = (refinement(dry) - dry - echo).square().mean() / echo.square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert (error.item() < 0.5) == learns


def test_even_kernels_are_refused():
    with pytest.raises(SettingsError, match=r"kernels = \(4,\): expected odd"):
        built(kernels=(4,))
