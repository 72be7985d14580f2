"""The stream of flow: sizes of order 1, and blind to what does not move."""

import torch

from subtr.encoders.video import FlowEncoder, Frame2dEncoder, flow_pictures


def slid(right, down, n_pictures=3, scale=1):
    """Blurred noise that is moved by whole pixels each picture (1, picture, rgb, 36, 64)."""
    noise = torch.rand(1, 1, 100, 100, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)[0, 0]
    views = [
        blurred[20 - k * down : 56 - k * down, 20 - k * right : 84 - k * right]
        for k in range(n_pictures)
    ]
    return torch.stack(views)[None, :, None].expand(-1, -1, 3, -1, -1)


def test_flow_is_counted_in_shares_of_the_pictures_width():
    flow = flow_pictures(slid(2, -1))
    assert not flow[:, 0].any()
    for channel, wanted in enumerate((1.0, -0.5, 1.25**0.5)):  # 2 pixels are a 32nd of 64
        middle = flow[0, 1:, channel, 6:-6, 6:-6]
        torch.testing.assert_close(middle.median(), torch.tensor(wanted), atol=0.05, rtol=0)
    assert not flow.requires_grad


def test_it_sees_motion_and_not_what_moves():
    torch.manual_seed(0)
    encoder = FlowEncoder(36, 64, hidden_dim=6)
    still, other = slid(0, 0), 1 - slid(0, 0)
    torch.testing.assert_close(encoder(still)[0], encoder(other)[0], atol=1e-3, rtol=1e-3)
    assert (encoder(slid(2, 0))[0] - encoder(still)[0])[:, 1:].abs().max() > 0.05


def test_it_is_a_network_of_pictures_on_flow():
    torch.manual_seed(0)
    encoder = FlowEncoder(36, 64, channels=(4,), hidden_dim=6)
    flat = Frame2dEncoder(36, 64, channels=(4,), hidden_dim=6)
    flat.load_state_dict(encoder.state_dict())
    film = slid(1, 1)
    torch.testing.assert_close(encoder(film)[0], flat(flow_pictures(film))[0])
