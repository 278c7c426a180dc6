"""Runs taken away as files: the same answers elsewhere, or a sentence and no file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.cli.test_commands import shown, workbench
from tests.distill.data_files import idx_files, picture_folder, write_idx
from tests.experiments import engine, launch, rows, specialised, tiny, tree
from workbench.analysis.bias import Correction
from workbench.config import ExperimentConfig
from workbench.distill import onnx_files
from workbench.errors import CannotWrite, CheckpointError, ConfigError, DataError, HistoryError, WorkbenchError
from workbench.exchange import taking
from workbench.exchange.takeaway import FORMS, AnswersOtherwise, Taken, form_of
from workbench.exchange.taking import Wanted, take_away
from workbench.history.changes import keep_correction
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History
from workbench.plan import SPECIALISED
from workbench.running import device_lease

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "layers": 1, "units": 8, "dropout": 0.1, "input_dropout": 0.1, "max_norm": 2.0},
    "cnn": {"model": "cnn", "channels": 4, "units": 16, "dropout": 0.1},
    "cnn without parts": {"model": "cnn", "channels": 4, "units": 16, "convolutions": 2, "activation": "none", "bias": False},
    "resnet": {"model": "resnet", "depth": 8, "width": 4},
    "torchvision": {"model": "torchvision", "architecture": "squeezenet1_1", "resize": 32},
}
"""Small ones of every model of the zoo."""
FILES = [f"student{about.suffix}" for about in FORMS.values()]


def take(history: Path, run: int, target: Path, **more: Any) -> Taken:
    wanted = Wanted(run=run, target=target, **{"form": more.get("form") or form_of(target)} | more)
    with closing(open_for_reading(history)) as database:
        return take_away(engine(), database, history, wanted)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history whose runs 1 and 2 are teachers, 3 the baseline and 4 the student of these."""
    path = tmp_path_factory.mktemp("done") / "experiments.db"
    with History(path) as history:
        assert launch(history, tiny())[0] == "done"
    return path


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A student of every model of the zoo, trained for a moment; their runs by model."""
    path = tmp_path_factory.mktemp("zoo") / "experiments.db"
    found = {}
    with History(path) as history:
        for number, (name, model) in enumerate(MODELS.items(), start=1):
            config = tiny(
                student=model, distillation__baseline=False, transfer__fraction=1.0, training__epochs=2,
                data__image_size=12, data__invert=True,
            )  # fmt: skip
            assert launch(history, config)[0] == "done"
            found[name] = next(row.id for row in rows(history, number) if row.role == "student")
    return path, found


@pytest.fixture
def test_images(tmp_path: Path) -> Path:
    """The digits' test images as a script reads them."""
    path = tmp_path / "images.npy"
    np.save(path, engine().data(tiny().data).test.images.numpy())
    return path


def predicted(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("model", list(MODELS))
def test_that_every_model_gives_the_same_answers_in_every_form(
    zoo: tuple[Path, dict[str, int]], tmp_path: Path, model: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "SECONDS", 0.01)
    taken = take(zoo[0], zoo[1][model], tmp_path / file)
    assert taken.compared.cases == 500
    assert taken.compared.differing == 0
    assert taken.compared.largest <= 1e-4
    assert taken.compared.errors == taken.compared.run_errors
    assert [line.name for line in taken.lines] == ["student", "ensemble of 2"]
    assert all(set(line.latency or {}) == {1, 64} for line in taken.lines)
    assert os.listdir(tmp_path) == [file]
    assert Taken.from_json(taken.to_json()) == taken


def test_that_an_onnx_file_tells_what_it_is_and_nothing_of_this_machine(done: Path, tmp_path: Path) -> None:
    taken = take(done, 4, tmp_path / "student.onnx")
    model = onnx.load(taken.path)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["classes"]) == list("0123456789")
    assert told["opset"] == str(model.opset_import[0].version)
    assert ExperimentConfig.from_dict(tomllib.loads(told["recipe"])) == tiny()
    assert (told["data"], told["bias_correction"]) == ("digits", "")
    assert told["input"].startswith("uint8 N × 1 × 8 × 8")
    assert "pixels from 0 to 255" in told["input"]
    (images,) = model.graph.input
    assert [(one.dim_param, one.dim_value) for one in images.type.tensor_type.shape.dim] == [
        ("batch", 0),
        ("", 1),
        ("", 8),
        ("", 8),
    ]
    content = taken.path.read_bytes()
    assert str(Path(taking.__file__).parent).encode() not in content
    assert str(tmp_path).encode() not in content


def test_that_scikit_learns_digits_are_what_the_file_takes_once_scaled_as_it_says(
    done: Path, tmp_path: Path, test_images: Path
) -> None:
    taken = take(done, 4, tmp_path / "student.onnx")
    told = {entry.key: entry.value for entry in onnx.load(taken.path).metadata_props}
    assert "scikit-learn's from 0 to 16 times 255 / 16" in told["input"]
    scaled = np.rint(load_digits().images[-500:, None] * 255 / 16).astype(np.uint8)
    np.testing.assert_array_equal(scaled, np.load(test_images))


def test_that_a_program_tells_nothing_of_this_machine(done: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(take(done, 4, tmp_path / "student.pt2").path) as archive:
        for name in archive.namelist():
            assert str(Path(taking.__file__).parent).encode() not in archive.read(name), name


@pytest.mark.parametrize("file", FILES)
def test_that_a_kept_correction_is_inside(tmp_path: Path, file: str) -> None:
    path = tmp_path / "experiments.db"
    with History(path) as history:
        launch(history, tiny(transfer__leave_out=[3]))
    with closing(open_database(path)) as database:
        keep_correction(database, 4, Correction(classes=(3,), shift=50.0, way="hand"))
    taken = take(path, 4, tmp_path / file)
    assert taken.compared.same
    labels = engine().data(tiny().data).test.labels.numpy()
    assert taken.compared.errors == (labels != 3).sum(), "all are taken for a 3"


@pytest.mark.parametrize("form", [form for form in FORMS if form != "onnx"])
def test_that_the_script_shown_runs_the_file(done: Path, tmp_path: Path, test_images: Path, form: str) -> None:
    taken = take(done, 4, tmp_path / f"student{FORMS[form].suffix}")
    folder = tmp_path
    if form == "safetensors":
        with zipfile.ZipFile(taken.path) as archive:
            archive.extractall(tmp_path)
        folder = tmp_path / "student"
    (folder / "run.py").write_text(taken.script)
    assert len([line for line in taken.script.splitlines() if line]) <= 12
    process = subprocess.run(
        [sys.executable, "-I", "-c", "import runpy, sys; sys.path.insert(0, '.'); runpy.run_path('run.py')", str(test_images)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert predicted(process.stdout) == own_predictions(done, 4)


def own_predictions(history: Path, run: int) -> list[str]:
    with History(history) as opened:
        data = engine().data(tiny().data)
        net = engine().ensemble([opened.weights_of(run)], "arithmetic", data).members[0]
    return [data.classes[number] for number in net(data.view(data.test.images)).argmax(dim=1).tolist()]


def alone(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with onnxruntime, numpy and what these need, and nothing else."""
    return subprocess.run(
        ["uv", "run", "--isolated", "--no-project", "--with", "onnxruntime", "--with", "numpy", "python", "-c", code, *arguments],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_that_the_script_runs_where_only_onnxruntime_and_numpy_are(done: Path, tmp_path: Path, test_images: Path) -> None:
    if shutil.which("uv") is None or alone("import onnxruntime", cwd=tmp_path).returncode:
        pytest.skip("an environment with only onnxruntime and numpy cannot be made here")
    taken = take(done, 4, tmp_path / "student.onnx")
    (tmp_path / "run.py").write_text(taken.script)
    assert len([line for line in taken.script.splitlines() if line]) <= 10
    without = "import importlib.util as u, runpy; assert not any(map(u.find_spec, ('torch', 'onnx', 'workbench'))); "
    process = alone(f"{without}runpy.run_path('run.py')", str(test_images), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert predicted(process.stdout) == own_predictions(done, 4)


def test_that_the_card_tells_what_the_run_is(done: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(take(done, 4, tmp_path / "mine.zip").path) as archive:
        assert sorted(archive.namelist()) == ["mine/README.md", "mine/model.py", "mine/model.safetensors"]
        text = archive.read("mine/README.md").decode()
    with History(done) as history:
        row = next(one for one in rows(history) if one.id == 4)
    for part in (
        "license:  # yours to choose",
        "# tiny: student, run 4",
        f"{row.figures['test_errors']:,.0f} of 500",
        f"ECE {row.figures['test_ece']:.4f}",
        f"top-1 agreement {row.figures['teacher_agreement']:.2%}",
        f"| Parameters | {row.parameters:,} |",
        "- run 1: mlp",
        "from model import load",
        'name = "tiny"',
        engine().data(tiny().data).digest,
    ):
        assert part in text


def taken_alike(history: Path, target: Path, **data: Any) -> Taken:
    """A student of such data, whose file gives the same answers from the images as the files have them."""
    with History(history) as opened:
        settings = {f"data__{name}": value for name, value in data.items()}
        config = tiny(distillation__baseline=False, training__epochs=1, transfer__fraction=1.0, **settings)
        assert launch(opened, config)[0] == "done"
    taken = take(history, 3, target)
    assert taken.compared.same
    assert taken.compared.cases > 0
    return taken


@pytest.mark.parametrize("channels", [0, 1])
def test_that_pictures_are_prepared_inside(tmp_path: Path, history_path: Path, channels: int) -> None:
    folder = picture_folder(tmp_path / "pictures", ants=30, bees=30)
    for place, path in enumerate(sorted(folder.rglob("*.png"))):
        noise = np.random.default_rng(place).integers(0, 256, (20, 14, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    given = {"dataset": str(folder), "image_size": 9, "invert": True, "transpose": True, "channels": channels}
    taken = taken_alike(history_path, tmp_path / "student.onnx", **given)
    assert f"uint8 (N, {channels or 3}, 9, 9)" in taken.script


def test_that_files_whose_rows_are_columns_are_read_as_they_are(
    tmp_path: Path, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "data" / "emnist-balanced", idx_files(classes=47, train=470, test=94))
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    taken = taken_alike(history_path, tmp_path / "student.onnx", dataset="emnist-balanced", channels=3, image_size=4)
    told = {entry.key: entry.value for entry in onnx.load(taken.path).metadata_props}
    assert json.loads(told["preprocessing"])["transpose"] is True
    assert "rows and columns exchanged, given three channels, scaled to 4 × 4, standardised" in told["input"]


def test_that_eight_bit_weights_stand_beside_with_their_errors(done: Path, tmp_path: Path) -> None:
    taken = take(done, 1, tmp_path / "teacher.onnx", small=True)
    assert taken.small == tmp_path / "teacher.int8.onnx"
    assert [line.name for line in taken.lines] == ["teacher 1", "teacher 1, int8"]
    assert all(line.errors is not None and line.latency for line in taken.lines)
    assert taken.lines[1].size == taken.small.stat().st_size
    assert "MatMulInteger" in {node.op_type for node in onnx.load(taken.small).graph.node}
    assert any(note.startswith("With 8-bit weights") for note in taken.notes)
    taken.path.unlink()
    with pytest.raises(CannotWrite, match=r"teacher\.int8\.onnx is there already"):
        take(done, 1, tmp_path / "teacher.onnx", small=True)
    assert os.listdir(tmp_path) == ["teacher.int8.onnx"]


# What cannot be


@pytest.fixture(scope="module")
def with_specialists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    path = tmp_path_factory.mktemp("specialised") / "experiments.db"
    with History(path) as history:
        assert launch(history, specialised(training__epochs=1, specialist_training__epochs=1))[0] == "done"
        yield history


def test_that_what_has_no_answers_of_its_own_is_refused(with_specialists: History, tmp_path: Path) -> None:
    whole = next(row.id for row in rows(with_specialists) if row.name == SPECIALISED)
    one = next(row.id for row in rows(with_specialists) if row.role == "specialist")
    for run, sentence in ((whole, "has no weights of its own"), (one, "is a specialist")):
        with pytest.raises(CheckpointError, match=sentence):
            take(with_specialists.path, run, tmp_path / "x.onnx")
    assert not os.listdir(tmp_path)


def test_that_runs_without_weights_or_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    with History(path) as history:
        launch(history, tiny(distillation__baseline=False))
        history.weights_of(3).path.unlink()
        with pytest.raises(CheckpointError, match="cannot be read"):
            take(path, 3, tmp_path / "x.onnx")
        for sql, sentence in (
            ("DELETE FROM artefacts WHERE run = 2", "the weights of run 2 are no longer kept"),
            ("UPDATE runs SET status = 'stopped' WHERE id = 1", "run 1 is stopped; only a finished run"),
            ("UPDATE runs SET data_digest = 'other' WHERE id = 3", "digits is no longer what run 3 was trained on"),
        ):
            with closing(open_database(path)) as database:
                database.execute(sql)
                database.conn.commit()
            run = int(sentence.partition("run ")[2][0])
            with pytest.raises((CheckpointError, DataError), match=sentence):
                take(path, run, tmp_path / "x.onnx")
        with pytest.raises(HistoryError, match="there is no run 99"):
            take(path, 99, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_that_a_file_that_answers_otherwise_is_kept_only_where_that_is_said(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = onnx_files.answers
    monkeypatch.setattr(onnx_files, "answers", lambda opened: lambda images: answers(opened)(images)[:, ::-1])
    target = tmp_path / "student.onnx"
    with pytest.raises(
        AnswersOtherwise, match=r"student\.onnx answers otherwise than run 4 and is not kept: \d+ of 500 test images"
    ):
        take(done, 4, target)
    assert not os.listdir(tmp_path)
    taken = take(done, 4, target, force=True)
    assert not taken.compared.same
    assert "answers otherwise" in taken.words()
    assert target.exists()


@pytest.mark.parametrize("file", FILES)
def test_that_a_file_that_is_there_stays_unless_overwriting_is_asked_for(done: Path, tmp_path: Path, file: str) -> None:
    target = tmp_path / file
    target.write_bytes(b"mine")
    with pytest.raises(CannotWrite, match="is there already; remove it or name another file"):
        take(done, 4, target)
    assert tree(tmp_path) == {file: b"mine"}
    take(done, 4, target, overwrite=True)
    assert target.stat().st_size > 1000


@pytest.mark.parametrize("file", FILES)
def test_that_a_full_disk_is_a_sentence_and_nothing_is_half_written(
    done: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / file).write_bytes(b"mine")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match=r"cannot be written \(No space left on device; .* free\)"):
        take(done, 4, tmp_path / file, overwrite=True)
    assert tree(tmp_path) == {file: b"mine"}


@pytest.mark.parametrize(
    ("file", "more", "sentence"),
    [
        ("no/student.onnx", {}, "the folder .*no does not exist"),
        ("student.txt", {"form": "onnx"}, "a file of ONNX ends in .onnx: name it student.onnx"),
        ("student.pt2", {"small": True}, "8-bit weights are for onnx, not for torch-export"),
        ("student.pt2", {"form": "tflite"}, "there is no form 'tflite'; the forms are onnx, safetensors, torch-export"),
    ],
)
def test_that_bad_wishes_are_sentences(done: Path, tmp_path: Path, file: str, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((CannotWrite, ConfigError), match=sentence):
        take(done, 4, tmp_path / file, **more)
    assert not os.listdir(tmp_path)


def test_that_latency_is_left_out_while_somebody_trains(done: Path, tmp_path: Path) -> None:
    lease = device_lease.take("cpu")
    assert lease is not None
    try:
        taken = take(done, 4, tmp_path / "student.onnx")
    finally:
        lease.release()
    assert not any(line.latency for line in taken.lines)
    assert any("another workbench trains" in note for note in taken.notes)


def test_that_missing_libraries_are_a_sentence(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WorkbenchError, match="ONNX files need onnx, onnxscript and onnxruntime: pip install"):
        take(done, 4, tmp_path / "student.onnx")
    taken = take(done, 4, tmp_path / "student.pt2")
    assert taken.compared.same
    assert any("pip install" in note for note in taken.notes)


def test_that_weights_beyond_what_a_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch, done: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_files, "LARGEST", 100)
    with pytest.raises(WorkbenchError, match="do not fit into an ONNX file"):
        take(done, 4, tmp_path / "student.onnx")


# The command line


def test_that_the_command_line_takes_a_run_away(done: Path, tmp_path: Path) -> None:
    found = shown("take", 4, "--to", tmp_path / "student.pt2", "--history", done)
    assert (found["form"], found["same"], found["compared"]["differing"]) == ("torch-export", True, 0)
    again = workbench("take", 4, "--to", tmp_path / "student.pt2", "--history", done)
    assert again.exit_code == 2
    assert again.stderr.startswith("workbench: ")
    assert "is there already" in again.stderr
    told = workbench("take", 4, "--to", tmp_path / "student.pt2", "--history", done, "--overwrite")
    assert told.exit_code == 0, told.stderr
    assert "all 500 test images get the same class" in told.stdout
    assert "torch.export.load('student.pt2'" in told.stdout
    assert "multiply-adds" in told.stdout


def test_that_the_command_line_asks_for_an_ending_that_says_the_form(done: Path, tmp_path: Path) -> None:
    result = workbench("take", 4, "--to", tmp_path / "student", "--history", done)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "its ending can be .onnx (onnx), .zip (safetensors), .pt2 (torch-export)" in result.stderr
