"""The losses against their definitions (Hinton, Vinyals and Dean 2015, section 2)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workbench.config import DistillationConfig
from workbench.distill.ensembles import combined_logits, soft_targets, targets_for
from workbench.distill.losses import distillation_loss, hard_loss, matching_loss, softened

CASES, CLASSES = 6, 10


def logits(seed: int, *shape: int, scale: float = 4.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def zero_mean(values: Tensor) -> Tensor:
    return values - values.mean(dim=-1, keepdim=True)


def gradient_of_total(z: Tensor, targets: Tensor, temperature: float, hard_weight: float, labels: Tensor | None = None) -> Tensor:
    z = z.clone().requires_grad_()
    parts = distillation_loss(z, targets, labels, temperature=temperature, hard_weight=hard_weight)
    (gradient,) = torch.autograd.grad(parts.total, z)
    return gradient


def logit_matching_gradient(logits: Tensor, teacher_logits: Tensor, hard_weight: float = 0.0) -> Tensor:
    """The limit of the soft part's gradient as T grows: (1 − w)(z − v)/N per case and class, batch mean (section 2.1)."""
    z = logits - logits.mean(dim=-1, keepdim=True)
    v = teacher_logits - teacher_logits.mean(dim=-1, keepdim=True)
    cases, classes = logits.shape
    return (1.0 - hard_weight) * (z - v) / (classes * cases)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("hard_weight", [0.0, 1 / 3, 0.9])
@pytest.mark.parametrize("members", [1, 5])
def test_that_the_soft_gradient_tends_to_logit_matching_as_t_grows(mean: str, hard_weight: float, members: int) -> None:
    z, teachers = zero_mean(logits(1, CASES, CLASSES)), zero_mean(logits(2, members, CASES, CLASSES))
    v = teachers.mean(dim=0)
    found = gradient_of_total(z, soft_targets(teachers, 1000.0, mean), 1000.0, hard_weight)
    wanted = (1 - hard_weight) * (z - v) / CLASSES / CASES
    assert float((found - wanted).norm() / wanted.norm()) < 0.01
    torch.testing.assert_close(logit_matching_gradient(z, v, hard_weight), wanted)


@pytest.mark.parametrize("hard_weight", [0.0, 0.25])
@pytest.mark.parametrize("labelled", [True, False])
def test_that_matching_logits_has_the_gradient_that_its_loss_has_and_high_temperatures_tend_to(
    hard_weight: float, labelled: bool
) -> None:
    z, v = logits(1, CASES, CLASSES).requires_grad_(), logits(2, CASES, CLASSES)
    labels = torch.tensor([0, 3, -1, 9, 5, -1]) if labelled else None
    found = matching_loss(z, v, labels, hard_weight=hard_weight)
    soft = (zero_mean(z) - zero_mean(v)).square().sum(dim=1).mean() / (2 * CLASSES)
    wanted = (1 - hard_weight) * soft
    if labels is not None:
        wanted = wanted + hard_weight * torch.nn.functional.cross_entropy(z, labels, ignore_index=-1, reduction="sum") / CASES
    torch.testing.assert_close(found.total, wanted if labelled and hard_weight else (1 - hard_weight) * soft)
    torch.testing.assert_close(found.gradient, torch.autograd.grad(wanted, z)[0])
    limit = distillation_loss(z.detach(), softened(v, 1e5), labels, temperature=1e5, hard_weight=hard_weight).gradient
    torch.testing.assert_close(found.gradient, limit, rtol=1e-3, atol=1e-5)


def test_that_logits_of_any_mean_are_matched_as_if_of_zero_mean() -> None:
    z, v = logits(1, CASES, CLASSES), logits(2, CASES, CLASSES)
    torch.testing.assert_close(logit_matching_gradient(z + 7, v - 3), logit_matching_gradient(z, v))
    found = gradient_of_total(z, softened(v, 1000.0), 1000.0, 0.0)
    wanted = logit_matching_gradient(z, v)
    assert float((found - wanted).norm() / wanted.norm()) < 0.01


def test_that_the_loss_of_matching_does_not_see_the_mean_of_the_logits() -> None:
    z, v = logits(1, CASES, CLASSES), logits(2, CASES, CLASSES)
    found, moved = (matching_loss(z + a, v + b, None, hard_weight=0.0) for a, b in ((0, 0), (7, -3)))
    torch.testing.assert_close(moved.total, found.total)
    torch.testing.assert_close(moved.gradient, found.gradient)
    torch.testing.assert_close(found.gradient.sum(dim=1), torch.zeros(CASES, dtype=z.dtype))


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("hard_weight", [0.0, 0.25])
def test_that_what_is_matched_of_teachers_that_disagree_is_the_limit_of_their_soft_targets(mean: str, hard_weight: float) -> None:
    z, teachers = logits(1, CASES, CLASSES), logits(2, 5, CASES, CLASSES)
    config = DistillationConfig(match="logits", mean=mean)
    wanted = matching_loss(z, targets_for(teachers, config), None, hard_weight=hard_weight).gradient
    limit = distillation_loss(z, soft_targets(teachers, 1000.0, mean), None, temperature=1000.0, hard_weight=hard_weight).gradient
    assert float((limit - wanted).norm() / wanted.norm()) < 0.01


def test_that_without_t_squared_the_gradient_would_not_match() -> None:
    z, v = zero_mean(logits(1, CASES, CLASSES)), zero_mean(logits(2, CASES, CLASSES))
    z.requires_grad_()
    parts = distillation_loss(z, softened(v, 1000.0), None, temperature=1000.0, hard_weight=0.0)
    assert parts.soft is not None
    (unscaled,) = torch.autograd.grad(parts.soft, z)
    wanted = logit_matching_gradient(z.detach(), v)
    assert float(unscaled.norm() / wanted.norm()) == pytest.approx(1e-6, rel=0.01)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.floats(0.5, 50), st.floats(0, 1))
def test_that_the_parts_equal_their_definitions(seed: int, temperature: float, hard_weight: float) -> None:
    z, v = logits(seed, CASES, CLASSES), logits(seed + 1, CASES, CLASSES)
    labels = torch.arange(CASES)
    parts = distillation_loss(z, softened(v, temperature), labels, temperature=temperature, hard_weight=hard_weight)

    def log_softmax(values: np.ndarray) -> np.ndarray:
        shifted = values - values.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    log_p, log_q = log_softmax(v.numpy() / temperature), log_softmax(z.numpy() / temperature)
    soft = (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean()
    hard = -log_softmax(z.numpy())[np.arange(CASES), np.arange(CASES)].mean()
    assert parts.soft is not None
    assert parts.hard is not None
    assert float(parts.soft) == pytest.approx(soft, rel=1e-9, abs=1e-12)
    assert float(parts.hard) == pytest.approx(hard, rel=1e-9)
    assert float(parts.total) == pytest.approx((1 - hard_weight) * temperature**2 * soft + hard_weight * hard, rel=1e-9)


@settings(max_examples=40)
@given(st.floats(0.1, 1000))
def test_that_t_squared_is_the_exact_factor_between_the_soft_part_and_the_total(temperature: float) -> None:
    targets = softened(logits(2, CASES, CLASSES), temperature)
    parts = distillation_loss(logits(1, CASES, CLASSES), targets, None, temperature=temperature, hard_weight=0.0)
    assert parts.soft is not None
    assert torch.equal(parts.total, parts.soft * temperature**2)


def test_that_with_hard_weight_1_only_the_labels_count() -> None:
    z, targets, labels = logits(1, CASES, CLASSES), softened(logits(2, CASES, CLASSES), 4.0), torch.arange(CASES)
    found = gradient_of_total(z, targets, 4.0, 1.0, labels)
    z.requires_grad_()
    (wanted,) = torch.autograd.grad(hard_loss(z, labels).total, z)
    torch.testing.assert_close(found, wanted)


def test_that_with_hard_weight_0_the_labels_change_nothing_and_are_still_reported() -> None:
    z, targets = logits(1, CASES, CLASSES), softened(logits(2, CASES, CLASSES), 4.0)
    without = gradient_of_total(z, targets, 4.0, 0.0)
    assert torch.equal(gradient_of_total(z, targets, 4.0, 0.0, torch.arange(CASES)), without)
    parts = distillation_loss(z, targets, torch.arange(CASES), temperature=4.0, hard_weight=0.0)
    assert parts.hard is not None
    assert float(parts.hard) > 0


def test_that_an_unlabelled_transfer_set_has_no_hard_part() -> None:
    parts = distillation_loss(
        logits(1, CASES, CLASSES), softened(logits(2, CASES, CLASSES), 4.0), None, temperature=4.0, hard_weight=0.0
    )
    assert parts.hard is None


def test_that_a_student_that_equals_its_teacher_has_no_soft_loss() -> None:
    z = logits(1, CASES, CLASSES)
    parts = distillation_loss(z, softened(z, 3.0), None, temperature=3.0, hard_weight=0.0)
    assert float(parts.total) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("gap", [1e3, 1e4, 1e30])
def test_that_a_teacher_that_is_certain_gives_a_finite_loss(gap: float) -> None:
    v = torch.zeros(2, 3)
    v[:, 0] = gap
    z = torch.randn(2, 3)
    gradient = gradient_of_total(z, softened(v, 1.0), 1.0, 0.0)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_that_label_smoothing_spreads_its_share_over_all_classes(smoothing: float) -> None:
    z, labels = logits(1, CASES, CLASSES), torch.arange(CASES)
    targets = torch.full((CASES, CLASSES), smoothing / CLASSES, dtype=torch.float64)
    targets[torch.arange(CASES), labels] += 1 - smoothing
    wanted = -(targets * z.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(hard_loss(z, labels, smoothing).total, wanted)


def test_that_the_ensemble_of_one_is_its_member() -> None:
    v = logits(1, 1, CASES, CLASSES)
    for mean in ("arithmetic", "geometric"):
        torch.testing.assert_close(soft_targets(v, 3.0, mean), softened(v[0], 3.0))
        torch.testing.assert_close(combined_logits(v, mean).softmax(dim=1), v[0].softmax(dim=1))


@settings(max_examples=60)
@given(
    temperature=st.floats(0.1, 100.0),
    hard_weight=st.floats(0.0, 1.0),
    smoothing=st.floats(0.0, 0.9),
    labelled=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_that_the_closed_gradient_is_that_of_the_total(
    temperature: float, hard_weight: float, smoothing: float, labelled: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(7, 5, generator=generator, dtype=torch.float64).mul_(3).requires_grad_()
    p = torch.softmax(torch.randn(7, 5, generator=generator, dtype=torch.float64), dim=1)
    labels = torch.randint(0, 5, (7,), generator=generator)
    for loss in (
        distillation_loss(z, p, labels if labelled else None, temperature=temperature, hard_weight=hard_weight),
        hard_loss(z, labels, smoothing),
    ):
        (wanted,) = torch.autograd.grad(loss.total, z)
        assert not loss.gradient.requires_grad
        torch.testing.assert_close(loss.gradient, wanted, rtol=1e-9, atol=1e-12)


@settings(max_examples=60)
@given(
    temperature=st.floats(0.1, 100.0),
    hard_weight=st.floats(0.0, 1.0),
    labelled=st.lists(st.booleans(), min_size=7, max_size=7),
    seed=st.integers(0, 1000),
)
def test_that_a_case_without_a_label_adds_its_soft_part_alone(
    temperature: float, hard_weight: float, labelled: list[bool], seed: int
) -> None:
    z, p = logits(seed, 7, 5).requires_grad_(), softened(logits(seed + 1, 7, 5), temperature)
    known = torch.randint(0, 5, (7,), generator=torch.Generator().manual_seed(seed))
    there = torch.tensor(labelled)
    loss = distillation_loss(z, p, known.where(there, torch.tensor(-1)), temperature=temperature, hard_weight=hard_weight)
    assert loss.hard is not None
    wanted = -(z.log_softmax(dim=1)[torch.arange(7), known] * there).sum() / 7
    torch.testing.assert_close(loss.hard, wanted, rtol=1e-9, atol=1e-12)
    soft = distillation_loss(z, p, None, temperature=temperature, hard_weight=hard_weight)
    torch.testing.assert_close(loss.total, soft.total + hard_weight * wanted, rtol=1e-9, atol=1e-12)
    (gradient,) = torch.autograd.grad(loss.total, z)
    torch.testing.assert_close(loss.gradient, gradient, rtol=1e-9, atol=1e-12)
    if not any(labelled):
        assert float(loss.hard.detach()) == 0
        assert torch.equal(loss.gradient, soft.gradient)


@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("hard_weight", [0.0, 0.1, 1.0])
def test_that_with_every_label_there_not_a_bit_differs(hard_weight: float, partly: bool) -> None:
    z, p = torch.randn(64, 10).mul_(3), softened(torch.randn(64, 10), 4.0)
    labels = torch.randint(0, 10, (64,))
    found = distillation_loss(z, p, labels, temperature=4.0, hard_weight=hard_weight, partly=partly)
    soft, hard = distillation_loss(z, p, None, temperature=4.0, hard_weight=hard_weight), hard_loss(z, labels)
    assert found.hard is not None
    assert torch.equal(found.hard, hard.total)
    assert torch.equal(found.gradient, soft.gradient.add_(hard.gradient, alpha=hard_weight))
    assert torch.equal(found.total, soft.total + hard_weight * hard.total)
