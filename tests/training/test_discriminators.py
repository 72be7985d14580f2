"""Discriminators learn to tell what is planted, and what they see of it is what they should."""

import pytest
import torch
import torch.nn.functional as F

from subtr.training.adversarial import (
    Discriminators,
    PeriodDiscriminator,
    ScaleDiscriminator,
    Verdict,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
)
from subtr.training.losses import DiscriminatorParams

SMALL = DiscriminatorParams(periods=(2, 3), n_scales=2, widths=(8, 16))


def real_and_smoothed(seed, channels=4, n=96):
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(8, channels, n, generator=generator)
    return real, F.avg_pool1d(real, 5, stride=1, padding=2) * 5**0.5


def test_losses_are_those_of_the_paper_on_numbers_done_by_hand():
    real = [Verdict(torch.tensor([[1.0, 0.0]]), [torch.tensor([1.0, 3.0])])] * 2
    made = [Verdict(torch.tensor([[0.5, 0.5]]), [torch.tensor([2.0, 3.0])])] * 2
    value, named = discriminator_loss(real, made)
    assert value == 2 * (0.5 + 0.25)
    assert named["told_apart"] == 0.5
    assert generator_loss(made) == 2 * 0.25
    assert feature_matching_loss(real, made) == 2 * 0.5
    assert feature_matching_loss(real, real) == 0


@pytest.mark.parametrize("channels", [1, 4])
def test_real_is_told_from_smoothed_in_a_few_steps(channels):
    """Both have one variance; a waveform has one channel, a log-mel as many as bands."""
    torch.manual_seed(0)
    judges = Discriminators(channels, SMALL)
    optimiser = torch.optim.AdamW(judges.parameters(), lr=3e-3, betas=(0.8, 0.99))
    for step in range(60):
        real, made = real_and_smoothed(step, channels)
        value, _ = discriminator_loss(judges(real), judges(made))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    real, made = real_and_smoothed(10_000, channels)
    scores = [torch.stack([one.score.mean(1) for one in judges(of)]) for of in (real, made)]
    of_judge = [score.mean(1) for score in scores]
    assert (of_judge[0] > of_judge[1] + 0.2).all()
    # Signal by signal, by all of them together.
    of_signal = [score.mean(0) for score in scores]
    assert of_signal[0].min() > of_signal[1].max()


def test_whoever_follows_the_features_comes_nearer_to_the_real_signal():
    torch.manual_seed(0)
    judges = Discriminators(4, SMALL).requires_grad_(False)
    real, smooth = real_and_smoothed(0)
    made = smooth.clone().requires_grad_()
    optimiser = torch.optim.Adam([made], lr=0.02)
    matched = []
    for _ in range(60):
        value = feature_matching_loss(judges(real), judges(made))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        matched.append(value.item())
    assert matched[-1] < 0.5 * matched[0]
    assert (made - real).square().mean() < (smooth - real).square().mean()


def test_the_judges_can_be_fooled():
    torch.manual_seed(0)
    judges = Discriminators(4, SMALL).requires_grad_(False)
    made = real_and_smoothed(0)[1].requires_grad_()
    before = generator_loss(judges(made))
    before.backward()
    assert generator_loss(judges(made - made.grad / made.grad.norm())) < before


def test_a_period_is_seen_column_by_column():
    torch.manual_seed(0)
    judge = PeriodDiscriminator(1, 3, DiscriminatorParams(widths=(4,), stride=1))
    signal = torch.randn(1, 1, 30)
    changed = signal.clone()
    changed[0, 0, 13] += 1  # in column 1
    moved = (judge(changed).score - judge(signal).score)[0].reshape(10, 3).abs().amax(0)
    assert moved[1] > 1e-4
    assert moved[[0, 2]].max() == 0


def test_both_at_once_are_judged_as_one_by_one():
    torch.manual_seed(0)
    judges, signals = Discriminators(4, SMALL).eval(), real_and_smoothed(0)
    for alone, together in zip(map(judges, signals), judges.both(*signals), strict=True):
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one.score, other.score)
            torch.testing.assert_close(one.features, other.features)


@pytest.mark.parametrize("length", [1, 30, 31, 32])
def test_signals_of_any_length_are_judged(length):
    for verdict in Discriminators(2, DiscriminatorParams())(torch.randn(1, 2, length)):
        assert verdict.score.isfinite().all()
        assert verdict.score.numel() > 0


def test_a_halved_signal_lacks_the_fastest_rate():
    torch.manual_seed(0)
    # Spectral normalisation moves while training, and would hide what is tested.
    judge = ScaleDiscriminator(1, 1, SMALL).eval()
    slow = torch.sin(torch.arange(64) / 8)[None, None]
    flicker = torch.tensor([1.0, -1.0]).repeat(32)[None, None]
    away = [of.score[0, 2:-2] for of in (judge(slow), judge(slow + flicker))]
    torch.testing.assert_close(*away, atol=1e-5, rtol=0)
    near = ScaleDiscriminator(1, 0, SMALL).eval()
    assert (near(slow).score - near(slow + flicker).score).abs().max() > 1e-3
