"""The arithmetic of many runs: columns, scales, the Pareto front, ranges and what they are as a filter."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.brushes import Brush, brush, expression, kept
from workbench.analysis.explore import (
    Column,
    Scale,
    Table,
    column,
    few,
    groups,
    pareto_front,
    scale,
    spans,
    spread,
    staircase,
    varies,
)

none = math.nan
numbers = st.lists(st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=30)


def table(**columns: list[object]) -> Table:
    made = {name: column(name, name, values) for name, values in columns.items()}
    count = len(next(iter(columns.values())))
    return Table(runs=np.arange(count), labels=("",) * count, columns=made)


def places(found: np.ndarray) -> list[int]:
    return np.flatnonzero(found).tolist()


class TestColumns:
    def test_that_numbers_stay_and_what_is_missing_or_not_finite_is_nan(self) -> None:
        made = column("T", "T", [1, None, 2.5, math.inf, math.nan])
        assert np.array_equal(made.values, [1, none, 2.5, none, none], equal_nan=True)
        assert made.names == ()

    def test_that_texts_become_numbers_of_names_in_order_and_truths_yes_and_no(self) -> None:
        made = column("data", "Data", ["mnist", None, "digits", "mnist"])
        assert made.names == ("digits", "mnist")
        assert np.array_equal(made.values, [1, none, 0, 1], equal_nan=True)
        assert column("flip", "Flip", [True, False]).names == ("no", "yes")

    def test_that_values_are_said_as_a_person_reads_them(self) -> None:
        assert column("a", "a", [0.9512], percent=True).say(0.9512) == "95.12%"
        assert column("n", "n", [1234567, 2]).say(1234567) == "1,234,567"
        assert column("l", "l", [0.123456, 2]).say(0.123456) == "0.1235"
        assert column("data", "d", ["mnist"]).say(0) == "mnist"
        assert column("l", "l", [None]).say(none) == "none"
        assert column("d", "d", ["2026-01-31T23:30:00+00:00"], date=True).say(1769902200.0).endswith("2026 23:30")

    def test_that_a_column_varies_where_some_have_no_value(self) -> None:
        assert varies(column("a", "a", [1, None]))
        assert not varies(column("a", "a", [1, 1]))
        assert not varies(column("a", "a", [None, None]))


class TestScales:
    def test_that_values_stand_between_the_ends_and_come_back_from_there(self) -> None:
        plain, log = Scale(2.0, 6.0), Scale(1.0, 100.0, log=True)
        assert plain.places(np.array([2.0, 3.0, 6.0, none])) == pytest.approx([0, 0.25, 1, none], nan_ok=True)
        assert log.places(np.array([1.0, 10.0, 0.0, -1.0])) == pytest.approx([0, 0.5, none, none], nan_ok=True)
        assert (plain.value(0.25), log.value(0.5)) == pytest.approx((3.0, 10.0))

    def test_that_one_value_stands_in_the_middle(self) -> None:
        one = scale(column("a", "a", [4, 4, None]))
        assert one.places(np.array([4.0, none])) == pytest.approx([0.5, none], nan_ok=True)
        assert one.ticks() == [4.0]

    def test_that_ticks_are_round_and_inside(self) -> None:
        assert Scale(0.0, 10.0).ticks() == [0, 2, 4, 6, 8, 10]
        assert Scale(0.87, 0.96).ticks() == pytest.approx([0.88, 0.9, 0.92, 0.94, 0.96])
        assert Scale(1.0, 100.0, log=True).ticks(7) == [1, 2, 5, 10, 20, 50, 100]
        assert Scale(10.0, 1e7, log=True).ticks() == [10, 1000, 1e5, 1e7]

    def test_that_dates_have_ticks_at_midnights_or_round_hours(self) -> None:
        days = Scale(*(datetime(2026, 1, day, 7, 13).timestamp() for day in (1, 9)), date=True).ticks()
        assert [datetime.fromtimestamp(one).strftime("%d %H:%M") for one in days] == [
            "03 00:00",
            "05 00:00",
            "07 00:00",
            "09 00:00",
        ]
        hours = Scale(*(datetime(2026, 1, 1, hour, 13).timestamp() for hour in (7, 11)), date=True).ticks()
        assert [datetime.fromtimestamp(one).hour for one in hours] == [8, 9, 10, 11]
        assert len(Scale(0.0, 3e9, date=True).ticks(5)) in (4, 5)

    @given(st.floats(1e-6, 1e6), st.floats(1.01, 1e9), st.booleans(), st.integers(2, 9))
    def test_that_any_scale_has_few_ticks_inside(self, low: float, ratio: float, log: bool, most: int) -> None:
        ticks = Scale(low, low * ratio, log).ticks(most)
        assert ticks
        assert len(ticks) <= most + 2
        assert low * 0.99999 <= min(ticks) <= max(ticks) <= low * ratio * 1.00001

    def test_that_only_positive_numbers_far_apart_want_a_logarithm(self) -> None:
        assert spans(np.array([1.0, 101.0, none]), 100)
        assert not spans(np.array([1.0, 99.0]), 100)
        assert not spans(np.array([0.0, 1000.0]), 100)
        assert not spans(np.array([none]), 100)
        assert not scale(column("a", "a", [0, 1000]), log=True).log

    def test_that_lines_of_one_value_are_spread_in_order_and_apart_from_the_next(self) -> None:
        made = column("T", "T", [1, 1, 2, 2])
        aside = spread(made, scale(made), np.array([0.9, 0.1, 0.5, 0.6]), 0.05)
        assert aside.tolist() == pytest.approx([0.05, -0.05, -0.05 / 3, 0.05 / 3])
        many = column("l", "l", list(range(13)))
        assert not spread(many, scale(many), many.values, 0.05).any()
        assert len(few(many)) == 0


class TestParetoFront:
    def front(self, x: list[float], y: list[float], better: tuple[int, int] = (-1, 1)) -> list[int]:
        one, other = (
            Column(name="", title="", values=np.array(values, float), better=sign)
            for values, sign in zip((x, y), better, strict=True)
        )
        return pareto_front(one, other).tolist()

    def test_that_nobody_else_is_smaller_and_better(self) -> None:
        assert self.front([10, 20, 30, 40], [0.8, 0.9, 0.85, 0.95]) == [0, 1, 3]

    def test_that_ties_in_one_figure_keep_the_better_and_those_alike_in_both_stay_together(self) -> None:
        assert self.front([10, 10, 20, 20, 10], [0.8, 0.7, 0.8, 0.9, 0.8]) == [0, 4, 3]

    def test_that_a_run_without_one_of_the_values_is_not_on_it(self) -> None:
        assert self.front([none, 20, 5], [0.99, 0.9, none]) == [1]
        assert self.front([none], [none]) == []

    def test_that_less_may_be_better_in_both_or_more(self) -> None:
        assert self.front([1, 2, 3], [3, 1, 2], (-1, -1)) == [0, 1]
        assert self.front([1, 2, 3], [3, 1, 2], (1, 1)) == [0, 2]

    def test_that_both_directions_must_be_known(self) -> None:
        with pytest.raises(ValueError, match="two figures"):
            self.front([1], [1], (0, 1))

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25), st.sampled_from([(-1, 1), (1, 1)]))
    def test_that_it_is_who_no_other_dominates(self, points: list[tuple[int, int]], better: tuple[int, int]) -> None:
        def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
            gains = [(a - b) * sign for a, b, sign in zip(one, other, better, strict=True)]
            return min(gains) >= 0 and max(gains) > 0

        expected = [at for at, one in enumerate(points) if not any(beats(other, one) for other in points)]
        assert sorted(self.front(*map(list, zip(*points, strict=True)), better)) == expected  # type: ignore[arg-type]

    def test_that_its_border_goes_by_the_worse_of_neighbours(self) -> None:
        x, y = staircase(np.array([10.0, 20.0]), np.array([0.8, 0.9]), (-1, 1))
        assert (x.tolist(), y.tolist()) == ([10, 20, 20], [0.8, 0.8, 0.9])
        x, y = staircase(np.array([1.0, 2.0]), np.array([3.0, 1.0]), (1, 1))
        assert (x.tolist(), y.tolist()) == ([1, 1, 2], [3, 1, 1])


class TestBrushes:
    def test_that_ranges_of_several_axes_keep_what_all_of_them_keep(self) -> None:
        made = table(T=[1, 4, 16, None], accuracy=[0.9, 0.96, 0.97, 0.99])
        assert places(kept(made, {})) == [0, 1, 2, 3]
        assert places(kept(made, {"T": Brush(4, 16)})) == [1, 2]
        assert places(kept(made, {"T": Brush(4, 16), "accuracy": Brush(0.965, 1)})) == [2]

    def test_that_runs_without_a_value_are_kept_where_the_range_takes_them_in(self) -> None:
        made = table(T=[1, None], data=["digits", None])
        assert places(kept(made, {"T": Brush(none=True)})) == [1]
        assert places(kept(made, {"T": Brush(0, 2, none=True)})) == [0, 1]
        assert places(kept(made, {"data": Brush(names=frozenset(["digits"]))})) == [0]
        assert places(kept(made, {"data": Brush(none=True)})) == [1]

    def test_that_a_stretch_of_an_axis_is_a_range_and_an_end_has_no_bound(self) -> None:
        axis = Scale(0.0, 10.0)
        assert brush(axis, 0.25, 0.5) == Brush(2.5, 5.0)
        assert brush(axis, -0.1, 0.5) == Brush(-math.inf, 5.0)
        assert brush(axis, 0.5, 1.1, none=True) == Brush(5.0, math.inf, none=True)
        assert brush(axis, -0.3, -0.1, none=True) == Brush(none=True)
        assert brush(Scale(1.0, 100.0, log=True), 0.5, 0.75).low == pytest.approx(10)
        assert brush(Scale(0.0, 2.0, names=("a", "b", "c")), 0.4, 1.2).names == {"b", "c"}
        assert brush(Scale(4.0, 4.0), 0.4, 0.6) == Brush(4.0, 4.0)


class TestExpressions:
    def test_that_bounds_are_short_numbers_between_kept_and_not_kept(self) -> None:
        made = table(T=[1, 2, 4, 8, 16, 32], accuracy=[0.9123, 0.9234, 0.9567, 0.9678, 0.97, 0.98])
        assert expression(made, {"T": Brush(3, 20)}) == "T >= 4 and T <= 16"
        assert expression(made, {"T": Brush(3, 40), "accuracy": Brush(0.95, 1)}) == "T >= 4 and accuracy >= 0.95"
        assert expression(made, {"T": Brush(0, 40)}) == ""

    def test_that_names_are_quoted_and_none_is_said(self) -> None:
        made = table(data=["a", 'b "c"', "d", None], T=[1, 2, None, 3])
        assert expression(made, {"data": Brush(names=frozenset(["a"]))}) == 'data = "a"'
        assert expression(made, {"data": Brush(names=frozenset(["a", 'b "c"']))}) == r'data in ("a", "b \"c\"")'
        assert expression(made, {"data": Brush(names=frozenset(["a", 'b "c"', "d"]))}) == "data is not none"
        assert expression(made, {"T": Brush(none=True)}) == "T is none"
        assert expression(made, {"T": Brush(2, 3, none=True)}) == "(T is none or (T >= 2))"
        assert expression(made, {"T": Brush(0, 9)}) == "T is not none"
        assert expression(made, {"T": Brush(0, 9, none=True)}) == ""


class TestGroups:
    def test_that_names_have_a_colour_each_and_the_rarest_share_one(self) -> None:
        made = column("m", "m", ["a", "b", "b", "c", "c", "d", None])
        assert groups(made).names == ("a", "b", "c", "d")
        found = groups(made, most=3)
        assert found.names == ("b", "c", "2 others")
        assert found.of.tolist() == [2, 0, 0, 1, 1, 2, -1]
        assert found.rest

    def test_that_few_numbers_are_told_one_by_one_and_many_in_stretches_of_as_many_runs(self) -> None:
        assert groups(column("T", "T", [4, 1, 4, None])).names == ("1", "4")
        assert groups(column("T", "T", [4, 1, 4, None])).of.tolist() == [1, 0, 1, -1]
        found = groups(column("l", "l", [float(value) for value in range(70)]))
        assert found.ordered
        assert np.bincount(found.of).tolist() == [10] * 7
        assert found.names[0] == "0 – 9"

    @given(numbers)
    def test_that_every_run_with_a_value_is_in_a_group(self, given_: list[float | None]) -> None:
        made = column("l", "l", given_)
        found = groups(made)
        assert ((found.of >= 0) == np.isfinite(made.values)).all()
        assert (found.of < len(found.names)).all()
