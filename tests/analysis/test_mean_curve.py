"""The mean of seeds' curves."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.analysis.mean_curve import mean_curve


def test_that_curves_at_the_same_steps_are_averaged_as_they_are() -> None:
    x = np.array([1.0, 2.0, 5.0])
    found = mean_curve([(x, np.array([1.0, 2.0, 3.0])), (x.copy(), np.array([3.0, 2.0, 7.0]))])
    assert found.count == 2
    assert found.x.tolist() == x.tolist()
    assert found.mean.tolist() == [2.0, 2.0, 5.0]
    assert found.deviation == pytest.approx([np.sqrt(2), 0.0, np.sqrt(8)])


def test_that_curves_at_other_steps_are_interpolated_where_all_exist() -> None:
    fine = np.arange(0.0, 10.5, 0.5)
    coarse = np.array([2.0, 8.0, 14.0])
    found = mean_curve([(fine, 2 * fine), (coarse, 2 * coarse + 1)])
    assert (found.x[0], found.x[-1]) == (2.0, 10.0)
    assert found.mean == pytest.approx(2 * found.x + 0.5)


def test_that_a_curve_without_points_counts_for_nothing_and_one_alone_is_its_own_mean() -> None:
    x, none = np.array([1.0, 2.0]), np.array([])
    found = mean_curve([(none, none), (x, x)])
    assert (found.count, found.mean.tolist(), found.deviation.tolist()) == (1, [1.0, 2.0], [0.0, 0.0])
    assert mean_curve([(none, none)]).count == 0


def test_that_curves_that_never_meet_have_no_mean_and_those_that_touch_between_points_have_one() -> None:
    apart = mean_curve([(np.array([1.0, 2.0]), np.array([1.0, 1.0])), (np.array([5.0, 6.0]), np.array([1.0, 1.0]))])
    assert len(apart.x) == 0
    between = mean_curve([(np.array([0.0, 10.0, 20.0]), np.zeros(3)), (np.array([4.0, 6.0]), np.ones(2))])
    assert between.x.tolist() == [4.0, 6.0]
    assert between.mean.tolist() == [0.5, 0.5]
