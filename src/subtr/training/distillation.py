"""A small student learns what a large teacher makes of the stimulus, with or without labels."""

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.batches import Stimulus
from subtr.models.encoding_model import BoldPredictor
from subtr.params import SettingsError, Strict
from subtr.training.losses import Diagnostics

Output = Tensor | Mapping[str, Tensor]

Followed = tuple[Float[Tensor, "member batch tr dim"], list[Output]]

OutputLoss = Callable[[Output, Output], tuple[Float[Tensor, ""], Diagnostics]]


class DistillationParams(Strict):
    """Whom to learn from and how much.

    ``teacher``: name of a system that is trained before this one.
    ``vector_weight``, ``output_weight``: of following the teacher's TR vectors and its output,
    beside the weight 1 of the labels.
    """

    teacher: str = Field(min_length=1)
    vector_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    output_weight: float = Field(1.0, ge=0, allow_inf_nan=False)


class Pair(NamedTuple):
    """What student and teacher make of the same stimulus, member by member.

    ``student_vectors`` and ``teacher_vectors`` have one shape (member, batch, TR, dim): the
    student's are mapped into the teacher's space. ``student_output`` and ``teacher_output`` are
    lists, one entry a member of the student: frames, or BOLD by subject.
    """

    student_vectors: Float[Tensor, "member batch tr dim"]
    student_output: list[Output]
    teacher_vectors: Float[Tensor, "member batch tr dim"]
    teacher_output: list[Output]


def follow_autoencoder(
    model: TemporalAutoencoder, frames: Float[Tensor, "batch tr frame *feature"], tr_s: float
) -> Followed:
    """TR vectors and reconstruction of an autoencoder, which is its own only member."""
    vectors = model.stream(frames, tr_s)
    return vectors[None], [model.decoder(vectors)]


def follow_predictor(model: BoldPredictor, frames: Stimulus) -> Followed:
    """TR vectors and BOLD by subject of each member of a predictor."""
    vectors = model.vectors(frames)
    dropped = model.dropout(vectors)
    return vectors, [readout(of) for readout, of in zip(model.readouts, dropped, strict=True)]


class Distiller(nn.Module):
    """A student beside a teacher that never changes; train it instead of the student.

    Where a student's vector has another size than what it follows, a linear map that is learned
    with it lies between (the regressor of FitNets, Romero et al. 2015, arXiv:1412.6550, section
    2.2). Each member of the student follows the teacher's member of its own number where there are
    as many, else the vectors of all side by side, and the mean of their outputs.

    Arguments
        student: trained; ``distiller.student`` is what is kept afterwards.
        teacher: copied, put in eval mode and frozen. It moves between devices with the student, but
            is none of the parameters, and not part of the state that is saved.
        follow: `follow_predictor`, or `follow_autoencoder` with its ``tr_s`` filled in.
        student_dim, teacher_dim: sizes of the TR vectors.
        n_student, n_teacher: members of each.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        follow: Callable[[nn.Module, Stimulus], Followed],
        student_dim: int,
        teacher_dim: int,
        n_student: int = 1,
        n_teacher: int = 1,
    ):
        super().__init__()
        self.student, self.follow, self.n_student = student, follow, n_student
        # In a tuple, so that PyTorch takes it for no part of this module.
        self._teacher = (copy.deepcopy(teacher).eval().requires_grad_(False),)
        self.each_its_own = n_student == n_teacher
        target_dim = teacher_dim if self.each_its_own else n_teacher * teacher_dim
        same = student_dim == target_dim
        self.maps = nn.ModuleList(
            nn.Identity() if same else nn.Linear(student_dim, target_dim) for _ in range(n_student)
        )

    @property
    def teacher(self) -> nn.Module:
        """The frozen copy."""
        return self._teacher[0]

    def _apply(self, fn, recurse=True):
        self.teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def forward(self, frames: Stimulus, teacher_frames: Stimulus | None = None) -> Pair:
        """Both of them, on the same stimulus.

        Arguments
            frames: what the student sees, augmented or not.
            teacher_frames: what the teacher sees, if it is something else: the same without
                augmentation, or with the context that the teacher takes.
        """
        vectors, outputs = self.follow(self.student, frames)
        with torch.no_grad():
            seen = frames if teacher_frames is None else teacher_frames
            taught, taught_outputs = self.follow(self.teacher, seen)
        if not self.each_its_own:
            taught = rearrange(taught, "m b t d -> 1 b t (m d)").expand(self.n_student, -1, -1, -1)
            taught_outputs = [_mean(taught_outputs)] * self.n_student
        mapped = torch.stack([one(of) for one, of in zip(self.maps, vectors, strict=True)])
        return Pair(mapped, outputs, taught, taught_outputs)


def distillation_loss(
    pair: Pair,
    output_loss: OutputLoss,
    vector_weight: float = 1.0,
    output_weight: float = 1.0,
    original: Output | None = None,
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """How far the student is from its teacher; 0 where it does the same. To be added to the task's.

    Outputs are numbers here, not classes, so what Hinton et al. (2015, arXiv:1503.02531) do with
    softened class probabilities is done with the task's own loss, the teacher's output in the
    place of the original. Vectors are compared by their squared error (FitNets, Romero et al. 2015,
    equation 3) as a share of the variance of the teacher's, so that its scale does not count.

    Arguments
        pair: as `Distiller` gives it.
        output_loss: (output, target) -> (value, diagnostics):
            `subtr.training.losses.reconstruction_loss` or `subtr.training.losses.bold_loss`.
        vector_weight, output_weight: of the two parts.
        original: what the teacher is itself compared with, for the diagnostics alone; none is
            needed where there are no labels.

    Diagnostics: ``distilled_vectors``, ``distilled_output``, each before its weight, and with an
    original ``teacher_loss``, against which the student's own loss can be held.

    Raises
        SettingsError: teacher and student predict different subjects.
    """
    deviation = pair.teacher_vectors - pair.teacher_vectors.mean(dim=(1, 2), keepdim=True)
    error = (pair.student_vectors - pair.teacher_vectors).square().mean()
    of_vectors = error / deviation.square().mean().clamp_min(1e-12)
    outputs = list(zip(pair.student_output, pair.teacher_output, strict=True))
    for student, teacher in outputs:
        _check_subjects(student, teacher)
    of_output = torch.stack([output_loss(*each)[0] for each in outputs]).mean()
    named = {"distilled_vectors": of_vectors, "distilled_output": of_output}
    if original is not None:
        taught = [output_loss(teacher, original)[0] for teacher in pair.teacher_output]
        named["teacher_loss"] = torch.stack(taught).mean()
    value = vector_weight * of_vectors + output_weight * of_output
    return value, {name: of.detach() for name, of in named.items()}


def _mean(outputs: list[Output]) -> Output:
    if isinstance(outputs[0], Tensor):
        return torch.stack(outputs).mean(0)
    return {name: torch.stack([of[name] for of in outputs]).mean(0) for name in outputs[0]}


def _check_subjects(student: Output, teacher: Output) -> None:
    if isinstance(student, Tensor) or set(student) == set(teacher):
        return
    raise SettingsError(
        f"the student predicts {', '.join(sorted(student))}, its teacher "
        f"{', '.join(sorted(teacher))}: expected the same; train both with one target."
    )
