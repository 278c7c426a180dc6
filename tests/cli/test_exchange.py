"""Experiments and curves out of a history and into another on the command line."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_commands import shown, workbench
from tests.experiments import launch, tiny
from workbench.history import changes
from workbench.history.database import open_database
from workbench.history.writing import History


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with the tiny experiment, and the same again at another temperature."""
    path = tmp_path_factory.mktemp("exchanged") / "experiments.db"
    with History(path) as history:
        launch(history, tiny())
        launch(history, tiny(distillation__temperature=9))
    return path


class TestExport:
    def test_that_an_experiment_goes_out_and_comes_in_once(self, filled: Path, tmp_path: Path) -> None:
        file, other = tmp_path / "mine.distilled", tmp_path / "other.db"
        result = workbench("export", 2, "--to", file, "--history", filled)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("2 experiments with 5 runs written to mine.distilled (")
        assert workbench("import", file, "--history", other).stdout == "Imported 2 experiments and 5 runs (1 to 5).\n"
        again = shown("import", file, "--history", other)
        assert again == {"experiments": [], "runs": [], "already_here": 5, "already_here_in_the_bin": 0}
        assert shown("runs", "--history", other) == shown("runs", "--history", filled)

    def test_that_it_goes_on_with_more_epochs_where_states_came_along(self, filled: Path, tmp_path: Path) -> None:
        file, other = tmp_path / "mine.distilled", tmp_path / "other.db"
        found = shown("export", 1, "--to", file, "--states", "--history", filled)
        assert (found["experiments"], found["runs"], found["without_state"]) == ([1], [1, 2, 3, 4], 0)
        assert workbench("import", file, "--history", other).exit_code == 0
        assert workbench("resume", 4, "--epochs", 5, "--history", other).exit_code == 0
        assert json.loads(workbench("show", 5, "--json", "--history", other).stdout)["epochs"] == 5

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["export", 9], "there is no experiment 9 in this history"),
            (["export"], "say which experiments to export"),
            (["export", "--sweep", 4], "there is no sweep 4"),
        ],
    )
    def test_that_what_is_not_there_is_a_sentence(
        self, filled: Path, tmp_path: Path, arguments: list[object], sentence: str
    ) -> None:
        result = workbench(*arguments, "--to", tmp_path / "x.distilled", "--history", filled)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"workbench: {sentence}")
        assert not list(tmp_path.iterdir())

    def test_that_a_file_is_replaced_only_when_asked_for(self, filled: Path, tmp_path: Path) -> None:
        file = tmp_path / "mine.distilled"
        file.write_text("mine")
        result = workbench("export", 1, "--to", file, "--history", filled)
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (
            2, f"workbench: {file} is there already; remove it or name another file",
        )  # fmt: skip
        assert workbench("export", 1, "--to", file, "--overwrite", "--history", filled).exit_code == 0

    def test_that_settings_beside_an_experiment_file_are_refused(self, filled: Path, tmp_path: Path) -> None:
        file, other = tmp_path / "mine.distilled", tmp_path / "other.db"
        workbench("export", 1, "--to", file, "--history", filled)
        result = workbench("import", file, "--set", "model.units=3", "--history", other)
        assert (result.exit_code, other.exists()) == (2, False)
        assert "leave --set, --map, --names, --look and --name out" in result.stderr

    def test_that_a_damaged_file_makes_no_history(self, filled: Path, tmp_path: Path) -> None:
        file, other = tmp_path / "mine.distilled", tmp_path / "other.db"
        workbench("export", 1, "--to", file, "--history", filled)
        content = bytearray(file.read_bytes())
        content[2000] ^= 1
        file.write_bytes(content)
        result = workbench("import", file, "--history", other)
        assert (result.exit_code, [path.name for path in tmp_path.iterdir()]) == (2, ["mine.distilled"])
        assert str(file) in result.stderr


class TestBin:
    def test_that_it_lists_and_empties(self, tmp_path: Path) -> None:
        path = tmp_path / "experiments.db"
        with History(path) as history:
            launch(history, tiny())
            launch(history, tiny(distillation__temperature=9, name="later"))
            launch(history, tiny(seed=5))
        assert workbench("bin", "--history", path).stdout == "nothing is in the bin\n"
        with closing(open_database(path)) as database:
            changes.delete(database, [5], [2])
        lines = workbench("bin", "--history", path).stdout.splitlines()
        assert [line[18:] for line in lines] == [
            "later #2  the experiment", "later #2  run 5: student · mlp 1×8 · digits, 0.0 MB of files",
        ]  # fmt: skip
        assert [one["run"] for one in shown("bin", "--history", path)] == [0, 5]
        found = workbench("bin", "--empty", "--history", path)
        assert found.stdout.startswith("Wholly removed: 1 run and 1 experiment; files: 0.")
        assert shown("bin", "--history", path) == []
        assert workbench("show", 5, "--history", path).exit_code == 2

    def test_that_a_history_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        assert workbench("bin", "--empty", "--history", tmp_path / "x.db").exit_code == 2
        assert not list(tmp_path.iterdir())


class TestCsv:
    def test_that_curves_and_runs_come_as_tables(self, filled: Path) -> None:
        result = workbench("curves", 4, 5, "--metric", "val_accuracy", "--history", filled)
        assert result.exit_code == 0, result.stderr
        rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))
        assert [(row["run"], row["epoch"]) for row in rows] == [(run, epoch) for run in "45" for epoch in ("1.0", "2.0", "3.0")]
        assert result.stdout_bytes.startswith(b"run,experiment,role,name,metric,step,epoch,elapsed_seconds,value\r\n4,")
        table = list(csv.DictReader(io.StringIO(workbench("runs", "--csv", "--history", filled).stdout, newline="")))
        wanted = {str(row["run"]): row["test_errors"] for row in shown("runs", "--history", filled)}
        assert {row["run"]: float(row["test_errors"]) for row in table} == wanted

    def test_that_a_metric_that_is_not_there_is_a_sentence(self, filled: Path) -> None:
        result = workbench("curves", 4, "--metric", "val_acuracy", "--history", filled)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("workbench: none of these runs has a metric 'val_acuracy'; they have")
