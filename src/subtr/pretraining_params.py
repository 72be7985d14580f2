"""What ``pretraining`` of a system's file may say."""

from typing import Literal

from pydantic import Field

from subtr.params import Strict, unhashed_default
from subtr.training_params import TrainingParams


class PretrainingParams(Strict):
    """What is hidden, how it is redrawn, and for how long this is learned.

    ``mask``: "tube" hides the same bands (squares of a picture) for a whole window, "random" hides
    patches anywhere. ``decoder_cells``: the share of running cells that is redrawn, None for all.
    ``fill``: what hidden patches become, one learned patch or the mean. ``patch_pixels``: side of
    a square.
    ``stimulus``: "train" shows the training TRs alone, so that the test film stays one that the
    network never met, which is what scores are taken to mean. "all" shows the stimulus of test TRs
    and gaps too, never their BOLD: no score of it may stand beside others without saying so.
    ``target``: "stimulus" redraws what is hidden; "features" draws, in its place, the features that
    the study has at the frames where something is hidden, such as ``speech_features``.
    """

    mask: Literal["tube", "random"] = "tube"
    mask_ratio: float = Field(0.9, gt=0, lt=1)
    decoder_cells: float | None = Field(None, gt=0, lt=1, multiple_of=0.25)
    fill: Literal["token", "mean"] = "token"
    patch_frames: int = Field(4, ge=1)
    patch_bands: int = Field(1, ge=1)
    patch_pixels: int = Field(8, ge=1)
    decoder_dim: int = Field(64, ge=1, le=8192)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    stimulus: Literal["train", "all"] = "train"
    target: Literal["stimulus", "features"] = unhashed_default("stimulus")
    training: TrainingParams = TrainingParams()
