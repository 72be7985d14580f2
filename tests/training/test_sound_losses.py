"""Each loss is 0 for the original, and minds just what it is there for."""

import math

import numpy as np
import pytest
import torch
from planted import low_rank_study

from subtr.datasets.study import Fold
from subtr.params import SettingsError, validate
from subtr.training.autoencoders import train_sound
from subtr.training.losses import (
    SoundLoss,
    coherence_loss,
    modulation_spectrum_loss,
    reconstruction_loss,
)
from subtr.training.systems import SoundParams

TR_S, FRAME_HZ, WINDOWS_S = 1.5, 64 / 1.5, (0.375, 0.75, 1.5)
PARTS = ["within_tr", "spectral", "coherence"]


def speech_like(seed=0, n_trs=2):
    """Bands that go up and down at 4 Hz and at 9 Hz, each with phases of its own."""
    rng = np.random.default_rng(seed)
    time_s = torch.arange(n_trs * 64) / FRAME_HZ
    phases = torch.from_numpy(rng.uniform(0, 2 * np.pi, (2, 3, 1, 16))).float()
    slow, fast = (
        torch.sin(2 * np.pi * hz * time_s[None, :, None] + phase)
        for hz, phase in zip((4.0, 9.0), phases, strict=True)
    )
    return slow + 0.5 * fast


def in_trs(sequence):
    return sequence.unflatten(1, (-1, 64))


def spectral(found, wanted):
    return modulation_spectrum_loss(found, wanted, FRAME_HZ, WINDOWS_S).item()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_0_for_the_original_and_else_pulls_towards_it(part):
    loss = SoundLoss(**{part: 1.0})
    wanted = in_trs(speech_like())
    assert loss.added(wanted, wanted, TR_S)[0] == 0
    torch.manual_seed(0)
    found = (wanted + 0.3 * torch.randn_like(wanted)).requires_grad_()
    value, named = loss.added(found, wanted, TR_S)
    assert value > 0.01
    assert list(named) == [part]
    value.backward()
    with torch.no_grad():
        nearer, _ = loss.added(found - found.grad / found.grad.norm(), wanted, TR_S)
        further, _ = loss.added(found + found.grad / found.grad.norm(), wanted, TR_S)
    assert nearer < value < further


def test_weights_add_up():
    torch.manual_seed(0)
    wanted, found = torch.randn(2, 3, 2, 64, 16)
    alone = {part: SoundLoss(**{part: 1.0}).added(found, wanted, TR_S)[0] for part in PARTS}
    both, named = SoundLoss(spectral=2.0, coherence=0.5).added(found, wanted, TR_S)
    torch.testing.assert_close(both, 2 * alone["spectral"] + 0.5 * alone["coherence"])
    assert named["spectral"] == alone["spectral"]
    within = reconstruction_loss(found, wanted, level_weight=0.0)[0]
    torch.testing.assert_close(alone["within_tr"], within)


def test_frames_out_of_order_are_less_coherent_than_a_steady_fault_of_the_same_size():
    wanted = speech_like()
    order = torch.from_numpy(np.random.default_rng(0).permutation(64))
    shuffled = in_trs(wanted)[:, :, order].flatten(1, 2)
    size = (shuffled - wanted).square().mean().sqrt()
    steady = wanted + size
    assert coherence_loss(steady, wanted) < 1e-6
    assert coherence_loss(shuffled, wanted) > size**2


def test_a_jump_at_the_border_of_a_tr_is_not_coherent():
    wanted = speech_like()
    found = wanted.clone()
    found[:, 64:] += 1
    # One step in 127 is off by 1.
    torch.testing.assert_close(coherence_loss(found, wanted), torch.tensor(1 / 127))


def test_missing_modulation_costs_more_than_another_phase():
    """The squared error says the opposite: it would rather have a flat line than a late one."""
    wanted = speech_like()
    flat, late = torch.zeros_like(wanted), torch.roll(wanted, 5, dims=1)
    error = {name: (of - wanted).square().mean() for name, of in (("flat", flat), ("late", late))}
    assert error["late"] > 1.5 * error["flat"]
    assert spectral(flat, wanted) > 3 * spectral(late, wanted)


def test_a_spectrogram_without_its_fast_rate_is_missed_in_proportion():
    torch.manual_seed(0)
    wanted = speech_like()
    half = speech_like() - 0.5 * (speech_like() - smoothed(speech_like()))
    none = smoothed(speech_like())
    assert 0 < spectral(half, wanted) < spectral(none, wanted)


def smoothed(sequence):
    """The mean of five frames, 9 Hz being one period of just that."""
    padded = torch.nn.functional.pad(sequence.mT, (2, 2), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, 5, stride=1).mT


def test_the_convergence_of_a_scaled_signal_is_its_scale():
    """Equation 4 by hand: all magnitudes half as large, in one window as long as the signal."""
    torch.manual_seed(0)
    wanted = 100 * torch.randn(1, 64, 3)  # far above the floor
    found = modulation_spectrum_loss(wanted / 2, wanted, FRAME_HZ, (1.5,))
    torch.testing.assert_close(found, torch.tensor(0.5 + math.log(2)), rtol=1e-3, atol=0)


def test_windows_are_in_seconds_and_never_longer_than_the_sequence():
    torch.manual_seed(0)
    found, wanted = torch.randn(2, 2, 64, 3)
    one = modulation_spectrum_loss(found, wanted, FRAME_HZ, (1.5,))
    assert modulation_spectrum_loss(found, wanted, FRAME_HZ, (20.0,)) == one
    assert modulation_spectrum_loss(found, wanted, 2 * FRAME_HZ, (0.75,)) == one


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"spectrall": 1.0}, r"loss.spectrall: unknown key. Did you mean 'spectral'\?"),
        ({"mel": 0.0}, "mel, within_tr, spectral and coherence are all 0"),
        ({"coherence": -1.0}, "loss.coherence = -1.0"),
        ({"discriminators": {"kernel": 4}}, "loss.discriminators.kernel = 4: expected an odd"),
        ({"discriminators": {"periods": [], "n_scales": 0}}, "at least one scale or one period"),
    ],
)
def test_what_a_loss_cannot_be_is_said(loss, message):
    with pytest.raises(SettingsError, match=message):
        validate(SoundParams, {"loss": loss}, "system.yaml")


def test_a_system_is_trained_by_the_weighted_sum_of_what_its_history_shows(tmp_path):
    study = low_rank_study()
    split = study.splits(3, gap_s=6.0)[1]
    settings = {
        "stream": {
            "encoder": {"name": "linear", "hidden_dim": 0},
            "aggregator": {"name": "linear"},
        },
        "batches_per_epoch": 4,
        "training": {"max_epochs": 4, "check_every_epochs": 1, "learning_rate": 0.02},
        "loss": {"mel": 0.5, "within_tr": 2.0, "spectral": 0.1, "coherence": 3.0},
    }
    params = validate(SoundParams, settings, "system.yaml")
    trained = train_sound(Fold(study, split, params.of_size(4), tmp_path, 0, "planted"))
    rows = trained.history.query("part == 'validation'")
    shown = rows.pivot(index="epoch", columns="name", values="value")
    error = shown["within"] + shown["level"]
    total = 0.5 * error + 2 * shown["within_tr"] + 0.1 * shown["spectral"] + 3 * shown["coherence"]
    np.testing.assert_allclose(shown["loss"], total, rtol=1e-5)
    assert shown["loss"].iloc[-1] < 0.9 * shown["loss"].iloc[0]
