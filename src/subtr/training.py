"""Lightning trains: early stopping, clipping, checkpoints, and resuming to the same numbers."""

import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from subtr.fitting import Fitting, TrainingError
from subtr.record import Record


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
