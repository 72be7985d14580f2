"""Memory, times and order, against arithmetic by hand and planted times."""

import pytest
import torch

from subtr.experiments import claim_sizes as costs
from subtr.experiments.claim_sizes import Setting, stream
from subtr.experiments.claims import measure, why_not

SMALL = Setting(n_mels=16, height=9, width=16, batch=2, memory_batch=2, rounds=1)


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
    assert costs.order_kept("multiscale", Setting()) > 1


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
    done.clear()
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
