"""Runs out to MLflow and in from it, through MLflow's own client."""

from __future__ import annotations

import math
import warnings
from contextlib import closing
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")

from mlflow import MlflowClient
from mlflow.entities import Metric

from tests.cli.test_commands import shown, workbench
from tests.experiments import launch, tiny
from workbench.exchange import mlflow_runs
from workbench.history import reading
from workbench.history.curves import read_curve
from workbench.history.database import open_database, open_for_reading, writing
from workbench.history.doctor import examine
from workbench.history.writing import History

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with the tiny experiment, its student tagged, a value of it not finite."""
    path = tmp_path_factory.mktemp("foreign") / "experiments.db"
    with History(path) as history:
        launch(history, tiny())
    with closing(open_database(path)) as database, writing(database):
        database.execute("INSERT INTO tags VALUES (4, 'paper')")
        database.execute("INSERT INTO nonfinite SELECT 4, 'extra', step, 'nan' FROM points WHERE run = 4 LIMIT 1")
    return path


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking store to be made."""
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_that_mlflow_has_every_point_and_setting_and_that_they_come_back(filled: Path, tmp_path: Path, uri: str) -> None:
    assert workbench("export", 1, "--mlflow", uri, "--history", filled).stdout == f"4 runs written to {uri}\n"
    again = shown("export", 1, "--mlflow", uri, "--history", filled)
    assert (again["runs"], again["already_there"]) == (0, 4)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny #1")
    run = next(run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "student 4")
    assert (run.info.status, run.data.params["distillation.temperature"]) == ("FINISHED", "4.0")
    with closing(open_for_reading(filled)) as database:
        curve = read_curve(database, 4, "loss")
        old = reading.run_details(database, 4)
    history = sorted(client.get_metric_history(run.info.run_id, "loss"), key=lambda one: one.step)
    assert [(one.step, one.value) for one in history] == list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))
    assert math.isnan(client.get_metric_history(run.info.run_id, "extra")[0].value)

    path = tmp_path / "other.db"
    assert workbench("import", "--mlflow", uri, "--history", path).stdout == "Imported 4 runs (1 to 4), without weights.\n"
    assert workbench("import", "--mlflow", uri, "--history", path).stdout == "Nothing is new; 4 runs were already here.\n"
    with closing(open_for_reading(path)) as database:
        (number,) = (row.id for row in reading.list_runs(database) if row.name == "student 4")
        back = read_curve(database, number, "loss")
        assert (back.step.tolist(), back.value.tolist()) == (curve.step.tolist(), curve.value.tolist())
        assert back.epoch.tolist() == pytest.approx(curve.epoch.tolist())
        new = reading.run_details(database, number)
        assert new.row.figures == old.row.figures
        assert {key: new.settings[key] for key in old.settings} == old.settings
        assert database.execute("SELECT tag FROM tags").fetchall()[0][0] == "paper"
        assert database.execute("SELECT kind FROM nonfinite").fetchall()[0][0] == "nan"
        assert examine(database, path) == []


def test_that_runs_of_others_come_in(tmp_path: Path, uri: str) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("=theirs")
    run = client.create_run(experiment, start_time=1_000_000_000_000, tags={"by": "<b>me</b>"}, run_name="one").info.run_id
    client.log_batch(
        run, metrics=[Metric("val/loss", value, 1_000_000_000_000 + 500 * step, step) for step, value in enumerate([2, 1])]
    )
    client.log_param(run, "lr", "0.1")
    client.set_terminated(run, "FAILED")
    client.create_run(experiment)
    found = shown("import", "--mlflow", uri, "--history", tmp_path / "x.db")
    assert found == {"runs": [1, 2], "already_here": 0}
    with closing(open_for_reading(tmp_path / "x.db")) as database:
        one = next(row for row in reading.list_runs(database) if row.name == "one")
        details = reading.run_details(database, one.id)
        assert (one.status, one.experiment_name, details.settings["lr"]) == ("failed", "=theirs", 0.1)
        assert read_curve(database, one.id, "val/loss").elapsed.tolist() == [0.0, 0.5]
        assert {row.status for row in reading.list_runs(database)} == {"failed", "interrupted"}
        assert database.execute("SELECT tag FROM tags").fetchall()[0][0] == "by=<b>me</b>"


def test_that_a_store_that_is_none_is_a_sentence(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("hello, this is no database")
    for uri in (f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/text.db", "nonsense://x"):
        result = workbench("import", "--mlflow", uri, "--history", tmp_path / "x.db")
        assert (result.exit_code, (tmp_path / "x.db").exists(), (tmp_path / "none.db").exists()) == (2, False, False), uri
        assert len(result.stderr.splitlines()[-1]) < 500


def test_that_the_missing_extra_is_a_sentence(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for arguments in (["export", 1], ["import"]):
        result = workbench(*arguments, "--mlflow", "sqlite:///x.db", "--history", filled)
        assert (result.exit_code, result.stderr) == (2, f"workbench: {mlflow_runs.WITHOUT_MLFLOW}\n")
