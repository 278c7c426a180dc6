"""Is a difference real? Errors of two groups of seeds, and of two runs on the same test cases, in a sentence.

Plain NumPy and SciPy's distributions; a difference is called real where chance alone gives one as large less than once in
twenty times (:data:`CHANCE`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workbench.analysis.sweep_results import interval_factor
from workbench.words import capital

CHANCE = 0.05
"""A p-value at and above which a difference could be chance."""

Errors = Mapping[int, float]
"""Test errors by seed; of several runs of one seed their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTest:
    """Errors of a first group of seeds less those of a second: the mean difference and its 95% interval.

    ``way`` is ``paired`` (Student's t over the differences of common seeds) or ``welch`` (means of seeds that are not in
    common, variances that may differ). Where nothing varies Student's t says nothing: then ``sign`` (every common seed has the
    same difference) or ``orders`` (every seed of a group has the same errors, and all orders are counted), without ``half``.
    ``seeds`` are those of each group that were used.
    """

    mean: float
    half: float | None
    p: float
    way: str
    seeds: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTest:
    """McNemar's exact test on ``cases``: how often only the first is right, how often only the second."""

    cases: int
    first_only: int
    second_only: int
    p: float


def seed_test(first: Errors, second: Errors) -> SeedTest | None:
    """Whether seeds' errors differ: paired over two or more common seeds, else Welch's; None where a group has one seed.

    The paired test leaves out seeds that only one group has.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) >= 2:
        return _paired([first[seed] - second[seed] for seed in common])
    if min(len(first), len(second)) < 2:
        return None
    return _welch(list(first.values()), list(second.values()))


def _paired(differences: list[float]) -> SeedTest:
    mean, count = statistics.fmean(differences), len(differences)
    deviation = statistics.stdev(differences)
    if deviation == 0:
        return SeedTest(mean=mean, half=None, p=0.5 ** (count - 1) if mean else 1.0, way="sign", seeds=(count, count))
    p = _two_sided(mean / (deviation / math.sqrt(count)), count - 1)
    return SeedTest(mean=mean, half=interval_factor(count) * deviation, p=p, way="paired", seeds=(count, count))


def _welch(first: list[float], second: list[float]) -> SeedTest:
    seeds = len(first), len(second)
    mean = statistics.fmean(first) - statistics.fmean(second)
    parts = [statistics.variance(group) / len(group) for group in (first, second)]
    if not sum(parts):
        orders = math.comb(sum(seeds), seeds[0])  # every order of the groups is as likely where there is no difference
        return SeedTest(mean=mean, half=None, p=2 / orders if mean else 1.0, way="orders", seeds=seeds)
    from scipy.special import stdtrit

    freedom = sum(parts) ** 2 / sum(part**2 / (count - 1) for part, count in zip(parts, seeds, strict=True))
    error = math.sqrt(sum(parts))
    half = float(stdtrit(freedom, 0.975)) * error
    return SeedTest(mean=mean, half=half, p=_two_sided(mean / error, freedom), way="welch", seeds=seeds)


def _two_sided(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t)))


def case_test(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> CaseTest:
    """McNemar's exact test of two predictions, classes (N,), on the same cases with these ``labels``.

    Where only one of them is right, either is as likely if they do not differ: a two-sided binomial test.
    """
    from scipy.special import bdtr

    right, other = first == labels, second == labels
    only = int((right & ~other).sum()), int((other & ~right).sum())
    p = min(1.0, 2 * float(bdtr(min(only), sum(only), 0.5))) if sum(only) else 1.0
    return CaseTest(cases=len(labels), first_only=only[0], second_only=only[1], p=p)


def seeds_sentence(found: SeedTest, first: str, second: str, cases: int) -> str:
    """What a test over seeds says of two groups, whose names are plural: ``The students at T = 8 make 12.3 fewer errors of 500
    than the students at T = 1 (95% interval 4.1 to 20.5; paired t-test over 5 seeds, p = 0.012): the difference is real.``"""
    seeds = f"{found.seeds[0]} seeds" if found.way in ("paired", "sign") else f"{found.seeds[0]} and {found.seeds[1]} seeds"
    if not found.mean:
        return f"{capital(first)} and {second} make as many errors of {cases:,} in the mean over {seeds}."
    size = abs(found.mean)
    test = {
        "paired": f"paired t-test over {seeds}",
        "welch": f"Welch's t-test over {seeds}",
        "sign": f"the same in each of {seeds}; sign test",
        "orders": f"the same in all of each group's {seeds}; permutation test",
    }[found.way]
    between = f"95% interval {_number(size - found.half)} to {_number(size + found.half)}; " if found.half is not None else ""
    more = f"{_number(size)} {'fewer' if found.mean < 0 else 'more'} errors of {cases:,}"
    return f"{capital(first)} make {more} than {second} ({between}{test}, p {p_words(found.p)}): {_verdict(found.p)}."


def cases_sentence(found: CaseTest, first: str, second: str) -> str:
    """What McNemar's test says of two runs."""
    where = f"On the same {found.cases:,} test images"
    if not found.first_only + found.second_only:
        return f"{where} {first} and {second} are right and wrong on the very same ones."
    counts = f"{first} is right where {second} is wrong {_times(found.first_only)}, the reverse {_times(found.second_only)}"
    return f"{where} {counts} (McNemar's exact test, p {p_words(found.p)}): {_verdict(found.p)}."


def p_words(p: float) -> str:
    """A p-value after the letter p: ``= 0.012``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def _verdict(p: float) -> str:
    return "the difference is real" if p < CHANCE else "it could be chance"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")
