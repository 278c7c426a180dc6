"""Experiments out to a file and into another history: nothing lost, doubled or overwritten, and nothing of a bad file taken."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import add_run, engine, launch, rows, tiny, tree
from workbench.analysis.bias import Correction
from workbench.config import RunConfig
from workbench.errors import CannotWrite, CheckpointError, HistoryError, WorkbenchError
from workbench.history import bundle_checks, changes, unbundle
from workbench.history.bundle import FILES, HERE_ALONE, MANIFEST, ROWS, TABLES, is_bundle, write_experiment
from workbench.history.database import files_folder, now, open_database, open_for_reading, writing
from workbench.history.doctor import examine, usage
from workbench.history.unbundle import Brought, read_experiment
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import resume, run_experiment
from workbench.sweep import expand

OWN = {"id", "process"}
"""Columns that are another history's own."""
NUMBERS = {"experiment": "experiments", "sweep": "sweeps", "run": "runs", "child": "runs", "parent": "runs"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with a sweep whose students were trained together, all that a person adds to runs, and a run that diverged."""
    path = tmp_path_factory.mktemp("source") / "experiments.db"
    tables = tiny().to_dict() | {"sweep": {"distillation.temperature": [2.0, 4.0], "seeds": 1}}
    with History(path) as history:
        _, numbers = history.enqueue_sweep(tables, expand(tables))
        from workbench.running.experiment import companions, run_experiments

        run_experiments(engine(), history, [numbers[0], *companions(history, numbers[0])], Control(), lambda _: None)
        launch(history, tiny(name="diverged", training={"epochs": 4, "optimizer": "sgd", "learning_rate": 100.0}))
        past = rows(history)[0].id
        launch(history, tiny(name="of a past run", teachers=[{"run": past}], distillation__temperature=3.0))
    with closing(open_database(path)) as database:
        student = database.execute("SELECT max(id) FROM runs").fetchone()[0]
        changes.keep_correction(database, student, Correction(classes=(3,), shift=1.5, way="mass"))
        with writing(database):
            database.execute("INSERT INTO tags VALUES (?, 'paper'), (?, '=1+1')", [student, student])
            database.execute("INSERT INTO marks VALUES (?, 1, 0, 'red')", [student])
            note = [student, "<b>süß\x00\u2028</b>", now()]
            database.execute("INSERT INTO run_notes (run, author, text, created) VALUES (?, 'person', ?, ?)", note)
            database.execute("INSERT INTO nonfinite VALUES (?, 'loss', 3, 'nan')", [student])
    return path


@pytest.fixture
def bundle(source: Path, tmp_path: Path) -> Path:
    """Experiment 4, which learns from a teacher of experiment 1, with what it needs."""
    with closing(open_for_reading(source)) as database:
        return write_experiment(database, source, [4], tmp_path / "one.distilled", states=True).path


def import_into(path: Path, bundle: Path) -> Brought:
    with closing(open_database(path)) as database:
        return read_experiment(database, path, bundle)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but what SQLite keeps beside a database."""
    return {name: data for name, data in tree(folder).items() if data and not name.endswith(("-wal", "-shm", ".lock"))}


def content(path: Path) -> dict[str, list[str]]:
    """Every row of every table that goes along, numbers replaced by uids, in an order that does not depend on the numbers."""
    found: dict[str, list[str]] = {}
    with closing(open_for_reading(path)) as database:
        names = {
            table: dict(tuple(row) for row in database.execute(f"SELECT id, uid FROM {table}").fetchall())
            for table in ("sweeps", "experiments", "runs")
        }
        for table in TABLES:
            for row in map(dict, database.execute(f"SELECT * FROM {table}").fetchall()):
                for name, value in row.items():
                    if (kind := NUMBERS.get(name.replace("continued_from", "run"))) and value is not None:
                        row[name] = names[kind][value]
                if "environment" in row:
                    about = json.loads(row["environment"])
                    about["together"] = [names["runs"][run] for run in about.get("together", []) if run > 0]
                    row["environment"] = about
                if table == "experiments":
                    config = json.loads(row["config"])
                    row["config"] = config
                    for one in config.get("teachers", []):
                        one["run"] = names["runs"].get(one.get("run"))
                kept = {name: value for name, value in row.items() if name not in OWN}
                found.setdefault(table, []).append(repr(sorted(kept.items())))
    return {table: sorted(lines) for table, lines in found.items()}


def test_that_others_write_while_a_file_is_read(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, written, read = tmp_path / "other.db", list[str](), bundle_checks.rows
    History(path).close()

    def beside(*given: Any) -> Any:
        for table, row in read(*given):
            with closing(open_database(path)) as database:
                database.execute("PRAGMA busy_timeout = 0")
                with writing(database):
                    database.execute("INSERT OR REPLACE INTO filters VALUES ('mine', 'T > 1', '')")
            written.append(table)
            yield table, row

    monkeypatch.setattr(unbundle, "rows", beside)
    assert import_into(path, bundle).runs
    assert {"runs", "params", "metrics", "artefacts"} <= set(written)


def test_that_runs_of_an_older_file_have_the_options_that_came_after_it(source: Path, tmp_path: Path) -> None:
    source = shutil.copytree(source.parent, tmp_path / "copy") / source.name
    with closing(open_database(source)) as database:
        with writing(database):
            database.execute("DELETE FROM params WHERE key IN ('model.activation', 'model.bias')")
        bundle = write_experiment(database, source, [4], tmp_path / "older.distilled").path
    path = tmp_path / "other.db"
    History(path).close()
    runs = import_into(path, bundle).runs
    with closing(open_for_reading(path)) as database:
        sql = "SELECT count(*) FROM params WHERE key = 'model.activation' AND value = 'relu'"
        assert database.execute(sql).fetchone()[0] == len(runs) > 0


def test_that_every_table_of_the_schema_goes_along_or_is_of_one_history_alone(source: Path) -> None:
    with closing(open_for_reading(source)) as database:
        assert set(database.table_names()) == set(TABLES) | HERE_ALONE


def test_that_all_of_a_history_comes_into_an_empty_one(source: Path, tmp_path: Path) -> None:
    with closing(open_for_reading(source)) as database:
        written = write_experiment(database, source, [1, 2, 3, 4], tmp_path / "all.distilled", states=True)
    other = tmp_path / "other.db"
    brought = import_into(other, written.path)
    assert (len(brought.experiments), len(brought.runs), brought.there) == (4, len(written.runs), 0)
    before, after = content(source), content(other)
    for table in TABLES:
        assert after.get(table) == before.get(table), table
    assert {table for table in TABLES if table != "bin"} <= set(before)
    assert files_in(files_folder(other)) == files_in(files_folder(source))
    with closing(open_for_reading(other)) as database:
        assert examine(database, other) == []


def test_that_what_is_there_is_neither_doubled_nor_overwritten(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with History(other) as history:
        launch(history, tiny(seed=77, name="mine"))
    mine = content(other)
    assert import_into(other, bundle).words() == "Imported 2 experiments and 5 runs (5 to 9)."
    with closing(open_database(other)) as database, writing(database):
        database.execute("UPDATE runs SET message = 'seen' WHERE id = 5")
    once, files = content(other), files_in(files_folder(other))
    assert all(set(mine[table]) <= set(once[table]) for table in mine)
    assert import_into(other, bundle).words() == "Nothing is new: 5 runs were already here."
    assert content(other) == once
    assert files_in(files_folder(other)) == files


def test_that_a_file_that_shares_a_teacher_brings_the_rest_alone(source: Path, bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    import_into(other, bundle)
    with closing(open_for_reading(source)) as database:
        more = write_experiment(database, source, [2], tmp_path / "more.distilled", states=True).path
    brought = import_into(other, more)
    assert (len(brought.experiments), len(brought.runs), brought.there) == (1, 1, 4)
    with closing(open_database(tmp_path / "both.db")) as database, closing(open_for_reading(source)) as reader:
        both = write_experiment(reader, source, [2, 4], tmp_path / "both.distilled", states=True).path
        read_experiment(database, tmp_path / "both.db", both)
    one_by_one, at_once = content(other), content(tmp_path / "both.db")
    for table in TABLES.keys() - {"runs"}:  # where the first knew only itself of those it was trained together with
        assert one_by_one.get(table) == at_once.get(table), table
    assert len(one_by_one["runs"]) == len(at_once["runs"]) == 6


def test_that_an_imported_teacher_is_reused_by_its_fingerprint(bundle: Path, tmp_path: Path) -> None:
    with History(tmp_path / "other.db") as history:
        import_into(history.path, bundle)
        status, _ = launch(history, tiny(distillation__temperature=9.0))
        new = rows(history, 3)
    assert status == "done"
    assert [row.reused for row in new] == [True, True, True, False]


def test_that_the_recipe_names_the_past_run_by_its_number_here(bundle: Path, tmp_path: Path) -> None:
    with History(tmp_path / "other.db") as history:
        launch(history, tiny(seed=77))
        import_into(history.path, bundle)
        config = history.experiment_config(3)
        assert config.teachers[0].run == rows(history, 2)[0].id == 5


class StopAt(Control):
    """Stops after so many looks between events."""

    def __init__(self, looks: int) -> None:
        super().__init__(self.look)
        self.left = looks

    def look(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.stop()


def test_that_a_run_broken_off_goes_on_in_another_history_to_the_same_weights(tmp_path: Path) -> None:
    config = tiny(training__epochs=12, name="long")
    with History(tmp_path / "whole.db") as history:
        launch(history, config)
        wanted = {row.name: history.weights_of(row.id).sha256 for row in rows(history)}
    with History(tmp_path / "first.db") as history:
        control = StopAt(60)
        status, _ = launch(history, config, control)
        assert status == "stopped"
        assert any(row.status == "stopped" and row.step for row in rows(history))
    with closing(open_for_reading(tmp_path / "first.db")) as database:
        written = write_experiment(database, tmp_path / "first.db", [1], tmp_path / "x.distilled", states=True)
    assert written.without_state == 0
    import_into(tmp_path / "other.db", written.path)
    with History(tmp_path / "other.db") as history:
        resume(history, [1])
        assert run_experiment(engine(), history, 1, Control(), lambda _: None) == "done"
        assert {row.name: history.weights_of(row.id).sha256 for row in rows(history)} == wanted


def test_that_states_stay_behind_unless_asked_for_and_that_this_is_told(tmp_path: Path) -> None:
    with History(tmp_path / "first.db") as history:
        launch(history, tiny(training__epochs=12), StopAt(60))
    with closing(open_for_reading(tmp_path / "first.db")) as database:
        written = write_experiment(database, tmp_path / "first.db", [1], tmp_path / "x.distilled")
    assert written.without_state == 1
    assert "1 run broken off can go on there only from the start" in written.words()
    with zipfile.ZipFile(written.path) as archive:
        assert {Path(name).name.split("-")[0] for name in archive.namelist()} == {MANIFEST, ROWS, "weights"}


def test_that_what_is_under_way_or_deleted_or_not_there_is_refused(history: History, tmp_path: Path) -> None:
    history.enqueue(tiny())
    launch(history, tiny(name="done"))
    with closing(open_database(history.path)) as database:
        for number, words in ((1, "experiment 1 is waiting; stop it"), (9, "there is no experiment 9")):
            with pytest.raises(HistoryError, match=words):
                write_experiment(database, history.path, [number], tmp_path / "x.distilled")
        changes.delete(database, [], [2])
        with pytest.raises(HistoryError, match="in the bin"):
            write_experiment(database, history.path, [2], tmp_path / "x.distilled")
    assert not list(tmp_path.glob("*x.distilled*"))


def test_that_a_run_under_way_that_taught_already_comes_as_interrupted(history: History, tmp_path: Path) -> None:
    first = history.enqueue(tiny())
    teacher = add_run(history, first, "teacher", RunConfig())
    history.claim(first)
    second = history.enqueue(tiny(name="second"))
    add_run(history, second, "student", RunConfig(), [teacher])
    history.finish_experiment(second, "stopped", "")
    with closing(open_for_reading(history.path)) as database:
        path = write_experiment(database, history.path, [second], tmp_path / "x.distilled").path
    import_into(tmp_path / "other.db", path)
    with closing(open_for_reading(tmp_path / "other.db")) as database:
        assert {row[0] for row in database.execute("SELECT status FROM runs").fetchall()} == {"interrupted"}
        assert {row[0] for row in database.execute("SELECT status FROM experiments").fetchall()} == {"interrupted", "stopped"}


def test_that_a_damaged_checkpoint_is_not_exported(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "experiments.db"
    shutil.copy(source, copy)
    shutil.copytree(files_folder(source), files_folder(copy))
    weights = next((files_folder(copy) / "runs").rglob("weights-*"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with closing(open_for_reading(copy)) as database, pytest.raises(CheckpointError, match="doctor --repair"):
        write_experiment(database, copy, [1, 2, 3, 4], tmp_path / "x.distilled")
    assert not list(tmp_path.glob("*x.distilled*"))


def test_that_no_file_is_overwritten_unasked(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.distilled"
    target.write_text("mine")
    with closing(open_for_reading(source)) as database:
        with pytest.raises(CannotWrite, match="is there already"):
            write_experiment(database, source, [1], target)
        assert target.read_text() == "mine"
        write_experiment(database, source, [1], target, overwrite=True)
    assert is_bundle(target)


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets this process write no file longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("room", [0, 1_000, 20_000])
def test_that_a_full_disk_is_a_sentence_and_leaves_nothing(
    source: Path, tmp_path: Path, full_disk: Callable[[int], None], room: int
) -> None:
    target = tmp_path / "x.distilled"
    target.write_text("before")
    with closing(open_for_reading(source)) as database:
        full_disk(room)
        with pytest.raises(CannotWrite, match=r"cannot be written \(File too large; .* free\)"):
            write_experiment(database, source, [1, 2, 3, 4], target, states=True, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.distilled"]
    assert target.read_text() == "before"


@pytest.mark.parametrize("room", [0, 2_000, 120_000])
def test_that_an_import_without_room_leaves_the_history_as_it_was(
    bundle: Path, tmp_path: Path, full_disk: Callable[[int], None], room: int
) -> None:
    other = tmp_path / "other.db"
    with History(other) as history:
        add_run(history, history.enqueue(tiny()), "teacher")
    with closing(open_database(other)) as database:
        before, files = content(other), files_in(files_folder(other))
        full_disk(room)
        with pytest.raises(CannotWrite):
            read_experiment(database, other, bundle)
        full_disk(resource.RLIM_INFINITY)
    assert content(other) == before
    assert files_in(files_folder(other)) == files


# Files of somebody else


def remade(bundle: Path, change: Callable[[dict[str, Any], list[Any], dict[str, bytes]], None]) -> Path:
    """The bundle with its manifest, rows and files changed, and hashes that fit them."""
    with zipfile.ZipFile(bundle) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts.pop(MANIFEST))
    lines = [json.loads(line) for line in parts.pop(ROWS).splitlines()]
    change(manifest, lines, parts)
    parts[ROWS] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    about = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in parts.items()}
    manifest["files"] = about | manifest.pop("instead", {})
    changed = bundle.with_name("changed.distilled")
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**parts, MANIFEST: json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return changed


def of(lines: list[Any], table: str) -> tuple[list[str], list[list[Any]]]:
    """The columns and the rows of a table."""
    start = next(place for place, line in enumerate(lines) if isinstance(line, dict) and line["table"] == table)
    end = next((place for place, line in enumerate(lines) if place > start and isinstance(line, dict)), len(lines))
    return lines[start]["columns"], lines[start + 1 : end]


def put(table: str, column: str, value: Any, row: int = 0) -> Callable[..., None]:
    """Puts a value into a row."""

    def change(_: dict[str, Any], lines: list[Any], __: dict[str, bytes]) -> None:
        columns, found = of(lines, table)
        found[row][columns.index(column)] = value

    return change


def says(**values: Any) -> Callable[..., None]:
    """Changes what the manifest says."""
    return lambda manifest, *_: manifest.update(values)


def more_files(name: str) -> Callable[..., None]:
    return lambda _, __, parts: parts.update({name: b"x"})


def add_line(line: Any) -> Callable[..., None]:
    return lambda _, lines, __: lines.append(line)


def swap_weights(_: dict[str, Any], __: list[Any], parts: dict[str, bytes]) -> None:
    name = next(iter(parts))
    parts[name] = parts[name][:-1] + b"?"


def circle(_: dict[str, Any], lines: list[Any], __: dict[str, bytes]) -> None:
    columns, found = of(lines, "lineage")
    child, parent = columns.index("child"), columns.index("parent")
    found[0][child], found[0][parent] = found[0][parent], found[0][child]


def continues_itself(_: dict[str, Any], lines: list[Any], __: dict[str, bytes]) -> None:
    columns, found = of(lines, "runs")
    found[0][columns.index("continued_from")] = found[0][columns.index("id")]


HOSTILE: dict[str, Callable[..., None]] = {
    "a newer format": says(format=2),
    "a newer schema": says(schema=99),
    "something else": says(what="photographs"),
    "a file outside": put("artefacts", "path", "../../../etc/passwd"),
    "an absolute file": put("artefacts", "path", "/etc/passwd"),
    "a file of another run": put("artefacts", "path", "runs/other/weights-1.safetensors"),
    "a name with a way out": more_files("files/../../evil"),
    "a file that no row has": more_files("files/runs/x/evil.pt"),
    "a uid that is a path": put("runs", "uid", "../../evil"),
    "a status that does not end": put("runs", "status", "running"),
    "an unknown role": put("runs", "role", "spy"),
    "a number that is text": put("runs", "seed", "many"),
    "a number too large": put("runs", "seed", 2**70),
    "an infinite number": put("metrics", "value", float("inf")),
    "a nested value": put("runs", "name", ["x"]),
    "a truth": put("runs", "parameters", True),
    "a half character": put("runs", "name", "\ud800"),
    "a config that is no object": put("runs", "config", "[]"),
    "a config that is no JSON": put("experiments", "config", "{"),
    "a config of great depth": put("runs", "config", "[" * 100_000),
    "a config with an unknown key": put("runs", "config", '{"model": {"model": "mlp", "wings": 2}}'),
    "a config with a temperature of 0": put("experiments", "config", '{"name": "x", "distillation": {"temperature": 0}}'),
    "a config of an unknown model": put("runs", "config", '{"model": "not a table"}'),
    "a date that is none": put("runs", "created", "tomorrow"),
    "an experiment that is not there": put("runs", "experiment", 99),
    "a run that is not there": put("metrics", "run", 99),
    "a run twice": put("runs", "id", 1, row=1),
    "a circle of teachers": circle,
    "a run that continues itself": continues_itself,
    "a kind of file that is none": put("artefacts", "kind", "script"),
    "weights that were exchanged": swap_weights,
    "predictions of another shape": put("predictions", "cases", 7),
    "predictions that are no base64": put("predictions", "logits", "?"),
    "predictions beyond measure": put("predictions", "cases", 2**62),
    "a trigger": add_line({"table": "sqlite_master", "columns": ["type", "sql"]}),
    "a table twice": add_line({"table": "runs", "columns": ["id"]}),
    "a column with SQL": add_line({"table": "bin", "columns": ["run", "deleted) VALUES (1, 2); DROP TABLE runs; --"]}),
    "too many values": add_line([1, 2, 3, 4, 5, 6, 7]),
    "a line of nothing": add_line(None),
    "a manifest that says too much": says(instead={ROWS: [1, "0" * 64]}),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_that_a_hostile_file_is_refused_in_a_sentence_and_changes_nothing(bundle: Path, tmp_path: Path, what: str) -> None:
    changed = remade(bundle, HOSTILE[what])
    refused_by(changed, tmp_path)


def refused_by(changed: Path, tmp_path: Path) -> str:
    """Import it into a history with a run, which must stay as it is; the sentence."""
    other = tmp_path / "untouched.db"
    if not other.exists():
        with History(other) as history:
            add_run(history, history.enqueue(tiny()), "teacher")
    before, files = content(other), files_in(tmp_path)
    with closing(open_database(other)) as database:
        with pytest.raises(WorkbenchError) as told:
            read_experiment(database, other, changed)
        assert not database.conn.in_transaction
    assert content(other) == before
    assert files_in(tmp_path).keys() == files.keys()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_that_a_bomb_is_not_unpacked(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.distilled"
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"] = {ROWS: [100 << 20, "0" * 64]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ROWS, b" " * (100 << 20))
        archive.writestr(MANIFEST, json.dumps(manifest))
    assert "would unpack to far more than experiments do" in refused_by(path, tmp_path)


@pytest.mark.parametrize("kind", ["link", "twice", "encrypted", "packed otherwise"])
def test_that_an_archive_of_another_make_is_refused(bundle: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.distilled"
    how = zipfile.ZIP_BZIP2 if kind == "packed otherwise" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(path, "w", how) as changed:
        for entry in archive.infolist():
            data, name = archive.read(entry), zipfile.ZipInfo(entry.filename)
            name.compress_type = how
            if kind == "link" and entry.filename.startswith(FILES):
                name.external_attr, data = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            changed.writestr(name, data)
        if kind == "twice":
            with pytest.warns(UserWarning, match="Duplicate"):
                changed.writestr(ROWS, archive.read(ROWS))
    if kind == "encrypted":
        content = bytearray(path.read_bytes())
        at = content.index(b"PK\x01\x02")
        content[at + 8] |= 1
        path.write_bytes(content)
    refused_by(path, tmp_path)


@pytest.mark.parametrize("name", ["empty.distilled", "text.distilled", "other.zip", "absent.distilled", "folder.distilled"])
def test_that_what_is_no_such_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder.distilled":
        path.mkdir()
    elif name == "other.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
    elif name != "absent.distilled":
        path.write_text("hello" * (name == "text.distilled"))
    assert str(path) in refused_by(path, tmp_path)
    assert is_bundle(path) == name.endswith(".distilled")


def test_that_a_flipped_or_cut_file_is_refused_or_does_no_harm(bundle: Path, tmp_path: Path) -> None:
    draw, whole = random.Random(6), bundle.read_bytes()
    good = tmp_path / "good.db"
    import_into(good, bundle)
    wanted, files = content(good), files_in(files_folder(good))
    directory = whole.rindex(b"PK\x01\x02") - 3_000
    refused = 0
    for number in range(150):
        changed = bytearray(whole)
        if number % 5 == 4:
            changed = changed[: draw.randrange(len(whole))]
        else:
            low = (0, directory)[number % 2]  # every other one in the archive's directory, where zip itself has no checksum
            changed[draw.randrange(low, len(whole))] ^= 1 << draw.randrange(8)
        path = tmp_path / "flipped.distilled"
        path.write_bytes(changed)
        other = tmp_path / "flipped.db"
        with closing(open_database(other)) as database:
            try:
                read_experiment(database, other, path)
            except HistoryError:
                refused += 1
                assert database.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
                assert not files_in(files_folder(other))
                continue
        assert content(other) == wanted
        assert files_in(files_folder(other)) == files
        shutil.rmtree(files_folder(other))
        other.unlink()
    assert refused > 100


def test_that_an_import_killed_at_any_moment_leaves_all_or_nothing(
    bundle: Path, tmp_path: Path, python: Callable[..., Any]
) -> None:
    code = """
import sys, os
from pathlib import Path
from workbench.history import unbundle
from workbench.history.database import open_database
path, source, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
replace, sync = os.replace, os.fsync
def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
def replaced(*a):
    count(); replace(*a); count()
def synced(*a):
    count(); sync(*a); count()
os.replace, os.fsync = replaced, synced
unbundle.read_experiment(open_database(path), path, source)
"""
    wanted, counts = None, []
    import_into(tmp_path / "whole.db", bundle)
    wanted = content(tmp_path / "whole.db")
    for left in (1, 2, 9, 20, 26, 29, 33, 38, 45, 500):
        other = tmp_path / f"killed-{left}.db"
        process = python(code, other, bundle, left)
        process.communicate(timeout=100)
        with closing(open_database(other)) as database:
            counts.append(database.execute("SELECT count(*) FROM runs").fetchone()[0])
            findings = examine(database, other)
            assert all(finding.what.endswith("that nothing refers to") for finding in findings)
            unused = [one for one in usage(database, other) if one.kind == "unused"]
        assert process.returncode == (0 if left == 500 else -9)
        assert counts[-1] in (0, 5)
        if counts[-1]:
            assert content(other) == wanted
            assert not unused
        import_into(other, bundle)
        assert content(other) == wanted
    assert set(counts) == {0, 5}


def test_that_the_reading_connection_suffices_to_export(source: Path, tmp_path: Path) -> None:
    os.chmod(source, 0o444)
    with closing(open_for_reading(source)) as database:
        write_experiment(database, source, [1], tmp_path / "x.distilled")
    os.chmod(source, 0o644)


def test_that_runs_in_the_bin_stay_there_and_are_told(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "experiments.db"
    shutil.copy(source, copy)
    shutil.copytree(files_folder(source), files_folder(copy))
    with closing(open_database(copy)) as database:
        changes.delete(database, [1])
        path = write_experiment(database, copy, [4], tmp_path / "x.distilled").path
    assert import_into(tmp_path / "other.db", path).words() == "Imported 2 experiments and 5 runs (1 to 5)."
    with closing(open_for_reading(tmp_path / "other.db")) as database:
        assert [row[0] for row in database.execute("SELECT run FROM bin").fetchall()] == [1]
    assert import_into(tmp_path / "other.db", path).words() == "Nothing is new: 5 runs were already here, 1 of them in the bin."


def test_that_a_sweep_that_varies_past_runs_names_them_by_their_numbers_here(history: History, tmp_path: Path) -> None:
    launch(history, tiny())
    sweep = {"teachers.0.run": [1, 2], "without": {"good teacher": {"teachers.0.run": 2}}}
    tables = tiny(teachers=[{"run": 1}]).to_dict() | {"sweep": sweep}
    _, numbers = history.enqueue_sweep(tables, expand(tables))
    for number in numbers:
        history.finish_experiment(number, "stopped", "")
    with closing(open_for_reading(history.path)) as database:
        path = write_experiment(database, history.path, numbers[:1], tmp_path / "x.distilled").path
    with History(tmp_path / "other.db") as other:
        add_run(other, other.enqueue(tiny()), "teacher")
        import_into(other.path, path)
        state = other.sweep_state(1)
    assert state.tables["sweep"] == {"teachers.0.run": [2, 3], "without": {"good teacher": {"teachers.0.run": 3}}}
    assert state.tables["teachers"][0]["run"] == 2
    assert [trial.point for trial in state.trials] == [{"teachers.0.run": 2, "without": "nothing"}]
