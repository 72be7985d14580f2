"""Fits a network by Lightning; resumes, keeps the best weights, records the history."""

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pydantic import Field
from torch import Tensor, nn
from tqdm.auto import tqdm

from subtr.models.batches import Batch, epoch_seed
from subtr.params import Strict, SubtrError, whole_file


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


class TrainingParams(Strict):
    """How long and how fast to train; times in epochs, rates a step.

    ``started_rate``: learning rate, relative to the others, of weights that start from a solution
    such as PCA; 0 keeps it.
    """

    max_epochs: int = Field(100, ge=1)
    check_every_epochs: int = Field(5, ge=1)
    patience_checks: int = Field(6, ge=1)
    learning_rate: float = Field(1.0e-3, gt=0, le=1)
    started_rate: float = Field(0.02, ge=0, le=1)
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = Field(1.0e-2, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "32", "bf16"] = "auto"
    compile: bool = False


Objective = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]


class TrainingError(SubtrError, RuntimeError):
    """Training cannot go on; the message says what is kept and what to do."""


class _Loader:
    """Batches as they are; Lightning would take a list for several loaders."""

    def __init__(self, batches: Iterable[Batch]):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


class Fitting(pl.LightningModule):
    """A model, what it is to minimise, and the optimiser.

    Arguments
        model: any module.
        objective: (model, batch) -> (loss, diagnostics by name).
        batches_of_epoch: epoch -> the training batches of that epoch, the same each time it is
            asked, so that a resumed run goes on with the same numbers.
        validation: batches that decide when to stop and which weights to keep.
        seed: of all that is random in training, epoch by epoch.
        started: parameters of the model that start from a solution.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        batches_of_epoch: Callable[[int], Iterable[Batch]],
        validation: list[Batch],
        params: TrainingParams,
        seed: int,
        started: Iterable[nn.Parameter] = (),
    ):
        super().__init__()
        self._started = {id(parameter) for parameter in started}
        self.model, self.objective, self.params, self.seed = model, objective, params, seed
        self.batches_of_epoch, self.validation = batches_of_epoch, validation
        if params.compile:
            model.compile()

    def on_train_epoch_start(self):
        torch.manual_seed(epoch_seed(self.seed, self.current_epoch))

    def train_dataloader(self):
        return _Loader(self.batches_of_epoch(self.current_epoch))

    def val_dataloader(self):
        return _Loader(self.validation)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        return self.logged(*self.objective(self.model, batch), batch, "train")

    def validation_step(self, batch: Batch, index: int) -> Tensor:
        return self.logged(*self.objective(self.model, batch), batch, "validation")

    def logged(self, loss: Tensor, named: dict[str, Tensor], batch: Batch, part: str) -> Tensor:
        """The loss, with it and its parts written to the history of "train" or "validation".

        Raises
            TrainingError: a loss of training that is not finite.
        """
        if part == "train" and not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()} in epoch {self.current_epoch}: lower learning_rate "
                f"(now {self.params.learning_rate:g}). The last checkpoint is kept."
            )
        weight = len(batch["frames"])
        values = {f"{part}/{name}": value for name, value in {"loss": loss, **named}.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=weight)
        return loss

    def configure_optimizers(self):
        optimiser = self.optimiser()
        if self.params.schedule == "constant":
            return optimiser
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.params.max_epochs)
        return {"optimizer": optimiser, "lr_scheduler": cosine}

    def optimiser(self) -> torch.optim.Optimizer:
        """Of the model; what starts from a solution is a group of its own."""
        parameters = list(self.model.parameters())
        fresh = [one for one in parameters if id(one) not in self._started]
        started = [one for one in parameters if id(one) in self._started]
        groups = [{"params": fresh}]
        if started:
            # Decay would draw a solution towards zero.
            rate = self.params.learning_rate * self.params.started_rate
            groups.append({"params": started, "lr": rate, "weight_decay": 0.0})
        return torch.optim.AdamW(
            groups, lr=self.params.learning_rate, weight_decay=self.params.weight_decay
        )


def fit(fitting: Fitting, folder: Path, label: str) -> pd.DataFrame:
    """Trains, then puts the weights of the best validation loss into the model.

    A finished training in ``folder`` is not repeated, an interrupted one goes on from its last
    checkpoint. Checkpoints are written at every check.

    Arguments
        folder: for checkpoints and the history.
        label: said in progress and messages.

    Returns
        History: epoch, part ("train", "validation"), name, value; ``attrs["training time_s"]``.

    Raises
        TrainingError: the loss is not finite, or the folder cannot be written.
        KeyboardInterrupt: after Ctrl-C; the same call goes on from the checkpoint.
    """
    best, done = folder / "best.ckpt", folder / "done.json"
    if not done.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _train(fitting, folder, label)
        except OSError as error:
            raise TrainingError(
                f"{folder} cannot be written: {error.strerror or error}. What was trained until "
                "the last checkpoint is kept: free space and run the same again."
            ) from error
    weights = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    fitting.load_state_dict(weights)
    fitting.model.eval()
    history = pd.read_csv(folder / "history.csv")
    history.attrs |= json.loads(done.read_text())
    return history


def _train(fitting: Fitting, folder: Path, label: str):
    params = fitting.params
    written = {"enable_version_counter": False, "save_on_train_epoch_end": False}
    best = ModelCheckpoint(folder, filename="best", monitor="validation/loss", **written)
    # Lightning's own save_last is the last of the best ones.
    last = ModelCheckpoint(folder, filename="last", **written)
    # After validation alone: on a resumed epoch there is nothing yet to stop by.
    stop = EarlyStopping(
        "validation/loss", patience=params.patience_checks, check_on_train_epoch_end=False
    )
    record = Record(folder, label)
    on_gpu = torch.cuda.is_available()
    bf16 = params.precision == "bf16" or (params.precision == "auto" and on_gpu)
    torch.manual_seed(fitting.seed)
    with _quiet():
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if bf16 else "32-true",
            max_epochs=params.max_epochs,
            check_val_every_n_epoch=min(params.check_every_epochs, params.max_epochs),
            # Lightning leaves clipping to whoever steps by hand.
            gradient_clip_val=params.gradient_clip if fitting.automatic_optimization else None,
            callbacks=[best, last, stop, record],
            logger=False,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        kept = folder / "last.ckpt"
        try:
            trainer.fit(fitting, ckpt_path=kept if kept.exists() else None, weights_only=False)
        except SystemExit as error:  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from error
        finally:
            record.close()
            if trainer.interrupted:
                print(f"{label}: stopped; kept {kept}. The same call goes on from there.")
    record.finish()


@contextmanager
def _quiet():
    """Lightning's advice about devices and workers off: the study lies on the device already."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        yield
    logger.setLevel(level)
