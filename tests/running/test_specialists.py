"""Experiments with specialists, from the generalist to the student of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from tests.experiments import engine, launch, rows, specialised, tiny
from workbench.analysis.specialist_results import coverage, summary
from workbench.cli import cli
from workbench.config import ExperimentConfig
from workbench.distill import checkpoints, evaluation
from workbench.errors import ConfigError, DataError
from workbench.events import Event, Metrics
from workbench.history import changes, reading
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History
from workbench.plan import ALONE, SPECIALISED
from workbench.questions.images import bias_samples
from workbench.questions.specialists import gallery
from workbench.running.driver import Control
from workbench.running.experiment import continue_run, run_experiment
from workbench.sweep import expand


def named(history: History, name: str, experiment: int = 1) -> reading.RunRow:
    return next(row for row in rows(history, experiment) if row.name == name)


def weights(history: History, run: int) -> dict[str, torch.Tensor]:
    stored = history.weights_of(run)
    return checkpoints.read(stored.path, stored.sha256)[0]


def test_that_a_generalist_is_followed_by_specialists_all_together_and_students(history: History) -> None:
    assert launch(history, specialised())[0] == "done"
    found = rows(history)
    assert [(row.role, row.name, row.status) for row in found] == [
        ("generalist", "generalist", "done"),
        ("specialist", "specialist 1", "done"),
        ("specialist", "specialist 2", "done"),
        ("generalist", SPECIALISED, "done"),
        ("baseline", "baseline", "done"),
        ("student", "student", "done"),
        ("student", ALONE, "done"),
    ]
    parents = {row.name: history.members(1)[place].parents for place, row in enumerate(found)}
    first = found[0].id
    both = (found[1].id, found[2].id)
    assert parents["specialist 1"] == parents["specialist 2"] == parents[ALONE] == (first,)
    assert parents[SPECIALISED] == parents["student"] == (first, *both)


def test_that_a_specialist_begins_with_its_generalists_weights(history: History) -> None:
    rate = {"learning_rate": 1e-9, "epochs": 1}
    assert launch(history, specialised(specialist_training=rate, specialists__students=False))[0] == "done"
    general, special = weights(history, 1), weights(history, 2)
    classes = list(history.past_run(2).config.specialist.classes)  # type: ignore[union-attr]
    for name, tensor in general.items():
        theirs = special[name] if special[name].shape == tensor.shape else special[name][:-1]
        assert torch.allclose(theirs, tensor if theirs.shape == tensor.shape else tensor[classes], atol=1e-6)


def test_that_a_generalist_from_before_its_model_had_more_options_is_begun_with(history: History, tmp_path: Path) -> None:
    assert launch(history, specialised(specialists__students=False))[0] == "done"
    stored = history.weights_of(1)
    tensors, about = checkpoints.read(stored.path, stored.sha256)
    options = {key: value for key, value in about["model"]["options"].items() if key not in ("activation", "bias")}
    size, digest = checkpoints.write(
        tmp_path / "old.safetensors", tensors, about | {"model": about["model"] | {"options": options}}
    )
    older = reading.StoredFile(run=1, path=tmp_path / "old.safetensors", size=size, sha256=digest)
    begun = engine().specialist_job(2, history.past_run(2).config, older).start
    again = engine().specialist_job(2, history.past_run(2).config, stored).start
    assert begun is not None
    assert again is not None
    assert all(torch.equal(begun[name], again[name]) for name in again)


def test_that_a_specialist_of_all_classes_but_one_begins_as_its_generalist(history: History) -> None:
    rate = {"learning_rate": 1e-9, "epochs": 1}
    by_hand = {"by_hand": ["1,2,3,4,5,6,7,8,9"], "students": False}
    assert launch(history, specialised(specialist_training=rate, specialists=by_hand))[0] == "done"
    alone, special = named(history, "generalist").figures, named(history, "specialist 1").figures
    assert special["test_accuracy"] == pytest.approx(alone["test_accuracy"], abs=0.05)


def test_that_together_they_are_measured_and_their_predictions_kept(history: History) -> None:
    launch(history, specialised())
    together, alone = named(history, SPECIALISED), named(history, "generalist")
    figures = together.figures
    assert figures["test_errors"] == figures["test_errors_combined"]
    assert figures["test_errors_generalist"] == alone.figures["test_errors"]
    covered = [name for name in figures if name.startswith("test_covered_") and name.endswith("_cases")]
    assert sum(figures[name] for name in covered) == figures["test_size"]
    wrong = [figures[name.replace("_cases", "_errors_combined")] for name in covered]
    assert sum(wrong) == figures["test_errors"]
    assert 0 < figures["test_specialists_per_image"] <= 2
    assert 0 < figures["test_conditional_specialists"] <= 1
    assert figures["test_unfinished"] == 0
    per_image = figures["multiply_adds_per_image"]
    assert per_image == pytest.approx((alone.multiply_adds or 0) * (1 + figures["test_specialists_per_image"]))
    with closing(open_for_reading(history.path)) as database:
        logits = reading.predictions(database, together.id)
        assert any("subsets of classes" in note for note in reading.run_details(database, together.id).notes)
    assert logits is not None
    assert logits.shape == (figures["test_size"], 10)


def test_that_the_student_learns_from_all_together_and_the_other_from_the_generalist(history: History) -> None:
    launch(history, specialised())
    together, alone = named(history, SPECIALISED).figures, named(history, "generalist").figures
    assert named(history, "student").figures["ensemble_test_errors"] == together["test_errors"]
    assert named(history, ALONE).figures["ensemble_test_errors"] == alone["test_errors"]


def test_that_subsets_by_hand_are_taken_as_they_are(history: History) -> None:
    by_hand = {"by_hand": ["3, 8", "4, 9, 7"], "students": False}
    assert launch(history, specialised(specialists=by_hand))[0] == "done"
    given = [history.past_run(run).config.specialist for run in (2, 3)]
    assert [one.classes for one in given if one] == [(3, 8), (4, 7, 9)]


@pytest.mark.parametrize("by", ["correlation", "covariance", "confusion"])
@pytest.mark.parametrize("softmax", ["dustbin", "full"])
def test_that_every_way_to_find_subsets_and_to_see_other_classes_works(history: History, by: str, softmax: str) -> None:
    changes = {"count": 2, "size": 4, "by": by, "softmax": softmax, "divergence": "q-p"}
    assert launch(history, specialised(specialists=changes))[0] == "done"
    with closing(open_for_reading(history.path)) as database:
        logits = reading.predictions(database, 2)
    assert logits is not None
    assert logits.shape[1] == (10 if softmax == "full" else 5)


def test_that_specialists_trained_before_are_reused_and_students_are_not(history: History) -> None:
    launch(history, specialised())
    launch(history, specialised(seed=1))
    again = rows(history, 2)
    assert [row.reused for row in again] == [True, True, True, False, False, False, False]
    assert [row.name for row in again[:3]] == ["generalist", "specialist 1", "specialist 2"]


def test_that_a_past_run_can_be_the_generalist(history: History) -> None:
    launch(history, tiny())
    assert launch(history, specialised(teachers=[{"run": 1}], teacher_training={}))[0] == "done"
    assert [row.id for row in rows(history, 2) if row.reused] == [1]


def test_that_an_experiment_interrupted_anywhere_ends_as_one_left_alone(history: History, tmp_path: Path) -> None:
    launch(history, specialised())
    expected = [weights(history, row.id) for row in rows(history) if row.name != SPECIALISED]
    with History(tmp_path / "other.db") as other:
        number = other.enqueue(specialised())
        for ends in itertools.count(1):
            control, seen = Control(), itertools.count()

            def emit(event: Event, control: Control = control, seen: Iterator[int] = seen, last: int = 7 * ends) -> None:
                if isinstance(event, Metrics) and next(seen) == last:
                    control.interrupt()

            if run_experiment(engine(), other, number, control, emit) == "done":
                break
            other.resume(number)
        assert ends > 3
        found = [weights(other, row.id) for row in rows(other) if row.name != SPECIALISED]
        assert named(other, SPECIALISED).figures["test_errors"] == named(history, SPECIALISED).figures["test_errors"]
    for one, two in zip(expected, found, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"specialists": {"count": 11}}, "specialists.count"),
        ({"specialists": {"size": 10}}, "specialists.size"),
        ({"specialists": {"size": 0, "count": 1}}, "specialists.count"),
        ({"specialists": {"size": 0, "count": 10}}, "specialists.count"),
        ({"specialists": {"size": 1}}, "specialists.size"),
        ({"specialists": {"by_hand": ["3"]}}, "specialists.by_hand.0"),
        ({"specialists": {"by_hand": ["3, 4", "3, nobody"]}}, "specialists.by_hand.1"),
        ({"specialists": {"by_hand": ["0,1,2,3,4,5,6,7,8,9"]}}, "specialists.by_hand.0"),
        ({"specialists": {"by": "labels"}}, "specialists.by"),
        ({"teachers": [{"model": "mlp", "count": 2}]}, "teachers"),
        ({"refit": True}, "refit"),
        ({"distillation": {"match": "logits"}}, "distillation.match"),
    ],
)
def test_that_specialists_that_cannot_be_are_refused_before_anything_is_trained(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine().check(specialised(**changes), lambda run: pytest.fail("no past run"))
    assert caught.value.path == path


def test_that_the_same_subset_given_twice_by_hand_is_refused_naming_both() -> None:
    config = specialised(specialists={"by_hand": ["3, 8", "4, 9", "8,3,8"]})
    with pytest.raises(ConfigError) as caught:
        engine().check(config, lambda run: pytest.fail("no past run"))
    assert caught.value.path == "specialists.by_hand.2"
    assert caught.value.reason == "“8,3,8” has the same classes as “3, 8”, subset 1; leave one of them out"


def test_that_a_generalist_with_its_specialists_cannot_teach_and_says_why(history: History) -> None:
    launch(history, specialised(specialists__students=False))
    whole = named(history, SPECIALISED).id
    with pytest.raises(ConfigError, match=f"run {whole} has no weights of its own"):
        engine().check(tiny(teachers=[{"run": whole}]), history.past_run)


def test_that_a_specialist_whose_weights_are_gone_is_named_with_what_depends_on_it(history: History) -> None:
    launch(history, specialised())
    history.weights_of(2).path.unlink()
    status, _ = launch(history, specialised(seed=1))
    assert status == "done"
    assert [row.reused for row in rows(history, 2)][:3] == [True, False, True]


def test_that_specialists_survive_writing_as_a_recipe() -> None:
    for config in (specialised(), specialised(specialists={}), specialised(specialists={"by_hand": ["3, 8"]})):
        assert ExperimentConfig.from_dict(config.to_dict()) == config


def test_that_what_specialists_gain_is_told_over_seeds(history: History) -> None:
    tables = specialised().to_dict() | {"sweep": {"how": "zip", "seed": [0, 1], "teacher_seed": [0, 50]}}
    for number in history.enqueue_sweep(tables, expand(tables))[1]:
        assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    with closing(open_for_reading(history.path)) as database:
        (group,) = reading.specialised_groups(database)
        together = [named(history, SPECIALISED, number).figures for number in (1, 2)]
    said = summary(group)
    mean = sum(one["test_errors"] for one in together) / 2
    assert said["errors of generalist and specialists combined"].startswith(f"{mean:.1f} ± ")
    assert sum(row.cases for row in coverage(group)) == 1000
    assert sum(row.combined for row in coverage(group)) == sum(one["test_errors"] for one in together)
    assert [row for row in coverage(group) if row.gain is not None]
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert result.exit_code == 0
    assert "2 seeds, means ± standard errors" in result.output
    assert "errors of the student distilled from all" in result.output


def test_that_one_generalist_for_several_seeds_of_the_student_counts_once(history: History) -> None:
    tables = specialised().to_dict() | {"sweep": {"seed": [0, 1]}}
    for number in history.enqueue_sweep(tables, expand(tables))[1]:
        assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    with closing(open_for_reading(history.path)) as database:
        (group,) = reading.specialised_groups(database)
    said, whole = summary(group), named(history, SPECIALISED, 2)
    assert whole.figures["test_errors"] == named(history, SPECIALISED, 1).figures["test_errors"]
    assert said["errors of generalist and specialists combined"] == f"{whole.figures['test_errors']:.1f}"
    assert " ± " in said["errors of the student distilled from all"]
    assert sum(row.cases for row in coverage(group)) == 500
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert "2 seeds of the student, 1 of the generalist, means ± standard errors" in result.output


def test_that_seeds_of_a_sweep_have_a_generalist_each(history: History) -> None:
    tables = specialised(specialists__students=False).to_dict() | {"sweep": {"seeds": 2}}
    for number in history.enqueue_sweep(tables, expand(tables))[1]:
        assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    assert not any(row.reused for row in rows(history, 2))
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert "2 seeds, means ± standard errors" in result.output


def test_that_only_seeds_are_put_together(history: History) -> None:
    values = {"seed": [0, 1], "specialists.top": [1, 2]}
    tables = specialised(specialists__students=False).to_dict() | {"sweep": values}
    for number in history.enqueue_sweep(tables, expand(tables))[1]:
        assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    with closing(open_for_reading(history.path)) as database:
        groups = reading.specialised_groups(database)
    assert [[one.point["specialists.top"] for one in group] for group in groups] == [[2, 2], [1, 1]]
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert result.output.count(": 1 seed\n") == 2
    assert "top 2" in result.output


def test_that_a_combination_that_was_deleted_is_left_out(history: History) -> None:
    launch(history, specialised(specialists__students=False))
    with closing(open_database(history.path)) as database:
        changes.delete(database, [named(history, SPECIALISED).id])
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert result.exit_code == 0
    assert "no specialists yet" in result.output


def test_that_a_history_without_specialists_says_how_to_get_some(history: History) -> None:
    result = CliRunner().invoke(cli, ["specialists", "--history", str(history.path)])
    assert "no specialists yet" in result.output


def test_that_a_baseline_that_goes_on_becomes_no_generalist(history: History) -> None:
    launch(history, specialised())
    number = continue_run(history, named(history, "baseline").id, 6)
    assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    assert [row.role for row in rows(history, number)] == ["baseline"]


def test_that_a_finished_specialist_goes_on_as_a_run_of_its_own(history: History) -> None:
    launch(history, specialised(specialists__students=False))
    number = continue_run(history, 2, 6)
    assert run_experiment(engine(), history, number, Control(), lambda event: None) == "done"
    continued = rows(history, number)[-1]
    assert (continued.role, continued.epochs, continued.status) == ("specialist", 6, "done")


@pytest.mark.parametrize(("name", "words"), [("specialist 1", "is a specialist"), (SPECIALISED, "with its specialists")])
def test_that_what_has_no_logits_of_its_own_for_every_class_gets_no_bias_correction(
    history: History, name: str, words: str
) -> None:
    launch(history, specialised(specialists__students=False))
    with pytest.raises(DataError, match=words):
        bias_samples(named(history, name).id)(engine(), history)


def slices_of(question: Any, history: History) -> tuple[int, Any]:
    """In how many slices a question is answered, and the answer."""
    count, slices = 0, question(engine(), history)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return count, end.value
        count += 1


def test_that_test_images_are_looked_through_in_slices_and_what_was_said_is_kept(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(history, specialised(specialists__students=False, teacher_seed=77))
    whole = named(history, SPECIALISED)
    monkeypatch.setattr(evaluation, "BATCH", 100)
    count, found = slices_of(gallery(whole.id, "wrong", 0), history)
    assert count >= 5  # the generalist alone may be known already
    assert found.counts["lost"] - found.counts["gained"] == whole.figures["test_errors"] - found.counts["wrong"]
    count, again = slices_of(gallery(whole.id, "wrong", 0), history)
    assert (count, again.cases) == (0, found.cases)


def test_that_a_search_without_a_student_to_choose_by_is_refused() -> None:
    tables = specialised(specialists__students=False).to_dict()
    tables["sweep"] = {"how": "bayes", "count": 2, "specialists.count": [2, 3]}
    with pytest.raises(ConfigError) as caught:
        expand(tables)
    assert caught.value.path == "specialists.students"
