"""The losses of distillation (Hinton, Vinyals and Dean 2015, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LossParts:
    """Batch means in nats. ``total`` is what is minimised; ``soft`` and ``hard`` are unscaled, None where not asked for."""

    total: Tensor
    soft: Tensor | None
    hard: Tensor | None


def softened(logits: Tensor, temperature: float) -> Tensor:
    """q = softmax(z / T) over the last axis (equation 1): probabilities of the shape of ``logits``."""
    return F.softmax(logits / temperature, dim=-1)


def distillation_loss(
    logits: Tensor, soft_targets: Tensor, labels: Tensor | None, *, temperature: float, hard_weight: float
) -> LossParts:
    """(1 − w)·T²·KL(teacher_T ‖ student_T) + w·cross-entropy(labels), batch mean.

    ``logits`` and ``soft_targets`` are (N, classes), the targets probabilities at the same temperature; ``labels`` is
    (N,) int64, or None for an unlabelled transfer set. T² keeps the soft part's gradient alike as T changes: for
    large T it tends to (1 − w)(z − v)/N per class, with logits of zero mean (section 2.1).
    """
    soft = F.kl_div(F.log_softmax(logits / temperature, dim=-1), soft_targets, reduction="batchmean")
    total = ((1.0 - hard_weight) * temperature**2) * soft
    if labels is None:
        return LossParts(total, soft, None)
    hard = F.cross_entropy(logits, labels)
    if hard_weight:
        total = total + hard_weight * hard
    return LossParts(total, soft, hard)


def hard_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> LossParts:
    """Cross-entropy with the labels at T = 1, for teachers and baselines; shapes as in :func:`distillation_loss`."""
    hard = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return LossParts(hard, None, hard)
