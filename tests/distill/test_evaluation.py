"""Figures of a trained model against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.distill.digits import digits
from workbench.config import ModelConfig
from workbench.distill.evaluation import calibration_error, fidelity, figures, logits_on, validate
from workbench.distill.models import build


def certain(classes: list[int], probability: float = 0.9) -> torch.Tensor:
    """Logits of three classes that give ``probability`` to the class named."""
    probabilities = torch.full((len(classes), 3), (1 - probability) / 2)
    probabilities[torch.arange(len(classes)), torch.tensor(classes)] = probability
    return probabilities.log()


def test_that_figures_count_errors_and_are_named_after_the_split() -> None:
    found = figures(certain([0, 1, 2, 0]), torch.tensor([0, 1, 1, 2]), "test")
    assert found == {
        "test_accuracy": 0.5,
        "test_errors": 2.0,
        "test_size": 4.0,
        "test_nll": pytest.approx(-(2 * math.log(0.9) + 2 * math.log(0.05)) / 4),
        "test_ece": pytest.approx(0.4),
    }


def test_that_a_model_as_sure_as_it_is_right_is_calibrated() -> None:
    predicted = [0] * 10
    assert calibration_error(certain(predicted, 0.8), torch.tensor([0] * 8 + [1, 2])) == pytest.approx(0.0, abs=1e-6)


def test_that_overconfidence_and_underconfidence_in_different_bins_add_up() -> None:
    logits = torch.cat([certain([0, 0], 0.9), certain([0, 0], 0.5)])
    labels = torch.tensor([0, 1, 0, 0])
    assert calibration_error(logits, labels) == pytest.approx((2 * 0.4 + 2 * 0.5) / 4)


def test_that_certainty_of_exactly_1_has_a_bin() -> None:
    assert calibration_error(torch.tensor([[1000.0, 0.0]]), torch.tensor([0])) == 0.0


def test_that_a_student_agrees_with_itself_wholly() -> None:
    logits = torch.randn(5, 3)
    assert fidelity(logits, logits) == {"teacher_agreement": 1.0, "teacher_kl": pytest.approx(0.0, abs=1e-6)}


def test_that_fidelity_is_agreement_and_kl_from_teacher_to_student() -> None:
    teacher, student = certain([0, 1], 0.8), certain([0, 2], 0.6)
    p, q = teacher.exp(), student.exp()
    wanted = float((p * (p / q).log()).sum(dim=1).mean())
    assert fidelity(student, teacher) == {"teacher_agreement": 0.5, "teacher_kl": pytest.approx(wanted)}
    assert fidelity(teacher, student)["teacher_kl"] != pytest.approx(wanted)


def test_that_logits_are_those_of_evaluation_mode_and_the_mode_is_given_back() -> None:
    data = digits()
    torch.manual_seed(0)
    model = build(ModelConfig(options={"units": 8, "dropout": 0.5}), data.shape, 10)
    wanted = model.eval()(data.view(data.test.images))
    model.train()
    torch.testing.assert_close(logits_on(model, data, data.test.images), wanted)
    assert model.training
    assert all(module.training for module in model.modules() if isinstance(module, nn.Dropout))


def test_that_chosen_cases_are_evaluated_in_their_order_and_counted() -> None:
    data, ticks = digits(), list[int]()
    torch.manual_seed(0)
    model = build(ModelConfig(options={"units": 8}), data.shape, 10).eval()
    every = logits_on(model, data, data.train.images)
    chosen = torch.cat([torch.arange(1100, 0, -1), torch.tensor([3])])
    torch.testing.assert_close(logits_on(model, data, data.train.images, chosen, ticks.append), every[chosen])
    assert ticks == [1024, 77]


def test_that_validating_gives_accuracy_and_mean_loss() -> None:
    data = digits()
    torch.manual_seed(0)
    model = build(ModelConfig(options={"units": 8}), data.shape, 10)
    found = figures(logits_on(model, data, data.validation.images), data.validation.labels, "val")
    assert validate(model, data, data.validation) == pytest.approx((found["val_accuracy"], found["val_nll"]))


@pytest.mark.parametrize(("side", "largest"), [(8, 1024), (512, 10)])
def test_that_batches_of_large_pictures_are_small(side: int, largest: int) -> None:
    data = digits()
    images = torch.zeros(12 if side == 512 else 1100, 3, side, side, dtype=torch.uint8)
    seen: list[int] = []

    class Net(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(len(batch))
            return batch.mean(dim=(1, 2, 3))[:, None]

    logits = logits_on(Net(), data, images)
    assert (max(seen), sum(seen), len(logits)) == (largest, len(images), len(images))
