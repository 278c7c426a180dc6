"""What the models of one experiment say of images: NumPy on their logits, at any temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.analysis.report import Judged, judge, log_softmax

COLDEST, HOTTEST = 0.05, 100.0
"""Between these the one temperature is looked for that suits validation best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A model that says something of an image: a run. ``key`` is ``member 3``, ``whole``, ``student``, ``alone`` or
    ``baseline``."""

    key: str
    name: str
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One whose opinion is shown: a speaker, or the ensemble of several."""

    key: str
    name: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineUp:
    """Whose logits there are, in the order of their first axis: ``members`` of the ensemble, then ``whole``, which is a
    generalist together with its specialists, then ``singles``. ``temperature`` is the student's, ``mean`` the ensemble's."""

    experiment: int
    name: str
    members: tuple[Speaker, ...] = ()
    whole: Speaker | None = None
    singles: tuple[Speaker, ...] = ()
    temperature: float = 4.0
    mean: str = "arithmetic"

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """All whose logits there are, in their order."""
        return (*self.members, *((self.whole,) if self.whole else ()), *self.singles)

    @property
    def parties(self) -> tuple[Party, ...]:
        """Whose opinions :meth:`at` gives, in its order: the ensemble, the singles, its members where it has several."""
        parts = [Party(key=one.key, name=one.name, about=f"run {one.run}") for one in self.members]
        found = [Party(key=one.key, name=one.name, about=f"run {one.run}") for one in self.singles]
        if self.whole:
            found.insert(0, Party(key="ensemble", name=self.whole.name, about=f"run {self.whole.run}"))
        elif len(parts) == 1:
            found.insert(0, replace(parts[0], key="ensemble", name="teacher"))
        elif parts:
            found.insert(0, Party(key="ensemble", name=f"ensemble of {len(parts)}", about=f"{self.mean} mean"))
        return (*found, *(parts if len(parts) > 1 or self.whole else ()))

    def place(self, key: str) -> int | None:
        """Where a party stands in :meth:`at`, None where there is none."""
        return next((at for at, one in enumerate(self.parties) if one.key == key), None)

    def only(self, keys: Sequence[str]) -> LineUp:
        """Those of these keys; an ensemble that lacks a member is none."""
        whole = self.whole if self.whole and self.whole.key in keys else None
        there = tuple(one for one in self.members if one.key in keys)
        complete = there if whole or len(there) == len(self.members) else ()
        return replace(self, members=complete, whole=whole, singles=tuple(one for one in self.singles if one.key in keys))

    def at(self, logits: np.ndarray, temperature: float) -> np.ndarray:
        """The parties' distributions at T, (parties, …, classes), from the speakers' logits (speakers, …, classes)."""
        said = softened(logits, temperature)
        count = len(self.members)
        rest = count + bool(self.whole)
        parts = [said[:count]] if count > 1 or self.whole else []
        if not rest:
            return np.concatenate([said, *parts])
        return np.concatenate([self.ensemble_at(logits, temperature)[None], said[rest:], *parts])

    def ensemble_at(self, logits: np.ndarray, temperature: float) -> np.ndarray:
        """The ensemble's distribution at T, (…, classes): its soft targets (section 1)."""
        count = len(self.members)
        if self.whole:
            return softened(logits[count], temperature)
        if self.mean == "arithmetic":
            return np.asarray(softened(logits[:count], temperature).mean(axis=0))
        return softened(logits[:count].mean(axis=0), temperature)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """The test cases of an experiment's data, uint8 ``images`` (N, C, H, W) with ``labels`` (N,), and what everybody says of
    them, ``logits`` (speakers, N, classes).

    ``predicted`` (parties, N) are the classes named at T = 1, ``bits`` (N,) the entropy of the ensemble's soft targets at
    the student's T, empty where there is no ensemble. ``notes`` say who is missing, and why.
    """

    line_up: LineUp
    dataset: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    predicted: np.ndarray
    bits: np.ndarray
    notes: tuple[str, ...] = ()

    def said(self, key: str) -> np.ndarray | None:
        """The classes that a party names, (N,); None where there is no such party."""
        place = self.line_up.place(key)
        return None if place is None else self.predicted[place]


def looked(
    line_up: LineUp,
    dataset: str,
    classes: tuple[str, ...],
    images: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    notes: Sequence[str] = (),
) -> Looked:
    """Work out what the gallery is sorted by."""
    there = bool(line_up.members or line_up.whole)
    bits = entropy(line_up.ensemble_at(logits, line_up.temperature)) if there else np.zeros(0)
    predicted = line_up.at(logits, 1.0).argmax(axis=-1)
    return Looked(
        line_up=line_up,
        dataset=dataset,
        classes=classes,
        images=images,
        labels=labels,
        logits=logits,
        predicted=predicted,
        bits=bits,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which test images a gallery shows: what it is called and what it means, and whose answers it needs."""

    words: str
    about: str
    needs: tuple[str, ...]
    passing: Callable[[Looked], np.ndarray]


def _wrong(looked: Looked, key: str) -> np.ndarray:
    said = looked.said(key)
    assert said is not None
    return np.asarray(said != looked.labels)


def _differ(looked: Looked) -> np.ndarray:
    return np.asarray(looked.said("ensemble") != looked.said("student"))


SIEVES = {
    "all": Sieve("all", "Every test image.", (), lambda looked: np.ones(len(looked.labels), bool)),
    "student wrong": Sieve(
        "the student is wrong",
        "Its likeliest class is not the right one.",
        ("student",),
        lambda looked: _wrong(looked, "student"),
    ),
    "disagree": Sieve(
        "teacher and student disagree",
        "The likeliest class of what it learned from is another than the student's.",
        ("ensemble", "student"),
        _differ,
    ),
    "dark": Sieve(
        "most dark knowledge",
        "Those that what it learned from gets right, the highest entropy of the soft targets at the student's T first: "
        "where the most is said about the wrong classes.",
        ("ensemble",),
        lambda looked: ~_wrong(looked, "ensemble"),
    ),
    "gained": Sieve(
        "the student right, its baseline wrong",
        "What soft targets have brought.",
        ("student", "baseline"),
        lambda looked: _wrong(looked, "baseline") & ~_wrong(looked, "student"),
    ),
    "lost": Sieve(
        "the student wrong, its baseline right",
        "What soft targets have cost.",
        ("student", "baseline"),
        lambda looked: _wrong(looked, "student") & ~_wrong(looked, "baseline"),
    ),
    "teacher wrong": Sieve(
        "the teacher is wrong",
        "The likeliest class of what the student learned from is not the right one.",
        ("ensemble",),
        lambda looked: _wrong(looked, "ensemble"),
    ),
}
"""What a gallery can show, by name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Test images of the class ``right``: those that the party ``by`` takes for the class ``other``; or, without a party, all,
    those with the ensemble's largest soft target for ``other`` at T first."""

    right: int
    other: int
    by: str = ""
    temperature: float = 1.0

    def words(self, looked: Looked) -> str:
        """Which images these are."""
        right, other = looked.classes[self.right], looked.classes[self.other]
        place = looked.line_up.place(self.by)
        if place is None:
            return f"{right}, the likest to {other} at T = {self.temperature:g} first"
        party = looked.line_up.parties[place].name
        return f"{right}, taken for {other} by the {party}" if self.right != self.other else f"{right}, recognised by the {party}"


def sifted(looked: Looked, sieve: str, right: int | None = None, cell: Cell | None = None) -> np.ndarray:
    """The numbers of the test cases that pass a sieve and are of one right class where one is given, or those of a cell; in
    their order, or with those first that are looked for."""
    if cell is None:
        passing = SIEVES[sieve].passing(looked)
        cases = np.flatnonzero(passing if right is None else passing & (looked.labels == right))
        return np.asarray(cases[np.argsort(-looked.bits[cases], kind="stable")]) if sieve == "dark" else cases
    cases = np.flatnonzero(looked.labels == cell.right)
    if cell.by:
        said = looked.said(cell.by)
        assert said is not None
        return np.asarray(cases[said[cases] == cell.other])
    soft = looked.line_up.ensemble_at(looked.logits[:, cases], cell.temperature)
    return np.asarray(cases[np.argsort(-soft[:, cell.other], kind="stable")])


# Arithmetic


def softened(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The distributions at T, of the shape of the logits."""
    raised = logits / np.float32(temperature)
    raised -= raised.max(axis=-1, keepdims=True)
    np.exp(raised, out=raised)
    raised /= raised.sum(axis=-1, keepdims=True)
    return np.asarray(raised)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """The entropy of distributions (…, classes) in bits."""
    return np.asarray(-(probabilities * np.log2(np.maximum(probabilities, 1e-30))).sum(axis=-1))


def mean_soft_targets(looked: Looked, temperature: float) -> np.ndarray:
    """The ensemble's mean soft target at T over the test cases of each class, (right class, class), NaN where it has none."""
    soft = looked.line_up.ensemble_at(looked.logits, temperature)
    count = len(looked.classes)
    found = np.full((count, count), np.nan)
    for number in range(count):
        if (cases := looked.labels == number).any():
            found[number] = soft[cases].mean(axis=0)
    return found


def log_distributions(line_up: LineUp, logits: np.ndarray) -> dict[str, np.ndarray]:
    """The logarithm of each whole party's distribution at T = 1, by its key, members of an ensemble left out."""
    said = line_up.at(logits, 1.0).astype(np.float64)
    whole = {one.key: place for place, one in enumerate(line_up.parties) if not one.key.startswith("member")}
    return {key: log_softmax(np.log(np.maximum(said[place], 1e-38))) for key, place in whole.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled:
    """A party on the test split before and after its logits are divided by one ``temperature``, that which suits validation
    best."""

    name: str
    temperature: float
    before: Judged
    after: Judged


def best_temperature(logs: np.ndarray, labels: np.ndarray) -> float:
    """The T that minimises the negative log-likelihood of softmax(logs / T), for log-distributions or logits (N, classes).

    Guo et al., 2017: one number, which changes no prediction.
    """
    from scipy.optimize import minimize_scalar  # takes longer than the window may

    def nll(exponent: float) -> float:
        scaled = log_softmax(logs / np.exp(exponent))
        return float(-scaled[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(nll, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def scaled(name: str, validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Scaled:
    """Temperature scaling fitted on validation and judged on test, each log-distributions (N, classes) with labels (N,)."""
    temperature = best_temperature(*validation)
    logs, labels = test
    after = judge(log_softmax(logs / temperature), labels)
    return Scaled(name=name, temperature=temperature, before=judge(logs, labels), after=after)
