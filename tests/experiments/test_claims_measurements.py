"""What the library measures of itself, against exact counts and arithmetic by hand."""

import pytest
import torch

from subtr.experiments.claim_sizes import (
    CURRENT_PARAMETERS,
    STREAM_DIMS,
    Setting,
    averaging_of,
    parts_of,
    stream,
    stream_flops,
)
from subtr.experiments.claims import MEASUREMENTS, measure
from subtr.params import SettingsError

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
        ("i3d_published_parameters", 12_697_264),
        ("s3d_published_parameters", 8_320_048),
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


def test_the_published_s3d_is_1_5_times_cheaper_as_its_paper_says():
    assert measure("i3d_over_s3d_flops").value == pytest.approx(1.5, abs=0.05)
    # 107.9 in the paper, whose borders are cut otherwise.
    assert measure("i3d_published_giga").value == pytest.approx(107.9, rel=0.05)


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


def test_unknown_names_and_devices_are_refused():
    with pytest.raises(SettingsError, match=r"'s3d_paramters' is no known .* 's3d_parameters'"):
        measure("s3d_paramters")
    with pytest.raises(SettingsError, match="device = 'nowhere' cannot be used here"):
        measure("s3d_memory_gb", Setting(device="nowhere"))
