"""Teachers from elsewhere: ONNX files and weights for other classes or images become runs that teach."""

from __future__ import annotations

import copy
import json
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.distill.digits import digits
from tests.experiments import engine, launch, rows, tiny, tree
from tests.teacher_files import CLASSES, linear, with_weights_in, written
from workbench.config import DataConfig, ElsewhereConfig, ModelConfig, TeacherConfig
from workbench.distill import checkpoints
from workbench.distill.elsewhere import Elsewhere
from workbench.distill.evaluation import logits_on
from workbench.distill.models import build
from workbench.distill.onnx_teacher import OnnxNet
from workbench.errors import CheckpointError, ConfigError, WorkbenchError
from workbench.exchange.bringing import Found, Wanted
from workbench.exchange.importing import enter, look, measured
from workbench.exchange.taking import Wanted as WantedAway
from workbench.exchange.taking import cpu_engine, take_away
from workbench.history.bundle import write_experiment
from workbench.history.database import open_database, open_for_reading
from workbench.history.unbundle import read_experiment
from workbench.history.writing import History

UPSIDE_DOWN = DataConfig(transpose=True, invert=True)
SHUFFLED = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    (tmp_path / "history").mkdir()
    with History(tmp_path / "history" / "experiments.db") as made:
        yield made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How good the linear classifier is on validation."""
    path = written(tmp_path_factory.mktemp("plain") / "plain.onnx")
    return look(engine(), Wanted(file=path)).figures["val_accuracy"]


def bring(history: History, wanted: Wanted) -> int:
    return enter(history, measured(engine(), wanted))


def refused(history: History, kind: type[WorkbenchError], **wanted: Any) -> str:
    """What is said of a teacher that cannot be brought in; nothing is entered, and no file left."""
    before = tree(history.path.parent)
    with pytest.raises(kind) as caught:
        bring(history, Wanted(**wanted))
    assert tree(history.path.parent) == before
    assert history.path.exists()
    text = str(caught.value)
    assert "\n" not in text
    return text


class TestOwnFile:
    @pytest.mark.parametrize("data", [DataConfig(), UPSIDE_DOWN], ids=["as stored", "transposed and inverted"])
    def test_that_a_student_taken_away_comes_back_with_its_classes_and_pixels(
        self, history: History, tmp_path: Path, data: DataConfig
    ) -> None:
        assert launch(history, tiny(data=data_table(data)))[0] == "done"
        student = rows(history)[-1]
        target = tmp_path / "mine.onnx"
        with closing(open_for_reading(history.path)) as database:
            take_away(cpu_engine((), 1), database, history.path, WantedAway(run=student.id, target=target, form="onnx"))
        found = look(engine(), Wanted(file=target, data=data))
        assert found.chosen == found.classes
        assert found.figures["val_errors"] == student.figures["val_errors"]
        assert (found.settings["transpose"], found.settings["invert"]) == (data.transpose, data.invert)
        run = bring(history, Wanted(file=target, data=data))
        (row,) = rows(history, 2)
        assert (row.id, row.role, row.status, row.model) == (run, "teacher", "done", "onnx")
        assert row.figures["test_errors"] == student.figures["test_errors"]
        assert row.parameters is not None
        assert student.parameters is not None
        assert 0 <= row.parameters - student.parameters < 10  # mean and deviation are in the file too

    def test_that_a_student_learns_from_it_together_with_one_trained_here(self, history: History, tmp_path: Path) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        config = tiny(
            teachers=[{"run": run}, {"model": "mlp", "layers": 1, "units": 16}], training__epochs=40, transfer__fraction=1.0
        )
        assert launch(history, config)[0] == "done"
        *_, student = rows(history, 2)
        assert student.figures["ensemble_test_errors"] > 0
        assert student.figures["teacher_agreement"] > 0.6
        jittered = replace(config, training=replace(config.training, jitter=1))
        assert launch(history, jittered)[0] == "done"


def data_table(data: DataConfig) -> dict[str, Any]:
    return {"transpose": data.transpose, "invert": data.invert}


class TestOnnx:
    def test_that_outputs_are_matched_by_name_whatever_their_order(self, tmp_path: Path, plain: float) -> None:
        names = json.dumps([f"{number}." for number in SHUFFLED])
        path = written(tmp_path / "shuffled.onnx", order=SHUFFLED, metadata={"classes": names})
        found = look(engine(), Wanted(file=path))
        assert found.chosen == tuple(f"{number}." for number in range(CLASSES))
        assert found.figures["val_accuracy"] == plain > 0.85

    def test_that_names_from_a_file_and_a_mapping_by_hand_do_the_same(self, tmp_path: Path, plain: float) -> None:
        path = written(tmp_path / "words.onnx", order=SHUFFLED)
        names = tmp_path / "names.txt"
        names.write_text("\n".join(WORDS[number] for number in SHUFFLED))
        found = look(engine(), Wanted(file=path, names=names))
        assert found.missing == tuple(map(str, range(CLASSES)))
        assert not found.figures
        assert "10 of 10 classes have no output of that name" in found.words()
        mapping = {str(number): word.upper() for number, word in enumerate(WORDS)}
        assert look(engine(), Wanted(file=path, names=names, mapping=mapping)).figures["val_accuracy"] == plain
        by_number = {str(number): str(SHUFFLED.index(number)) for number in range(CLASSES)}
        assert look(engine(), Wanted(file=path, mapping=by_number)).figures["val_accuracy"] == plain

    @pytest.mark.parametrize("key", [int, str])
    def test_that_names_by_number_are_taken_in_their_order(self, tmp_path: Path, plain: float, key: Callable[[int], Any]) -> None:
        names = repr({key(at): str(number) for at, number in reversed(list(enumerate(SHUFFLED)))})
        found = look(engine(), Wanted(file=written(tmp_path / "table.onnx", order=SHUFFLED, metadata={"names": names})))
        assert found.names == tuple(map(str, SHUFFLED))
        assert found.figures["val_accuracy"] == plain

    def test_that_names_of_other_numbers_are_none(self, tmp_path: Path) -> None:
        names = repr({at + 1: str(number) for at, number in enumerate(SHUFFLED)})
        found = look(engine(), Wanted(file=written(tmp_path / "table.onnx", order=SHUFFLED, metadata={"names": names})))
        assert "table.onnx does not name its outputs" in found.notes[0]

    def test_that_an_output_for_two_classes_is_told(self, tmp_path: Path) -> None:
        found = look(engine(), Wanted(file=written(tmp_path / "linear.onnx"), mapping={"3": "5"}))
        assert found.notes[-1].endswith("which the teacher then cannot tell apart: 5 (3, 5).")

    @pytest.mark.parametrize("outputs", [9, 11])
    def test_that_numbers_are_no_names(self, tmp_path: Path, outputs: int) -> None:
        path = written(tmp_path / "unnamed.onnx", order=[*range(CLASSES), 0][:outputs])
        found = look(engine(), Wanted(file=path))
        assert found.missing == tuple(map(str, range(CLASSES)))
        assert found.notes == ("unnamed.onnx does not name its outputs: say by number what stands for each class.",)
        mapping = {str(number): str(number % outputs) for number in range(CLASSES)}
        assert look(engine(), Wanted(file=path, mapping=mapping)).figures

    def test_that_as_many_outputs_as_classes_are_taken_in_order(self, tmp_path: Path, plain: float) -> None:
        found = look(engine(), Wanted(file=written(tmp_path / "unnamed.onnx")))
        assert found.figures["val_accuracy"] == plain
        assert "unnamed.onnx does not name its outputs: they are taken for the data's classes in their order." in found.notes

    def test_that_several_outputs_stand_for_a_class_by_the_sum_of_their_probabilities(self) -> None:
        about = ElsewhereConfig(logits=4, outputs=("0", "1+3", "2"), pixels="0..255")
        mean, deviation = torch.zeros(1, 1, 1), torch.full((1, 1, 1), 255.0)
        said = torch.tensor([[0.5, -1.0, 2.0, 0.1]])
        net = Elsewhere(Says(said), about, mean, deviation)
        shares = said.softmax(dim=1)[0]
        expected = torch.stack([shares[0], shares[1] + shares[3], shares[2]])
        assert torch.allclose(net(torch.zeros(1, 1, 2, 2)).softmax(dim=1)[0], expected)

    def test_that_probabilities_are_seen_to_be_such(self, tmp_path: Path, plain: float) -> None:
        found = look(engine(), Wanted(file=written(tmp_path / "soft.onnx", softmax=True)))
        assert found.settings["gives"] == "probabilities"
        assert found.figures["val_accuracy"] == plain
        logits = look(engine(), Wanted(file=written(tmp_path / "hard.onnx")))
        assert abs(found.figures["val_nll"] - logits.figures["val_nll"]) < 1e-4

    @pytest.mark.parametrize("shape", [(1, 1, 8, 8), (7, 1, 8, 8), ("n", "c", "h", "w")], ids=["one", "seven", "any"])
    def test_that_any_number_of_images_at_once_will_do(self, tmp_path: Path, plain: float, shape: tuple[Any, ...]) -> None:
        assert look(engine(), Wanted(file=written(tmp_path / "fixed.onnx", shape=shape))).figures["val_accuracy"] == plain

    def test_that_bytes_are_given_as_bytes(self, tmp_path: Path) -> None:
        found = look(engine(), Wanted(file=written(tmp_path / "bytes.onnx", kind=TensorProto.UINT8)))
        assert found.settings["pixels"] == "0..255"
        assert found.figures["val_accuracy"] > 0.5

    def test_that_the_output_of_several_can_be_said(self, tmp_path: Path, plain: float) -> None:
        path = written(tmp_path / "two.onnx", outputs=("features", "scores"))
        assert look(engine(), Wanted(file=path, settings={"output": "scores"})).figures["val_accuracy"] == plain

    def test_that_weights_in_its_own_folder_become_part_of_the_run(self, history: History, tmp_path: Path, plain: float) -> None:
        path = with_weights_in(tmp_path / "parted.onnx", "parted.data")
        run = bring(history, Wanted(file=path))
        path.unlink()
        (tmp_path / "parted.data").unlink()
        (row,) = rows(history)
        assert row.figures["val_accuracy"] == plain
        assert launch(history, tiny(teachers=[{"run": run}]))[0] == "done"

    def test_that_a_copy_of_one_answers_alike(self) -> None:
        net = OnnxNet(linear().SerializeToString(), "scores", "linear.onnx")
        images = torch.rand(3, 1, 8, 8)
        assert torch.equal(copy.deepcopy(net)(images), net(images))
        assert torch.equal(pickle.loads(pickle.dumps(net))(images), net(images))

    def test_that_scores_of_one_place_are_scores(self, tmp_path: Path, plain: float) -> None:
        model = linear()
        model.graph.node.append(helper.make_node("Unsqueeze", ["scores", "axes"], ["places"]))
        model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("places", TensorProto.FLOAT, ["n", 10, 1, 1]))
        (tmp_path / "places.onnx").write_bytes(model.SerializeToString())
        assert look(engine(), Wanted(file=tmp_path / "places.onnx")).figures["val_accuracy"] == plain


class Says(torch.nn.Module):
    """Says the same whatever it is shown."""

    def __init__(self, said: torch.Tensor) -> None:
        super().__init__()
        self.said = said

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return self.said.expand(len(view), -1)


class TestRefusedOnnx:
    def test_that_what_is_no_tensor_is_refused(self, history: History, tmp_path: Path) -> None:
        model = linear()
        model.graph.node.append(helper.make_node("SequenceConstruct", ["scores"], ["list"]))
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        model.graph.output[0].CopyFrom(helper.make_value_info("list", kind))
        (tmp_path / "list.onnx").write_bytes(model.SerializeToString())
        text = refused(history, CheckpointError, file=tmp_path / "list.onnx")
        assert "gives seq(tensor(float)) as list; a teacher gives a tensor of numbers" in text

    def test_that_an_operator_nobody_knows_is_named(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "odd.onnx", operator=("acme.ops", "Guess"))
        assert "operators that it does not know: acme.ops::Guess; export" in refused(history, CheckpointError, file=path)

    def test_that_several_outputs_are_named(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "two.onnx", outputs=("features", "scores"))
        assert "has 2 outputs (features, scores); say which" in refused(history, CheckpointError, file=path)
        text = refused(history, CheckpointError, file=path, settings={"output": "other"})
        assert "has no output 'other'; it has features, scores" in text

    @pytest.mark.parametrize("location", ["../secret.data", "absolute", "link"])
    def test_that_weights_outside_its_folder_are_not_read(self, history: History, tmp_path: Path, location: str) -> None:
        folder, secret = tmp_path / "inside", tmp_path / "secret.data"
        folder.mkdir()
        if location == "link":
            path = with_weights_in(folder / "outside.onnx", "secret.data")
            (folder / "secret.data").rename(secret)
            (folder / "secret.data").symlink_to(secret)
        else:
            path = with_weights_in(folder / "outside.onnx", str(secret) if location == "absolute" else location)
        assert "keeps weights outside its folder" in refused(history, CheckpointError, file=path)

    def test_that_weights_which_are_not_there_are_named(self, history: History, tmp_path: Path) -> None:
        path = with_weights_in(tmp_path / "lost.onnx", "lost.data")
        (tmp_path / "lost.data").unlink()
        assert "keeps weights in lost.data, which is not there" in refused(history, CheckpointError, file=path)

    def test_that_weights_cut_short_are_refused(self, history: History, tmp_path: Path) -> None:
        path = with_weights_in(tmp_path / "short.onnx", "short.data")
        (tmp_path / "short.data").write_bytes(b"12345678")
        assert "short.onnx" in refused(history, CheckpointError, file=path)

    @pytest.mark.parametrize("shape", [("n", 64), ("n", 8, 8, 1)], ids=["flat", "channels last"])
    def test_that_what_takes_no_images_is_refused(self, history: History, tmp_path: Path, shape: tuple[Any, ...]) -> None:
        path = written(tmp_path / "flat.onnx", shape=shape)
        assert "a teacher takes images as number × channels (1 or 3)" in refused(history, CheckpointError, file=path)

    def test_that_an_image_of_two_sides_is_refused(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "wide.onnx", shape=("n", 1, 4, 16))
        assert "takes images of 4×16; a teacher takes square ones" in refused(history, CheckpointError, file=path)

    def test_that_other_classes_without_names_are_asked_for(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "fewer.onnx", order=[5, 6, 7], metadata={"classes": json.dumps(["five", "six", "seven"])})
        text = refused(history, ConfigError, file=path)
        assert "nothing in fewer.onnx is called 0, 1, 2, 3" in text
        assert "which of its 3 outputs stand for these, by name or number (five, six, seven)" in text

    @pytest.mark.parametrize("content", [b"", b"no such thing", b"\x08\x08"], ids=["empty", "text", "nothing in it"])
    def test_that_what_is_no_onnx_file_is_refused(self, history: History, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "none.onnx"
        path.write_bytes(content)
        assert refused(history, CheckpointError, file=path) == f"{path} is not a sound ONNX file; export it anew"

    def test_that_of_damaged_files_each_is_refused_in_a_sentence_or_harmless(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        whole = written(tmp_path / "whole.onnx").read_bytes()
        parted = with_weights_in(tmp_path / "parted.onnx", "parted.data").read_bytes()
        said: list[str] = []
        for content in (whole, parted) * 75:
            damaged = bytearray(content)
            for at in random.integers(0, len(damaged), random.integers(1, 4)):
                at = at if random.random() < 0.3 else [at % 200, len(damaged) - 1 - at % 200][random.integers(2)]
                damaged[at] ^= 1 << int(random.integers(8))
            path = tmp_path / "damaged.onnx"
            path.write_bytes(damaged if random.random() < 0.9 else damaged[: random.integers(len(damaged))])
            try:
                look(engine(), Wanted(file=path))
            except WorkbenchError as error:
                said.append(str(error))
        assert 75 < len(said) < 150
        assert [text for text in said if "\n" in text] == []

    def test_that_a_file_that_is_not_there_is_named(self, history: History, tmp_path: Path) -> None:
        text = refused(history, CheckpointError, file=tmp_path / "gone.onnx")
        assert text == f"{tmp_path / 'gone.onnx'} cannot be read: No such file or directory"

    def test_that_an_output_for_no_class_and_a_class_of_no_output_are_named(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "linear.onnx")
        assert "digits has no class 'cat'" in refused(history, ConfigError, file=path, mapping={"cat": "3"})
        text = refused(history, ConfigError, file=path, mapping={"3": "dog"})
        assert "the teacher has no output 'dog' to stand for 3; its 10 are 0, 1," in text

    def test_that_a_setting_nobody_knows_is_named(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "linear.onnx")
        text = refused(history, ConfigError, file=path, settings={"pixel": "0..1"})
        assert text.startswith("elsewhere.pixel: there is no such setting (did you mean 'pixels'?)")
        assert "elsewhere.pixels: 'grey' is not one of" in refused(history, ConfigError, file=path, settings={"pixels": "grey"})

    @pytest.mark.parametrize("setting", [{"resize": 9}, {"interpolation": "bicubic"}], ids=["resize", "interpolation"])
    def test_that_a_way_of_scaling_without_a_side_is_refused(
        self, history: History, tmp_path: Path, setting: dict[str, Any]
    ) -> None:
        path = written(tmp_path / "linear.onnx")
        text = refused(history, ConfigError, file=path, settings=setting)
        assert text == f"elsewhere.{next(iter(setting))}: images are scaled only to a side that is said: set elsewhere.size too"
        assert look(engine(), Wanted(file=path, settings=setting | {"size": 8})).figures

    def test_that_images_it_cannot_take_are_told_with_its_name_and_the_settings(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "any.onnx", shape=("n", "c", "h", "w"))
        text = refused(history, CheckpointError, file=path, settings={"size": 12})
        assert text.startswith(f"ONNX Runtime cannot run {path} on images of 1×12×12 (")
        assert text.endswith("); say which it takes (elsewhere.size, elsewhere.channels)")


class TestWeights:
    def test_that_a_network_of_other_images_and_classes_teaches(self, history: History, tmp_path: Path) -> None:
        model = ModelConfig(model="cnn", options={"channels": 2, "units": 4})
        path = tmp_path / "other.safetensors"
        safetensors.torch.save_file(build(model, (3, 12, 12), 12).state_dict(), path)
        names = tmp_path / "names.txt"
        names.write_text("\n".join(map(str, range(-1, 11))))
        settings = {"size": 12, "channels": 3}
        found = look(engine(), Wanted(file=path, model=model, settings=settings, names=names))
        assert found.chosen == tuple(map(str, range(CLASSES)))
        assert found.settings["pixels"] == "standardised"
        run = bring(history, Wanted(file=path, model=model, settings=settings, names=names))
        config = history.past_run(run).config
        assert config.elsewhere is not None
        assert config.elsewhere.outputs == tuple(map(str, range(1, 11)))
        assert launch(history, tiny(teachers=[{"run": run}]))[0] == "done"
        (row,) = rows(history)
        assert row.parameters == sum(part.numel() for part in build(model, (3, 12, 12), 12).parameters())
        assert (row.multiply_adds or 0) > 0

    def test_that_weights_for_other_images_are_refused_until_their_side_is_said(self, history: History, tmp_path: Path) -> None:
        model = ModelConfig(model="mlp", options={"layers": 1, "units": 4})
        path = tmp_path / "other.safetensors"
        safetensors.torch.save_file(build(model, (1, 12, 12), 10).state_dict(), path)
        assert "1.weight is 4×144 and not 4×64" in refused(history, CheckpointError, file=path, model=model)
        assert look(engine(), Wanted(file=path, model=model, settings={"size": 12})).figures["val_accuracy"] < 0.5

    def test_that_an_output_by_name_is_for_onnx_files_alone(self, history: History, tmp_path: Path) -> None:
        model = ModelConfig(model="mlp", options={"layers": 1, "units": 4})
        path = tmp_path / "mine.safetensors"
        safetensors.torch.save_file(build(model, (1, 8, 8), 10).state_dict(), path)
        text = refused(history, ConfigError, file=path, model=model, settings={"output": "scores"})
        assert text == "elsewhere.output: mine.safetensors is no ONNX file, of which outputs have names; leave this out"

    @pytest.mark.parametrize(("ending", "said"), [("zip", "is an archive: unpack it"), ("pt2", "is a torch.export program")])
    def test_that_other_files_taken_away_are_refused_with_what_to_do(
        self, history: History, tmp_path: Path, ending: str, said: str
    ) -> None:
        path = tmp_path / f"taken.{ending}"
        path.write_bytes(b"some bytes")
        text = refused(history, CheckpointError, file=path)
        assert text.startswith(f"{path} {said}")
        assert "as ONNX" in text

    def test_that_one_as_trained_here_stays_one_that_can_be_taken_away(self, history: History, tmp_path: Path) -> None:
        model = ModelConfig(model="mlp", options={"layers": 1, "units": 4})
        path = tmp_path / "mine.safetensors"
        safetensors.torch.save_file(build(model, (1, 8, 8), 10).state_dict(), path)
        found = look(engine(), Wanted(file=path, model=model))
        assert not found.settings
        assert "as they are trained here" in found.notes[0]
        assert history.past_run(bring(history, Wanted(file=path, model=model))).config.elsewhere is None


class TestInTheHistory:
    def test_that_another_mapping_makes_another_teacher(self, history: History, tmp_path: Path) -> None:
        path = written(tmp_path / "linear.onnx")
        one = bring(history, Wanted(file=path))
        other = bring(history, Wanted(file=path, mapping={"3": "5", "5": "3"}))
        stored = [history.weights_of(run).sha256 for run in (one, other)]
        assert stored[0] != stored[1]
        for run in (one, other):
            assert launch(history, tiny(teachers=[{"run": run}]))[0] == "done"
        with closing(open_for_reading(history.path)) as database:
            prints = database.execute("SELECT DISTINCT fingerprint FROM runs WHERE role = 'student'").fetchall()
            (said,) = database.execute("SELECT value FROM params WHERE run = ? AND key = 'elsewhere.outputs'", [other]).fetchone()
        assert len(prints) == 2
        assert said == "0, 1, 2, 5, 4, 3, 6, 7, 8, 9"

    def test_that_it_is_no_generalist_and_not_taken_away(self, history: History, tmp_path: Path) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        config = tiny(teachers=[{"run": run}], specialists={"count": 2}, transfer__fraction=1.0)
        with pytest.raises(ConfigError, match="was trained elsewhere, so specialists cannot begin with its weights"):
            engine().check(config, history.past_run)
        with (
            closing(open_for_reading(history.path)) as database,
            pytest.raises(CheckpointError, match=r"came from elsewhere, as linear.onnx"),
        ):
            take_away(cpu_engine((), 1), database, history.path, WantedAway(run=run, target=tmp_path / "a.onnx", form="onnx"))

    def test_that_a_student_of_it_is_taken_away_without_its_latency(self, history: History, tmp_path: Path) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        assert launch(history, tiny(teachers=[{"run": run}]))[0] == "done"
        student = rows(history, 2)[-1].id
        with closing(open_for_reading(history.path)) as database:
            wanted = WantedAway(run=student, target=tmp_path / "a.onnx", form="onnx")
            taken = take_away(cpu_engine((), 1), database, history.path, wanted)
        assert taken.compared.same
        assert f"run {run} came from elsewhere" in " ".join(taken.notes)

    def test_that_it_teaches_in_another_history_too(self, history: History, tmp_path: Path) -> None:
        launch(history, tiny())
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        assert history.experiment_config(2).teachers == (TeacherConfig(run=run),)
        with closing(open_for_reading(history.path)) as database:
            bundle = write_experiment(database, history.path, [2], tmp_path / "one.distilled").path
        other = tmp_path / "other.db"
        with closing(open_database(other)) as database:
            read_experiment(database, other, bundle)
        with History(other) as there:
            assert there.experiment_config(1).teachers == (TeacherConfig(run=1),)
            assert launch(there, tiny(teachers=[{"run": 1}]))[0] == "done"

    def test_that_it_teaches_whatever_the_split(self, history: History, tmp_path: Path) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        assert launch(history, tiny(teachers=[{"run": run}], data={"split_seed": 7}))[0] == "done"


WHOLE = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


class TestWhatAFileSays:
    """A bundle brings weights of which somebody says how they are to be asked: they are checked when they are to teach."""

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            ({"outputs": [*WHOLE[:9], "10"]}, "outputs: '10' is not the number of one of 10 outputs"),
            ({"outputs": [*WHOLE[:9], "x"]}, "outputs: 'x' is not the number of one of 10 outputs"),
            ({"outputs": [*WHOLE[:9], -1]}, "outputs: '-1' is not the number of one of 10 outputs"),
            ({"outputs": WHOLE[:9]}, "linear.onnx has no output for some of the 10 classes of digits"),
            ({"outputs": [*WHOLE[:9], ""]}, "linear.onnx has no output for some of the 10 classes of digits"),
            ({"unheard_of": 1}, "unheard_of"),
            ({"output": "other"}, "linear.onnx takes no images, or has no output 'other'"),
            ("text", "tell wrongly what they are"),
        ],
    )
    def test_that_what_is_wrong_is_said_before_anything_is_trained(
        self, history: History, tmp_path: Path, told: Any, said: str
    ) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        rewrite(history, run, lambda tensors, about: {"elsewhere": about["elsewhere"] | told if isinstance(told, dict) else told})
        assert said in no_teacher(history, run)

    def test_that_bytes_cut_short_are(self, history: History, tmp_path: Path) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))

        def cut(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> dict[str, Any]:
            tensors["onnx"] = tensors["onnx"][:300].clone()
            return {}

        rewrite(history, run, cut)
        assert "ONNX Runtime cannot open linear.onnx: " in no_teacher(history, run)

    def test_that_weights_in_another_file_are(self, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = bring(history, Wanted(file=written(tmp_path / "linear.onnx")))
        monkeypatch.chdir(tmp_path)
        parted = with_weights_in(tmp_path / "parted.onnx", "parted.data").read_bytes()

        def swap(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> dict[str, Any]:
            tensors["onnx"] = torch.frombuffer(bytearray(parted), dtype=torch.uint8)
            return {}

        rewrite(history, run, swap)
        assert "linear.onnx keeps weights in another file than the history's" in no_teacher(history, run)

    def test_that_weights_of_another_model_are(self, history: History, tmp_path: Path) -> None:
        model = ModelConfig(model="mlp", options={"layers": 1, "units": 4})
        safetensors.torch.save_file(build(model, (1, 8, 8), 12).state_dict(), tmp_path / "mine.safetensors")
        mapping = {str(number): str(number) for number in range(CLASSES)}
        run = bring(history, Wanted(file=tmp_path / "mine.safetensors", model=model, mapping=mapping))
        rewrite(history, run, lambda tensors, about: {"elsewhere": about["elsewhere"] | {"logits": 11}})
        assert "weights do not fit the model: " in no_teacher(history, run)

    def test_that_other_outputs_than_are_told_of_end_the_run_in_a_sentence(self) -> None:
        about = ElsewhereConfig(source="a.onnx", logits=4, outputs=("0", "3"))
        with pytest.raises(CheckpointError, match=r"a.onnx gives 2×3 for 2 images, not 4 outputs"):
            Elsewhere(Says(torch.zeros(1, 3)), about, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))(torch.zeros(2, 1, 2, 2))


def rewrite(history: History, run: int, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], dict[str, Any]]) -> None:
    """Write a run's weights anew with what is to be ``change``d about them, and record the file as it is then."""
    stored = history.weights_of(run)
    tensors, about = checkpoints.read(stored.path, stored.sha256)
    about |= change(tensors, about)
    size, sha256 = checkpoints.write(stored.path, tensors, about)
    with closing(sqlite3.connect(history.path)) as database, database:
        database.execute("UPDATE artefacts SET size = ?, sha256 = ? WHERE run = ?", [size, sha256, run])


def no_teacher(history: History, run: int) -> str:
    with pytest.raises(ConfigError) as caught:
        engine().check(tiny(teachers=[{"run": run}]), history.past_run)
    assert caught.value.path == "teachers.0.run"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_that_what_was_found_is_told_and_read_back_alike(tmp_path: Path) -> None:
    found = look(engine(), Wanted(file=written(tmp_path / "linear.onnx")))
    assert Found.from_json(found.to_json()) == found
    wanted = Wanted(file=tmp_path / "a.onnx", data=UPSIDE_DOWN, mapping={"1": "2"}, settings={"size": 3}, torchvision="x")
    assert Wanted.from_json(wanted.to_json()) == wanted


def test_that_grey_becomes_three_channels_and_colours_grey() -> None:
    view = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4)).astype(np.float32))
    one, three = torch.ones(1, 1, 1), torch.ones(3, 1, 1)
    to_three = Elsewhere(torch.nn.Identity(), ElsewhereConfig(channels=3, pixels="0..255"), one * 0, one)
    assert torch.equal(to_three.seen(view), view.expand(-1, 3, -1, -1))
    to_grey = Elsewhere(torch.nn.Identity(), ElsewhereConfig(channels=1, pixels="0..255"), three * 0, three)
    assert torch.equal(to_grey.seen(view.expand(-1, 3, -1, -1).contiguous()), view)


class Counts(torch.nn.Module):
    """Says ten logits, and keeps how many images it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(tuple(images.shape))
        return images.mean(dim=(1, 2, 3))[:, None] * torch.arange(CLASSES)


@pytest.mark.parametrize(("size", "most"), [(224, 27), (0, 1024)])
def test_that_so_many_images_are_shown_at_once_as_fit_in_the_size_it_takes(size: int, most: int) -> None:
    data = digits()
    about = ElsewhereConfig(logits=CLASSES, outputs=tuple(range(CLASSES)), size=size, channels=3 if size else 0)
    net = Counts()
    teacher = Elsewhere(net, about, data.mean, data.deviation)
    ticks: list[int] = []
    cases = torch.arange(60 if size else 1100)
    said = logits_on(teacher, data, data.train.images, cases, ticks.append)
    assert (max(ticks), sum(ticks)) == (most, len(cases))
    assert max(shape[0] for shape in net.shown) == most
    before = len(net.shown)
    assert torch.equal(teacher(data.view(data.train.images[cases])), said)
    assert max(shape[0] for shape in net.shown[before:]) == (most if size else len(cases))
