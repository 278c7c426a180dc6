"""What a part is worth: costs seed by seed, and the share that soft targets give back with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from workbench.analysis.study import Share, cells, given_back, is_study, parts, table
from workbench.history.reading import RunRow, SweepPoint


def run(role: str, seed: int, errors: float, status: str = "done") -> RunRow:
    return RunRow(
        id=1, experiment=1, experiment_name="", role=role, name=role, reused=False, status=status, message="", dataset="digits",
        model="cnn", seed=seed, temperature=None, hard_weight=None, parameters=1234, multiply_adds=5678, steps=1, step=1,
        epochs=1.0, train_seconds=1.0, samples_per_second=None, created="", started=None, finished=None,
        figures={"test_errors": errors},
    )  # fmt: skip


def tried(part: str, hard: Sequence[float], soft: Sequence[float], **beside: float) -> list[SweepPoint]:
    return [
        SweepPoint(
            experiment=1,
            status="done",
            point=beside | {"without": part, "seed": seed},
            runs={"baseline": run("baseline", seed, of[0]), "student": run("student", seed, of[1])},
        )
        for seed, of in enumerate(zip(hard, soft, strict=True))
    ]


def by_seed(*errors: float) -> dict[int, float]:
    return dict(enumerate(errors))


def test_that_costs_are_differences_of_one_seed_and_their_intervals_students_t() -> None:
    points = [*tried("nothing", [40, 50, 60], [30, 32, 34]), *tried("depth", [50, 62, 68], [33, 34, 38])]
    whole, depth = parts(points)
    assert (whole.name, whole.cost, whole.given_back) == ("whole", {}, None)
    assert whole.errors["baseline"].mean == 50
    assert (depth.name, depth.parameters, depth.multiply_adds) == ("without depth", 1234, 5678)
    assert depth.cost["baseline"].mean == 10
    assert depth.cost["baseline"].half == pytest.approx(stats.t.ppf(0.975, 2) * 2 / np.sqrt(3))  # of 10, 12 and 8
    assert depth.cost["student"].mean == 3
    assert cells(depth) == [
        "without depth", "1,234", "5,678", "60.0 ± 22.8", "35.0 ± 6.6", "+10.0 ± 5.0", "+3.0 ± 2.5", depth.given_back.words()  # type: ignore[union-attr]
    ]  # fmt: skip


def test_that_every_figure_is_in_the_table() -> None:
    points = [*tried("nothing", [40, 50], [30, 32]), *tried("depth", [50, 60], [33, 35])]
    header, rows = table(parts(points))
    whole, depth = (dict(zip(header, row, strict=True)) for row in rows)
    assert (whole["student"], whole["errors baseline"], whole["cost baseline"], whole["given back"]) == ("whole", 45, None, None)
    assert (depth["parameters"], depth["cost baseline"], depth["cost student"]) == (1234, 10, 3)
    half = stats.t.ppf(0.975, 1) * 4 / 10  # gains of 17 and 25 errors, of a cost of 10 in both
    ends = (depth["given back"], depth["given back from"], depth["given back to"])
    assert ends == pytest.approx((2.1, 2.1 - half, 2.1 + half))


def test_that_half_of_a_cost_given_back_by_every_seed_is_half() -> None:
    found = given_back(by_seed(10, 10, 10), by_seed(20, 22, 18), by_seed(15, 16, 14))
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert Share(0.5, -0.25, 1.2).words() == "50% (−25% to 120%)"


def test_that_the_ends_are_the_shares_that_a_t_test_just_does_not_refute() -> None:
    whole, hard, soft = by_seed(42, 47, 39, 50, 44), by_seed(70, 66, 72, 81, 65), by_seed(57, 60, 49, 66, 58)
    found = given_back(whole, hard, soft)
    assert found is not None
    gains, costs = (np.array([hard[seed] - one[seed] for seed in hard]) for one in (soft, whole))
    assert found.mean == pytest.approx(gains.mean() / costs.mean())
    assert found.low < found.mean < found.high
    for share in (found.low, found.high):
        assert stats.ttest_1samp(gains - share * costs, 0.0).pvalue == pytest.approx(0.05)


def test_that_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    random, held, told = np.random.default_rng(3), 0, 0
    for _ in range(2000):
        seed = random.normal(0, 4, 5)  # a seed is harder for everybody
        errors = [mean + seed + random.normal(0, 3, 5) for mean in (40, 60, 48)]
        if found := given_back(*(by_seed(*map(float, one)) for one in errors)):
            told += 1
            held += found.low <= 0.6 <= found.high
    assert told > 1900
    assert 0.935 < held / told < 0.965


@pytest.mark.parametrize(
    ("whole", "hard"),
    [([40, 50, 60], [41, 70, 45]), ([40, 50, 60], [40, 50, 60]), ([40, 50, 60], [30, 41, 49]), ([40], [60])],
    ids=["perhaps nothing", "nothing", "a gain", "one seed"],
)
def test_that_there_is_no_share_of_what_may_have_cost_nothing(whole: list[float], hard: list[float]) -> None:
    assert given_back(by_seed(*whole), by_seed(*hard), by_seed(*[30.0] * len(hard))) is None
    found = parts([*tried("nothing", whole, whole), *tried("bias", hard, whole)])[1]
    assert cells(found)[-1] == "–"


def test_that_each_part_is_compared_with_the_whole_student_of_its_own_settings() -> None:
    points = [
        *tried("nothing", [40, 50], [40, 50], units=8),
        *tried("depth", [45, 55], [45, 55], units=8),
        *tried("nothing", [10, 20], [10, 20], units=9),
        *tried("depth", [11, 21], [11, 21], units=9),
    ]
    assert [one.name for one in parts(points)] == [
        "whole · units 8", "without depth · units 8", "whole · units 9", "without depth · units 9"
    ]  # fmt: skip
    assert [one.cost["baseline"].mean for one in parts(points) if one.cost] == [5, 1]


def test_that_a_seed_is_left_out_where_one_of_its_runs_is_not_done() -> None:
    whole, depth = tried("nothing", [40, 50, 60], [30, 30, 30]), tried("depth", [50, 60, 99], [40, 40, 40])
    depth[2] = SweepPoint(
        experiment=1, status="failed", point=depth[2].point, runs={"baseline": run("baseline", 2, 99, "failed")}
    )
    found = parts([*whole, *depth, SweepPoint(experiment=9, status="waiting", point={"without": "width", "seed": 0}, runs={})])
    assert (found[1].cost["baseline"].mean, found[1].cost["baseline"].count) == (10, 2)
    assert cells(found[2]) == ["without width", *["–"] * 7]


def test_that_any_other_sweep_is_no_study() -> None:
    points = [SweepPoint(experiment=1, status="done", point={"student.units": 3}, runs={})]
    assert not is_study(points)
    assert parts(points) == []
