"""Figures of a trained model: errors, negative log-likelihood, calibration and fidelity."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.distill.data import ResidentData, Split
from workbench.distill.elsewhere import Elsewhere

BATCH = 1024
BATCH_PIXELS = 2**23
"""A batch has at most so many values in it, so that the layers' outputs for large pictures fit into memory."""


def logits_on(
    model: nn.Module,
    data: ResidentData,
    images: Tensor,
    cases: Tensor | None = None,
    tick: Callable[[int], None] = lambda more: None,
) -> Tensor:
    """The model's logits in evaluation mode, float32 (N, classes), for uint8 images or some ``cases`` of them.

    ``tick`` is told after each batch how many cases it had; what it raises ends the work.
    """
    parts = []
    for part in logits_in_batches(model, data, images, cases):
        parts.append(part)
        tick(len(part))
    return torch.cat(parts)


@torch.no_grad()
def logits_in_batches(model: nn.Module, data: ResidentData, images: Tensor, cases: Tensor | None = None) -> Iterator[Tensor]:
    """The logits of :func:`logits_on`, a batch after the other; a model from elsewhere knows how large (``at_once``)."""
    was_training = model.training
    model.eval()
    count = len(images) if cases is None else len(cases)
    at_once = model.at_once(images.shape[1:]) if isinstance(model, Elsewhere) else BATCH_PIXELS // images[0].numel()
    size = max(1, min(BATCH, at_once))
    for start in range(0, count, size):
        batch = images[start : start + size] if cases is None else images[cases[start : start + size]]
        yield model(data.view(batch)).float()
    model.train(was_training)


def figures(logits: Tensor, labels: Tensor, split: str) -> dict[str, float]:
    """Accuracy, errors, size, negative log-likelihood (nats) and expected calibration error, named after the split."""
    logits, labels = logits.cpu(), labels.cpu()  # float64 is not on every device
    errors = int((logits.argmax(dim=1) != labels).sum())
    return {
        f"{split}_accuracy": (len(labels) - errors) / len(labels),
        f"{split}_errors": float(errors),
        f"{split}_size": float(len(labels)),
        f"{split}_nll": float(F.cross_entropy(logits, labels)),
        f"{split}_ece": calibration_error(logits, labels),
    }


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: the mean distance of confidence from accuracy over equal-width bins of confidence."""
    confidence, predicted = F.softmax(logits, dim=1).max(dim=1)
    right = (predicted == labels).double()
    place = (confidence * bins).long().clamp_(max=bins - 1)
    count = torch.bincount(place, minlength=bins).double()
    gap = torch.bincount(place, weights=right - confidence.double(), minlength=bins).abs()
    return float(gap.sum() / count.sum())


def fidelity(student_logits: Tensor, teacher_logits: Tensor) -> dict[str, float]:
    """How closely a student follows its teacher at T = 1: top-1 agreement, and KL(teacher ‖ student) in nats."""
    student_logits, teacher_logits = student_logits.cpu(), teacher_logits.cpu()
    agreement = (student_logits.argmax(dim=1) == teacher_logits.argmax(dim=1)).double().mean()
    divergence = F.kl_div(
        F.log_softmax(student_logits, dim=1), F.log_softmax(teacher_logits, dim=1), reduction="batchmean", log_target=True
    )
    return {"teacher_agreement": float(agreement), "teacher_kl": float(divergence)}


@torch.no_grad()
def latency(model: nn.Module, data: ResidentData, repeats: int = 25) -> float:
    """Milliseconds for one test image, the median of some runs, with the threads that torch has now."""
    model.eval()
    view = data.view(data.test.images[:1])
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        model(view).argmax(dim=1).item()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def validate(model: nn.Module, data: ResidentData, split: Split) -> tuple[float, float]:
    """Accuracy and negative log-likelihood (nats) on a split."""
    logits = logits_on(model, data, split.images)
    accuracy = float((logits.argmax(dim=1) == split.labels).float().mean())
    return accuracy, float(F.cross_entropy(logits, split.labels))
