"""The history of a training: shown while it runs, kept with its checkpoints, written at the end."""

import json
import os
import time
from pathlib import Path

import pandas as pd
from lightning.pytorch.callbacks import Callback
from tqdm.auto import tqdm

from subtr.params import whole_file


class Record(Callback):
    """Losses by epoch, and a bar; SUBTR_PROGRESS=lines leaves one line for a whole training.

    Arguments
        folder: for the history.
        label: of the bar and the line.
    """

    def __init__(self, folder: Path, label: str):
        self.folder, self.label, self.bar = folder, label, None
        self.rows: list[dict] = []
        self.spent_s, self.began_s = 0.0, time.monotonic()

    def state_dict(self):
        return {"rows": self.rows, "spent_s": self.spent_s + time.monotonic() - self.began_s}

    def load_state_dict(self, state_dict):
        self.rows, self.spent_s = state_dict["rows"], state_dict["spent_s"]

    def on_train_start(self, trainer, module):
        self.began_s = time.monotonic()
        if os.environ.get("SUBTR_PROGRESS") != "lines":
            self.bar = tqdm(total=trainer.max_epochs, desc=self.label, unit="epoch", delay=2)
            self.bar.update(trainer.current_epoch)

    def on_validation_epoch_end(self, trainer, module):
        for key, value in trainer.callback_metrics.items():
            part, name = key.split("/")
            row = {"epoch": trainer.current_epoch, "part": part, "name": name}
            # Metrics of training are those of the epoch before the check.
            self.rows.append(row | {"value": float(value)})
        loss = float(trainer.callback_metrics["validation/loss"])
        if self.bar is not None:
            self.bar.set_postfix_str(f"validation loss {loss:.4g}")

    def on_train_epoch_end(self, trainer, module):
        if self.bar is not None:
            self.bar.update(1)

    def close(self):
        if self.bar is not None:
            self.bar.close()

    def finish(self):
        """Writes history and time, by which a training is known to be finished."""
        history = pd.DataFrame(self.rows).drop_duplicates(["epoch", "part", "name"], keep="last")
        history.to_csv(self.folder / "history.csv", index=False)
        spent_s = self.spent_s + time.monotonic() - self.began_s
        losses = history[(history["part"] == "validation") & (history["name"] == "loss")]
        best = losses.loc[losses["value"].idxmin()]
        print(
            f"{self.label}: {int(history['epoch'].max()) + 1} epochs in {spent_s:.0f} s, best "
            f"validation loss {best['value']:.4g} at epoch {int(best['epoch'])}"
        )
        with whole_file(self.folder / "done.json") as part:
            part.write_text(json.dumps({"training time_s": round(spent_s, 2)}))
