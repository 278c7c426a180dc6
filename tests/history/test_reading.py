"""Reading the history: lists, details, curves, settings that differ, and the bin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlite_utils import Database

from tests.experiments import add_run, tiny
from workbench.config import DistillationConfig, ModelConfig, RunConfig
from workbench.errors import HistoryError
from workbench.events import Metrics
from workbench.history import reading
from workbench.history.changes import delete, take_back
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import Artefact, History, Started


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    with closing(open_for_reading(history.path)) as opened:
        yield opened


def add(history: History, config: RunConfig | None = None, *, name: str = "tiny", parents: tuple[int, ...] = ()) -> int:
    experiment = history.enqueue(tiny(name=name))
    return add_run(history, experiment, "teacher", config or RunConfig(), parents)


class TestLists:
    def test_that_runs_are_listed_newest_experiment_first_with_their_figures(self, history: History, database: Database) -> None:
        first, second = add(history, name="old"), add(history, RunConfig(distillation=DistillationConfig()), name="new")
        history.record_figures(first, {"val_accuracy": 0.5})
        rows = reading.list_runs(database)
        assert [(row.id, row.experiment_name) for row in rows] == [(second, "new"), (first, "old")]
        assert (rows[1].figures, rows[1].parameters, rows[1].multiply_adds) == ({"val_accuracy": 0.5}, 10, 20)
        assert (rows[0].temperature, rows[1].temperature) == (4.0, None)

    def test_that_chosen_runs_are_listed_and_none_where_none_is_chosen(self, history: History, database: Database) -> None:
        first, second, third = (add(history) for _ in range(3))
        history.record_figures(second, {"val_accuracy": 0.5})
        history.record_figures(third, {"val_accuracy": 0.75})
        chosen = reading.list_runs(database, [first, third])
        assert {row.id: row.figures for row in chosen} == {first: {}, third: {"val_accuracy": 0.75}}
        assert reading.list_runs(database, []) == []

    def test_that_an_experiment_lists_its_runs_in_the_order_of_the_plan(self, history: History, database: Database) -> None:
        old = add(history)
        experiment = history.enqueue(tiny())
        own = add_run(history, experiment, "student", RunConfig(), [old])
        rows = reading.experiment_rows(database, experiment)
        assert [(row.id, row.role, row.name, row.reused) for row in rows] == [
            (old, "teacher", "teacher 1", True),
            (own, "student", "student", False),
        ]
        assert {row.experiment for row in rows} == {experiment}

    def test_that_another_connection_changes_the_data_version(self, history: History, database: Database) -> None:
        before = reading.data_version(database)
        assert reading.data_version(database) == before
        add(history)
        assert reading.data_version(database) != before


class TestDetails:
    def test_that_details_tell_config_family_and_files(self, history: History, database: Database) -> None:
        parent = add(history)
        child = add(history, RunConfig(seed=5), parents=(parent,))
        history.start_runs([Started(run=child, fingerprint="f", data_digest="d", steps=7, environment={"torch": "2"})])
        history.add_note(child, "a word")
        history.record_artefacts([Artefact(child, ["weights"], 1, history.run_folder(child) / "weights.safetensors", 9, "hash")])
        details = reading.run_details(database, child)
        assert RunConfig.from_dict(details.config) == RunConfig(seed=5)
        assert details.experiment_config == tiny().to_dict()
        assert details.settings["seed"] == 5
        assert (details.parents, details.children, details.notes) == ((parent,), (), ("a word",))
        assert details.environment == {"torch": "2"}
        assert [(kind, size) for kind, _, size in details.artefacts] == [("weights", 9)]
        assert reading.run_details(database, parent).children == (child,)

    def test_that_a_run_that_is_not_there_is_a_sentence(self, history: History, database: Database) -> None:
        with pytest.raises(HistoryError, match="there is no run 7 in this history; see `workbench runs`"):
            reading.run_details(database, 7)


class TestSettings:
    def test_that_only_settings_that_differ_are_shown(self, history: History, database: Database) -> None:
        runs = [
            add(history, RunConfig(model=ModelConfig(options={"units": 30}), seed=1)),
            add(history, RunConfig(model=ModelConfig(options={"units": 40}), seed=1)),
            add(history, RunConfig(model=ModelConfig(options={"units": 40}), seed=1, distillation=DistillationConfig())),
        ]
        differing = reading.differing_settings(reading.run_settings(database, runs))
        first, second, third = runs
        assert differing["model.units"] == {first: 30, second: 40, third: 40}
        assert differing["distillation.temperature"] == {first: None, second: None, third: 4.0}
        assert set(differing) == {"model.units"} | {
            f"distillation.{key}" for key in ("temperature", "hard_weight", "mean", "baseline", "teacher_view", "match")
        }

    def test_that_runs_alike_differ_in_nothing(self, history: History, database: Database) -> None:
        runs = [add(history), add(history)]
        assert reading.differing_settings(reading.run_settings(database, runs)) == {}

    def test_that_an_option_that_came_after_a_run_has_its_default_there(self, history: History, database: Database) -> None:
        runs = [add(history), add(history), add(history, RunConfig(model=ModelConfig(options={"bias": False})))]
        with closing(open_database(history.path)) as writable, writable.conn:
            writable.execute("DELETE FROM params WHERE run = ? AND key IN ('model.bias', 'model.activation')", [runs[0]])
        differing = reading.differing_settings(reading.run_settings(database, runs))
        assert differing == {"model.bias": {runs[0]: "true", runs[1]: "true", runs[2]: "false"}}

    def test_that_different_models_differ_in_their_options(self, history: History, database: Database) -> None:
        runs = [add(history), add(history, RunConfig(model=ModelConfig(model="cnn")))]
        differing = reading.differing_settings(reading.run_settings(database, runs))
        assert differing["model"] == {runs[0]: "mlp", runs[1]: "cnn"}
        assert differing["model.channels"] == {runs[0]: None, runs[1]: 32}


def test_that_metrics_are_named(history: History, database: Database) -> None:
    first, second = add(history), add(history)
    history.write_metrics([Metrics(first, 1, 0.1, 0.1, (("loss", 1.0), ("soft_loss", float("nan"))))])
    history.write_metrics([Metrics(second, 1, 0.1, 0.1, (("val_loss", 1.0),))])
    assert reading.metric_names(database, [first, second]) == ["loss", "val_loss"]


class TestBin:
    def test_that_a_deleted_run_is_gone_until_it_is_taken_back(self, history: History, database: Database) -> None:
        first, second = add(history), add(history)
        for run in (first, second):
            history.finish_run(run, "done", "")
        with closing(open_database(history.path)) as writer:
            delete(writer, [first])
            assert [row.id for row in reading.list_runs(database)] == [second]
            delete(writer, [first])
            take_back(writer, [first])
            assert [row.id for row in reading.list_runs(database)] == [second, first]

    @pytest.mark.parametrize("running", [False, True])
    def test_that_a_run_that_is_not_over_is_not_deleted_and_neither_are_those_beside_it(
        self, running: bool, history: History, database: Database
    ) -> None:
        first, second = add(history), add(history)
        history.finish_run(first, "done", "")
        if running:
            history.start_runs([Started(run=second, fingerprint="f", data_digest="d", steps=1, environment={})])
        status = "running" if running else "waiting"
        with (
            closing(open_database(history.path)) as writer,
            pytest.raises(HistoryError, match=f"run {second} is {status}; stop it before you delete it"),
        ):
            delete(writer, [first, second])
        assert len(reading.list_runs(database)) == 2

    def test_that_a_deleted_experiment_takes_its_own_runs_along_and_leaves_those_of_others(
        self, history: History, database: Database
    ) -> None:
        old = add(history)
        history.finish_run(old, "done", "")
        experiment = history.enqueue(tiny(name="second"))
        own = add_run(history, experiment, "student", RunConfig(), [old])
        history.finish_run(own, "done", "")
        with closing(open_database(history.path)) as writer:
            delete(writer, [own], [experiment])
            assert [(one.id, [row.id for row in one.rows]) for one in reading.list_experiments(database)] == [(1, [old])]
            take_back(writer, [own], [experiment])
        listed = reading.list_experiments(database)
        assert [(one.id, [(row.id, row.reused) for row in one.rows]) for one in listed] == [
            (experiment, [(old, True), (own, False)]),
            (1, [(old, False)]),
        ]

    def test_that_an_experiment_under_way_is_not_deleted(self, history: History) -> None:
        experiment = history.enqueue(tiny())
        history.claim(experiment)
        with closing(open_database(history.path)) as writer, pytest.raises(HistoryError, match="is running; stop it"):
            delete(writer, [], [experiment])


class TestExperiments:
    def test_that_one_that_failed_before_its_first_run_is_listed_with_why(self, history: History, database: Database) -> None:
        experiment = history.enqueue(tiny())
        history.claim(experiment)
        history.finish_experiment(experiment, "failed", "there is no class 'cow'")
        (row,) = reading.list_experiments(database)
        assert (row.status, row.message, row.rows, row.rank) == ("failed", "there is no class 'cow'", (), None)

    def test_that_one_whose_runs_are_all_deleted_is_left_out(self, history: History, database: Database) -> None:
        run = add(history)
        history.finish_run(run, "done", "")
        with closing(open_database(history.path)) as writer:
            delete(writer, [run])
        assert reading.list_experiments(database) == []

    def test_that_the_queue_is_told(self, history: History, database: Database) -> None:
        first, second = history.enqueue(tiny()), history.enqueue(tiny())
        ranks = {row.id: row.rank for row in reading.list_experiments(database)}
        assert ranks[first] is not None
        assert ranks[second] is not None
        assert ranks[first] < ranks[second]
