"""A model and its objective as Lightning takes them."""

from collections.abc import Callable, Iterable

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from subtr.models.batches import Batch, epoch_seed
from subtr.params import SubtrError
from subtr.training_params import TrainingParams

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
