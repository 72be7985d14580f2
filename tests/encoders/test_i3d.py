"""A film that stands still looks to an inflated network as its picture looks to the flat one."""

import pytest
import torch
from torch import nn

from subtr.encoders.inception import I3dEncoder, inflated
from subtr.encoders.video import Frame2dEncoder
from subtr.params import SettingsError


@pytest.mark.parametrize("kernel_frames", [1, 2, 3, 7])
@pytest.mark.parametrize(("kernel", "stride", "bias"), [(3, 2, True), (1, 1, False), (7, 2, True)])
def test_an_inflated_convolution_of_a_still_film_is_that_of_its_picture(
    kernel_frames, kernel, stride, bias
):
    torch.manual_seed(0)
    flat = nn.Conv2d(3, 4, kernel, stride, kernel // 2, bias=bias).double()
    picture = torch.rand(2, 3, 9, 16, dtype=torch.float64)
    film = picture[:, :, None].expand(-1, -1, 5, -1, -1)
    result = inflated(flat, kernel_frames)(film)
    torch.testing.assert_close(result, flat(picture)[:, :, None].expand_as(result))


def test_an_inflated_convolution_is_the_convolution_of_the_mean_frame():
    torch.manual_seed(0)
    flat = nn.Conv2d(3, 4, 3, 2, 1).double()
    film = torch.rand(1, 3, 6, 9, 16, dtype=torch.float64)
    middle = inflated(flat, 3)(film)[:, :, 2]
    torch.testing.assert_close(middle, flat(film[:, :, 1:4].mean(2)))


@pytest.mark.parametrize("kernel_frames", [1, 3, 4])
def test_a_network_starts_as_the_one_that_it_is_made_from(kernel_frames):
    torch.manual_seed(0)
    options = {"channels": (4, 6), "hidden_dim": 5}
    pictures = Frame2dEncoder(9, 16, **options).double()
    with torch.no_grad():  # norms as after training
        for parameter in pictures.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder = I3dEncoder(9, 16, **options, kernel_frames=kernel_frames).double()
    encoder.start_from(pictures)
    film = torch.rand(2, 1, 3, 9, 16, dtype=torch.float64).expand(-1, 6, -1, -1, -1)
    torch.testing.assert_close(encoder(film)[0], pictures(film)[0])
    moving = torch.rand(2, 6, 3, 9, 16, dtype=torch.float64)
    same = torch.allclose(encoder(moving)[0], pictures(moving)[0])
    assert same == (kernel_frames == 1)


def test_a_still_film_gives_still_latents_whatever_the_start():
    torch.manual_seed(0)
    film = torch.rand(1, 1, 3, 9, 16).expand(-1, 6, -1, -1, -1)
    for start in ("inflated", "random"):
        (latents,) = I3dEncoder(9, 16, start=start)(film)
        torch.testing.assert_close(latents, latents[:, :1].expand_as(latents))


def test_the_taps_of_an_inflated_start_part_in_one_step():
    torch.manual_seed(0)
    encoder = I3dEncoder(9, 16, channels=(4,), hidden_dim=5)
    film = torch.rand(1, 8, 3, 9, 16)
    before = (encoder(film)[0].mean(1) - encoder(film.flip(1))[0].mean(1)).abs().max()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    (encoder(film)[0] - torch.randn(1, 8, 5)).square().sum().backward()
    optimizer.step()
    after = (encoder(film)[0].mean(1) - encoder(film.flip(1))[0].mean(1)).abs().max()
    assert before < 1e-5
    assert after > 1e-3


def test_parameters_are_those_of_pictures_with_each_kernel_as_often_as_frames():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    kernels = 9 * (3 * 16 + 16 * 32 + 32 * 64)
    flat = count(Frame2dEncoder(36, 64))
    assert count(I3dEncoder(36, 64, kernel_frames=3)) == flat + 2 * kernels
    assert count(I3dEncoder(36, 64)) == 398_560


def test_what_cannot_be_inflated_is_refused():
    with pytest.raises(SettingsError, match="expected a square kernel of odd size"):
        inflated(nn.Conv2d(3, 4, (3, 5), padding=(1, 2)), 3)
    with pytest.raises(SettingsError, match="expected 1 zeros around"):
        inflated(nn.Conv2d(3, 4, 3), 3)
    with pytest.raises(SettingsError, match="of another size"):
        I3dEncoder(9, 16).start_from(Frame2dEncoder(9, 16, hidden_dim=5))
