"""Runs out to TensorBoard's event files and in from them, read and written by TensorBoard itself."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tests.cli.test_commands import shown, workbench
from tests.experiments import launch, rows, tiny, tree
from workbench.config import ExperimentConfig, TeacherConfig
from workbench.errors import CannotWrite, ConfigError, WorkbenchError
from workbench.exchange import event_files
from workbench.history import reading
from workbench.history.curves import read_curve
from workbench.history.database import open_database, open_for_reading, writing
from workbench.history.doctor import examine
from workbench.history.foreign import enter_foreign, runs_out
from workbench.history.writing import History
from workbench.running.engine import Engine, EngineSettings


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with the tiny experiment, its student tagged."""
    path = tmp_path_factory.mktemp("foreign") / "experiments.db"
    with History(path) as history:
        launch(history, tiny(name="a/b <x>"))
    with closing(open_database(path)) as database, writing(database):
        database.execute("INSERT INTO tags VALUES (4, 'paper')")
        database.execute("INSERT INTO nonfinite SELECT 4, 'soft_loss', step, 'nan' FROM points WHERE run = 4 LIMIT 1")
        database.execute("DELETE FROM metrics WHERE (run, metric, step) IN (SELECT run, metric, step FROM nonfinite)")
    return path


def scalars(folder: Path) -> dict[str, list[Any]]:
    """What TensorBoard reads."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}


def test_that_tensorboard_reads_every_point_with_its_step_and_time(filled: Path, tmp_path: Path) -> None:
    result = workbench("export", 1, "--tensorboard", tmp_path / "out", "--history", filled)
    assert result.stdout == f"4 runs in {tmp_path / 'out'}\n", result.stderr
    found = scalars(tmp_path / "out" / "a-b-x-#1" / "student-4")
    with closing(open_for_reading(filled)) as database:
        for metric in ("loss", "val_accuracy"):
            curve = read_curve(database, 4, metric)
            assert [one.step for one in found[metric]] == curve.step.tolist()
            assert [one.value for one in found[metric]] == pytest.approx(curve.value.tolist())
            times = [one.wall_time for one in found[metric]]
            assert [time - times[0] for time in times] == pytest.approx((curve.elapsed - curve.elapsed[0]).tolist(), abs=1e-5)
        figures = reading.run_details(database, 4).row.figures
    assert math.isnan(found["soft_loss"][0].value)
    assert found["figure/test_errors"][0].value == figures["test_errors"]


def test_that_what_went_out_comes_in_again(filled: Path, tmp_path: Path) -> None:
    workbench("export", 1, "--tensorboard", tmp_path / "out", "--history", filled)
    other = tmp_path / "other.db"
    result = workbench("import", "--tensorboard", tmp_path / "out", "--name", "=back", "--history", other)
    assert result.stdout == "Imported 4 runs (1 to 4), without weights.\n", result.stderr
    with closing(open_for_reading(filled)) as before, closing(open_for_reading(other)) as after:
        (number,) = (row.id for row in reading.list_runs(after) if row.name.endswith("student-4"))
        for metric in reading.metric_names(before, [4]):
            one, two = read_curve(before, 4, metric), read_curve(after, number, metric)
            assert two.step.tolist() == one.step.tolist()
            assert two.value.tolist() == pytest.approx(one.value.tolist())
            assert two.epoch.tolist() == pytest.approx(one.epoch.tolist())
        old, new = reading.run_details(before, 4), reading.run_details(after, number)
        assert new.row.figures == pytest.approx(old.row.figures)
        assert {key: new.settings[key] for key in old.settings} == pytest.approx(old.settings)
        assert after.execute("SELECT kind FROM nonfinite").fetchall()[0][0] == "nan"
        assert (new.row.status, new.row.model, new.row.dataset, new.row.experiment_name) == (
            "done",
            "imported",
            "imported",
            "=back",
        )
        assert "neither teach nor go on" in new.notes[0]
        assert examine(after, other) == []
        assert reading.list_experiments(after)[0].rows


def test_that_event_files_of_others_come_in(tmp_path: Path) -> None:
    """Older and newer scalars, a step twice, steps out of order, no settings, two runs of which one is in the folder itself."""
    for place, name in ((tmp_path / "logs", "old"), (tmp_path / "logs" / "deep" / "er", "new")):
        place.mkdir(parents=True, exist_ok=True)
        writer = EventFileWriter(str(place))
        for at, (step, value) in enumerate([(0, 1.0), (10, 0.5), (5, 0.7), (10, 0.25)]):
            summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="loss/train", simple_value=value)])
            if name == "new":
                summary = scalar_pb("loss/train", value)
            writer.add_event(event_pb2.Event(wall_time=1e9 + at, step=step, summary=summary))
        writer.close()
    found = shown("import", "--tensorboard", tmp_path / "logs", "--history", tmp_path / "x.db")
    assert found == {"runs": [1, 2], "already_here": 0}
    with closing(open_for_reading(tmp_path / "x.db")) as database:
        assert [row.name for row in reading.list_runs(database)] == ["logs", "deep/er"]
        for run in (1, 2):
            curve = read_curve(database, run, "loss/train")
            assert curve.step.tolist() == curve.epoch.tolist() == [0, 5, 10]
            assert curve.value.tolist() == pytest.approx([1.0, 0.7, 0.25])
            assert curve.elapsed.tolist() == [0, 2, 3]
        assert reading.list_runs(database)[0].started == "2001-09-09T01:46:40.000+00:00"
        assert examine(database, tmp_path / "x.db") == []


def test_that_an_imported_run_can_neither_teach_nor_go_on(filled: Path, tmp_path: Path) -> None:
    with closing(open_for_reading(filled)) as database:
        out = runs_out(database, [1])
    path = tmp_path / "x.db"
    with closing(open_database(path)) as database:
        enter_foreign(database, out, "elsewhere")
        with pytest.raises(ConfigError, match="run 1 has no weights: it came without"):
            Engine(EngineSettings(device="cpu", threads=1)).check(
                ExperimentConfig(teachers=(TeacherConfig(run=1),)), lambda run: reading.past_run(database, path, run)
            )
    result = workbench("resume", 1, "--epochs", 99, "--history", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "run 1 has no such checkpoint to go on from" in result.stderr
    assert "run 1 is done" in workbench("resume", 1, "--history", path).stderr


def test_that_imported_runs_are_listed_shown_and_compared(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with History(path) as history:
        launch(history, tiny())
        with closing(open_for_reading(filled)) as source, closing(open_database(path)) as database:
            enter_foreign(database, runs_out(source, [1]), "elsewhere")
        assert len(rows(history, 2)) == 4
    for arguments in (["runs"], ["show", 8], ["compare", 4, 8], ["doctor"], ["curves", 8], ["bin"], ["paper"]):
        assert workbench(*arguments, "--history", path).exit_code == 0, arguments


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_that_what_is_no_such_folder_is_a_sentence(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "empty":
        place.mkdir()
    elif kind == "file":
        place.write_text("x")
    result = workbench("import", "--tensorboard", place, "--history", tmp_path / "x.db")
    assert (result.exit_code, (tmp_path / "x.db").exists()) == (2, False)
    assert result.stderr.startswith(f"workbench: {place} ")


def test_that_a_damaged_event_file_gives_what_can_be_read_or_a_sentence(filled: Path, tmp_path: Path) -> None:
    workbench("export", 1, "--tensorboard", tmp_path / "out", "--history", filled)
    file = next((tmp_path / "out" / "a-b-x-#1" / "student-4").iterdir())
    whole, told = file.read_bytes(), list[str]()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        changed = bytearray(whole)
        changed[at] ^= 0x40
        file.write_bytes(changed)
        try:
            found = event_files.read_event_files(tmp_path / "out")
        except WorkbenchError as error:
            told.append(str(error))
            continue
        assert len(found.runs) == 4
    assert all(str(file.parent) in sentence for sentence in told)


def test_that_a_folder_with_something_in_it_is_left_alone(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    before = tree(tmp_path)
    with closing(open_for_reading(filled)) as database, pytest.raises(CannotWrite, match="is there already"):
        event_files.write_event_files(tmp_path / "out", runs_out(database, [1]))
    assert tree(tmp_path) == before


def test_that_the_missing_extra_is_a_sentence(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for arguments in (["export", 1], ["import"]):
        result = workbench(*arguments, "--tensorboard", tmp_path / "out", "--history", filled)
        assert result.exit_code == 2
        assert result.stderr == f"workbench: {event_files.WITHOUT_TENSORBOARD}\n"


def test_that_one_of_the_ways_has_to_be_said(filled: Path) -> None:
    assert "say where to" in workbench("export", 1, "--history", filled).stderr
    assert "say what to import" in workbench("import", "--history", filled).stderr
