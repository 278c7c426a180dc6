"""Bias correction against its definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.bias import best_shift, errors_at, mass, mass_shift, unseen_figures


def drawn(seed: int, cases: int = 60, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, cases)
    logits = random.normal(size=(cases, classes)) + 1.5 * np.eye(classes)[labels]
    logits[:, 2] -= 3.0  # as if class 2 had never been seen
    return logits, labels


def test_that_errors_are_counted_in_all_and_on_the_class() -> None:
    logits, labels = np.array([[1.0, 0.0], [0.4, 0.0], [2.0, 0.0]]), np.array([0, 1, 1])
    assert errors_at(logits, labels, [1], 0.0).words() == "2 of 3, 2 of 2 on these classes"
    assert errors_at(logits, labels, [1], 0.5).words() == "1 of 3, 1 of 2 on these classes"
    assert errors_at(logits, labels, [1], 1.5).words() == "2 of 3, 1 of 2 on these classes"


@given(st.integers(0, 500), st.sampled_from([[0], [2], [3], [1, 2], [0, 1, 3]]))
def test_that_no_shift_on_a_fine_grid_is_better_than_the_best(seed: int, number: list[int]) -> None:
    logits, labels = drawn(seed)
    best = errors_at(logits, labels, number, best_shift(logits, labels, number)).errors
    assert best <= min(errors_at(logits, labels, number, shift).errors for shift in np.linspace(-12, 12, 481))


def test_that_where_nothing_is_gained_nothing_is_shifted() -> None:
    logits = 5 * np.eye(3)[[0, 1, 2]]
    assert best_shift(logits, np.array([0, 1, 2]), [1]) == 0.0


@pytest.mark.parametrize("far", [-30.0, 30.0])
def test_that_nothing_is_shifted_where_only_a_far_shift_would_change_anything(far: float) -> None:
    logits = np.array([[0.0, -far, -1.0], [0.0, -far, -1.0]])
    assert best_shift(logits, np.array([0, 0] if far > 0 else [1, 1]), [1]) == 0.0


def test_that_a_class_that_was_never_seen_is_found_again() -> None:
    logits, labels = drawn(3, cases=2000)
    before, after = errors_at(logits, labels, [2], 0.0), errors_at(logits, labels, [2], best_shift(logits, labels, [2]))
    assert after.errors < before.errors
    assert after.class_errors < 0.6 * before.class_errors


@given(st.integers(0, 300), st.floats(0.02, 0.9))
def test_that_the_mass_is_the_frequency_asked_for(seed: int, share: float) -> None:
    logits, _ = drawn(seed)
    assert mass(logits, [2], mass_shift(logits, [2], share)) == pytest.approx(share, abs=1e-6)


def test_that_a_report_tells_errors_before_and_after_by_every_way() -> None:
    (logits, labels), (others, known) = drawn(3, cases=2000), drawn(4, cases=2000)
    found = unseen_figures((logits, labels), (others, known), [2], 0.25)
    assert found["unseen_test_size"] == float((known == 2).sum())
    assert found["unseen_shift"] == 0.0
    assert found["unseen_test_errors"] == errors_at(others, known, [2], 0.0).errors
    assert found["corrected_shift"] == best_shift(logits, labels, [2])
    assert found["corrected_class_test_errors"] == errors_at(others, known, [2], found["corrected_shift"]).class_errors
    assert found["mass_shift"] == mass_shift(logits, [2], 0.25)
    assert found["paper_test_errors"] <= found["corrected_test_errors"] < found["unseen_test_errors"]
