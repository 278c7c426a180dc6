"""The paper's claims, each with the recipe that puts it to the test and what this history has to say about it.

A claim is judged from the experiments of its recipe alone, found by their whole configuration: whoever changes a setting
tests something else. Every recipe has a short form, of a few seconds to minutes, and the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlite_utils import Database

from workbench.analysis.sweep_results import Estimate, estimate
from workbench.config import ExperimentConfig, sameness
from workbench.history import reading
from workbench.history.reading import RunRow
from workbench.recipes import recipe_tables
from workbench.sweep import Point, expand

WIDE = 0.25
"""An interval wider than so much of its mean cannot show that two things are alike."""

Form = Literal["short", "paper"]
FORMS: Mapping[Form, str] = {"short": "-short", "paper": ""}
"""What a claim's recipe is called in each form, after the claim's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A finished experiment of a claim's recipe: what was varied there, and its runs in the plan's order."""

    point: Point
    experiment: int
    runs: tuple[RunRow, ...]

    def figure(self, role: str, name: str) -> float | None:
        """A figure of the run of that role, the refitted one where there is one."""
        found = [run.figures[name] for run in self.runs if run.role == role and name in run.figures]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found, in words; ``holds`` is None where the intervals do not decide it."""

    ours: str
    holds: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim: the paper's ``figures`` and our ``measure`` of it in words, and how it is judged."""

    name: str
    recipe: str
    section: str
    statement: str
    figures: str
    measure: str
    judge: Callable[[Sequence[Tried]], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A claim in one form: what is there, what is ``missing``, and the verdict once all is there.

    Of what is missing, only what is ``unqueued`` does not wait in a queue and is not under way.
    """

    claim: Claim
    form: Form
    recipe: str
    tried: tuple[Tried, ...]
    missing: tuple[tuple[Point, ExperimentConfig], ...]
    unqueued: tuple[tuple[Point, ExperimentConfig], ...]
    verdict: Verdict | None

    @property
    def waiting(self) -> int:
        """How many experiments wait in a queue or are under way."""
        return len(self.missing) - len(self.unqueued)

    @property
    def runs(self) -> tuple[int, ...]:
        """The runs behind the figures."""
        return tuple(dict.fromkeys(run.id for one in self.tried for run in one.runs))

    @property
    def standing(self) -> str:
        """``holds``, ``does not hold``, ``undecided``, or how much of it is done."""
        if self.verdict is None:
            return f"{len(self.tried)} of {len(self.tried) + len(self.missing)} done"
        return {True: "holds", False: "does not hold", None: "undecided"}[self.verdict.holds]


def scoreboard(database: Database, forms: Sequence[Form] = ("short", "paper")) -> list[Score]:
    """Every claim in every form, from what is in the history now."""
    recipes = {f"{claim.recipe}{FORMS[form]}": None for claim in CLAIMS for form in forms}
    wanted = {name: expand(recipe_tables(name)) for name in recipes}
    there, queued = reading.finished_experiments(database), reading.queued_experiments(database)
    keys = {name: [sameness(config.to_dict()) for _, config in of] for name, of in wanted.items()}
    found = {name: [there.get(key) for key in of] for name, of in keys.items()}
    rows = reading.rows_of(database, [number for numbers in found.values() for number in numbers if number])
    scores = []
    for claim in CLAIMS:
        for form in forms:
            name = f"{claim.recipe}{FORMS[form]}"
            pairs = list(zip(wanted[name], found[name], strict=True))
            tried = tuple(
                Tried(point=point, experiment=number, runs=tuple(rows[number])) for (point, _), number in pairs if number
            )
            missing = tuple(pair for pair, number in pairs if not number)
            unqueued = tuple(
                pair for (pair, number), key in zip(pairs, keys[name], strict=True) if not number and key not in queued
            )
            verdict = None if missing else claim.judge(tried)
            scores.append(
                Score(claim=claim, form=form, recipe=name, tried=tried, missing=missing, unqueued=unqueued, verdict=verdict)
            )
    return scores


# How each is judged


def _each(tried: Sequence[Tried], role: str, name: str, **at: Any) -> list[float]:
    """A figure of every experiment whose point has the values ``at``, dots written as two underscores."""
    chosen = [one for one in tried if all(one.point.get(key.replace("__", ".")) == value for key, value in at.items())]
    return [value for one in chosen if (value := one.figure(role, name)) is not None]


def _errors(tried: Sequence[Tried], role: str, **at: Any) -> Estimate:
    return estimate(_each(tried, role, "test_errors", **at))


def _difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Of pairs of one seed each."""
    return estimate([one - other for one, other in zip(first, second, strict=True)])


def _above(found: Estimate, limit: float) -> bool | None:
    """Whether an estimate is at least ``limit``; None where its interval reaches over it from below."""
    if found.mean >= limit:
        return True
    return None if found.half is not None and found.mean + found.half > limit else False


def _table(tried: Sequence[Tried]) -> Verdict:
    hard, soft = _each(tried, "baseline", "test_errors"), _each(tried, "student", "test_errors")
    teacher, cases = estimate(_each(tried, "student", "ensemble_test_errors")), tried[0].figure("student", "test_size") or 0
    words = (
        f"teacher {teacher.mean:.0f}, hard {estimate(hard).words('.1f')}, distilled {estimate(soft).words('.1f')} "
        f"errors of {cases:,.0f}"
    )
    gap = estimate(hard).mean - teacher.mean
    if gap <= 0:
        return Verdict(ours=f"{words}: there is no gap", holds=None)
    share = estimate([(one - other) / gap for one, other in zip(hard, soft, strict=True)])
    return Verdict(ours=f"{words}: {share.words('.0%')} of the gap", holds=_above(share, 0.5))


def _wide(tried: Sequence[Tried]) -> Verdict:
    widths = sorted({one.point["student.units"] for one in tried if one.point["student.units"] >= 300})
    high = sorted({one.point["distillation.temperature"] for one in tried if one.point["distillation.temperature"] > 8})
    words, holds, noisy = [], True, False
    for units in widths:
        found = [_errors(tried, "student", student__units=units, distillation__temperature=T) for T in high]
        low, top = min(one.mean for one in found), max(one.mean for one in found)
        words.append(f"{units} units: {low:.1f} to {top:.1f} errors at T = {', '.join(f'{T:g}' for T in high)}")
        holds &= max(one.mean - (one.half or 0) for one in found) <= min(one.mean + (one.half or 0) for one in found)
        noisy |= any((one.half or 0) > WIDE * one.mean for one in found)
    return Verdict(ours="; ".join(words), holds=None if holds and noisy else holds)


def _narrow(tried: Sequence[Tried]) -> Verdict:
    units = min(one.point["student.units"] for one in tried)
    found = {
        T: _errors(tried, "student", student__units=units, distillation__temperature=T)
        for T in sorted({one.point["distillation.temperature"] for one in tried})
    }
    inside = min((T for T in found if 2.5 <= T <= 4), key=lambda T: found[T].mean)
    outside = min((T for T in found if not 2.5 <= T <= 4), key=lambda T: found[T].mean)
    better, worse = found[inside], found[outside]
    words = (
        f"{units} units: {better.words('.1f')} errors at T = {inside:g}, at best {worse.words('.1f')} elsewhere (T = {outside:g})"
    )
    clear = abs(better.mean - worse.mean) > math.hypot(better.half or 0, worse.half or 0)
    return Verdict(ours=words, holds=better.mean < worse.mean if clear else None)


def _missing(tried: Sequence[Tried]) -> Verdict:
    sizes = _each(tried, "student", "unseen_test_size")

    def right(name: str) -> Estimate:
        wrong = _each(tried, "student", f"{name}_class_test_errors")
        return estimate([1 - errors / size for errors, size in zip(wrong, sizes, strict=True)])

    before, after = (estimate(_each(tried, "student", f"{name}_test_errors")) for name in ("unseen", "corrected"))
    words = (
        f"errors {before.words('.1f')} → {after.words('.1f')}; of the class never seen {right('unseen').mean:.1%} → "
        f"{right('corrected').words('.1%')} right (shift best on test, as in the paper: {right('paper').mean:.1%})"
    )
    return Verdict(ours=words, holds=_above(right("corrected"), 0.95))


def _only(tried: Sequence[Tried]) -> Verdict:
    cases = tried[0].figure("student", "test_size") or 1
    before, after, paper = (
        estimate([value / cases for value in _each(tried, "student", f"{name}_test_errors")])
        for name in ("unseen", "corrected", "paper")
    )
    words = f"errors {before.words('.1%')} → {after.words('.1%')} (shift best on test, as in the paper: {paper.mean:.1%})"
    drop = _difference(_each(tried, "student", "unseen_test_errors"), _each(tried, "student", "corrected_test_errors"))
    return Verdict(ours=words, holds=None if drop.half is not None and abs(drop.mean) <= drop.half else drop.mean > 0)


def _ensemble(tried: Sequence[Tried]) -> Verdict:
    single, soft = _errors(tried, "baseline"), _each(tried, "student", "test_errors")
    together = estimate(_each(tried, "student", "ensemble_test_errors")).mean
    gain = single.mean - together
    if gain <= (single.half or 0):
        return Verdict(ours=f"the ensemble gains nothing: {together:.0f} errors, one {single.words('.1f')}", holds=None)
    share = estimate([(single.mean - own) / gain for own in soft])
    errors = f"one {single.words('.1f')}, ten {together:.0f}, distilled {estimate(soft).words('.1f')} errors"
    words = f"{errors}: {share.words('.0%')} kept"
    return Verdict(ours=words, holds=_above(share, 0.8))


def _little(tried: Sequence[Tried]) -> Verdict:
    few, all_ = (pick({one.point["transfer.fraction"] for one in tried}) for pick in (min, max))

    def accuracy(role: str, fraction: float) -> list[float]:
        return _each(tried, role, "test_accuracy", transfer__fraction=fraction)

    hard, soft, whole = accuracy("baseline", few), accuracy("student", few), accuracy("baseline", all_)
    words = (
        f"{few:.0%} of the cases: hard {estimate(hard).mean:.2%}, soft {estimate(soft).mean:.2%}; "
        f"all, hard {estimate(whole).mean:.2%}"
    )
    distance = estimate(whole).mean - estimate(hard).mean
    if distance <= 0:
        return Verdict(ours=f"{words}: there is no distance", holds=None)
    share = estimate([(one - other) / distance for one, other in zip(soft, hard, strict=True)])
    return Verdict(ours=f"{words}: {share.words('.0%')} of the distance", holds=_above(share, 0.8))


def _without(tried: Sequence[Tried]) -> Verdict:
    teacher = estimate(_each(tried, "student", "ensemble_test_errors")).mean
    teachers = [run for run in tried[0].runs if run.role == "teacher"]
    cost = sum(run.multiply_adds or 0 for run in teachers)
    words = [f"convolutional {teacher:.0f} in {sum(run.figures.get('latency_ms', 0) for run in teachers):.2f} ms"]
    better = []
    for units in sorted({one.point["student.units"] for one in tried}):
        at = [one for one in tried if one.point["student.units"] == units]
        soft, hard = _each(at, "student", "test_errors"), _each(at, "baseline", "test_errors")
        own = next(run.multiply_adds or 0 for run in at[0].runs if run.role == "student")
        time = estimate(_each(at, "student", "latency_ms") or [0.0]).mean
        errors = f"{units} units {estimate(soft).mean:.1f} ({estimate(hard).mean:.1f} hard)"
        words.append(f"{errors} at {own / cost:.1%} of the multiply-adds in {time:.2f} ms")
        gain = _difference(hard, soft)
        better.append(None if gain.half is not None and abs(gain.mean) <= gain.half else gain.mean > 0)
    holds = False if False in better else None if None in better else True
    return Verdict(ours="errors: " + "; ".join(words), holds=holds)


def _matching(tried: Sequence[Tried]) -> Verdict:
    matched = _each(tried, "student", "test_errors", distillation__match="logits")
    temperatures = sorted(
        {one.point["distillation.temperature"] for one in tried if one.point["distillation.match"] == "targets"}
    )
    found = {
        T: _each(tried, "student", "test_errors", distillation__match="targets", distillation__temperature=T)
        for T in temperatures
    }
    words = ", ".join(f"T = {T:g}: {estimate(errors).words('.1f')}" for T, errors in found.items())
    apart = _difference(found[temperatures[-1]], matched)
    alike = abs(apart.mean) <= max(apart.half or 0.0, 0.02 * estimate(matched).mean)
    noisy = (apart.half or 0.0) > WIDE * estimate(matched).mean
    words = f"errors at {words}; logits matched: {estimate(matched).words('.1f')}"
    return Verdict(ours=words, holds=None if alike and noisy else alike)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="mnist-table",
        recipe="mnist-table",
        section="3",
        statement="Soft targets take a small net most of the way to its teacher",
        figures="teacher 67, hard 146, distilled 74 errors of 10,000: 91% of the gap",
        measure="holds where at least half of the gap in errors between the small net and its teacher is closed",
        judge=_table,
    ),
    Claim(
        name="temperature-wide",
        recipe="temperature-by-width",
        section="3",
        statement="With 300 or more units a layer, every temperature above 8 does about alike",
        figures="about alike",
        measure="holds where the 95% intervals of all temperatures above 8 overlap, and none is wider than a quarter of its mean",
        judge=_wide,
    ),
    Claim(
        name="temperature-narrow",
        recipe="temperature-by-width",
        section="3",
        statement="With 30 units a layer, temperatures from 2.5 to 4 do better than higher or lower ones",
        figures="2.5 to 4 best",
        measure="of the narrowest students; holds where the best of these temperatures beats the best of the others by more than "
        "the 95% intervals",
        judge=_narrow,
    ),
    Claim(
        name="missing-3",
        recipe="missing-3",
        section="3",
        statement="A student that has never seen a 3 knows them, once its bias is corrected",
        figures="206 → 109 errors; of the threes 86.8% → 98.6% right (shift best on test)",
        measure="shift best on validation; holds where at least 95% of the threes are right",
        judge=_missing,
    ),
    Claim(
        name="only-7-and-8",
        recipe="only-7-and-8",
        section="3",
        statement="A student that has seen 7s and 8s alone knows the other digits, once its bias is corrected",
        figures="errors 47.3% → 13.2% (shift best on test)",
        measure="shift best on validation; holds where the correction lowers the errors by more than the 95% interval",
        judge=_only,
    ),
    Claim(
        name="ensemble-of-ten",
        recipe="ensemble-of-ten",
        section="4",
        statement="One net keeps most of what an ensemble of ten gains over one",
        figures="58.9%, 61.1% and 60.8% of speech frames right: more than 80% kept",
        measure="holds where at least 80% of the gain is kept",
        judge=_ensemble,
    ),
    Claim(
        name="three-percent",
        recipe="three-percent",
        section="6",
        statement="Soft targets let a small part of the data nearly do for all of it",
        figures="3% of the cases: hard 44.5%, soft 57.0%; all, hard 58.9%: 87% of the distance",
        measure="holds where at least 80% of the distance in test accuracy is kept",
        judge=_little,
    ),
    Claim(
        name="without-convolution",
        recipe="without-convolution",
        section="1",
        statement="A net without convolutions learns from convolutional ones what labels do not teach it",
        figures="no figure: a question of the mission",
        measure="milliseconds for one image; holds where students of every width make fewer errors than on hard targets, by more "
        "than the 95% interval",
        judge=_without,
    ),
    Claim(
        name="logit-matching",
        recipe="logit-matching",
        section="2.1",
        statement="At high temperatures distillation is the matching of logits",
        figures="shown by its gradient",
        measure="holds where students at the highest temperature and by explicit matching make alike many errors, within a 95% "
        "interval no wider than a quarter of their mean",
        judge=_matching,
    ),
)
