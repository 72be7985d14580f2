"""A held frame does not move within its TR; a linear map started from PCA is PCA."""

import pytest
import torch

from subtr.decoders import DECODERS
from subtr.models.linear import PCABaseline

DIM, N_FRAMES, N_FEATURES = 5, 24, 6
STARTED_FROM_PCA = sorted(n for n, of in DECODERS.parts.items() if hasattr(of, "start_from"))


def vectors(batch=2, n_trs=4):
    return torch.randn(batch, n_trs, DIM, generator=torch.Generator().manual_seed(0))


def built(name):
    torch.manual_seed(0)
    return DECODERS.build(name, DIM, N_FRAMES, N_FEATURES)


@pytest.mark.parametrize("name", sorted(DECODERS.parts))
def test_frames_come_tr_by_tr_and_differ_with_the_vector(name):
    decoder, given = built(name), vectors()
    frames = decoder(given)
    assert frames.shape == (2, 4, N_FRAMES, N_FEATURES)
    changed = given.clone()
    changed[0, 2] += 1
    difference = (decoder(changed) - frames).abs().amax((2, 3))
    assert difference[0, 2] > 0.1
    assert difference[1].max() == 0


def test_a_held_frame_stays_for_its_whole_tr():
    frames = built("held")(vectors())
    assert torch.equal(frames, frames[:, :, :1].expand_as(frames))
    assert frames[:, :, 0].std(1).min() > 0


@pytest.mark.parametrize("name", STARTED_FROM_PCA)
def test_a_decoder_started_from_pca_gives_back_what_pca_does(name):
    windows = torch.randn(200, N_FRAMES, N_FEATURES, generator=torch.Generator().manual_seed(1))
    windows = windows.cumsum(1) + 2
    pca = PCABaseline(DIM).fit(windows.numpy())
    codes = torch.from_numpy(pca.encode(windows.numpy()))
    decoder = built(name)
    decoder.start_from(torch.from_numpy(pca.components).T, torch.from_numpy(pca.mean))
    expected = torch.from_numpy(pca.reconstruct(windows.numpy()))
    torch.testing.assert_close(decoder(codes[None])[0], expected, rtol=1e-3, atol=1e-3)


def test_the_linear_decoder_is_linear():
    decoder, given = built("linear"), vectors()
    zero = decoder(torch.zeros_like(given))
    torch.testing.assert_close(decoder(3 * given) - zero, 3 * (decoder(given) - zero))
