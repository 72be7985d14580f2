"""A model in fewer bytes: the same numbers within bounds, and nothing else lost."""

import numpy as np
import pytest
import torch
from torch import nn

from subtr.models.saved import (
    AutoencoderSpec,
    SavedAutoencoder,
    StreamSpec,
    load_autoencoder,
    quantised,
)
from subtr.models.stream import Part, StreamParams
from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings

TR_S = 1.5
SPEC = StreamSpec(
    in_dim=24,
    frames_per_tr=16,
    dim=32,
    params=StreamParams(
        encoder=Part(name="multiscale", hidden_dim=48), aggregator=Part(name="linear")
    ),
)
# Relative error of a rounded weight: half a unit in the last of 11, of 8 bits; half a step of 127.
TOLERANCE = {"fp32": 0.0, "fp16": 2.0**-11, "bf16": 2.0**-8, "int8": 0.5 / 127}
SHARE = {"fp16": 1 / 2, "bf16": 1 / 2, "int8": 1 / 4}


def spec_of(encoder, aggregator="mean", position="none"):
    encoder = Part(name=encoder) if isinstance(encoder, str) else encoder
    params = StreamParams(
        encoder=encoder, aggregator=Part(name=aggregator), position=Part(name=position)
    )
    return StreamSpec(in_dim=24, frames_per_tr=64, dim=32, params=params)


def trained(spec):
    """As after training: no weight at its start."""
    whole = AutoencoderSpec(stream=spec, decoder=Part(name="linear"), mel=MelSettings(), tr_s=TR_S)
    model = whole.build().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter.abs().mean() * 0.1 + 1e-3
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return SavedAutoencoder(whole, model, torch.zeros(spec.in_dim), torch.ones(()))


def frames(spec, batch=4):
    shape = (batch, 2, spec.frames_per_tr, spec.in_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", list(TOLERANCE))
def test_no_weight_moves_farther_than_the_form_allows(form, tmp_path):
    saved = trained(SPEC)
    loaded = load_autoencoder(saved.save(tmp_path / "s.safetensors", form))
    want, got = saved.model.state_dict(), loaded.model.state_dict()
    assert list(want) == list(got)
    for name, value in want.items():
        # INT8 measures by the largest weight of a channel, the others by the weight itself.
        size = value.flatten(1).abs().amax(1) if form == "int8" and value.ndim > 1 else value.abs()
        size = size.reshape(*size.shape, *[1] * (value.ndim - size.ndim))
        assert ((got[name] - value).abs() <= TOLERANCE[form] * size * 1.001 + 1e-7).all(), name


@pytest.mark.parametrize("form", list(TOLERANCE))
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        spec_of("dilated", "attention"),
        spec_of("transformer", "parcel_kernels", "time2vec"),
        spec_of(Part(name="multiscale", separable=True, hidden_dim=16, norm="batch"), "kernels"),
    ],
    ids=lambda spec: spec.params.encoder.name,
)
def test_a_loaded_stream_computes_the_same_within_tolerance(spec, form, tmp_path):
    saved = trained(spec)
    loaded = load_autoencoder(saved.save(tmp_path / "s.safetensors", form))
    assert loaded.spec == saved.spec
    assert not loaded.model.training
    with torch.no_grad():
        want, got = (one.model.stream(frames(spec), TR_S) for one in (saved, loaded))
    # Errors of independent weights partly cancel, and add up over layers.
    assert ((got - want).norm() / want.norm()).item() <= 5 * TOLERANCE[form]
    assert form != "fp32" or torch.equal(got, want)


def test_the_file_is_a_half_or_a_quarter_as_large(tmp_path):
    saved = trained(SPEC)
    size = {form: saved.save(tmp_path / form, form).stat().st_size for form in TOLERANCE}
    for form, share in SHARE.items():
        assert share <= size[form] / size["fp32"] < share * 1.15, form


def test_quantised_weights_are_the_nearest_steps_of_their_channel():
    weight = torch.tensor([[127.0, -63.4, 0.6], [0.0, 0.0, 0.0], [-1e-3, 5e-4, 1e-3]])
    whole, scale = quantised(weight)
    assert whole.tolist()[:2] == [[127, -63, 1], [0, 0, 0]]
    assert scale.flatten().tolist() == pytest.approx([1.0, 1.0, 1e-3 / 127])
    every = np.arange(-127, 128)[:, None, None] * scale.numpy()
    nearest = np.abs(every - weight.numpy()).min(0)
    np.testing.assert_allclose(np.abs((whole * scale - weight).numpy()), nearest, atol=1e-7)


def test_channels_too_short_for_a_scale_and_biases_stay_as_they_are(tmp_path):
    spec = spec_of(Part(name="multiscale", separable=True, kernel_frames=(3,), depth=0))
    saved = trained(spec)
    loaded = load_autoencoder(saved.save(tmp_path / "s", "int8"))
    want, got = (one.model.stream.state_dict() for one in (saved, loaded))
    depthwise = "encoder.scales.branches.0.0.weight"
    assert torch.equal(got[depthwise], want[depthwise])
    assert torch.equal(got["aggregator.map.bias"], want["aggregator.map.bias"])
    assert not torch.equal(got["aggregator.map.weight"], want["aggregator.map.weight"])


def test_half_precision_on_the_way_through_changes_little(tmp_path):
    saved = trained(SPEC)
    loaded = load_autoencoder(saved.save(tmp_path / "s", "bf16"))
    with torch.no_grad():
        want = saved.model.stream(frames(SPEC), TR_S)
        with torch.autocast("cpu", torch.bfloat16):
            got = loaded.model.stream(frames(SPEC), TR_S).float()
    assert (got - want).norm() < 0.02 * want.norm()


def test_weights_that_a_form_cannot_hold_and_unknown_forms_are_named(tmp_path):
    saved = trained(SPEC)
    nn.init.constant_(saved.model.stream.aggregator.basis.bias, 1e6)
    with pytest.raises(SettingsError, match=r"aggregator\.basis\.bias as fp16: .* use 'bf16'"):
        saved.save(tmp_path / "s", "fp16")
    with pytest.raises(SettingsError, match="Did you mean 'int8'"):
        saved.save(tmp_path / "s", "int4")
    assert not list(tmp_path.iterdir())
    saved.save(tmp_path / "s", "bf16")
