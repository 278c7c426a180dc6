"""Curves as they are read for a plot: whole, thinned, and from the copy that a long one has."""

from __future__ import annotations

import gzip
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from tests.experiments import add_run, tiny
from workbench.analysis.smoothing import smoothed
from workbench.config import RunConfig
from workbench.events import Metrics
from workbench.history.bundle import write_experiment
from workbench.history.curves import CURVE_POINTS, EVERY_POINT, Curve, Detail, keep_copies, read_curve
from workbench.history.curves import copies as make_copies
from workbench.history.database import open_database, open_for_reading, writing
from workbench.history.foreign import ForeignExperiment, ForeignRun, Point, enter_foreign
from workbench.history.unbundle import read_experiment
from workbench.history.writing import History

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    with closing(open_for_reading(history.path)) as opened:
        yield opened


def add(history: History) -> int:
    return add_run(history, history.enqueue(tiny()), "teacher", RunConfig())


def draw(history: History, run: int, values: list[float], every: int = 1, after: int = 0) -> None:
    told = enumerate(values, after)
    history.write_metrics(
        [Metrics(run, (at + 1) * every, float(at), float(at) / 2, (("loss", value), ("val_loss", -value))) for at, value in told]
    )


def long_values(count: int = 5003, seed: int = 0) -> list[float]:
    """Some of them alike."""
    values: list[float] = np.random.default_rng(seed).normal(size=count).round(2).tolist()
    return values


def numbers(curve: Curve) -> tuple[list[float], ...]:
    return tuple(one.tolist() for one in rows(curve))


def rows(curve: Curve) -> tuple[np.ndarray, ...]:
    return curve.step, curve.epoch, curve.elapsed, curve.value


def copies(database: Database) -> set[tuple[int, str, int]]:
    return {tuple(row) for row in database.execute("SELECT run, metric, count FROM curves").fetchall()}


def without_copies(path: Path) -> None:
    with closing(open_database(path)) as database, writing(database):
        database.execute("DELETE FROM curves")


def test_that_a_short_curve_is_whole(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, [3.0, 1.0, 2.0], every=5)
    curve = read_curve(database, run, "loss")
    assert numbers(curve) == ([5, 10, 15], [0, 1, 2], [0, 0.5, 1], [3, 1, 2])


def test_that_a_metric_that_is_not_there_is_an_empty_curve(history: History, database: Database) -> None:
    curve = read_curve(database, add(history), "loss")
    assert len(curve.step) == len(curve.value) == 0


def test_that_a_long_curve_is_thinned_with_its_extremes_and_the_last(history: History, database: Database) -> None:
    run, values = add(history), long_values()
    values[1234], values[4321], values[-1] = 50.0, -50.0, 0.25
    draw(history, run, values, every=3)
    curve = read_curve(database, run, "loss")
    assert 1500 < len(curve.value) <= CURVE_POINTS
    assert (curve.value.max(), curve.value.min()) == (50.0, -50.0)
    assert (curve.step[-1], curve.value[-1]) == (5003 * 3, 0.25)
    assert bool((np.diff(curve.step) > 0).all())
    assert curve.value.tolist() == np.array(values)[(curve.step / 3 - 1).astype(int)].tolist()


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=120), st.integers(4, 40), st.integers(1, 7))
def test_that_any_curve_is_thinned_to_the_points_asked_for(values: list[float], points: int, every: int) -> None:
    with tempfile.TemporaryDirectory() as folder, History(Path(folder) / "h.db") as history:
        run = add(history)
        draw(history, run, values, every)
        with closing(open_for_reading(history.path)) as database:
            curve = read_curve(database, run, "loss", points)
    assert len(curve.value) <= points
    assert (curve.value.max(), curve.value.min(), curve.value[-1]) == (max(values), min(values), values[-1])


@settings(max_examples=10, deadline=None)
@given(st.integers(CURVE_POINTS + 1, 9000), st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_that_a_copy_draws_what_all_points_do(count: int, seed: int, every: int) -> None:
    with tempfile.TemporaryDirectory() as folder, History(Path(folder) / "h.db") as history:
        run = add(history)
        draw(history, run, long_values(count, seed), every)
        history.finish_run(run, "done", "")
        with closing(open_for_reading(history.path)) as database:
            assert copies(database) == {(run, "loss", count), (run, "val_loss", count)}
            some = (4, 100, 800, 1026, 2000, CURVE_POINTS, CURVE_POINTS + 1, count - 1, count, EVERY_POINT)
            found = [numbers(read_curve(database, run, "loss", points)) for points in some]
            without_copies(history.path)
            assert [numbers(read_curve(database, run, "loss", points)) for points in some] == found


@pytest.mark.parametrize("axis", ["step", "epoch", "elapsed"])
@pytest.mark.parametrize("finished", [True, False])
def test_that_a_stretch_looked_at_has_all_of_its_points_and_one_on_either_side(
    history: History, database: Database, axis: str, finished: bool
) -> None:
    run = add(history)
    draw(history, run, long_values(20_000), every=3)
    if finished:
        history.finish_run(run, "done", "")
    outline, whole = read_curve(database, run, "loss"), read_curve(database, run, "loss", EVERY_POINT)
    low, high = getattr(whole, axis)[[12_001, 12_200]]
    curve = read_curve(database, run, "loss", CURVE_POINTS, Detail(axis=axis, stretch=(low, high)))
    inside = (curve.step >= whole.step[12_000]) & (curve.step <= whole.step[12_201])
    assert [one[inside].tolist() for one in rows(curve)] == [one[12_000:12_202].tolist() for one in rows(whole)]
    outside = (outline.step < whole.step[12_000]) | (outline.step > whole.step[12_201])
    assert [one[~inside].tolist() for one in rows(curve)] == [one[outside].tolist() for one in rows(outline)]
    assert (curve.thinned, outline.thinned, whole.thinned) == (True, True, False)


def test_that_a_long_stretch_is_thinned_as_a_curve_of_its_own(history: History, database: Database) -> None:
    run = add(history)
    values = np.array(long_values(20_000))
    values[7000] = 3.99
    draw(history, run, values.tolist())
    outline = read_curve(database, run, "loss", 100)
    curve = read_curve(database, run, "loss", 100, Detail(stretch=(5001.0, 9000.0)))
    inside = (curve.step >= 5000) & (curve.step <= 9001)
    assert 60 < inside.sum() <= 100
    assert (~inside).sum() < len(outline.step)
    assert curve.value[inside].max() == values[4999:9001].max()
    assert bool((np.diff(curve.step) > 0).all())


@pytest.mark.parametrize("stretch", [(-9.0, -5.0), (90_000.0, 90_001.0), (-1e9, 1e9), (0.0, 0.0), (100.2, 100.4)])
def test_that_a_stretch_may_lie_beyond_a_curve_between_its_points_or_around_it(
    history: History, database: Database, stretch: tuple[float, float]
) -> None:
    run = add(history)
    draw(history, run, long_values())
    outline = read_curve(database, run, "loss")
    curve = read_curve(database, run, "loss", CURVE_POINTS, Detail(stretch=stretch))
    assert set(outline.step) <= set(curve.step)
    assert len(curve.step) <= len(outline.step) + 2
    assert bool((np.diff(curve.step) > 0).all())


def test_that_a_short_curve_is_whole_however_it_is_looked_at(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, [3.0, 1.0, 2.0])
    for detail in (Detail(), Detail(smoothing=0.9), Detail(stretch=(1.0, 2.0))):
        for metric, count in (("loss", 3), ("none", 0)):
            curve = read_curve(database, run, metric, CURVE_POINTS, detail)
            assert (len(curve.value), curve.thinned, curve.smooth) == (count, False, None)


def test_that_a_thinned_curve_is_smoothed_as_the_whole_one(history: History, database: Database) -> None:
    run, values = add(history), long_values(20_000)
    draw(history, run, values)
    expected = smoothed(np.array(values), 0.9)
    for detail in (Detail(smoothing=0.9), Detail(smoothing=0.9, stretch=(5000.0, 5100.0))):
        curve = read_curve(database, run, "loss", CURVE_POINTS, detail)
        assert curve.thinned
        assert curve.smooth is not None
        assert curve.smooth.tolist() == expected[curve.step.astype(int) - 1].tolist()


def test_that_a_curve_of_which_a_look_leaves_nothing_out_is_a_whole_one(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, long_values(2000))
    draw(history, run, long_values(60), every=100, after=30)
    curve = read_curve(database, run, "loss", CURVE_POINTS, Detail(smoothing=0.9, stretch=(1.0, 1999.0)))
    assert (len(curve.step), curve.thinned, curve.smooth is None) == (curve.count, False, True)


def test_that_copies_are_made_and_kept_one_after_the_other(history: History) -> None:
    run, values = add(history), np.random.default_rng(0).normal(size=(3000, 30)).tolist()
    names = [f"metric {number}" for number in range(30)]
    history.write_metrics(
        [Metrics(run, step, 0.0, 0.0, tuple(zip(names, told, strict=True))) for step, told in enumerate(values, 1)]
    )
    with closing(open_database(history.path)) as there, writing(there):
        tracemalloc.start()
        try:
            keep_copies(there, make_copies(there, [run]))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        count, size = there.execute("SELECT count(*), sum(length(drawn) + length(whole)) FROM curves").fetchone()
    assert count == 30
    assert peak < size / 2


def test_that_a_short_curve_has_no_copy(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, long_values(CURVE_POINTS))
    history.finish_run(run, "done", "")
    assert copies(database) == set()


def test_that_a_run_that_has_gone_on_is_drawn_whole_and_its_copy_made_anew(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, long_values(3000))
    history.finish_run(run, "stopped", "")
    draw(history, run, [99.0], after=3000)
    curve = read_curve(database, run, "loss")
    assert (curve.step[-1], curve.value[-1]) == (3001, 99.0)
    history.finish_run(run, "done", "")
    assert copies(database) == {(run, "loss", 3001), (run, "val_loss", 3001)}
    assert numbers(read_curve(database, run, "loss")) == numbers(curve)


def test_that_what_is_imported_has_its_copies(history: History, database: Database, tmp_path: Path) -> None:
    run = add(history)
    draw(history, run, long_values())
    history.finish_run(run, "done", "")
    history.finish_experiment(1, "done", "")
    bundle, other = tmp_path / "one.distilled", tmp_path / "other.db"
    write_experiment(database, history.path, [1], bundle)
    History(other).close()
    with closing(open_database(other)) as there:
        read_experiment(there, other, bundle)
        assert copies(there) == {(1, "loss", 5003), (1, "val_loss", 5003)}
        assert numbers(read_curve(there, 1, "loss")) == numbers(read_curve(database, run, "loss"))
        points = tuple(Point(step, float(step), 0.5) for step in range(4000))
        far = ForeignRun(name="far", params={}, curves={"loss": points})
        enter_foreign(there, [ForeignExperiment(name="of another tracker", runs=[far])], "elsewhere")
        assert (2, "loss", 4000) in copies(there)


def test_that_a_summary_without_points_is_an_empty_curve(history: History, database: Database) -> None:
    run = add(history)
    with closing(open_database(history.path)) as there, writing(there):
        there.execute("INSERT INTO summary VALUES (?, 'loss', 1.0, 1.0, 1.0, 5000, 0)", [run])
    history.finish_run(run, "done", "")
    assert copies(database) == set()
    assert len(read_curve(database, run, "loss", 1000).step) == 0


@pytest.mark.parametrize("damage", ["x''", "substr({0}, 1, length({0}) - 7)", "substr({0}, 1, 31)", "zeroblob(33)"])
def test_that_a_copy_that_is_damaged_is_passed_over(history: History, database: Database, damage: str) -> None:
    run = add(history)
    draw(history, run, long_values())
    sizes = (100, CURVE_POINTS, EVERY_POINT)
    expected = [numbers(read_curve(database, run, "loss", points)) for points in sizes]
    history.finish_run(run, "done", "")
    with closing(open_database(history.path)) as there, writing(there):
        there.execute(f"UPDATE curves SET drawn = {damage.format('drawn')}, whole = {damage.format('whole')}")
    assert [numbers(read_curve(database, run, "loss", points)) for points in sizes] == expected


def test_that_a_copy_goes_with_the_run(history: History, database: Database) -> None:
    run = add(history)
    draw(history, run, long_values())
    history.finish_run(run, "done", "")
    with closing(open_database(history.path)) as there, writing(there):
        there.execute("DELETE FROM members WHERE run = ?", [run])
        there.execute("DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))", [json.dumps([run])])
    assert copies(database) == set()


def test_that_copies_of_schema_6_are_kept_and_the_whole_curve_is_read_from_its_points(history_path: Path) -> None:
    history_path.write_bytes(gzip.decompress((FIXTURES / "schema-6.db.gz").read_bytes()))
    History(history_path).close()
    with closing(open_for_reading(history_path)) as database:
        assert copies(database) == {(1, "long", 2100)}
        curve = read_curve(database, 1, "long", EVERY_POINT)
        assert curve.value.tolist() == [float(at % 7) for at in range(1, 2101)]
        assert 1000 < len(read_curve(database, 1, "long").value) <= CURVE_POINTS
