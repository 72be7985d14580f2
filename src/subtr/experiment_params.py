"""What ``study_<name>.yaml`` and ``system_<name>.yaml`` may say."""

from typing import Any

from pydantic import Field

from subtr.autoencoder_params import AutoencoderParams
from subtr.bold.hrf import HRF_DURATION_S
from subtr.params import Strict
from subtr.prediction import BoldParams
from subtr.splits import Split
from subtr.study import Study


class StudyParams(Strict):
    """What is loaded, how time is split, and what everything is compared with.

    ``load``: options of the study's loader. ``gap_s``: seconds between training and test; None for
    the length of the haemodynamic response where there is BOLD, else for two TRs.
    ``reconstruction_folds``: how many of the folds train autoencoders; BOLD is predicted in all.
    ``pca_floats``: sizes of the PCA rival.
    """

    load: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    n_folds: int = Field(5, ge=2)
    gap_s: float | None = Field(None, ge=0)
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    reconstruction_folds: int = Field(1, ge=1)
    drift_order: int = Field(2, ge=0, le=10)
    pca_floats: tuple[int, ...] = (64, 128, 512)

    def splits(self, study: Study) -> list[Split]:
        """Train, validation and test of every fold; raises as `Study.splits`."""
        gap_s = self.gap_s
        if gap_s is None:
            gap_s = HRF_DURATION_S if study.bold else 2 * study.clock.tr_s
        return study.splits(self.n_folds, gap_s, self.validation_fraction)


class SystemParams(Strict):
    """What is trained; a part that is left out is not."""

    sound: AutoencoderParams | None = None
    pictures: AutoencoderParams | None = None
    bold: BoldParams | None = None
