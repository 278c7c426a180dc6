"""The command line: what it prints, how it exits, and that bad input changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner, Result

from tests.distill.data_files import digit_pictures
from tests.experiments import DIVERGING, TINY, launch, tiny, tree
from tests.teacher_files import written
from workbench.cli import cli
from workbench.cli.tables import table
from workbench.history import reading
from workbench.history.database import back_up, open_database, open_for_reading
from workbench.history.writing import History
from workbench.recipes import experiment_of, recipe_paths

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]
FIELDS = (
    "run experiment role name status parents reused dataset model parameters temperature hard_weight seed epochs train_seconds"
    " samples_per_second val_accuracy test_accuracy test_errors test_size"
).split()
OF_STUDENTS = ["teacher_agreement", "teacher_kl"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a recipe beside it."""
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(TINY))
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    return working


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with the tiny experiment and the same again at another temperature."""
    path = tmp_path_factory.mktemp("filled") / "experiments.db"
    with History(path) as history:
        launch(history, tiny())
        launch(history, tiny(distillation__temperature=9))
    return path


def workbench(*arguments: object) -> Result:
    """The command in this process."""
    return CliRunner().invoke(cli, list(map(str, arguments)))


def shown(*arguments: object) -> Any:
    """The JSON of a command that succeeds."""
    result = workbench(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("own_signals")
class TestRun:
    def test_that_json_is_one_object_a_run_with_exactly_the_promised_fields(self, folder: Path) -> None:
        result = workbench("run", "../tiny.toml", "--json", "--device", "cpu")
        assert result.exit_code == 0, result.stderr
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        assert [list(run) for run in runs] == [FIELDS, FIELDS, FIELDS, FIELDS + OF_STUDENTS]
        assert [run["role"] for run in runs] == ["teacher", "teacher", "baseline", "student"]
        assert {run["status"] for run in runs} == {"done"}
        student = runs[-1]
        assert (student["run"], student["experiment"], student["parents"], student["reused"]) == (4, 1, [1, 2], False)
        assert (student["dataset"], student["model"], student["parameters"]) == ("digits", "mlp 1×8", 64 * 8 + 8 + 80 + 10)
        assert (student["temperature"], student["hard_weight"], student["seed"], student["epochs"]) == (4.0, 0.1, 0, 3.0)
        assert (runs[0]["temperature"], runs[0]["hard_weight"]) == (None, None)
        assert student["test_size"] == 500
        assert student["test_accuracy"] == pytest.approx(1 - student["test_errors"] / 500)
        assert sorted(os.listdir(folder)) == ["experiments.db", "experiments.files"]

    def test_that_progress_goes_to_standard_error(self, folder: Path) -> None:
        result = workbench("run", "../tiny.toml", "--json")
        assert "teacher 1: run 1, 2 epochs on cpu" in result.stderr
        assert "student: run 4 done" in result.stderr
        assert "tiny: done" in result.stderr

    def test_that_a_second_launch_reuses_and_says_so(self, folder: Path) -> None:
        workbench("run", "../tiny.toml")
        result = workbench("run", "../tiny.toml", "--json", "--set", "distillation.temperature=2")
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(run["run"], run["experiment"], run["reused"], run["status"]) for run in runs] == [
            (1, 2, True, "done"),
            (2, 2, True, "done"),
            (3, 2, True, "done"),
            (5, 2, False, "done"),
        ]
        assert runs[-1]["temperature"] == 2.0

    def test_that_without_json_a_table_is_printed(self, folder: Path) -> None:
        result = workbench("run", "../tiny.toml")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[0].split()[:4] == ["run", "experiment", "name", "status"]
        assert "teacher 1" in result.stdout

    def test_that_a_history_is_made_where_asked_for(self, folder: Path) -> None:
        (folder / "deep").mkdir()
        result = workbench("run", "../tiny.toml", "--history", "deep/my.db")
        assert result.exit_code == 0, result.stderr
        assert sorted(os.listdir("deep")) == ["my.db", "my.files"]

    def test_that_values_are_set_by_dotted_path(self, folder: Path) -> None:
        changes = ["student.units=5", "teachers.0.count=1", "training.epochs=1", "name=my name", "distillation.baseline=false"]
        result = workbench("run", "../tiny.toml", "--json", *(part for change in changes for part in ("--set", change)))
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(run["role"], run["model"], run["epochs"]) for run in runs] == [
            ("teacher", "mlp 1×16", 2.0),
            ("student", "mlp 1×5", 1.0),
        ]

    def test_that_own_images_are_named_like_any_setting(self, folder: Path) -> None:
        mine = digit_pictures(folder.parent / "mine pictures", 30)
        (mine / "torn.png").write_bytes(b"no picture")
        changes = [f"transfer.images={mine}", "transfer.fraction=0", "distillation.baseline=false"]
        result = workbench("run", "../tiny.toml", "--json", *(part for change in changes for part in ("--set", change)))
        assert result.exit_code == 0, result.stderr
        assert "1 picture of" in result.stderr
        assert "is left out: torn.png" in result.stderr
        assert shown("show", 3)["config"]["transfer"] == {"fraction": 0.0, "images": str(mine)}

    def test_that_a_run_that_diverges_exits_with_1_and_says_what_was_not_done(self, folder: Path) -> None:
        changes = [f"teacher_training.{key}={value}" for key, value in DIVERGING.items()]
        result = workbench("run", "../tiny.toml", "--json", *(part for change in changes for part in ("--set", change)))
        assert result.exit_code == 1
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(run["name"], run["status"]) for run in runs] == [
            ("teacher 1", "failed"),
            ("teacher 2", "failed"),
            ("baseline", "done"),
            ("student", "skipped"),
        ]
        assert [list(run) for run in runs] == [FIELDS, FIELDS, FIELDS, FIELDS + OF_STUDENTS]
        assert (runs[0]["test_errors"], runs[-1]["teacher_kl"]) == (None, None)
        assert "lower the learning rate (100)" in result.stderr
        assert "student: run 4 skipped, not done, because teacher 1, teacher 2 failed" in result.stderr


def recipe(text: str) -> list[object]:
    Path("../mine.toml").write_text(text)
    return ["run", "../mine.toml"]


def setting(*changes: str) -> list[object]:
    return ["run", "../tiny.toml", *(part for change in changes for part in ("--set", change))]


def history(make: str) -> list[object]:
    path = Path("history")
    match make:
        case "png":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
        case "folder":
            path.mkdir()
        case "read-only":
            History(path).close()
            path.chmod(0o444)
        case "newer":
            History(path).close()
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version = 99")
                connection.execute("PRAGMA journal_mode = DELETE")
        case "foreign":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("CREATE TABLE x (y)")
        case "nowhere":
            path = Path("no/such/folder/history")
    return ["run", "../tiny.toml", "--history", path]


BAD = {
    "unknown data set": (lambda: setting("data.dataset=mnits"), "did you mean 'mnist'?"),
    "unknown model": (lambda: setting("student.model=mpl"), "student.model: there is no model 'mpl'"),
    "unknown key": (lambda: setting("distillation.temprature=4"), "distillation.temprature: there is no such setting"),
    "unknown table": (lambda: setting("distilation.temperature=4"), "did you mean 'distillation'?"),
    "unknown option": (lambda: setting("student.unit=4"), "student.unit: the model mlp has no such option"),
    "unknown value": (lambda: setting("training.optimizer=adam"), "training.optimizer: 'adam' is not one of sgd, adamw"),
    "wrong type": (lambda: setting("student.units=many"), "student.units: must be a whole number, not 'many'"),
    "empty value": (lambda: setting("student.units="), "student.units: must be a whole number, not ''"),
    "T of 0": (lambda: setting("distillation.temperature=0"), "distillation.temperature: must be above 0"),
    "T of -1": (lambda: setting("distillation.temperature=-1"), "distillation.temperature: must be above 0"),
    "T of nan": (lambda: setting("distillation.temperature=nan"), "must be above 0 and at most 1000, not nan"),
    "T of inf": (lambda: setting("distillation.temperature=inf"), "must be above 0 and at most 1000, not inf"),
    "no teachers": (lambda: setting("teachers=[]"), "teachers: name at least one teacher"),
    "no such class": (
        lambda: setting('transfer.leave_out=["ten"]'),
        "transfer.leave_out: there is no class 'ten'; the 10 classes",
    ),
    "no such class number": (lambda: setting("transfer.keep=[10]"), "transfer.keep: there is no class 10"),
    "empty transfer set": (lambda: setting("transfer.leave_out=[0,1,2,3,4,5,6,7,8,9]"), "the transfer set is empty"),
    "fraction of 0": (lambda: setting("transfer.fraction=0"), "transfer.fraction: must be above 0"),
    "no own images": (lambda: setting("transfer.images=../mine"), "transfer.images: ../mine is not there: name a folder"),
    "own images alone": (
        lambda: setting("transfer.images=../mine", "transfer.fraction=0"),
        "distillation.baseline: switch it off",
    ),
    "hard weight without labels": (lambda: setting("transfer.labelled=false"), "distillation.hard_weight: must be 0"),
    "unsuitable model": (
        lambda: setting("student.model=torchvision", "student.architecture=vit_b_16"),
        "student: vit_b_16 does not suit 8×8 images of 1 channel; set its resize option",
    ),
    "unsuitable teacher": (
        lambda: setting("teachers.0.model=torchvision", "teachers.0.architecture=vit_b_16"),
        "teachers.0: vit_b_16 does not suit",
    ),
    "no such past run": (
        lambda: setting("teachers.0.count=1", "teachers.0.run=5"),
        "teachers.0.run: there is no run 5, since there is no",
    ),
    "set without a value": (lambda: setting("student.units"), "--set 'student.units' is not KEY=VALUE"),
    "set without a key": (lambda: setting("=5"), "is not KEY=VALUE"),
    "set below a value": (lambda: setting("name.x=5"), "name is a single value and has no parts"),
    "set of no item": (lambda: setting("teachers.7.count=1"), "there is one of them, numbered from 0"),
    "TOML syntax": (lambda: recipe("name = 'x'\n[student\n"), "../mine.toml is not valid TOML: Expected ']'"),
    "TOML syntax line": (lambda: recipe("name = 'x'\n[student\n"), "line 2"),
    "recipe key": (lambda: recipe("[studnet]\n"), "../mine.toml: studnet: there is no such setting (did you mean 'student'?)"),
    "recipe value": (lambda: recipe("seed = 2020-01-01\n"), "seed: must be a whole number"),
    "recipe of another kind": (
        lambda: (Path("../mine.toml").write_bytes(b"\xff\x00"), ["run", "../mine.toml"])[1],
        "is not a recipe",
    ),
    "no such recipe file": (lambda: ["run", "../yours.toml"], "there is no recipe file ../yours.toml"),
    "no such recipe": (lambda: ["run", "digit"], "did you mean 'digits'?"),
    "no such device": (
        lambda: ["run", "../tiny.toml", "--device", "tpu"],
        "there is no device 'tpu'; choose auto, cpu, cuda or mps",
    ),
    "no such data folder": (lambda: ["run", "../tiny.toml", "--data", "nowhere"], "the data folder nowhere does not exist"),
    "negative threads": (lambda: ["run", "../tiny.toml", "--threads", "-1"], "--threads must be 0 or more, not -1"),
    "data that is a file": (lambda: setting("data.dataset=../tiny.toml"), "is a file: name the folder"),
    "history png": (lambda: history("png"), "history is not a history"),
    "history folder": (lambda: history("folder"), "history is a folder"),
    "history read-only": (lambda: history("read-only"), "history is read-only"),
    "history newer": (lambda: history("newer"), "history was written by a newer workbench (schema 99"),
    "history foreign": (lambda: history("foreign"), "is an SQLite file of another application"),
    "history nowhere": (lambda: history("nowhere"), "no/such/folder of the history does not exist"),
    "runs of no history": (lambda: ["runs"], "there is no history at experiments.db"),
    "show of no history": (lambda: ["show", "1"], "there is no history at experiments.db"),
    "compare of no history": (lambda: ["compare", "1", "2"], "there is no history at experiments.db"),
}


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_that_bad_input_is_one_sentence_exit_status_2_and_changes_nothing(
    arguments: Any, words: str, as_json: list[str], folder: Path
) -> None:
    command = arguments()
    before = tree(folder)
    result = workbench(*command, *as_json)
    assert words in result.stderr
    *told, sentence = result.stderr.splitlines()
    assert sentence.startswith("workbench: ")
    assert not told
    assert result.exit_code == 2
    assert result.stdout == ""
    assert tree(folder) == before


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("command", [["run", "../tiny.toml"], ["import", "linear.onnx"]], ids=["run", "import"])
def test_that_no_room_beside_the_history_is_one_sentence(command: list[object], folder: Path) -> None:
    (folder / "experiments.files").mkdir()
    (folder / "experiments.files" / "locks").write_text("in the way")
    written(folder / "linear.onnx")
    result = workbench(*command)
    assert result.stderr.splitlines()[-1].startswith("workbench: nothing can be kept beside experiments.db (")
    assert "Traceback" not in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


class TestImport:
    def test_that_a_weight_file_becomes_a_run_that_can_teach(self, folder: Path) -> None:
        assert workbench("run", "../tiny.toml").exit_code == 0
        with closing(open_for_reading(folder / "experiments.db")) as database:
            (errors,) = (row.figures["test_errors"] for row in reading.list_runs(database, [1]))
            stored = reading.stored_file(database, folder / "experiments.db", 1, "weights")
        assert stored is not None
        changes = ["--set", "model.layers=1", "--set", "model.units=16"]
        result = workbench("import", stored.path, *changes, "--name", "mine", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert (found["run"], found["role"], found["status"], found["test_errors"]) == (5, "teacher", "done", errors)
        taught = workbench("run", "../tiny.toml", "--set", "teachers=[{run=5}]", "--json")
        assert taught.exit_code == 0, taught.stderr
        assert json.loads(taught.stdout.splitlines()[-1])["parents"] == [5]

    def test_that_weights_of_another_model_are_refused_and_nothing_is_entered(self, folder: Path) -> None:
        assert workbench("run", "../tiny.toml").exit_code == 0
        with closing(open_for_reading(folder / "experiments.db")) as database:
            stored = reading.stored_file(database, folder / "experiments.db", 1, "weights")
        assert stored is not None
        result = workbench("import", stored.path, "--set", "model.units=99")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "does not fit the model: " in result.stderr
        assert len(shown("runs")) == 4

    def test_that_a_teacher_from_elsewhere_is_looked_at_mapped_and_entered(self, folder: Path) -> None:
        written(folder / "linear.onnx", order=[*range(1, 10), 0])
        looked = workbench("import", "linear.onnx", "--look")
        assert looked.exit_code == 0, looked.stderr
        assert looked.stdout.splitlines()[0] == "0  0"
        assert not (folder / "experiments.db").exists()
        right = [argument for number in range(10) for argument in ("--map", f"{number}={(number - 1) % 10}")]
        found = json.loads(workbench("import", "linear.onnx", "--look", "--json", *right).stdout)
        assert found["figures"]["val_accuracy"] > 0.85
        assert "linear.onnx is right in" in found["words"]
        entered = workbench("import", "linear.onnx", *right, "--name", "linear", "--json")
        assert entered.exit_code == 0, entered.stderr
        row = json.loads(entered.stdout)
        assert (row["role"], row["model"], row["val_accuracy"]) == ("teacher", "onnx", found["figures"]["val_accuracy"])
        assert workbench("run", "../tiny.toml", "--set", "teachers=[{run=1}]").exit_code == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--torchvision", "resnet81"], "workbench: torchvision: there is no architecture 'resnet81' (did you mean"),
            (["linear.onnx", "--map", "three"], "workbench: --map takes CLASS=OUTPUT, such as cat=tabby, not 'three'"),
            (["linear.onnx", "--map", "3=cat"], "workbench: classes: the teacher has no output 'cat' to stand for 3;"),
            (["linear.onnx", "--names", "none.txt"], "workbench: names: none.txt cannot be read: No such file"),
            (["linear.onnx", "--set", "elsewhere=3"], "workbench: elsewhere: must be a table of settings"),
            (["linear.onnx", "--set", "training.epochs=7"], "workbench: training.epochs: a finished teacher has no such"),
            (["linear.onnx", "--set", "seed=5"], "workbench: seed: a finished teacher has no such setting; --set takes"),
            (["linear.onnx", "--set", "model.units=5"], "workbench: model.units: linear.onnx brings its model along; leave"),
            (["--torchvision", "resnet18", "--set", "model.model=mlp"], "workbench: model.model: torchvision brings its model"),
            (["linear.onnx", "--weights", "DEFAULT"], "workbench: --weights says which of torchvision's are meant; name the"),
            (["--mlflow", "x", "--map", "3=4"], "workbench: these runs bring their own settings; leave --set, --map"),
            ([], "workbench: say what to import: a FILE, --torchvision NAME,"),
        ],
    )
    def test_that_what_is_wrong_is_said_in_a_sentence(self, folder: Path, arguments: list[str], said: str) -> None:
        written(folder / "linear.onnx")
        result = workbench("import", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines()[-1].startswith(said)
        assert [path.name for path in folder.iterdir()] == ["linear.onnx"]


class TestBias:
    def test_that_a_class_never_seen_is_shifted_kept_shown_and_taken_back(self, folder: Path) -> None:
        changes = ["--set", "transfer.leave_out=[3]", "--set", "transfer.fraction=1.0", "--set", "training.epochs=20"]
        assert workbench("run", "../tiny.toml", *changes).exit_code == 0
        result = workbench("bias", 4, "--keep", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert (found["classes"], found["way"]) == (["3"], "validation")
        assert found["validation_after"]["errors"] <= found["validation_before"]["errors"]
        assert shown("show", 4)["correction"] == {"classes": [3], "shift": found["shift"], "way": "validation"}
        assert workbench("bias", 4, "--undo").exit_code == 0
        assert shown("show", 4)["correction"] is None
        assert "chosen by mass" in workbench("bias", 4, "--class", 3, "--way", "mass").stdout

    def test_that_a_run_that_has_seen_all_is_a_sentence(self, filled: Path) -> None:
        result = workbench("bias", 4, "--history", filled)
        assert (result.exit_code, result.stderr) == (
            2,
            "workbench: run 4 has seen every class; name those to shift with --class\n",
        )


class TestDoctor:
    def test_that_a_sound_history_exits_with_0_and_a_damaged_one_with_1(self, filled: Path, tmp_path: Path) -> None:
        sound = workbench("doctor", "--history", filled)
        assert (sound.exit_code, sound.stdout.splitlines()[-1]) == (0, "nothing is wrong")
        assert "SQLite" in sound.stdout
        copy = tmp_path / "copy.db"
        with closing(open_for_reading(filled)) as database:
            shutil.copy(back_up(database, tmp_path / "experiments.db", "test"), copy)
        with closing(open_database(copy)) as target:
            target.execute("UPDATE metrics SET value = value + 1 WHERE run = 1 AND step = 1")
        damaged = workbench("doctor", "--history", copy, "--json")
        assert damaged.exit_code == 1
        whats = [finding["what"] for finding in json.loads(damaged.stdout)["findings"]]
        assert any("of run 1 is not what was written" in what for what in whats)
        assert any("is gone" in what for what in whats)


class TestLists:
    def test_that_runs_are_listed_as_objects_of_the_same_fields(self, filled: Path) -> None:
        runs = shown("runs", "--history", filled)
        assert [run["run"] for run in runs] == [5, 1, 2, 3, 4]
        assert [list(run) for run in runs] == [FIELDS + OF_STUDENTS, FIELDS, FIELDS, FIELDS, FIELDS + OF_STUDENTS]
        printed = workbench("runs", "--history", filled)
        assert printed.exit_code == 0
        assert all(word in printed.stdout for word in ("student", "baseline", "teacher 2", "mlp 1×16"))
        assert [line.split()[:3] for line in printed.stdout.splitlines()[1:4:2]] == [["5", "#2", "tiny"], ["1", "#1", "tiny"]]

    def test_that_names_are_whole_in_a_file_and_a_terminal_shortens_the_experiments_alone(self, history: History) -> None:
        name = "specialists of letters\n· top 2 · seed 1 · teacher seed 100, a while"
        launch(history, tiny(name=name))
        with closing(open_for_reading(history.path)) as database:
            rows = [
                replace(row, name="generalist's student") if row.role == "student" else row for row in reading.list_runs(database)
            ]
        whole, narrow, wide = table(rows, 0).splitlines(), table(rows, 120).splitlines(), table(rows, 240).splitlines()
        assert whole == wide
        assert {len(line) for line in narrow} == {120}
        on_one_line = "#1 " + name.replace("\n", " ")
        assert [on_one_line in line for line in whole] == [False, True, True, True, True, False]
        assert [on_one_line[:18] in line for line in narrow] == [False, True, True, True, True, False]
        for lines in (whole, narrow):
            end = lines[0].index("test %") + len("test %")
            student, teachers = lines[4:]
            assert "generalist's student" in student
            assert "(its teachers)" in teachers
            assert student[end - 6 : end].strip() == f"{100 * rows[3].figures['test_accuracy']:.2f}"
            assert teachers[end - 6 : end].strip() == f"{100 * rows[3].figures['ensemble_test_accuracy']:.2f}"
        assert all(on_one_line[:17] + "…" in line for line in table(rows, 40).splitlines()[1:-1])
        printed = workbench("runs", "--history", history.path)
        assert on_one_line in printed.stdout

    def test_that_an_empty_history_says_what_to_try(self, folder: Path) -> None:
        History(Path("experiments.db")).close()
        assert shown("runs") == []
        assert "has no runs yet; try `workbench run digits`" in workbench("runs").stdout

    def test_that_a_run_is_shown_with_everything(self, filled: Path) -> None:
        details = shown("show", 4, "--history", filled)
        assert set(FIELDS + OF_STUDENTS) <= details.keys()
        assert details["config"]["transfer"] == {"fraction": 0.1}
        assert details["settings"]["training.batch_size"] == 64
        assert details["figures"]["ensemble_test_errors"] >= 0
        assert details["environment"]["device"] == "cpu"
        assert shown("show", 1, "--history", filled)["children"] == [4, 5]
        text = workbench("show", 4, "--history", filled)
        assert text.exit_code == 0
        assert "distillation.temperature" in text.stdout

    def test_that_a_comparison_shows_only_settings_that_differ(self, filled: Path) -> None:
        compared = shown("compare", 4, 5, "--history", filled)
        assert [run["run"] for run in compared["runs"]] == [4, 5]
        assert compared["differing_settings"] == {"distillation.temperature": {"4": 4.0, "5": 9.0}}
        text = workbench("compare", 4, 5, "--history", filled)
        assert text.exit_code == 0
        assert "distillation.temperature" in text.stdout
        assert "training.epochs" not in text.stdout

    def test_that_runs_alike_are_said_to_differ_in_nothing(self, filled: Path) -> None:
        assert shown("compare", 4, 4, "--history", filled)["differing_settings"] == {}
        assert "no setting differs" in workbench("compare", 4, 4, "--history", filled).stdout

    def test_that_of_two_groups_it_is_said_whether_the_difference_is_real(self, filled: Path) -> None:
        said = shown("compare", 4, 5, "--history", filled)["difference"]
        assert re.search(r"^One seed each says nothing about other seeds\. .* On the same 500 test images student \(4\) ", said)
        assert said in workbench("compare", 4, 5, "--history", filled).stdout
        assert shown("compare", 1, 2, "--history", filled)["difference"] is None
        assert shown("compare", 1, 3, 4, "--history", filled)["difference"] is None

    @pytest.mark.parametrize("command", [["show", 77], ["compare", 1, 77]])
    def test_that_a_run_that_is_not_there_is_a_sentence(self, command: list[object], filled: Path) -> None:
        result = workbench(*command, "--history", filled)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "workbench: there is no run 77 in this history; see `workbench runs`\n"

    @pytest.mark.parametrize("number", [0, -1, 10**20])
    def test_that_an_impossible_number_is_refused(self, number: int, filled: Path) -> None:
        for command in ("show", "compare"):
            result = CliRunner().invoke(cli, [command, "--history", str(filled), "--", str(number)])
            assert (result.exit_code, result.stdout) == (2, "")
            assert "is not in the range" in result.stderr

    def test_that_a_history_with_damaged_pages_is_a_sentence(self, filled: Path, tmp_path: Path) -> None:
        damaged = tmp_path / "damaged.db"
        content = filled.read_bytes()
        damaged.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        result = workbench("runs", "--history", damaged)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "cannot be read as a history: database disk image is malformed; restore one of its copies" in result.stderr

    def test_that_a_device_named_before_the_command_is_the_commands(self, folder: Path) -> None:
        result = CliRunner().invoke(cli, ["--device", "tpu", "run", "../tiny.toml"])
        assert (result.exit_code, result.stderr) == (2, "workbench: there is no device 'tpu'; choose auto, cpu, cuda or mps\n")

    def test_that_the_history_may_be_named_before_the_command(self, filled: Path) -> None:
        result = CliRunner().invoke(cli, ["--history", str(filled), "runs", "--json"])
        assert len(json.loads(result.stdout)) == 5

    def test_that_reading_changes_nothing(self, filled: Path) -> None:
        before = tree(filled.parent)
        for command in (["runs"], ["show", "4"], ["compare", "4", "5"]):
            workbench(*command, "--history", filled)
        assert tree(filled.parent) == before

    def test_that_recipes_are_listed(self) -> None:
        found = {item["name"]: item for item in shown("recipes")}
        assert set(found) == set(recipe_paths())
        assert all(item["description"] for item in found.values())
        for name, item in found.items():
            assert experiment_of(name).to_dict() == item["config"]
        text = workbench("recipes").stdout
        assert all(name in text for name in found)

    def test_that_data_sets_are_listed(self) -> None:
        found = {item["name"]: item for item in shown("datasets")}
        assert {"digits", "mnist", "fashion-mnist", "kmnist", "emnist-balanced", "cifar10", "cifar100"} <= set(found)
        assert found["digits"]["where"] == "built in"
        assert (found["digits"]["classes"], found["digits"]["shape"]) == (10, [1, 8, 8])
        assert "digits" in workbench("datasets").stdout


@pytest.fixture
def command(folder: Path) -> Iterator[Start]:
    """Starts the command line in a process of its own, after some code; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-W", "error", "-c", f"{code}\nfrom workbench.cli import main\nmain()", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(program, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:
            pass


WITHOUT_QT = """
import sys
class NoQt:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("PySide6", "shiboken6", "pyqtgraph", "superqt"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoQt())
"""
INTERRUPTED_AT_IMPORT = """
import signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""

ON_A_TERMINAL = """
import sys
sys.stderr.isatty = lambda: True
"""


class TestProcess:
    def test_that_a_recipe_runs_where_qt_is_absent_and_json_is_all_of_standard_output(self, command: Start, folder: Path) -> None:
        process = command(WITHOUT_QT, "run", "../tiny.toml", "--json")
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert [json.loads(line)["status"] for line in out.splitlines()] == ["done"] * 4
        assert "student: run 4 done" in err

    def test_that_the_window_says_what_it_needs_where_qt_is_absent(self, command: Start, folder: Path) -> None:
        process = command(WITHOUT_QT)
        out, err = process.communicate(timeout=100)
        assert (process.returncode, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert "workbench run" in err
        assert os.listdir(folder) == []

    def test_that_an_interrupt_ends_with_a_checkpoint_and_130(self, command: Start, folder: Path) -> None:
        process = command("", "run", "../tiny.toml", "--json", "--set", "teacher_training.epochs=100000")
        assert process.stderr is not None
        assert "teacher 1: run 1" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 130, err
        assert [(json.loads(line)["name"], json.loads(line)["status"]) for line in out.splitlines()] == [
            ("teacher 1", "interrupted")
        ]
        with closing(open_for_reading(folder / "experiments.db")) as database:
            rows = reading.list_runs(database)
            assert {row.status for row in rows} == {"interrupted"}
            assert "state" in [kind for kind, _, _ in reading.run_details(database, 1).artefacts]

    def test_that_what_was_interrupted_is_resumed_as_the_same_runs(self, command: Start, folder: Path) -> None:
        process = command("", "run", "../tiny.toml", "--set", "teacher_training.epochs=2000")
        assert process.stderr is not None
        assert "teacher 1: run 1" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)
        assert process.returncode == 130
        result = workbench("resume", 1, "--json")
        assert result.exit_code == 0, result.stderr
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(run["run"], run["name"], run["status"], run["epochs"]) for run in found][:2] == [
            (1, "teacher 1", "done", 2000.0),
            (2, "teacher 2", "done", 2000.0),
        ]
        refused = workbench("resume", 1)
        assert (refused.exit_code, refused.stderr) == (
            2,
            "workbench: run 1 is done; say with --epochs how far it should go on\n",
        )
        longer = workbench("resume", 4, "--epochs", 5, "--json")
        assert longer.exit_code == 0, longer.stderr
        assert json.loads(longer.stdout.splitlines()[-1])["epochs"] == 5.0

    @pytest.mark.parametrize("work", [["run", "../tiny.toml", "--json"], ["resume", "1", "--epochs", "9"]], ids=["run", "resume"])
    def test_that_a_terminal_is_told_before_torch_is_imported(
        self, command: Start, folder: Path, filled: Path, work: list[str]
    ) -> None:
        process = command(ON_A_TERMINAL + INTERRUPTED_AT_IMPORT, *work, "--history", str(filled))
        out, err = process.communicate(timeout=100)
        assert (process.returncode, out, err) == (130, "", "starting…\nworkbench: interrupted\n")

    def test_that_an_interrupt_before_anything_began_is_130_too_and_leaves_nothing(self, command: Start, folder: Path) -> None:
        process = command(INTERRUPTED_AT_IMPORT, "run", "../tiny.toml", "--json")
        out, err = process.communicate(timeout=100)
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
        assert os.listdir(folder) == []
