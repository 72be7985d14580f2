"""What an autoencoder is made of and how it is trained, as a params file says it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from subtr.aggregators import AGGREGATORS
from subtr.curriculum import CurriculumParams
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.distillation import DistillationParams
from subtr.models.autoencoder import FeatureParams, VectorFitParams
from subtr.models.stream import AugmentationParams, Part, StreamParams
from subtr.params import SettingsError, Strict, unhashed_default
from subtr.perturbation import PerturbationParams
from subtr.picture_losses import PictureLoss
from subtr.quantiser_params import CodeParams
from subtr.sound_losses import SoundLoss
from subtr.training_loss import TrainingLoss
from subtr.training_params import TrainingParams


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
    the study's other recordings, see `subtr.other_recordings`; components are those of the study's
    own time all the same.
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
    others_share: Annotated[float, Field(ge=0, lt=1)] = unhashed_default(0.0)

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

    ``codes``: a TR is told by codes in the place of floats, see `subtr.quantised`; None for floats.
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
        if self.start == "pca" and self.decoder.name == "held":
            raise ValueError("start = 'pca': expected another decoder than held with codes")
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
