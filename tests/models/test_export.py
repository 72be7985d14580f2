"""A stream in fewer bytes: the same numbers within bounds, and nothing else lost."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from subtr.models.saved import StreamSpec, load_stream, loss_by_form, quantised, save_stream
from subtr.models.stream import Part, StreamParams
from subtr.params import SettingsError

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
    stream = spec.build()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in stream.parameters():
            scale = parameter.abs().mean() * 0.1 + 1e-3
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return stream.eval()


def frames(spec, batch=4):
    shape = (batch, 2, spec.frames_per_tr, spec.in_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", list(TOLERANCE))
def test_no_weight_moves_farther_than_the_form_allows(form, tmp_path):
    stream = trained(SPEC)
    loaded, _ = load_stream(save_stream(stream, SPEC, tmp_path / "s.safetensors", form))
    want, got = stream.state_dict(), loaded.state_dict()
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
    stream = trained(spec)
    loaded, again = load_stream(save_stream(stream, spec, tmp_path / "s.safetensors", form))
    assert again == spec
    assert not loaded.training
    with torch.no_grad():
        want, got = stream(frames(spec), TR_S), loaded(frames(spec), TR_S)
    # Errors of independent weights partly cancel, and add up over layers.
    assert ((got - want).norm() / want.norm()).item() <= 5 * TOLERANCE[form]
    assert form != "fp32" or torch.equal(got, want)


def test_the_file_is_a_half_or_a_quarter_as_large(tmp_path):
    stream = trained(SPEC)
    size = {
        form: save_stream(stream, SPEC, tmp_path / form, form).stat().st_size for form in TOLERANCE
    }
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
    stream = trained(spec)
    loaded, _ = load_stream(save_stream(stream, spec, tmp_path / "s", "int8"))
    want, got = stream.state_dict(), loaded.state_dict()
    depthwise = "encoder.scales.branches.0.0.weight"
    assert torch.equal(got[depthwise], want[depthwise])
    assert torch.equal(got["aggregator.map.bias"], want["aggregator.map.bias"])
    assert not torch.equal(got["aggregator.map.weight"], want["aggregator.map.weight"])


def test_what_a_score_loses_is_told_by_form():
    stream = trained(SPEC)
    with torch.no_grad():
        want = stream(frames(SPEC), TR_S)

    def score(given):
        with torch.no_grad():
            return 1 - ((given(frames(SPEC), TR_S) - want).norm() / want.norm()).item()

    table = loss_by_form(stream, SPEC, score).set_index("form")
    assert list(table.index) == ["fp32", "fp16", "bf16", "int8"]
    assert table["loss"]["fp32"] == 0
    assert table["score"]["fp32"] == 1
    assert 0 < table["loss"]["fp16"] < table["loss"]["bf16"] < 0.02
    assert table["bytes"]["int8"] < table["bytes"]["fp16"] < table["bytes"]["fp32"]


def test_half_precision_on_the_way_through_changes_little(tmp_path):
    stream = trained(SPEC)
    loaded, _ = load_stream(save_stream(stream, SPEC, tmp_path / "s", "bf16"))
    with torch.no_grad():
        want = stream(frames(SPEC), TR_S)
        with torch.autocast("cpu", torch.bfloat16):
            got = loaded(frames(SPEC), TR_S).float()
    assert (got - want).norm() < 0.02 * want.norm()


def test_weights_that_a_form_cannot_hold_are_named(tmp_path):
    stream = trained(SPEC)
    nn.init.constant_(stream.aggregator.basis.bias, 1e6)
    with pytest.raises(SettingsError, match=r"aggregator\.basis\.bias as fp16: .* use 'bf16'"):
        save_stream(stream, SPEC, tmp_path / "s", "fp16")
    assert not list(tmp_path.iterdir())
    save_stream(stream, SPEC, tmp_path / "s", "bf16")


def test_another_streams_spec_and_an_unknown_form_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="not those of its parts"):
        save_stream(trained(SPEC), spec_of("linear"), tmp_path / "s")
    with pytest.raises(SettingsError, match="Did you mean 'int8'"):
        save_stream(trained(SPEC), SPEC, tmp_path / "s", "int4")
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_streams_are_named(tmp_path):
    other, text = tmp_path / "other.safetensors", tmp_path / "text.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    text.write_text("not a stream")
    for file in (other, text, tmp_path / "absent.safetensors"):
        with pytest.raises(SettingsError, match=f"{file.name}: expected a stream"):
            load_stream(file)
