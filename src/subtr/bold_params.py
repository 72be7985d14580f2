"""What ``bold`` of a system's file may say: how BOLD is predicted from sound and pictures."""

from typing import Literal

from pydantic import Field, model_validator

from subtr.bold.alignment import AlignmentMethod
from subtr.datasets.held_out import DeconvolutionParams
from subtr.distillation import DistillationParams
from subtr.models.encoding_model import ReadoutParams
from subtr.models.stream import AugmentationParams, PictureStreamParams, StreamParams
from subtr.params import Strict, unhashed_default
from subtr.pretraining_params import PretrainingParams
from subtr.stimulus.speech import SpeechFeatureParams
from subtr.training_params import TrainingParams


class NewSubjectParams(Strict):
    """How a subject is predicted whom the trunk never met.

    ``head_fraction``: share of the training TRs, in blocks, that the new subject was scanned in.
    ``alignment``: besides the head, map the others' BOLD to the new subject's by how parcels
    answer (see `subtr.bold.alignment`); None leaves it out.
    """

    head_fraction: float = Field(1.0, gt=0, le=1)
    alignment: AlignmentMethod | None = None


class BoldParams(Strict):
    """Stimulus -> TR vector -> BOLD: what is built and how it is trained.

    ``pictures``: they are shown beside the sound, or alone where a study has none; None leaves
    them out.
    ``target``: the subjects' mean as one series, or each subject with a head of their own.
    ``n_bands``: ranges of neighbouring mel bands that are averaged first, since minutes of BOLD
    cannot tell what each of 128 bands is for; None keeps every band.
    ``features``: what else the study knows frame by frame, such as ``speech_features``, is shown
    beside the sound; where there is no sound it is shown anyway. ``speech_features``: those of a
    speech model for this system alone, where its study file asks for none.
    ``pretraining``: encoders of sound (of pictures, where they are alone) first learn to redraw
    hidden patches of the stimulus, each member by itself; then they learn from BOLD at
    ``training.started_rate``.
    ``labelled_fraction``: share of the training TRs, in blocks, whose BOLD may be learned from; the
    stimulus of all training TRs stays for pre-training and for scaling. Validation TRs keep their
    BOLD, and when to stop is decided by them, so that what is labelled in all is more than this.
    ``augmentation``: of the sound of training items, drawn anew each epoch; a shift moves it
    against its BOLD.
    ``teacher``: a trained system that is followed too, in training TRs without labels as well. What
    labels the teacher had is its own affair: give it the same ``labelled_fraction`` if the student
    is to be compared with others that had as few.
    ``deconvolve``: learn activity that is estimated from BOLD by undoing an assumed response, see
    `subtr.datasets.held_out`, in the place of BOLD behind a response that is learned. What is
    predicted goes through the response again, and is scored against measured BOLD like any other.
    ``new_subjects``: each subject is also left out in turn, and predicted by a trunk trained on the
    others; as many trainings more as there are subjects.
    """

    stream: StreamParams = StreamParams()
    pictures: PictureStreamParams | None = None
    readout: ReadoutParams = ReadoutParams()
    training: TrainingParams = TrainingParams()
    target: Literal["mean", "subjects"] = "mean"
    loss: Literal["correlation", "mse"] = "correlation"
    n_bands: int | None = Field(None, ge=1)
    features: bool = unhashed_default(False)
    speech_features: SpeechFeatureParams | None = unhashed_default(None)
    item_trs: int = Field(60, ge=8)
    pretraining: PretrainingParams | None = None
    labelled_fraction: float = Field(1.0, gt=0, le=1)
    augmentation: AugmentationParams | None = None
    teacher: DistillationParams | None = None
    deconvolve: DeconvolutionParams | None = unhashed_default(None)
    new_subjects: NewSubjectParams | None = None

    def of_weights(self) -> "BoldParams":
        """What the weights depend on: all but how new subjects are predicted."""
        return self.model_copy(update={"new_subjects": None})

    @model_validator(mode="after")
    def _nothing_to_copy(self):
        if self.speech_features and not self.features:
            raise ValueError("features = false: expected true with speech_features, to show them")
        if self.features and self.pretraining and self.pretraining.target == "features":
            raise ValueError(
                "pretraining.target = 'features': expected features = false with it, for what is "
                "to be drawn must not be shown"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_bold(self):
        if self.deconvolve is None:
            return self
        response = self.readout.response
        if response is not None and response.name != "applied":
            raise ValueError(
                f"readout.response = {response.name!r}: expected none with deconvolve, which "
                "undoes the response before anything is learned"
            )
        if self.new_subjects is not None:
            raise ValueError("new_subjects: expected none with deconvolve; heads are of BOLD")
        if self.labelled_fraction != 1:
            raise ValueError(
                f"labelled_fraction = {self.labelled_fraction:g}: expected 1 with deconvolve, "
                "which needs long stretches of BOLD"
            )
        return self
