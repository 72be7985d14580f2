"""Widths are found at which streams are equally large, or it is said that there is none."""

import pytest

from benchmarks.encoders import matched_width
from subtr.experiments.cost import count_parameters
from subtr.models.stream import Stream, StreamParams
from subtr.params import SettingsError, validate

SIZES = (16, 32, 8)


def at(name, **more):
    def params(width):
        encoder = {"name": name, "hidden_dim": width} | more
        parts = {"encoder": encoder, "aggregator": {"name": "mean"}}
        return validate(StreamParams, parts, name)

    return params


@pytest.mark.parametrize("name", ["linear", "multiscale", "transformer"])
@pytest.mark.parametrize("wanted", [20_000, 100_000])
def test_no_other_width_comes_nearer(name, wanted):
    def count(width):
        return count_parameters(Stream(*SIZES, at(name)(width)))

    width = matched_width(at(name), wanted, *SIZES, widest=8192 if name == "linear" else 1024)
    off = abs(count(width) - wanted)
    assert off <= abs(count(width + 8) - wanted)
    assert width == 8 or off <= abs(count(width - 8) - wanted)


def test_numbers_out_of_reach_are_refused():
    with pytest.raises(SettingsError, match=r"multiscale: [\d,]+ parameters .* nearest to 50;"):
        matched_width(at("multiscale"), 50, *SIZES)
    with pytest.raises(SettingsError, match="nearest to 9,000,000"):
        matched_width(at("linear"), 9_000_000, *SIZES)
