"""The cost of streams, against arithmetic by hand."""

import inspect
import math

import pytest
import torch

from subtr.encoders import ENCODERS
from subtr.experiments.cost import FRONT, Timing, cost_table, front_table, stream_cost
from subtr.models.stream import Part, StreamParams
from subtr.params import SettingsError

FEATURES, FRAMES, TR_S, DIM, BATCH = 6, 16, 1.5, 5, 3


def cost(encoder=None, aggregator="mean", frames=FRAMES, batch=BATCH, **options):
    encoder = encoder or Part(name="linear", hidden_dim=10)
    params = StreamParams(encoder=encoder, aggregator=Part(name=aggregator), **options)
    return stream_cost(params, FEATURES, frames, TR_S, DIM, Timing(batch, 1))


def test_a_linear_encoder_costs_what_its_two_maps_cost():
    got = cost()
    assert got.parameters == (6 * 10 + 10) + (10 * 5 + 5)
    assert got.flops == 2 * (16 * 6 * 10 + 10 * 5)
    # Each map keeps its input, in float32.
    assert got.activation_bytes == 4 * 3 * (16 * 6 + 10)
    assert got.receptive_field_ms == (1500 / 16,)


def test_one_convolution_costs_its_taps_at_every_frame():
    encoder = Part(name="multiscale", hidden_dim=8, kernel_frames=(3,), depth=0)
    got = cost(encoder)
    assert got.parameters == (6 * 8 * 3 + 8) + (8 * 8 + 8) + (8 * 5 + 5)
    assert got.flops == 2 * (16 * (6 * 8 * 3 + 8 * 8) + 8 * 5)
    assert got.receptive_field_ms == pytest.approx((3 * 1500 / 16,))


def test_memory_of_a_linear_encoder_grows_by_the_same_with_every_frame():
    kept = [cost(frames=frames).activation_bytes for frames in (8, 16, 24, 64)]
    assert [after - kept[0] for after in kept] == [4 * 3 * 6 * more for more in (0, 8, 16, 56)]


@pytest.mark.parametrize("name", ["linear", "transformer", "hierarchical"])
def test_flops_are_of_one_tr_whatever_the_batch_and_memory_grows_with_it(name):
    encoder = Part(name=name, pool_frames=(4, 4)) if name == "hierarchical" else Part(name=name)
    one, four = (cost(encoder, batch=batch) for batch in (1, 4))
    assert one.flops == four.flops
    assert four.activation_bytes == 4 * one.activation_bytes


def test_frames_of_the_context_cost_too():
    extra = cost(context_frames=4).flops - cost().flops
    assert extra == 2 * 8 * 6 * 10


@pytest.mark.parametrize("name", ["linear", "multiscale", "dilated", "hierarchical", "transformer"])
def test_what_is_seen_is_what_the_encoder_says(name):
    got = stream_cost(StreamParams(encoder=Part(name=name)), FEATURES, 64, TR_S, DIM, Timing(2, 1))
    encoder = ENCODERS.build(name, FEATURES)
    seconds = encoder.receptive_field_s(64 / TR_S)
    assert got.receptive_field_ms == pytest.approx(tuple(1000 * one for one in seconds))
    assert math.isinf(got.receptive_field_ms[0]) == (name == "transformer")


def test_pictures_are_measured_too():
    params = StreamParams(encoder=Part(name="frame2d", channels=(4,), hidden_dim=7))
    got = stream_cost(params, (8, 8), 4, TR_S, DIM, Timing(2, 1))
    assert got.flops == 2 * (4 * (3 * 4 * 9 * 16 + 4 * 16 * 7) + 7 * 5)


def test_measuring_leaves_the_random_draws_of_the_caller_alone():
    torch.manual_seed(3)
    want = torch.rand(4)
    torch.manual_seed(3)
    cost()
    assert torch.equal(torch.rand(4), want)


def test_a_pair_that_cannot_be_built_says_why_and_stops_nothing():
    encoders = [Part(name="hierarchical", pool_frames=(3, 3)), "linear"]
    table = cost_table(encoders, ["mean", "nearest"], FEATURES, FRAMES, TR_S, DIM, Timing(2, 1))
    assert list(table["aggregator"]) == ["mean", "nearest"] * 2
    assert table["problem"].str.contains("frames_per_tr = 16: expected a multiple of 9")[:2].all()
    assert table["parameters"].isna().tolist() == [True, True, False, False]
    assert (table["problem"][2:] == "").all()
    assert table["system"][2] == "linear + mean"
    assert table["parameters"][2] == (6 * 128 + 128) + (128 * 5 + 5)
    assert table["encoder"][0] == "hierarchical (pool_frames=(3, 3))"


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"repeats": 0}, {"frames_per_tr": 0}, {"tr_s": 0.0}, {"device": "nowhere"}],
)
def test_what_no_pair_could_be_measured_with_stops_at_once(wrong):
    (name,) = wrong
    timing = Timing(**{key: of for key, of in wrong.items() if key in Timing._fields})
    given = {"frames_per_tr": FRAMES, "tr_s": TR_S, "dim": DIM, "timing": timing}
    given |= {key: of for key, of in wrong.items() if key in given}
    with pytest.raises(SettingsError, match=f"{name} = "):
        cost_table(["linear"], ["mean"], FEATURES, **given)


def test_the_collapsed_front_costs_one_kernel():
    trained, collapsed = front_table(4, 6, 16, TR_S, Timing(2, 1)).to_dict("records")
    assert (trained["system"], collapsed["system"]) == (FRONT, f"{FRONT}, collapsed")
    assert collapsed["parameters"] == 4 * 6 * 11 + 6
    assert trained["parameters"] == 4 * 6 * 27 + 5 * 6 + 5 * 6 * 6 + 6
    assert collapsed["flops"] == 2 * 16 * 4 * 6 * 11
    assert trained["flops"] == 2 * 16 * (4 * 6 * 27 + 5 * 6 * 6)
    assert trained["speed_ratio"] == 1


def test_every_encoder_can_be_measured_without_options():
    for name, encoder in ENCODERS.parts.items():
        options = inspect.signature(encoder).parameters.values()
        needed = [
            one for one in options if one.kind is one.KEYWORD_ONLY and one.default is one.empty
        ]
        assert not needed, name
