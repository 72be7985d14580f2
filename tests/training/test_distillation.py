"""A student follows its teacher, and the teacher stays what it was."""

import copy

import pytest
import torch
from pydantic import ValidationError
from tiny_distillation import (
    N_BANDS,
    N_FRAMES,
    N_PARCELS,
    TR_S,
    autoencoder,
    follow_sound,
    loss_of,
    predictor,
    sound,
    squared,
)
from torch import nn

from subtr.params import SettingsError
from subtr.training.distillation import (
    DistillationParams,
    Distiller,
    Pair,
    distillation_loss,
    follow_predictor,
)
from subtr.training.losses import bold_loss, reconstruction_loss


def test_an_autoencoder_with_its_teachers_weights_has_nothing_to_learn():
    pair = Distiller(autoencoder(1), autoencoder(1), follow_sound, 5, 5)(sound())
    loss, named = loss_of(pair, reconstruction_loss)
    assert loss == 0
    assert set(named) == {"distilled_vectors", "distilled_output"}
    other = Distiller(autoencoder(2), autoencoder(1), follow_sound, 5, 5)(sound())
    assert loss_of(other, reconstruction_loss)[0] > 0.1


@pytest.mark.parametrize("members", [1, 3])
def test_a_predictor_with_its_teachers_weights_has_nothing_to_learn(members):
    given = predictor(1, members=members), predictor(1, members=members)
    pair = Distiller(*given, follow_predictor, 4, 4, members, members)(sound())
    assert loss_of(pair, squared)[0] == 0
    assert loss_of(pair, bold_loss)[0].item() == pytest.approx(0, abs=1e-5)


def test_what_is_followed_is_what_the_models_themselves_give():
    model, frames = autoencoder(), sound()
    vectors, (output,) = follow_sound(model, frames)
    assert torch.equal(output, model(frames, TR_S))
    assert torch.equal(vectors[0], model.stream(frames, TR_S))
    model = predictor(members=2, dropout=0.5).train()
    torch.manual_seed(0)
    vectors, outputs = follow_predictor(model, frames)
    assert torch.equal(vectors, model.vectors(frames))
    torch.manual_seed(0)
    for output, expected in zip(outputs, model.each(frames), strict=True):
        assert all(torch.equal(output[name], expected[name]) for name in ("a", "b"))


def test_the_loss_is_what_its_parts_are_said_to_be():
    generator = torch.Generator().manual_seed(3)
    student, teacher = torch.randn(2, 1, 2, 7, 3, generator=generator) + 4
    found, taught, original = torch.randn(3, 2, 7, N_FRAMES, N_BANDS, generator=generator)
    loss, named = distillation_loss(
        Pair(student, [found], teacher, [taught]), reconstruction_loss, 0.5, 2.0, original
    )
    flat = teacher.view(14, 3)
    of_vectors = (student - teacher).square().mean() / flat.var(0, unbiased=False).mean()
    of_output = (found - taught).square().mean()
    expected = {
        "distilled_vectors": of_vectors.item(),
        "distilled_output": of_output.item(),
        "teacher_loss": (taught - original).square().mean().item(),
    }
    assert {name: of.item() for name, of in named.items()} == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx((0.5 * of_vectors + 2 * of_output).item(), rel=1e-5)
    scaled, _ = distillation_loss(
        Pair(9 * student, [found], 9 * teacher, [taught]), reconstruction_loss, 0.5, 2.0
    )
    assert scaled.item() == pytest.approx(loss.item(), rel=1e-4)


def test_volumes_that_were_not_measured_do_not_spoil_the_teachers_own_loss():
    pair = Distiller(predictor(2), predictor(1), follow_predictor, 4, 4)(sound())
    bold = {name: torch.randn(2, 20, N_PARCELS) for name in ("a", "b")}
    bold["a"][:, :15] = torch.nan
    loss, named = loss_of(pair, squared, original=bold)
    expected, _ = squared(predictor(1)(sound()), bold)
    assert loss.isfinite()
    assert named["teacher_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_student_of_another_size_follows_through_a_learned_map():
    """Student vectors that are a linear function of the teacher's can be mapped onto them."""
    teacher, student = autoencoder(1, dim=3), autoencoder(2, dim=5)
    distiller = Distiller(student, teacher, follow_sound, 5, 3)
    mixing = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        to, of = student.stream.aggregator.basis, teacher.stream.aggregator.basis
        to.weight.copy_(mixing @ of.weight)
        to.bias.copy_(mixing @ of.bias + 1)
    student.stream.encoder.load_state_dict(teacher.stream.encoder.state_dict())
    optimiser = torch.optim.LBFGS(distiller.maps.parameters(), max_iter=30)

    def step():
        optimiser.zero_grad()
        loss, _ = loss_of(distiller(sound()), reconstruction_loss, output_weight=0.0)
        loss.backward()
        return loss

    first = step().item()
    optimiser.step(step)
    assert step().item() < 1e-4 < first / 100


def test_fewer_members_follow_the_mean_of_all_and_all_their_vectors():
    teacher = predictor(1, dim=2, members=3)
    distiller = Distiller(predictor(2, dim=5, members=2), teacher, follow_predictor, 5, 2, 2, 3)
    pair = distiller(sound())
    vectors, mean = teacher.vectors(sound()), teacher(sound())
    assert pair.student_vectors.shape == pair.teacher_vectors.shape == (2, 2, 20, 6)
    assert len(pair.student_output) == len(pair.teacher_output) == 2
    for member in range(2):
        assert torch.equal(pair.teacher_vectors[member], torch.cat(list(vectors), dim=-1))
        for name in ("a", "b"):
            torch.testing.assert_close(pair.teacher_output[member][name], mean[name])


def test_the_teacher_can_see_what_the_student_does_not():
    clean, masked = sound(), torch.zeros_like(sound())
    distiller = Distiller(autoencoder(1), autoencoder(1), follow_sound, 5, 5)
    pair = distiller(masked, clean)
    assert torch.equal(pair.student_output[0], distiller.student(masked, TR_S))
    assert torch.equal(pair.teacher_output[0], distiller.student(clean, TR_S))


def with_batch_norm(model, dim):
    """The same, with running statistics and dropout between stream and decoder."""
    model.decoder = nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm1d(dim), nn.Dropout(0.5))
    model.decoder.append(nn.Unflatten(0, (2, 20)))
    return model


def test_the_teacher_is_bitwise_the_same_after_training_and_not_in_the_state():
    teacher = with_batch_norm(autoencoder(1), 5)
    given = copy.deepcopy(teacher.state_dict())
    student = with_batch_norm(autoencoder(2, dim=3), 3)
    before = copy.deepcopy(student.state_dict())
    distiller = Distiller(student, teacher, follow_sound, 3, 5).train()
    optimiser = torch.optim.AdamW(distiller.parameters(), lr=0.1, weight_decay=0.1)
    assert distiller.student.training
    assert not any(module.training for module in distiller.teacher.modules())
    assert not any(one.requires_grad for one in distiller.teacher.parameters())
    for _ in range(3):
        pair = distiller(sound())
        assert not pair.teacher_vectors.requires_grad
        optimiser.zero_grad()
        loss_of(pair, lambda a, b: (a.mean() - b.mean(), {}))[0].backward()
        optimiser.step()
    for name, value in distiller.teacher.state_dict().items():
        assert torch.equal(value, given[name]), name
    learned = "stream.aggregator.basis.weight"
    assert not torch.equal(student.state_dict()[learned], before[learned])
    assert all(name.startswith(("student.", "maps.")) for name in distiller.state_dict())
    assert set(student.state_dict()) == set(before)
    mine = {id(one) for one in distiller.parameters()}
    assert not mine & {id(one) for one in distiller.teacher.parameters()}
    assert mine == {id(one) for part in (student, distiller.maps) for one in part.parameters()}


def test_the_given_teacher_goes_on_as_it_was():
    teacher = autoencoder(1).train()
    distiller = Distiller(autoencoder(2), teacher, follow_sound, 5, 5)
    assert teacher.training
    assert all(one.requires_grad for one in teacher.parameters())
    with torch.no_grad():
        teacher.decoder.map.weight.zero_()
    assert distiller.teacher.decoder.map.weight.abs().min() > 0


def test_the_teacher_moves_with_the_student():
    distiller = Distiller(autoencoder(1), autoencoder(1), follow_sound, 5, 5).double()
    assert {one.dtype for one in distiller.teacher.parameters()} == {torch.float64}
    assert loss_of(distiller(sound().double()), reconstruction_loss)[0] == 0


def test_other_subjects_than_the_teachers_are_refused():
    given = predictor(1, subjects=("mean",)), predictor(1)
    pair = Distiller(*given, follow_predictor, 4, 4)(sound())
    with pytest.raises(SettingsError, match="student predicts mean, its teacher a, b"):
        loss_of(pair, squared)


def test_options_are_checked():
    assert DistillationParams(teacher="transformer").output_weight == 1
    for wrong in ({}, {"teacher": ""}, {"teacher": "x", "vector_weight": -1}):
        with pytest.raises(ValidationError):
            DistillationParams(**wrong)
