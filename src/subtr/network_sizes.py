"""How large trained networks are, read from their checkpoints."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from subtr.experiment_data import ExperimentData
from subtr.system_training import training_folds


def network_sizes(
    experiment: ExperimentData, systems: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """A row for each finished training of the systems, of the first fold.

    Returns
        Columns system, modality, floats_per_tr (NaN for BOLD), parameters: numbers learned of
        encoder, aggregator and decoder or readout; what ties a student to its teacher is left out.
    """
    rows = []
    for name in systems:
        system = experiment.system(name)
        for modality in ("sound", "pictures"):
            params = getattr(system, modality)
            for n_floats in params.floats_per_tr if params else ():
                how = (name, modality, params.of_size(n_floats), seed)
                first = training_folds(experiment, *how)[0]
                rows.append((name, modality, n_floats, _parameters(first.folder)))
        if system.bold:
            first = training_folds(experiment, name, "bold", system.bold, seed)[0]
            rows.append((name, "bold", float("nan"), _parameters(first.folder)))
    columns = ["system", "modality", "floats_per_tr", "parameters"]
    return pd.DataFrame([row for row in rows if row[-1]], columns=columns)


def _parameters(folder: Path) -> int:
    """0 for a training that has not finished."""
    if not (folder / "done.json").exists():
        return 0
    state = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    own = {name.removeprefix("model."): of for name, of in state.items()}
    return sum(of.numel() for name, of in own.items() if not name.startswith("maps."))
