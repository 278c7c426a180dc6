"""The losses of distillation (Hinton, Vinyals and Dean 2015, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Batch means in nats. ``total`` is what is minimised; ``soft`` and ``hard`` are unscaled, None where not asked for.

    ``gradient`` is that of ``total`` at the logits, (N, classes), in closed form.
    """

    total: Tensor
    soft: Tensor | None
    hard: Tensor | None
    gradient: Tensor


def softened(logits: Tensor, temperature: float) -> Tensor:
    """q = softmax(z / T) over the last axis (equation 1): probabilities of the shape of ``logits``."""
    return F.softmax(logits / temperature, dim=-1)


def distillation_loss(
    logits: Tensor,
    soft_targets: Tensor,
    labels: Tensor | None,
    *,
    temperature: float,
    hard_weight: float,
    partly: bool = True,
) -> Loss:
    """(1 − w)·T²·KL(teacher_T ‖ student_T) + w·cross-entropy(labels), batch mean.

    ``logits`` and ``soft_targets`` are (N, classes), the targets probabilities at the same temperature; ``labels`` is
    (N,) int64, -1 for a case without one, or None for an unlabelled transfer set. The hard part is the sum over the
    labelled cases divided by N: one without a label adds nothing to it; whoever knows that all have one says so by
    ``partly`` and saves a little time. T² keeps the soft part's gradient,
    (1 − w)·T·(q − p)/N (equation 2), alike as T changes: for large T it tends to (1 − w)(z − v)/N per class, with logits
    of zero mean (section 2.1).
    """
    log_q = F.log_softmax(logits / temperature, dim=-1)
    soft = F.kl_div(log_q, soft_targets, reduction="batchmean")
    total = ((1.0 - hard_weight) * temperature**2) * soft
    with torch.no_grad():
        gradient = log_q.exp().sub_(soft_targets).mul_((1.0 - hard_weight) * temperature / len(logits))
    return _with_labels(Loss(total, soft, None, gradient), logits, labels, hard_weight, partly)


def matching_loss(
    logits: Tensor, teacher_logits: Tensor, labels: Tensor | None, *, hard_weight: float, partly: bool = True
) -> Loss:
    """(1 − w)·½·Σ(z − v)²/C + w·cross-entropy(labels), batch mean; the limit of :func:`distillation_loss` as T grows.

    z and v are the student's and the teachers' logits, (N, classes), each of zero mean over the C classes; the gradient of
    the first part is (1 − w)·(z − v)/(C·N) (section 2.1). ``labels`` and ``partly`` as in :func:`distillation_loss`.
    """
    with torch.no_grad():
        apart = zero_mean(logits) - zero_mean(teacher_logits)
        cases, classes = logits.shape
        soft = apart.square().sum() / (2 * classes * cases)
        total = (1.0 - hard_weight) * soft
        gradient = apart.mul_((1.0 - hard_weight) / (classes * cases))
    return _with_labels(Loss(total, soft, None, gradient), logits, labels, hard_weight, partly)


def _with_labels(soft: Loss, logits: Tensor, labels: Tensor | None, hard_weight: float, partly: bool) -> Loss:
    """A soft part with its weight, and w times the cross-entropy with the labels where there are any."""
    if labels is None:
        return soft
    hard, total = hard_loss(logits, labels, partly=partly), soft.total
    if hard_weight:
        total = total + hard_weight * hard.total
        soft.gradient.add_(hard.gradient, alpha=hard_weight)
    return Loss(total, soft.soft, hard.total, soft.gradient)


def zero_mean(logits: Tensor) -> Tensor:
    """Logits less their mean over the classes, which softmax does not see."""
    return logits - logits.mean(dim=-1, keepdim=True)


def hard_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, *, partly: bool = False) -> Loss:
    """Cross-entropy with the labels at T = 1, for teachers and baselines; shapes as in :func:`distillation_loss`.

    Where only a part of the cases may be labelled, ``partly``, a label of -1 is none and its case counts as 0.
    """
    log_q = F.log_softmax(logits, dim=-1)
    if partly:
        unlabelled = (labels < 0)[:, None]
        labels, log_q = labels.clamp(min=0), log_q.masked_fill(unlabelled, 0.0)
    hard = F.nll_loss(log_q, labels)
    if label_smoothing:
        hard = (1.0 - label_smoothing) * hard - label_smoothing * log_q.mean()
    cases, classes = logits.shape
    with torch.no_grad():
        gradient = log_q.exp().sub_(label_smoothing / classes) if label_smoothing else log_q.exp()
        right = gradient.new_full((cases, 1), label_smoothing - 1.0)
        gradient.scatter_add_(1, labels[:, None], right).div_(cases)
        if partly:
            gradient.masked_fill_(unlabelled, 0.0)
    return Loss(hard, None, hard, gradient)
