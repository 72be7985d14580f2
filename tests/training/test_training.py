import pandas as pd
import pytest
import torch
from torch import nn

from subtr.training.fit import Fitting, TrainingError, TrainingParams, fit

WEIGHTS = torch.tensor([1.0, -2.0, 0.5, 0.0])


def batches_of_epoch(epoch):
    frames = torch.randn(5, 32, 4, generator=torch.Generator().manual_seed(epoch))
    return [{"frames": batch} for batch in frames]


def objective(model, batch):
    error = (model(batch["frames"])[:, 0] - batch["frames"] @ WEIGHTS).square().mean()
    return error, {"mse": error.detach()}


def train(folder, stop_at=None, scale=1.0, **params):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))
    settings = {"max_epochs": 12, "check_every_epochs": 3, "learning_rate": 0.03} | params

    def stopping(module, batch):
        if module.training and fitting.current_epoch == stop_at:
            raise KeyboardInterrupt
        loss, named = objective(module, batch)
        return loss * scale, named

    validation = batches_of_epoch(10**6)
    settings = TrainingParams(**settings)
    fitting = Fitting(model, stopping, batches_of_epoch, validation, settings, seed=3)
    return fit(fitting, folder, "toy"), model


def test_a_linear_truth_is_learned_and_the_best_weights_are_returned(tmp_path):
    history, model = train(tmp_path, max_epochs=60)
    loss = history.query("part == 'validation' and name == 'loss'")["value"]
    assert loss.min() < 0.01 * WEIGHTS.square().sum()
    # Of the last, unseen batches, with the weights that `fit` left in the model.
    batches = batches_of_epoch(10**6)
    now = sum(objective(model, batch)[0].item() for batch in batches) / len(batches)
    assert now == pytest.approx(loss.min(), rel=1e-5)


@pytest.mark.parametrize("every", [1, 3])
def test_ctrl_c_keeps_a_checkpoint_and_the_same_call_ends_in_the_same_numbers(
    tmp_path, capsys, every
):
    whole, model = train(tmp_path / "whole", check_every_epochs=every)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop_at=7, check_every_epochs=every)
    assert f"kept {tmp_path / 'cut' / 'last.ckpt'}" in capsys.readouterr().out
    resumed, again = train(tmp_path / "cut", check_every_epochs=every)
    if every == 1:
        # Of the epoch whose check wrote the checkpoint, the training loss came after it.
        shown = resumed[resumed["part"] == "train"]["epoch"]
        lost = (whole["part"] == "train") & ~whole["epoch"].isin(shown)
        assert whole[lost]["epoch"].nunique() == 1
        whole = whole[~lost].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, resumed)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_checkpoint_is_written_at_every_check_whether_it_is_the_best_or_not(tmp_path):
    history, _ = train(tmp_path, learning_rate=1.0, max_epochs=30, patience_checks=2)
    loss = history.query("part == 'validation' and name == 'loss'").set_index("epoch")["value"]
    epochs = [
        torch.load(tmp_path / f"{name}.ckpt", weights_only=False)["epoch"]
        for name in ("best", "last")
    ]
    assert epochs == [loss.idxmin(), loss.index[-1]]
    assert epochs[0] < epochs[1]


def test_a_finished_training_is_read_not_repeated(tmp_path):
    history, _ = train(tmp_path)
    written = (tmp_path / "best.ckpt").stat().st_mtime_ns
    again, _ = train(tmp_path)
    assert (tmp_path / "best.ckpt").stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(history, again)
    assert again.attrs["training time_s"] > 0


def test_training_stops_early_when_nothing_improves(tmp_path):
    history, _ = train(tmp_path, max_epochs=300, patience_checks=2, learning_rate=1.0)
    assert history["epoch"].max() < 299


def test_a_loss_that_is_not_finite_names_the_epoch_and_the_rate(tmp_path):
    with pytest.raises(TrainingError, match=r"inf in epoch 0: lower learning_rate \(now 0.03\)"):
        train(tmp_path, scale=float("inf"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TrainingError, match=r"file.* cannot be written"):
        train(tmp_path / "file" / "run")


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    import lightning.pytorch as pl

    save = pl.Trainer.save_checkpoint
    saved = []

    def full(self, path, *rest, **options):
        if len(saved) >= 3:
            raise OSError(28, "No space left on device")
        saved.append(path)
        save(self, path, *rest, **options)

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*is kept"):
        train(tmp_path / "run")
    monkeypatch.undo()
    history, _ = train(tmp_path / "run")
    pd.testing.assert_frame_equal(history, train(tmp_path / "whole")[0])
