"""A predictor of BOLD that trains in seconds, on a study whose BOLD follows the order of frames."""

import numpy as np
from planted import order_study

from subtr.datasets.study import folds_of
from subtr.metrics.bold import pearson_r
from subtr.params import validate
from subtr.training.encoding_models import predict_bold
from subtr.training.systems import BoldParams

TINY = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "conv", "hidden_dim": 8},
    },
    "readout": {"vector_dim": 2, "response": "canonical"},
    "training": {"max_epochs": 60, "check_every_epochs": 10, "learning_rate": 0.02},
}
LONG = TINY["training"] | {"max_epochs": 200}
AVERAGING = TINY["stream"] | {"aggregator": {"name": "mean"}}
STUDY = order_study()
SPLITS = STUDY.splits(2, gap_s=24.0, validation_fraction=0.15)


def params(**changes):
    return validate(BoldParams, TINY | changes, "system.yaml")


def predicted(folder, splits=SPLITS, study=STUDY, seed=0, **changes):
    return predict_bold(
        folds_of(study, splits, folder, "toy", params=params(**changes), seed=seed, drift_order=1)
    )


def held_out_r(prediction, study=STUDY):
    return float(np.mean(pearson_r(prediction, study.truth["group"]["signal"])))
