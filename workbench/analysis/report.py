"""What ensemble, baseline and student of one experiment come to, side by side: NumPy on the predictions kept with the runs.

Predictions are logits (N, classes) as the history keeps them, in half precision; the figures recorded with a run, which were
computed in single precision, go before those computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError

BINS = 15
DRAWS = 4000
BATCHES = (1, 64)
"""Latency is measured for so many images at once."""


class NoReport(WorkbenchError):
    """There is no experiment of that number to report on."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The right classes of a data set's test cases, (N,), the classes' names, and the digest of the data they belong to."""

    digest: str
    classes: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """By equal-width bins of confidence: how many cases (bins,), their mean confidence and accuracy, 0 where there are none."""

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence from accuracy."""
        return float(np.abs(self.count * (self.accuracy - self.confidence)).sum() / max(1, self.count.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Predictions held against labels: which cases are wrong (N,), ``confusion`` (right class, predicted class) in cases, the
    negative log-likelihood in nats, and calibration."""

    wrong: np.ndarray
    confusion: np.ndarray
    nll: float
    reliability: Reliability

    @property
    def errors(self) -> int:
        """How many cases are wrong."""
        return int(self.wrong.sum())

    @property
    def by_class(self) -> np.ndarray:
        """Accuracy on the cases of each class, (classes,), NaN for a class without cases."""
        cases = self.confusion.sum(axis=1)
        return np.where(cases > 0, np.diag(self.confusion) / np.maximum(1, cases), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a model does on the test split, None where it is not known. ``agreement`` and ``kl`` (nats) are its top-1
    agreement with the ensemble and KL(ensemble ‖ model)."""

    errors: int | None = None
    cases: int | None = None
    nll: float | None = None
    ece: float | None = None
    agreement: float | None = None
    kl: float | None = None

    @property
    def accuracy(self) -> float | None:
        """The share of the cases that are right."""
        return None if self.errors is None or not self.cases else 1 - self.errors / self.cases


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Party:
    """One line of a report: a model, or several that answer together.

    ``key`` is ``ensemble``, ``teacher 1``, ``baseline``, ``student``, ``corrected``, ``alone``… and ``inside`` the key of the
    ensemble it is a part of. ``trained_latency`` is the milliseconds for one image as measured when it was trained.
    """

    key: str
    name: str
    runs: tuple[int, ...]
    status: str = "done"
    message: str = ""
    about: str = ""
    inside: str = ""
    figures: Figures = Figures()
    parameters: float | None = None
    multiply_adds: float | None = None
    trained_latency: float | None = None
    judged: Judged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Models whose latency is to be measured, one after the other for each image: the runs whose weights they have.

    ``combination`` is the run that says how a generalist and its specialists are combined, 0 where they are not.
    """

    key: str
    runs: tuple[int, ...]
    parts: tuple[str, ...] = ()
    combination: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds, the median and the 95th percentile of several goes."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """By a party's key and the number of images at once (:data:`BATCHES`); ``missing`` says what could not be measured."""

    device: str
    threads: int
    of: dict[str, dict[int, Latency]]
    missing: tuple[str, ...] = ()

    def words(self) -> str:
        """Where it was measured."""
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return f"Latency measured on {self.device}{threads}: the median, then the 95th percentile, in milliseconds."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """One experiment. ``classes`` is empty and no party is judged where the labels are not there, which ``notes`` explain.

    ``ensemble`` is what the student learned from in a word, ``sweep`` the number and name of the sweep it is a point of, and
    how many others that has; ``kept`` a 95% interval of the share of the gain, over test cases drawn anew.
    """

    experiment: int
    name: str
    status: str
    message: str
    dataset: str
    parties: tuple[Party, ...]
    timed: tuple[Timed, ...] = ()
    ensemble: str = "ensemble"
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sweep: tuple[int, str, int] | None = None
    kept: tuple[float, float] | None = None

    def party(self, key: str) -> Party | None:
        """The party of that key, None where there is none."""
        return next((one for one in self.parties if one.key == key), None)

    def errors(self, key: str) -> int | None:
        """The test errors of a party, None where they are not known."""
        found = self.party(key)
        return found.figures.errors if found else None

    @property
    def judged(self) -> tuple[Party, ...]:
        """Those of which there are confusions and calibration, whole ones alone."""
        return tuple(one for one in self.parties if one.judged is not None and not one.inside)


# Arithmetic


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the distributions, float64 of the same shape."""
    moved: np.ndarray = logits.astype(np.float64)
    moved -= moved.max(axis=-1, keepdims=True)
    moved -= np.log(np.exp(moved).sum(axis=-1, keepdims=True))
    return moved


def combined(members: Sequence[np.ndarray], how: str) -> np.ndarray:
    """The logarithm of the ensemble's distribution at T = 1, (N, classes): the ``arithmetic`` or ``geometric`` mean of its
    members' (section 1)."""
    if how == "arithmetic":
        mean = np.mean([np.exp(log_softmax(member)) for member in members], axis=0)
        return log_softmax(np.log(np.maximum(mean, 1e-300)))
    return log_softmax(np.mean([member.astype(np.float64) for member in members], axis=0))


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """How many cases of each right class (row) were taken for each class (column)."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def reliability(logs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Confidence against accuracy of log-distributions (N, classes), by equal-width bins of confidence."""
    confidence = np.exp(logs.max(axis=1))
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    right = np.bincount(place, weights=logs.argmax(axis=1) == labels, minlength=bins)
    sure = np.bincount(place, weights=confidence, minlength=bins)
    return Reliability(count, sure / np.maximum(1, count), right / np.maximum(1, count))


def judge(logs: np.ndarray, labels: np.ndarray) -> Judged:
    """Log-distributions (N, classes) held against labels."""
    predicted = logs.argmax(axis=1)
    return Judged(
        wrong=predicted != labels,
        confusion=confusion(predicted, labels, logs.shape[1]),
        nll=float(-logs[np.arange(len(labels)), labels].mean()),
        reliability=reliability(logs, labels),
    )


def fidelity(logs: np.ndarray, of_ensemble: np.ndarray) -> tuple[float, float]:
    """Top-1 agreement with the ensemble, and KL(ensemble ‖ model) in nats, of log-distributions (N, classes)."""
    agreement = float((logs.argmax(axis=1) == of_ensemble.argmax(axis=1)).mean())
    return agreement, float((np.exp(of_ensemble) * (of_ensemble - logs)).sum(axis=1).mean())


def kept_interval(ensemble: np.ndarray, baseline: np.ndarray, student: np.ndarray) -> tuple[float, float] | None:
    """A 95% interval of the share of the gain that the student keeps, from which cases each has wrong, (N,) of bool.

    A bootstrap over the cases; None where the ensemble gains nothing in more than one draw of forty.
    """
    pattern = ensemble * 4 + baseline * 2 + student * 1
    shares = np.bincount(pattern, minlength=8) / len(pattern)
    draws = np.random.default_rng(0).multinomial(len(pattern), shares, DRAWS)
    wrong = {name: draws[:, [at for at in range(8) if at & bit]].sum(axis=1) for name, bit in (("e", 4), ("b", 2), ("s", 1))}
    gain = wrong["b"] - wrong["e"]
    there = gain > 0
    if there.mean() < 0.975:
        return None
    low, high = np.percentile((wrong["b"] - wrong["s"])[there] / gain[there], (2.5, 97.5))
    return float(low), float(high)
