"""Tests of differences against published figures, exact counts and scipy.stats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.analysis.significance import CaseTest, SeedTest, case_test, cases_sentence, seed_test, seeds_sentence

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Student's own example of 1908, as R brings it along: extra hours of sleep with two drugs in ten patients."""


def test_that_the_paired_test_gives_the_published_figures() -> None:
    found = seed_test(*(dict(enumerate(group)) for group in SLEEP))
    assert found is not None
    assert (found.way, found.seeds) == ("paired", (10, 10))
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert found.half is not None
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_that_seeds_not_in_common_are_compared_by_welch_as_published() -> None:
    first, second = SLEEP
    found = seed_test(dict(enumerate(first)), dict(enumerate(second, start=100)))
    assert found is not None
    assert (found.way, found.seeds) == ("welch", (10, 10))
    assert found.p == pytest.approx(0.07939, abs=5e-6)
    assert found.half is not None
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_that_seeds_of_one_group_alone_are_left_out_of_the_paired_test() -> None:
    found = seed_test({0: 10, 1: 12, 2: 17, 9: 1000}, {0: 14, 1: 15, 2: 19, 5: 0})
    assert found is not None
    assert (found.way, found.seeds, found.mean) == ("paired", (3, 3), -3.0)
    assert found.p == pytest.approx(stats.ttest_rel([10, 12, 17], [14, 15, 19]).pvalue)


@pytest.mark.parametrize(
    ("first", "second"), [({0: 3}, {0: 5}), ({0: 3}, {0: 5, 1: 6}), ({0: 3, 1: 4}, {7: 5}), ({}, {0: 1, 1: 2})]
)
def test_that_one_seed_says_nothing(first: dict[int, float], second: dict[int, float]) -> None:
    assert seed_test(first, second) is None


def test_that_the_same_difference_in_every_seed_is_no_certainty() -> None:
    found = seed_test(dict.fromkeys(range(5), 7.0), dict.fromkeys(range(5), 9.0))
    assert found == SeedTest(mean=-2.0, half=None, p=0.0625, way="sign", seeds=(5, 5))
    apart = seed_test({0: 7.0, 1: 7.0}, {2: 9.0, 3: 9.0, 4: 9.0})
    assert apart == SeedTest(mean=-2.0, half=None, p=0.2, way="orders", seeds=(2, 3))
    same = seed_test({0: 7.0, 1: 8.0}, {0: 7.0, 1: 8.0})
    assert same is not None
    assert (same.mean, same.p) == (0.0, 1.0)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_that_both_tests_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    paired = seed_test(dict(enumerate(first)), dict(enumerate(second)))
    assert paired is not None
    if paired.way == "paired":
        assert paired.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    welch = seed_test(dict(enumerate(first)), dict(enumerate(second, start=50)))
    assert welch is not None
    if welch.way == "welch":
        assert welch.p == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)


def test_that_mcnemar_counts_what_only_one_has_right() -> None:
    labels = np.arange(20) % 3
    first, second = labels.copy(), labels.copy()
    first[:1] = (labels[:1] + 1) % 3
    second[5:14] = (labels[5:14] + 1) % 3
    first[18:], second[18:] = (labels[18:] + 1) % 3, (labels[18:] + 2) % 3
    found = case_test(first, second, labels)
    assert found == CaseTest(cases=20, first_only=9, second_only=1, p=pytest.approx(2 * (1 + 10) / 1024))


@given(st.integers(0, 200), st.integers(0, 200))
def test_that_mcnemars_test_is_the_exact_binomial_one(first_only: int, second_only: int) -> None:
    labels = np.zeros(first_only + second_only + 5, int)
    first, second = labels.copy(), labels.copy()
    second[:first_only] = 1
    first[first_only : first_only + second_only] = 1
    found = case_test(first, second, labels)
    assert (found.first_only, found.second_only) == (first_only, second_only)
    expected = stats.binomtest(first_only, first_only + second_only).pvalue if first_only + second_only else 1.0
    assert found.p == pytest.approx(expected)


def test_that_a_sentence_says_what_was_found() -> None:
    fewer = SeedTest(mean=-12.3, half=8.2, p=0.012, way="paired", seeds=(5, 5))
    assert seeds_sentence(fewer, "the students with T 8", "the students with T 1", 500) == (
        "The students with T 8 make 12.3 fewer errors of 500 than the students with T 1 "
        "(95% interval 4.1 to 20.5; paired t-test over 5 seeds, p = 0.012): the difference is real."
    )
    more = SeedTest(mean=2.0, half=3.5, p=0.21, way="welch", seeds=(5, 4))
    assert seeds_sentence(more, "the students", "the baselines", 10_000) == (
        "The students make 2.0 more errors of 10,000 than the baselines "
        "(95% interval −1.5 to 5.5; Welch's t-test over 5 and 4 seeds, p = 0.21): it could be chance."
    )
    assert "as many errors" in seeds_sentence(SeedTest(mean=0.0, half=1.0, p=1.0, way="paired", seeds=(3, 3)), "a", "b", 9)
    assert cases_sentence(CaseTest(cases=500, first_only=31, second_only=1, p=1e-8), "student (4)", "baseline (3)") == (
        "On the same 500 test images student (4) is right where baseline (3) is wrong 31 times, the reverse once "
        "(McNemar's exact test, p < 0.001): the difference is real."
    )
