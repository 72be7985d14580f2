"""Two sides trained at once: both learn, and an interrupted training ends in the same numbers."""

import pandas as pd
import pytest
import torch
from planted import low_rank_study
from torch import nn

from subtr.datasets.study import Fold
from subtr.params import validate
from subtr.training.adversarial import AdversarialFitting, Adversary, Drawn
from subtr.training.autoencoders import train_sound
from subtr.training.fit import TrainingParams, fit
from subtr.training.losses import DiscriminatorParams
from subtr.training.systems import SoundParams

SMALL = DiscriminatorParams(periods=(2,), n_scales=1, widths=(8, 16), learning_rate=3e-3)


def batches_of_epoch(epoch):
    """What is real: noise of variance 1, of which a model is given only the level."""
    signal = torch.randn(2, 16, 1, 48, generator=torch.Generator().manual_seed(epoch))
    return [{"frames": batch} for batch in signal]


def draw(model, batch):
    real = batch["frames"]
    made = model(torch.randn_like(real))
    error = (made.mean(-1) - real.mean(-1)).square().mean()
    return Drawn(error, {"level": error.detach()}, made, real)


def train(folder, weight=1.0, stop_at=None, judges=SMALL, **params):
    torch.manual_seed(0)
    model = nn.Conv1d(1, 1, 1)
    nn.init.constant_(model.weight, 0.1)

    def stopping(module, batch):
        if module.training and fitting.current_epoch == stop_at:
            raise KeyboardInterrupt
        return draw(module, batch)

    settings = {"max_epochs": 12, "check_every_epochs": 3, "learning_rate": 0.03} | params
    fitting = AdversarialFitting(
        model,
        stopping,
        Adversary(1, weight, judges),
        batches_of_epoch,
        batches_of_epoch(10**6),
        TrainingParams(**settings),
        seed=3,
    )
    history = fit(fitting, folder, "toy")
    last = torch.load(folder / "last.ckpt", weights_only=False)["state_dict"]
    return history, model, abs(last["model.weight"].item())


def test_only_the_discriminators_can_tell_how_loud_the_model_must_be(tmp_path):
    """The loss asks for the level alone; how far it varies is learned from the adversary."""
    *_, without = train(tmp_path / "without", weight=1e-9, max_epochs=24, learning_rate=0.05)
    history, _, loud = train(tmp_path / "with", max_epochs=24, learning_rate=0.05)
    assert without < 0.3
    assert 0.5 < loud < 1.5
    named = set(history.query("part == 'train'")["name"])
    assert {"discriminators", "told_apart", "generator", "feature_matching"} <= named
    assert "generator" not in set(history.query("part == 'validation'")["name"])


def test_the_adversary_can_be_kept_waiting(tmp_path):
    waiting = SMALL.model_copy(update={"after": 0.5})
    history, _, _ = train(tmp_path, judges=waiting)
    said = history.query("name == 'generator'")["epoch"]
    assert said.min() >= 6
    assert history.query("name == 'discriminators'")["epoch"].min() < 6


@pytest.mark.parametrize("every", [1, 3])
def test_an_interrupted_training_ends_in_the_same_numbers(tmp_path, every):
    whole, model, _ = train(tmp_path / "whole", check_every_epochs=every)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop_at=7, check_every_epochs=every)
    resumed, again, _ = train(tmp_path / "cut", check_every_epochs=every)
    validated = [of.query("part == 'validation'").reset_index(drop=True)
                 for of in (whole, resumed)]  # fmt: skip
    pd.testing.assert_frame_equal(*validated)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    # The other side, too.
    ends = [torch.load(tmp_path / of / "last.ckpt", weights_only=False)["state_dict"]
            for of in ("whole", "cut")]  # fmt: skip
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=0, atol=0, msg=name)


def test_gradients_of_both_sides_are_clipped(tmp_path):
    lengths = []
    step = torch.optim.AdamW.step

    def watched(self, *given, **named):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        lengths.append(nn.utils.get_total_norm(of for of in gradients if of is not None).item())
        return step(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", watched)
        train(tmp_path, gradient_clip=1e-3, max_epochs=3)
    assert max(lengths) == pytest.approx(1e-3, rel=1e-2)
    assert len(lengths) == 2 * 3 * 2


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_rates_follow_the_schedule(tmp_path, schedule):
    train(tmp_path, schedule=schedule)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=False)
    rates = [of["param_groups"][0]["lr"] for of in kept["optimizer_states"]]
    # The last of 12 epochs; as PyTorch's own schedule has it.
    part = 1.0
    if schedule == "cosine":
        plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        steps = torch.optim.lr_scheduler.CosineAnnealingLR(plain, 12)
        for _ in range(11):
            plain.step()
            steps.step()
        (part,) = steps.get_last_lr()
    assert rates == pytest.approx([0.03 * part, 3e-3 * part], rel=1e-6)


def test_a_system_of_sound_trains_against_discriminators(tmp_path):
    study = low_rank_study()
    split = study.splits(3, gap_s=6.0)[1]
    settings = {
        "stream": {
            "encoder": {"name": "linear", "hidden_dim": 0},
            "aggregator": {"name": "linear"},
        },
        "batches_per_epoch": 6,
        "training": {"max_epochs": 6, "check_every_epochs": 3, "learning_rate": 0.02},
        "loss": {"adversarial": 0.05, "discriminators": SMALL.model_dump()},
    }
    params = validate(SoundParams, settings, "system.yaml")
    trained = train_sound(Fold(study, split, params.of_size(4), tmp_path, 0, "planted"))
    named = trained.history.query("part == 'train'").set_index(["name", "epoch"])["value"]
    assert named["feature_matching", 5] < named["feature_matching", 2]
    kept = trained.history.query("part == 'validation' and name == 'within_tr_r2'")
    assert kept["value"].max() > 0.3
