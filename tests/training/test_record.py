"""The history of a training: one row a value, kept over a resume, and a mark when it is done."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from subtr.training.fit import Record


def trainer(epoch, **values):
    metrics = {name.replace("_", "/", 1): value for name, value in values.items()}
    return SimpleNamespace(current_epoch=epoch, callback_metrics=metrics, max_epochs=10)


def checked(record, epoch, loss, r=0.5):
    record.on_validation_epoch_end(
        trainer(epoch, train_loss=loss / 2, validation_loss=loss, validation_r=r), None
    )


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")


def test_the_history_has_one_row_a_value_and_the_line_names_the_best(tmp_path, capsys):
    record = Record(tmp_path, "toy")
    for epoch, loss in [(1, 3.0), (3, 0.25), (5, 1.0)]:
        checked(record, epoch, loss)
    record.finish()
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history) == ["epoch", "part", "name", "value"]
    assert len(history) == 9
    losses = history.query("part == 'validation' and name == 'loss'")
    assert losses.set_index("epoch")["value"].to_dict() == {1: 3.0, 3: 0.25, 5: 1.0}
    out = capsys.readouterr().out
    assert out.startswith("toy: 6 epochs in 0 s, best validation loss 0.25 at epoch 3")
    assert json.loads((tmp_path / "done.json").read_text())["training time_s"] >= 0
    assert not list(tmp_path.glob("*.part"))


def test_a_resumed_training_goes_on_with_rows_and_time(tmp_path):
    first = Record(tmp_path, "toy")
    checked(first, 1, 3.0)
    checked(first, 3, 2.0)
    first.began_s -= 40.0
    again = Record(tmp_path, "toy")
    again.load_state_dict(first.state_dict())
    checked(again, 3, 2.0)  # the check at which the checkpoint was written is done again
    checked(again, 5, 1.0)
    again.finish()
    history = pd.read_csv(tmp_path / "history.csv")
    assert len(history) == 9
    assert json.loads((tmp_path / "done.json").read_text())["training time_s"] >= 40.0


@pytest.mark.parametrize(("progress", "shown"), [("lines", False), ("", True)])
def test_a_bar_is_for_people_and_lines_for_logs(tmp_path, monkeypatch, progress, shown):
    monkeypatch.setenv("SUBTR_PROGRESS", progress)
    record = Record(tmp_path, "toy")
    record.on_train_start(trainer(4), None)
    assert (record.bar is not None) == shown
    if shown:  # a resumed bar begins where the training does
        assert (record.bar.n, record.bar.total) == (4, 10)
    checked(record, 5, 1.0)
    record.on_train_epoch_end(trainer(5), None)
    record.close()
