"""What the library measures of itself, against exact counts and arithmetic by hand."""

import pytest
import torch

from subtr.claims import Setting, costs
from subtr.claims.configurations import STREAM_DIMS, averaging_of, parts_of, stream
from subtr.claims.measurements import MEASUREMENTS, measure, why_not
from subtr.claims.multiplications import CURRENT_PARAMETERS, stream_flops
from subtr.errors import SettingsError

SMALL = Setting(n_mels=16, height=9, width=16, batch=2, memory_batch=2, rounds=1)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("multiscale_parameters", 1_411_328),
        ("position_parameters", 1_438_976 - 1_411_328),
        ("hierarchical_parameters", 4_035_584),
        ("s3d_parameters", 3_125_568),
        ("transformer_encoder_parameters", 12_675_584),
        ("transformer_parameters", 12_938_240),
        ("tier1_parameters", 1_438_976 + 4_035_584),
        ("everything_parameters", 1_438_976 + 4_035_584 + 3_125_568 + 12_938_240),
        (
            "i3d_parameters",
            sum(27 * a * b + 3 * b for a, b in ((3, 64), (64, 128), (128, 256), (256, 512))),
        ),
        ("separable_9_taps_parameters", 133_376),
        ("separable_multiscale_factor", 1_411_328 / 564_480),
    ],
)
def test_counts_are_the_exact_ones(name, exact):
    measured = measure(name)
    assert measured.value == measured.low == measured.high == exact


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        (
            "multiscale_parameters",
            [
                "multiscale_branch_parameters",
                "multiscale_fusion_parameters",
                "multiscale_block_parameters",
            ],
        ),
        (
            "s3d_parameters",
            [f"s3d_block_{n}_parameters" for n in range(1, 5)] + ["s3d_map_parameters"],
        ),
        (
            "transformer_parameters",
            [
                "transformer_input_parameters",
                "transformer_blocks_parameters",
                "transformer_aggregation_parameters",
            ],
        ),
    ],
)
def test_parts_add_up_to_the_whole(whole, parts):
    assert sum(measure(part).value for part in parts) == measure(whole).value


def test_parts_of_the_hierarchy_lack_its_norms_alone():
    parts = [name for name in MEASUREMENTS if name.startswith("hierarchical_") and "param" in name]
    parts.remove("hierarchical_parameters")
    norms = 2 * (256 + 512 + 512)
    assert sum(measure(part).value for part in parts) + norms == 4_035_584


def test_spans_are_kernels_times_the_frame():
    frame_ms = 1500 / 64
    for kernel in (3, 5, 7, 11):
        assert measure(f"kernel_{kernel}_span_ms").value == pytest.approx(kernel * frame_ms)
    # The longest kernel, and the one of 3 behind it.
    assert measure("multiscale_receptive_field_ms").value == pytest.approx(13 * frame_ms)
    assert measure("hierarchical_mid_step_ms").value == pytest.approx(8 * frame_ms)
    slow = Setting(tr_s=3.0)
    assert measure("kernel_11_span_ms", slow).value == pytest.approx(22 * frame_ms)


def test_products_of_attention_are_those_of_the_equations():
    n, d, heads = 64, 512, 8
    # Queries with keys and weights with values; keys with values and queries with that state, where
    # one more value sums the weights.
    softmax, linear = 2 * n * n * d, 2 * n * d * (d // heads + 1)
    assert measure("softmax_attention_multiplications").value == softmax
    assert measure("linear_attention_multiplications").value == linear
    assert measure("linear_over_softmax_flops").value == pytest.approx(linear / softmax)
    assert measure("attention_scores_of_8_heads").value == heads * n * n
    # Tokens times (frames + patches), and tokens squared.
    assert measure("divided_attention_growth").value == pytest.approx(4 * 2)
    assert measure("joint_attention_growth").value == pytest.approx(16)


def test_flops_stand_beside_an_average_of_equal_width():
    averaging = 2 * (64 * 128 * 256 + 256 * 256)
    assert stream_flops("averaging, 256", Setting()) == averaging
    scales, block = 132 * 256 * 27 + 5 * 256 * 256, 3 * 256 * 256
    multiscale = 2 * (64 * (scales + block) + 256 * 256)
    increase = measure("multiscale_flops_increase").value
    assert increase == pytest.approx(100 * (multiscale / averaging - 1))
    share = measure("multiscale_flops_of_current").value
    assert share == pytest.approx(100 * multiscale / (2 * CURRENT_PARAMETERS))
    for name, dim in STREAM_DIMS.items():
        with torch.device("meta"):
            widths = [
                stream(one, SMALL).aggregator.map.out_features for one in (name, averaging_of(name))
            ]
        assert widths == [dim, dim], name
    assert parts_of(averaging_of("everything")) == ("averaging, 512", "averaging, pictures")


def test_memory_is_parameters_with_their_moments_and_what_two_maps_keep():
    got = measure("positions_memory_gb", SMALL).value
    parameters = (20 * 256 + 256) + (256 * 256 + 256)
    activations = 4 * 2 * (64 * 20 + 256)
    assert got == pytest.approx((16 * parameters + activations) / 1e9)
    tier1 = measure("tier1_memory_gb", SMALL).value
    parts = (measure(f"{name}_memory_gb", SMALL).value for name in ("multiscale", "hierarchical"))
    assert tier1 == pytest.approx(sum(parts))


def test_pictures_are_held_one_by_one_and_counted_as_often_as_they_are():
    two, four = (
        measure("s3d_memory_gb", SMALL.model_copy(update={"memory_batch": n})).value for n in (2, 4)
    )
    with torch.device("meta"):
        n_parameters = sum(p.numel() for p in stream("s3d", SMALL).parameters())
    assert four - two == pytest.approx(two - 16 * n_parameters / 1e9)


def test_an_average_of_frames_and_codes_knows_no_order_and_a_convolution_does():
    assert measure("position_order_kept").value == 0
    assert costs.order_kept("multiscale")(Setting()) > 1


def test_planted_times_give_planted_ratios(monkeypatch):
    sound = ["positions", "multiscale", "hierarchical", "transformer", "averaging, 256"]
    ms = dict(zip([*sound, "averaging, 512"], (1.1, 2.0, 5.0, 8.0, 1.0, 4.0), strict=True))
    slower = iter([1, 2, 4])

    def planted(calls, repeats, device):
        # Streams of sound come first in a round, those of pictures second.
        if len(calls) == 2:
            return [6.0, 3.0]
        return list((ms | {"multiscale": 2.0 * next(slower)}).values())

    monkeypatch.setattr(costs, "median_ms", planted)
    # As if each call were a step of the TRs of sound, or of one TR of pictures.
    monkeypatch.setattr(costs, "_LONG_FLOPS", 0)
    setting = SMALL.model_copy(update={"rounds": 3, "n_mels": 5})
    multiscale = measure("multiscale_step_ratio", setting)
    assert (multiscale.value, multiscale.low, multiscale.high) == (4, 2, 8)
    transformer = measure("transformer_step_ratio", setting)
    assert (transformer.value, transformer.low, transformer.high) == (2, 2, 2)
    assert measure("s3d_step_ratio", setting).value == 2
    # Pictures of one TR count as often as there are TRs in a step, two here.
    everything = [(2 * slow + 5 + 8 + 2 * 6) / (4 + 2 * 3) for slow in (1, 2, 4)]
    got = measure("everything_step_ratio", setting)
    assert (got.low, got.value, got.high) == pytest.approx(tuple(everything))


def test_short_steps_are_done_many_at_a_time(monkeypatch):
    done = []

    def watched(name, setting):
        network = stream(name, setting)
        network.register_forward_hook(lambda *_: done.append(name))
        return network

    monkeypatch.setattr(costs, "stream", watched)
    steps, n_trs = costs._steps("positions", SMALL)
    steps()
    assert done == ["positions"] * 50
    assert n_trs == 50 * SMALL.batch
    assert costs._steps("s3d", Setting())[1] == 1
    # 2 GFLOP of 8 TRs of 33 MFLOP each.
    assert costs._steps("hierarchical", Setting())[1] == 8 * 7


def test_fused_attention_is_timed_on_graphics_cards_alone(monkeypatch):
    assert measure("fused_attention_speedup", SMALL) is None
    assert "graphics cards" in why_not("fused_attention_speedup", SMALL)
    times = iter([[6.0, 2.0], [4.0, 2.0]])

    def planted(calls, repeats, device):
        for call in calls:
            call()
        return next(times)

    monkeypatch.setattr(costs, "median_ms", planted)
    two = SMALL.model_copy(update={"rounds": 2})
    assert costs.fused_attention_speedup(two) == [3, 2]


def test_real_times_say_on_what_they_were_taken_and_leave_the_callers_draws_alone(
    monkeypatch,
):
    monkeypatch.setattr(costs, "_LONG_FLOPS", 0)
    torch.manual_seed(3)
    want = torch.rand(4)
    torch.manual_seed(3)
    heavy = measure("transformer_step_ratio", SMALL)
    measure("position_order_kept", SMALL)
    measure("positions_memory_gb", SMALL.model_copy(update={"n_mels": 7}))
    assert torch.equal(torch.rand(4), want)
    # 13 million parameters against a third of one.
    assert heavy.value > 2
    assert heavy.of == f"library, cpu, {torch.get_num_threads()} threads"


def test_unknown_names_and_devices_are_refused():
    with pytest.raises(SettingsError, match=r"'s3d_paramters' is no known .* 's3d_parameters'"):
        measure("s3d_paramters")
    with pytest.raises(SettingsError, match="device = 'nowhere' cannot be used here"):
        measure("s3d_memory_gb", Setting(device="nowhere"))
