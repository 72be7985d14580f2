"""wav2vec 2.0's shape: 25 ms every 20 ms, positions by convolution, then attention."""

import pytest
import torch
import torch.nn.functional as F

from subtr.encoders.attention import ConvTransformerEncoder
from subtr.params import SettingsError

WAV2VEC = {"kernel_frames": (10, 3, 3, 3, 3, 2, 2), "strides": (5, 2, 2, 2, 2, 2, 2)}
BASE = WAV2VEC | {
    "conv_dim": 512,
    "hidden_dim": 768,
    "n_heads": 12,
    "depth": 12,
    "feedforward_dim": 3072,
    "position_frames": 128,
    "position_groups": 16,
    "pre_norm": False,
}


def test_the_papers_convolutions_see_25_ms_every_20_ms():
    encoder = ConvTransformerEncoder(1, **WAV2VEC, keep_convolutions=True)
    assert encoder.frame_hz(16_000.0) == [50, 50]
    local_s, context_s = encoder.receptive_field_s(16_000.0)
    assert local_s == 0.025  # 400 samples
    assert context_s == float("inf")
    assert [level.shape[1] for level in encoder(torch.randn(1, 3200, 1))] == [10, 10]


def test_parameters_of_the_papers_base_model():
    with torch.device("meta"):
        encoder = ConvTransformerEncoder(1, **BASE)
    # The paper says 95 million.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 94_380_544


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_it_is_its_steps_written_out(pre_norm, causal):
    torch.manual_seed(0)
    options = {"pre_norm": pre_norm, "causal": causal, "keep_convolutions": True}
    encoder = ConvTransformerEncoder(3, conv_dim=6, hidden_dim=8, position_frames=5, **options)
    encoder = encoder.double().eval()
    frames = torch.randn(2, 24, 3, dtype=torch.float64)

    def convolved(layer, signal, padding, **options):
        weights = layer.convolution
        return F.conv1d(F.pad(signal, padding), weights.weight, weights.bias, **options)

    signal = frames.mT
    for layer in encoder.convolutions:
        signal = convolved(layer, signal, (2, 0) if causal else (1, 1), stride=2)
        signal = F.gelu(F.layer_norm(signal.mT, (6,))).mT
    latents = encoder.input[1](F.layer_norm(signal.mT, (6,)))
    padding = (4, 0) if causal else (2, 2)
    latents = latents + F.gelu(convolved(encoder.position, latents.mT, padding, groups=4)).mT
    if not pre_norm:
        latents = F.layer_norm(latents, (8,))
    for block in encoder.blocks:
        latents = block(latents)
    local, context = encoder(frames)
    torch.testing.assert_close(local, signal.mT)
    torch.testing.assert_close(context, latents)


def test_positions_by_convolution_know_order_and_not_where_the_window_begins():
    torch.manual_seed(0)
    encoder = ConvTransformerEncoder(3, kernel_frames=(1,), strides=(1,), position_frames=5).eval()
    frames = torch.randn(1, 40, 3)
    assert (encoder(frames.flip(1))[0].flip(1) - encoder(frames)[0]).abs().max() > 1e-2
    # Attention to the same frames from the same neighbourhoods, twice over: nothing can differ.
    again = encoder(frames[:, :20].repeat(1, 3, 1))[0]
    torch.testing.assert_close(again[:, 4:16], again[:, 24:36], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": (2,)}, r"strides = \(2,\): expected 2 numbers"),
        ({"strides": (2, 8)}, "a kernel of 4 frames with stride 8 would skip"),
        ({"position_groups": 5}, "position_groups = 5: 64 features do not divide"),
        ({"n_heads": 5}, "n_heads = 5: 64 features do not divide"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        ConvTransformerEncoder(3, **options)


def test_frames_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match="27 frames cannot be taken 2 at a time"):
        ConvTransformerEncoder(3)(torch.zeros(1, 54, 3))
