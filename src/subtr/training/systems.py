"""Parameters of a system's parts: autoencoders of audio and video, predictor of BOLD."""

from typing import Literal

from pydantic import Field, model_validator

from subtr.aggregators import AGGREGATORS
from subtr.bold.alignment import AlignmentMethod
from subtr.datasets.held_out import DeconvolutionParams
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.models.autoencoder import FeatureParams, VectorFitParams
from subtr.models.encoding_model import ReadoutParams
from subtr.models.stream import AugmentationParams, Part, PictureStreamParams, StreamParams
from subtr.params import Fraction, SettingsError, Strict, unhashed_default
from subtr.stimulus.speech import SpeechFeatureParams
from subtr.training.augmentation import CurriculumParams, PerturbationParams
from subtr.training.distillation import DistillationParams
from subtr.training.fit import TrainingParams
from subtr.training.losses import PictureLoss, SoundLoss, TrainingLoss
from subtr.training.pretraining import PretrainingParams


class QuantiserParams(Strict):
    """How many codes a TR may be told by.

    ``n_coarse``, ``coarse_size``: codebooks of the TR vector, each of what the ones before left,
    and codes of each. ``n_fine``, ``fine_size``: the same for every fine frame; 0 codebooks leave
    the fine level out. ``fine_frames``: fine frames a TR. ``decay``: of the running means that the
    codes follow, a batch. ``dead_below``: running number of vectors a batch below which a code is
    put where a vector of the batch is. ``search_width``: codes of each codebook that are tried on
    together when not training. ``commitment``: weight of the pull of latents to their codes.
    """

    n_coarse: int = Field(4, ge=1, le=64)
    coarse_size: int = Field(256, ge=2, le=65536)
    n_fine: int = Field(2, ge=0, le=64)
    fine_size: int = Field(256, ge=2, le=65536)
    fine_frames: int = Field(16, ge=1, le=4096)
    decay: float = Field(0.99, gt=0, lt=1)
    dead_below: float = Field(0.001, ge=0)
    search_width: int = Field(4, ge=1, le=64)
    commitment: float = Field(0.25, ge=0)

    @model_validator(mode="after")
    def _whole_bits(self):
        for name, size in (("coarse_size", self.coarse_size), ("fine_size", self.fine_size)):
            if size & (size - 1):
                raise ValueError(f"{name} = {size}: expected a power of 2, so that bits are whole")
        return self

    @property
    def bits_per_tr(self) -> int:
        """All that is kept of a TR, in bits: each code costs log2 of its codebook's size."""
        coarse = self.n_coarse * (self.coarse_size.bit_length() - 1)
        return coarse + self.fine_frames * self.n_fine * (self.fine_size.bit_length() - 1)


class CodeParams(QuantiserParams):
    """``codes`` of an autoencoder of sound: its TR is told by whole numbers.

    ``fine_dim``: size of a fine frame's latent before it becomes codes. Of ``floats_per_tr``, these
    latents are the last, and the TR vector is what comes before them. ``coarse_weight``: of the
    reconstruction from coarse codes alone.
    """

    fine_dim: int = Field(16, ge=1, le=8192)
    coarse_weight: float = Field(0.25, ge=0)

    @property
    def fine_floats(self) -> int:
        """Numbers of a TR that the fine codes stand for."""
        return self.fine_frames * self.fine_dim if self.n_fine else 0


class AutoencoderParams(Strict):
    """Frames -> floats -> frames: what is built and how it is trained.

    ``floats_per_tr``: one autoencoder is trained for each size. ``start``: "pca" starts the linear
    maps of aggregator and decoder at the principal components of the training windows, "blocks" at
    those of blocks of the training pictures.
    ``perturbation``: copies of the training time that are learned from too, components included.
    ``fit_steps``, ``fit_step``, ``fit_features``: steps by which each test vector is fitted to the
    decoder, see `subtr.models.autoencoder`. ``augmentation``, ``curriculum``: what changes in the
    windows that are given and asked for in training. ``loss``: what it is trained by. ``balance``:
    the errors within TRs and of their level pull equally hard at the start. ``teacher``: a system
    that is trained before, and followed. ``others_share``: of each batch of sound, that comes from
    the study's other recordings, see `subtr.training.recordings`; components are those of the
    study's own time all the same.
    """

    stream: StreamParams = StreamParams()
    decoder: Part = Part(name="linear")
    floats_per_tr: tuple[int, ...] = Field((128,), min_length=1)
    start: Literal["random", "pca", "blocks"] = "random"
    perturbation: PerturbationParams = PerturbationParams()
    fit_steps: int = Field(0, ge=0, le=1000)
    fit_step: float = unhashed_default(0.05)
    fit_features: FeatureParams | None = unhashed_default(None)
    augmentation: AugmentationParams | None = None
    curriculum: CurriculumParams | None = None
    teacher: DistillationParams | None = None
    loss: TrainingLoss = unhashed_default(TrainingLoss())
    level_weight: float = Field(1.0, ge=0)
    balance: bool = False
    item_trs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    training: TrainingParams = TrainingParams()
    others_share: Fraction = unhashed_default(0.0)

    @property
    def vector_fit(self) -> VectorFitParams:
        """How test vectors are fitted."""
        return VectorFitParams(steps=self.fit_steps, step=self.fit_step, features=self.fit_features)

    @property
    def n_floats(self) -> int:
        """The size of the one autoencoder that is trained.

        Raises
            SettingsError: there are several; `of_size` chooses one.
        """
        if len(self.floats_per_tr) != 1:
            raise SettingsError(
                f"floats_per_tr = {self.floats_per_tr}: an autoencoder has one size; choose one "
                "with of_size."
            )
        return self.floats_per_tr[0]

    def of_size(self, n_floats: int) -> "AutoencoderParams":
        """The same with one size alone."""
        return self.model_copy(update={"floats_per_tr": (n_floats,)})

    def of_weights(self) -> "AutoencoderParams":
        """What the weights depend on: all but how vectors are fitted once they are trained."""
        return self.model_copy(update={"fit_steps": 0, "fit_step": 0.05, "fit_features": None})

    @model_validator(mode="after")
    def _known_decoder(self):
        known = PICTURE_DECODERS if self.decoder.name in PICTURE_DECODERS.parts else DECODERS
        known.check(self.decoder.name, self.decoder.options)
        _ = self.vector_fit  # raises where its options do not fit together
        if self.stream.context_frames:
            raise ValueError(
                f"stream.context_frames = {self.stream.context_frames}: expected 0, for what a TR "
                "is reconstructed from must come from that TR alone"
            )
        names = self.stream.aggregator.name, self.decoder.name
        if self.start != "random":
            start = {"pca": "start_from", "blocks": "start_from_blocks"}[self.start]
            # Only pictures have blocks.
            decoders = known if self.start == "pca" else PICTURE_DECODERS
            for name, registry in zip(names, (AGGREGATORS, decoders), strict=True):
                parts = registry.parts
                can = [one for one in parts if hasattr(parts[one], start)]
                if name not in can:
                    raise ValueError(
                        f"start = {self.start!r} needs the {registry.kind} {' or '.join(can)}, "
                        f"not {name!r}"
                    )
        if self.start == "blocks" and not self.stream.keep_input:
            raise ValueError(
                "stream.keep_input = false: expected true with start = 'blocks', for blocks are "
                "of the pictures themselves"
            )
        if self.start != "random" and self.balance:
            raise ValueError(
                f"balance = true: expected false with start = {self.start!r}, whose error within "
                "TRs has hardly a gradient at the start"
            )
        if self.augmentation and self.augmentation.shift_frames:
            raise ValueError(
                f"augmentation.shift_frames = {self.augmentation.shift_frames}: expected 0, for "
                "windows begin at any frame already, and are to be drawn as they were given"
            )
        return self


class SoundParams(AutoencoderParams):
    """An autoencoder of log-mel.

    ``codes``: a TR is told by codes in the place of floats, see `subtr.training.quantised`; None
    for floats.
    """

    loss: SoundLoss = unhashed_default(SoundLoss())
    codes: CodeParams | None = unhashed_default(None)

    @model_validator(mode="after")
    def _of_codes_alone(self):
        if self.codes is None:
            return self
        names = ("perturbation", "fit_steps", "augmentation", "curriculum", "teacher", "loss")
        for name in (*names, "balance", "others_share"):
            default = type(self).model_fields[name].default
            if getattr(self, name) != default:
                raise ValueError(f"{name}: expected none with codes, which are learned without it")
        least = self.codes.fine_floats + 1
        if min(self.floats_per_tr) < least:
            raise ValueError(
                f"floats_per_tr = {list(self.floats_per_tr)}: expected at least {least}, for "
                f"{least - 1} are the latents of codes.fine_frames and codes.fine_dim"
            )
        return self


class PictureParams(AutoencoderParams):
    """An autoencoder of pictures."""

    loss: PictureLoss = unhashed_default(PictureLoss())

    @model_validator(mode="after")
    def _nothing_to_hear(self):
        for name, given in (("fit_features", self.fit_features), ("loss", self.loss.features)):
            if given is not None:
                raise ValueError(
                    f"{name}: expected no features of speech for pictures; they are of sound alone"
                )
        if self.others_share:
            raise ValueError("others_share: expected 0 for pictures; other recordings are sound")
        return self


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
    ``label_fraction``: share of the training TRs, in blocks, whose BOLD may be learned from; the
    stimulus of all training TRs stays for pre-training and for scaling. Validation TRs keep their
    BOLD, and when to stop is decided by them, so that what is labelled in all is more than this.
    ``augmentation``: of the sound of training items, drawn anew each epoch; a shift moves it
    against its BOLD.
    ``teacher``: a trained system that is followed too, in training TRs without labels as well. What
    labels the teacher had is its own affair: give it the same ``label_fraction`` if the student
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
    label_fraction: float = Field(1.0, gt=0, le=1)
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
        if self.label_fraction != 1:
            raise ValueError(
                f"label_fraction = {self.label_fraction:g}: expected 1 with deconvolve, "
                "which needs long stretches of BOLD"
            )
        return self
