"""Bias correction: classes that were missing from the transfer set get their logits shifted (section 3 of the paper).

The shift is chosen on validation, or so that the classes' mean predicted mass equals their frequency; the paper's own way, the
best on the test set, is only reported beside its figures. Plain NumPy, so that a screen can follow a slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WAYS = {
    "validation": "fewest errors on the labelled validation split",
    "mass": "mean predicted mass equal to the frequency among the training cases",
    "hand": "set by hand",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A shift of some classes' logits, and how it was chosen (:data:`WAYS`)."""

    classes: tuple[int, ...]
    shift: float
    way: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors in all and on the classes shifted, with how many cases of each there are."""

    errors: int
    cases: int
    class_errors: int
    class_cases: int

    def words(self) -> str:
        """``56 of 500, 3 of 49 on these classes``."""
        return f"{self.errors:,} of {self.cases:,}, {self.class_errors:,} of {self.class_cases:,} on these classes"


def errors_at(logits: np.ndarray, labels: np.ndarray, numbers: Sequence[int], shift: float) -> Errors:
    """Errors of (N, classes) logits with ``shift`` added to those of the classes ``numbers``."""
    wrong = shifted(logits, numbers, shift).argmax(axis=1) != labels
    own = np.isin(labels, numbers)
    return Errors(errors=int(wrong.sum()), cases=len(labels), class_errors=int(wrong[own].sum()), class_cases=int(own.sum()))


def shifted(logits: np.ndarray, numbers: Sequence[int], shift: float) -> np.ndarray:
    """Float64 logits with ``shift`` added to those of some classes."""
    moved = logits.astype(np.float64)
    moved[:, list(numbers)] += shift
    return moved


Labelled = tuple[np.ndarray, np.ndarray]
"""Logits (N, classes) and labels (N,) of a split."""


def unseen_figures(validation: Labelled, test: Labelled, numbers: Sequence[int], frequency: float) -> dict[str, float]:
    """Test errors in all and on the classes ``numbers`` that a run has not seen, for its report: as it is, and with their
    logits shifted by what is best on validation, or by what gives them their ``frequency``.

    ``paper_…`` is the paper's own way, the shift best on the test set: only to stand beside the paper's figures, for
    nothing is chosen by it.
    """
    shifts = {
        "unseen": 0.0,
        "corrected": best_shift(*validation, numbers),
        "mass": mass_shift(validation[0], numbers, frequency),
        "paper": best_shift(*test, numbers),
    }
    found = {"unseen_test_size": float(np.isin(test[1], numbers).sum())}
    for name, shift in shifts.items():
        errors = errors_at(*test, numbers, shift)
        found |= {f"{name}_shift": shift, f"{name}_test_errors": float(errors.errors)}
        found[f"{name}_class_test_errors"] = float(errors.class_errors)
    return found


def best_shift(logits: np.ndarray, labels: np.ndarray, numbers: Sequence[int]) -> float:
    """The shift with the fewest errors: the middle of the best stretch, of several the one nearest to 0.

    A case goes over to the classes ``numbers`` where the shift exceeds its margin: the best logit of the others less the
    best of theirs. Errors change at margins alone, so every stretch between two of them is looked at.
    """
    chosen = np.isin(np.arange(logits.shape[1]), numbers)
    theirs, others = (np.where(side, logits.astype(np.float64), -np.inf) for side in (chosen, ~chosen))
    margins = others.max(axis=1) - theirs.max(axis=1)
    change = (theirs.argmax(axis=1) == labels).astype(int) - (others.argmax(axis=1) == labels)
    order = np.argsort(margins, kind="stable")
    saved = np.concatenate([[0], np.cumsum(change[order])])
    ends = [min(0.0, margins.min()) - 1.0], [max(0.0, margins.max()) + 1.0]
    edges = np.concatenate([ends[0], margins[order], ends[1]])
    wide = np.diff(edges) > 0
    best = np.flatnonzero(wide & (saved == saved[wide].max()))
    middles = np.where((edges[best] <= 0) & (edges[best + 1] > 0), 0.0, (edges[best] + edges[best + 1]) / 2)
    return float(middles[np.abs(middles).argmin()])


def mass_shift(logits: np.ndarray, numbers: Sequence[int], share: float) -> float:
    """The shift with which the classes' mean softmax mass is ``share``, found by halving between −60 and 60."""
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if mass(logits, numbers, middle) < share else (low, middle)
    return (low + high) / 2


def mass(logits: np.ndarray, numbers: Sequence[int], shift: float) -> float:
    """The mean softmax mass of some classes with ``shift`` added to their logits."""
    moved = shifted(logits, numbers, shift)
    raised = np.exp(moved - moved.max(axis=1, keepdims=True))
    return float((raised[:, list(numbers)].sum(axis=1) / raised.sum(axis=1)).mean())
