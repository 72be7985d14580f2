"""A student that follows a teacher learns more than from few noisy labels."""

import pytest
import torch
from tiny_distillation import loss_of, predictor, sound, squared

from subtr.metrics.bold import pearson_r
from subtr.training.distillation import Distiller, follow_predictor


def trained(model, loss_of_step, score, n_steps=80):
    """Scores along the way."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    scores = []
    for step in range(n_steps):
        optimiser.zero_grad()
        loss_of_step().backward()
        optimiser.step()
        if step % 5 == 4:
            scores.append(score())
    return scores


@pytest.mark.parametrize("seed", [1, 5])
def test_a_teacher_on_unlabelled_stimulus_is_worth_more_than_few_noisy_labels(seed):
    """The teacher is the truth here, so how well a student does is known."""
    teacher = predictor(seed, dim=3).eval()
    labelled, unlabelled, unseen = sound(10, 1, 60), sound(11, 4, 60), sound(12, 1, 200)
    with torch.no_grad():
        truth, wanted = teacher(labelled), teacher(unseen)
    generator = torch.Generator().manual_seed(4)
    labels = {
        name: of + 2 * of.std() * torch.randn(of.shape, generator=generator)
        for name, of in truth.items()
    }

    @torch.no_grad()
    def r_of(student):
        found = student(unseen)
        return sum(pearson_r(wanted[n][0].numpy(), found[n][0].numpy()).mean() for n in "ab") / 2

    alone, taught, both = (predictor(2, dim=6) for _ in range(3))
    by_labels = trained(alone, lambda: squared(alone(labelled), labels)[0], lambda: r_of(alone))
    distiller = Distiller(taught, teacher, follow_predictor, 6, 3)
    by_teacher = trained(
        distiller, lambda: loss_of(distiller(unlabelled), squared)[0], lambda: r_of(taught)
    )
    second = Distiller(both, teacher, follow_predictor, 6, 3)

    def labels_and_teacher():
        task, _ = squared(both(labelled), labels)
        return task + loss_of(second(unlabelled), squared)[0]

    by_both = trained(second, labels_and_teacher, lambda: r_of(both))
    # Even if the student without a teacher were stopped when it is best.
    assert by_teacher[-1] > 0.85
    assert by_teacher[-1] > max(by_labels) + 0.3
    assert by_both[-1] > max(by_labels) + 0.1
