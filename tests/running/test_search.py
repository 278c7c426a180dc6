"""A Bayesian search: what it proposes, that the history alone carries it, how it goes on, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

from tests.experiments import DIVERGING, TINY, engine, tiny
from workbench.analysis.sweep_results import results
from workbench.cli import cli
from workbench.errors import ConfigError
from workbench.events import Event, ExperimentFinished, Note
from workbench.history import reading
from workbench.history.changes import delete, dequeue, hold, put_back
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import Entry, History
from workbench.plan import plan
from workbench.running.driver import Control
from workbench.running.experiment import companions, run_experiments
from workbench.running.search import _tried, after, next_points, take_up
from workbench.sweep import Sweep, expand, sketch

pytest.importorskip("optuna")

TEMPERATURE: dict[str, Any] = {"distillation.temperature": {"from": 1.0, "to": 20.0, "scale": "log"}}
MIXED: dict[str, Any] = TEMPERATURE | {
    "student.units": {"from": 4, "to": 64},
    "training.batch_size": [16, 32, 64],
    "transfer.leave_out": [[], [3], [7, 8]],
}
QUICK: dict[str, Any] = TINY | {"training": {"epochs": 1, "batch_size": 64}, "transfer": {"fraction": 0.1}}


def tables(axes: dict[str, Any], count: int = 4, **more: Any) -> dict[str, Any]:
    return QUICK | {"distillation": {"baseline": False}, "sweep": {"how": "bayes", "count": count} | more | axes}


def enqueue(history: History, recipe: dict[str, Any]) -> int:
    """A search entered, with its first combination; its number."""
    return history.enqueue_sweep(recipe, expand(recipe))[0]


def pretend(history: History, status: str = "done", score: float | None = 0.5) -> None:
    """The next experiment of the queue ends without having been trained, and the search goes on."""
    experiment = history.next_in_queue()
    assert experiment is not None
    history.claim(experiment)
    student = plan(history.experiment_config(experiment), lambda run: history.past_run(run).config)[-1]
    (run,) = history.enter(experiment, [Entry(role="student", name="student", config=student.config)])
    if score is not None:
        history.record_figures(run, {"val_accuracy": score})
    history.finish_run(run, status, "")
    history.finish_experiment(experiment, status, "", after(history, experiment, status))


def do_all(history: History, control: Control | None = None, most: int = 1000) -> list[Event]:
    """What the engine's thread does: one experiment of the queue after the other."""
    events = list[Event]()
    while most and (experiment := history.next_in_queue()) is not None:
        together = [experiment, *companions(history, experiment)]
        run_experiments(engine(), history, together, control or Control(), events.append)
        most -= 1
    return events


def trials(history: History, sweep: int = 1) -> list[reading.Trial]:
    return list(history.sweep_state(sweep).trials)


def points(history: History, sweep: int = 1) -> list[dict[str, Any]]:
    return [one.point for one in trials(history, sweep)]


# What is proposed


def test_that_points_are_within_their_bounds_of_the_right_type_and_never_twice_the_same(history: History) -> None:
    enqueue(history, tables(MIXED, 25))
    while history.next_in_queue():
        pretend(history, score=1 / (1 + len(trials(history))))
    found = points(history)
    assert len({json.dumps(point) for point in found}) == 25
    for point in found:
        assert list(point) == list(MIXED)
        assert isinstance(point["distillation.temperature"], float)
        assert 1.0 <= point["distillation.temperature"] <= 20.0
        assert point["distillation.temperature"] == float(f"{point['distillation.temperature']:g}")
        assert isinstance(point["student.units"], int)
        assert 4 <= point["student.units"] <= 64
        assert point["training.batch_size"] in [16, 32, 64]
        assert point["transfer.leave_out"] in [[], [3], [7, 8]]
    config = history.experiment_config(trials(history)[-1].experiment)
    assert config.student.describe() == f"mlp 1×{found[-1]['student.units']}"
    assert config.transfer.leave_out == tuple(found[-1]["transfer.leave_out"])
    assert "temperature" in config.name


def test_that_it_looks_where_validation_was_best(history: History) -> None:
    enqueue(history, tables({"distillation.temperature": {"from": 1.0, "to": 101.0}}, 30))
    while history.next_in_queue():
        at = trials(history)[-1].point["distillation.temperature"]
        pretend(history, score=1 - abs(at - 40) / 100)
    late = [point["distillation.temperature"] for point in points(history)[15:]]
    assert sum(abs(one - 40) < 15 for one in late) > len(late) * 0.6  # a blind draw would have 0.3


def test_that_the_same_history_has_the_same_next_point_and_another_seed_another(tmp_path: Path) -> None:
    found = []
    for name, seed, score in (("a", 0, 0.3), ("b", 0, 0.3), ("c", 1, 0.3), ("d", 0, 0.9)):
        (tmp_path / name).mkdir()
        with History(tmp_path / name / "experiments.db") as history:
            enqueue(history, tables(MIXED, 20) | {"seed": seed})
            for place in range(10):
                pretend(history, score=0.5 if place else score)
            found.append(points(history))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][0] == found[3][0]
    assert found[0][-1] != found[3][-1]


def test_that_a_small_space_is_tried_whole_and_no_more(history: History) -> None:
    recipe = tables({"student.units": {"from": 4, "to": 6}, "distillation.temperature": [1, 2]}, 50)
    assert Sweep.from_dict(recipe["sweep"]).size == 6
    enqueue(history, recipe)
    while history.next_in_queue():
        pretend(history)
    assert {tuple(point.values()) for point in points(history)} == {(units, t) for units in (4, 5, 6) for t in (1, 2)}


def test_that_every_value_is_checked_before_anything_is_entered() -> None:
    with pytest.raises(ConfigError) as caught:
        expand(tables({"distillation.temperature": [1, 4, 0]}))
    assert caught.value.path == "distillation.temperature"
    with pytest.raises(ConfigError) as caught:
        expand(tables({"distillation.temperature": {"from": 0.0, "to": 4.0}}))
    assert caught.value.path == "distillation.temperature"
    unvalidated = tables(TEMPERATURE) | {"data": {"validation_fraction": 0.0}, "training": {"keep": "last"}}
    with pytest.raises(ConfigError, match="chooses on validation"):
        expand(unvalidated | {"teacher_training": {"keep": "last"}})


def test_that_the_sketch_for_the_plan_has_as_many_experiments_as_the_search_at_most() -> None:
    assert len(sketch(tables(MIXED, 7, seeds=2))) == 14
    assert len(expand(tables(MIXED, 7, seeds=2))) == 2


# What a study is told


def test_that_a_combination_is_done_for_its_seeds_and_told_by_their_mean(history: History) -> None:
    sweep = enqueue(history, tables(TEMPERATURE, 2, seeds=2))
    assert [point["seed"] for point in points(history)] == [0, 1]
    pretend(history, score=0.4)
    assert len(points(history)) == 2
    assert next_points(history, sweep) == []
    pretend(history, score=0.8)
    found = points(history)
    assert [point["seed"] for point in found] == [0, 1, 0, 1]
    assert found[0]["distillation.temperature"] == found[1]["distillation.temperature"] != found[2]["distillation.temperature"]
    assert [(one.told, one.failed, round(one.score, 9)) for one in _tried(trials(history))] == [
        (True, False, 0.6),
        (False, False, 0.0),
    ]


def test_that_what_failed_is_told_as_failed_and_what_was_deleted_is_not_told(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    pretend(history, "failed", None)
    pretend(history)
    with closing(open_database(history.path)) as database:
        delete(database, [2], [2])
    assert [(one.told, one.failed) for one in _tried(trials(history))] == [(True, True), (False, False), (False, False)]
    pretend(history)
    assert len(points(history)) == 3


def test_that_what_is_told_is_validation_and_not_test(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 1))
    do_all(history)
    with closing(open_for_reading(history.path)) as database:
        (row,) = [row for row in reading.experiment_rows(database, 1) if row.role == "student"]
    assert trials(history)[0].score == row.figures["val_accuracy"] != row.figures["test_accuracy"]


def test_that_of_a_refitted_student_the_choosing_run_is_told(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 2) | {"refit": True})
    do_all(history)
    with closing(open_for_reading(history.path)) as database:
        students = [row for row in reading.experiment_rows(database, 1) if row.role == "student"]
    assert len(students) == 2
    assert trials(history)[0].score == students[0].figures["val_accuracy"]
    assert len(points(history)) == 2


# How it goes on, and how it ends


def test_that_a_search_makes_count_combinations_one_after_the_other(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 4, seeds=2))
    events = do_all(history)
    assert [one.status for one in trials(history)] == ["done"] * 8
    assert len({point["distillation.temperature"] for point in points(history)}) == 4
    assert [event.experiment for event in events if isinstance(event, ExperimentFinished)] == list(range(1, 9))
    with closing(open_for_reading(history.path)) as database:
        found = results(reading.sweep_points(database, 1))
        (row,) = reading.list_sweeps(database)
    assert [len(one.experiments) for one in found] == [2] * 4
    assert sum(one.best for one in found) == 1
    assert (row.words(), row.at_most) == ("8 of 8 experiments done", 8)


def test_that_a_diverging_combination_does_not_end_it(history: History) -> None:
    axes = {"training.learning_rate": [0.001, DIVERGING["learning_rate"]]}
    training = DIVERGING | {"batch_size": 64, "learning_rate": 0.001}
    enqueue(history, tables(axes, 2) | {"training": training})
    do_all(history)
    assert sorted(one.status for one in trials(history)) == ["done", "failed"]


@pytest.mark.parametrize("ended", ["between", "during"])
def test_that_a_search_goes_on_after_its_process_died(history_path: Path, ended: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    with History(whole / "experiments.db") as undisturbed:
        enqueue(undisturbed, tables(TEMPERATURE, 3))
        do_all(undisturbed)
        wanted = points(undisturbed)
    with History(history_path) as history:
        enqueue(history, tables(TEMPERATURE, 3))
        do_all(history, most=1)
        if ended == "during":
            history.claim(2)
    with History(history_path) as history:
        assert history.next_in_queue() is None
        assert [one.left for one in trials(history)] == [False, True]
        with closing(open_database(history_path)) as database:
            hold(database, [2], False)
        do_all(history)
        assert points(history) == wanted
        assert [one.status for one in trials(history)] == ["done"] * 3


def test_that_the_next_combination_is_entered_with_the_end_of_the_one_before(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    seen = list[tuple[str, int]]()

    def look(statement: str) -> None:
        if statement == "COMMIT":
            with closing(open_for_reading(history.path)) as database:
                state = reading.sweep_state(database, 1)
            seen.append((state.trials[0].status, len(state.trials)))

    history._database.conn.set_trace_callback(look)
    do_all(history, most=1)
    history._database.conn.set_trace_callback(None)
    seen.append((trials(history)[0].status, len(trials(history))))
    assert set(seen) == {("waiting", 1), ("running", 1), ("done", 2)}


def test_that_a_persons_stop_ends_it_until_the_experiment_is_resumed(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    do_all(history, most=1)
    control = Control()
    control.stop()
    do_all(history, control)
    assert [one.status for one in trials(history)] == ["done", "stopped"]
    assert next_points(history, 1) == []
    history.resume(2)
    do_all(history)
    assert [one.status for one in trials(history)] == ["done"] * 3


def test_that_taking_its_experiment_out_of_the_queue_ends_it_and_undo_takes_that_back(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 2, seeds=2))
    with closing(open_database(history.path)) as database:
        taken = dequeue(database, [2])
        pretend(history)
        assert len(trials(history)) == 2
        put_back(database, taken)
    history.resume(2)
    pretend(history)
    assert len(trials(history)) == 4


def test_that_what_another_process_has_entered_is_not_entered_again(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    history.claim(1)
    more = after(history, 1, "done")
    assert more is not None
    assert history.extend_sweep(more) == [2]
    assert history.extend_sweep(more) == []
    history.finish_experiment(1, "done", "", more)
    assert len(trials(history)) == 2


def test_that_a_search_whose_next_combination_was_never_entered_is_taken_up(history: History) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    history.claim(1)
    history.finish_experiment(1, "done", "")
    assert take_up(history, 1) == [2]
    assert take_up(history, 1) == []


def test_that_where_optuna_is_gone_a_search_ends_with_a_sentence(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue(history, tables(TEMPERATURE, 3))
    monkeypatch.setitem(sys.modules, "optuna", None)
    notes = [event.text for event in do_all(history) if isinstance(event, Note)]
    assert any("needs Optuna" in note for note in notes)
    assert [one.status for one in trials(history)] == ["done"]


def test_that_grids_and_single_experiments_do_not_go_on(history: History) -> None:
    recipe = QUICK | {"sweep": {"distillation.temperature": [1, 2]}}
    history.enqueue_sweep(recipe, expand(recipe))
    history.enqueue(tiny())
    do_all(history)
    assert len(trials(history)) == 2
    assert history.sweep_of(3) is None
    assert take_up(history, 1) == take_up(history, 3) == []


# Without Optuna, and on the command line


def test_that_nothing_imports_optuna_unless_a_search_is_wanted() -> None:
    code = (
        "import sys, workbench.cli.doing, workbench.running.experiment, workbench.running.search\n"
        "from workbench.sweep import expand\n"
        "expand({'sweep': {'distillation.temperature': [1, 2]}})\n"
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100, cwd=Path(__file__).parents[2])


@pytest.fixture
def recipe(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = history_path.with_name("search.toml")
    path.write_text(tomli_w.dumps(tables(TEMPERATURE, 3, seeds=2) | {"name": "search"}))
    monkeypatch.chdir(path.parent)
    return path


def workbench(*arguments: object) -> Any:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def test_that_without_optuna_one_sentence_says_what_to_do(
    recipe: Path, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = workbench("run", recipe, "--device", "cpu")
    assert result.exit_code == 2
    sentence = "sweep.how: the Bayesian search needs Optuna: pip install 'distillation-workbench[optuna]'"
    assert result.stderr.strip().endswith(sentence)
    assert len(result.stderr.splitlines()) == 1
    assert not history_path.exists()


@pytest.mark.usefixtures("own_signals")
def test_that_the_command_line_does_a_search_and_shows_it(recipe: Path) -> None:
    result = workbench("run", recipe, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("temperature") == 3
    assert "best on validation" in result.stdout
    assert "6 of 6 experiments done" in workbench("sweeps").stdout
    (one,) = json.loads(workbench("sweeps", "--json").stdout)
    assert (one["experiments"], one["done"], one["at_most"]) == (6, 6, 6)
    assert len(json.loads(workbench("sweeps", 1, "--json").stdout)) == 3
    assert workbench("resume", 1).exit_code == 2


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("ended", ["between", "during"])
def test_that_the_command_line_goes_on_with_a_search_that_was_left(recipe: Path, history_path: Path, ended: str) -> None:
    with History(history_path) as history:
        enqueue(history, tables(TEMPERATURE, 3, seeds=2))
        do_all(history, most=1)
        if ended == "during":
            control = Control()
            run_experiments(engine(), history, [3], control, lambda _: control.interrupt())
        newest = max(row.id for row in reading.list_runs(history._database))
    assert "2 of 4 experiments done; the search does at most 6" in workbench("sweeps").stdout
    result = workbench("resume", newest, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "6 of 6 experiments done" in workbench("sweeps").stdout
