"""Reports: the arithmetic against known values and against what was recorded with real runs, and the sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.distill.data_files import idx_files, write_idx
from tests.experiments import DIVERGING, TINY, engine, launch, rows, specialised, tiny
from workbench.analysis.bias import Correction, errors_at
from workbench.analysis.report import Figures, NoReport, Party, Report, combined, fidelity, judge, kept_interval, log_softmax
from workbench.analysis.report_words import COLUMNS, chance, latency_notes, lines, summed_up
from workbench.cli import cli
from workbench.errors import DataError, WorkbenchError
from workbench.history import changes, reading
from workbench.history.database import open_database, open_for_reading
from workbench.history.reported import labels_wanted, report_of, reportable
from workbench.history.writing import History
from workbench.plan import ALONE
from workbench.questions.report import labels_of, latencies
from workbench.running.driver import Control
from workbench.running.experiment import continue_run
from workbench.sweep import expand

# Arithmetic


def drawn(seed: int, cases: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, cases)
    return random.normal(size=(cases, classes)) * 2 + np.eye(classes)[labels], labels


def test_that_confusions_errors_and_accuracy_by_class_are_those_of_a_small_example() -> None:
    logits = np.array([[2.0, 0, 0], [0, 2, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]])
    found = judge(log_softmax(logits), np.array([0, 0, 1, 1, 0]))
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert found.errors == 2
    assert found.wrong.tolist() == [False, True, False, True, False]
    assert found.by_class[:2].tolist() == [pytest.approx(2 / 3), 0.5]
    assert np.isnan(found.by_class[2])


def test_that_reliability_counts_confidence_and_accuracy_by_bin() -> None:
    probabilities = np.array([[0.95, 0.05], [0.99, 0.01], [0.55, 0.45], [0.4, 0.6]])
    bins = judge(np.log(probabilities), np.array([0, 1, 1, 1])).reliability
    assert bins.count.tolist() == [0] * 8 + [1, 1] + [0] * 4 + [2]
    assert bins.confidence[[8, 9, 14]].tolist() == pytest.approx([0.55, 0.6, 0.97])
    assert bins.accuracy[[8, 9, 14]].tolist() == [0.0, 1.0, 0.5]
    assert bins.error == pytest.approx((0.55 + 0.4 + 2 * 0.47) / 4)


@given(st.integers(0, 200), st.sampled_from(["arithmetic", "geometric"]))
def test_that_all_agrees_with_what_the_engine_computes(seed: int, mean: str) -> None:
    import torch

    from workbench.distill.ensembles import combined_logits
    from workbench.distill.evaluation import fidelity as engines_fidelity
    from workbench.distill.evaluation import figures

    members = [drawn(seed * 3 + place)[0] for place in range(3)]
    labels, student = drawn(seed)[1], drawn(seed + 1000)[0]
    together = combined_logits(torch.tensor(np.array(members)), mean)
    ours = combined(members, mean)
    np.testing.assert_allclose(np.exp(ours), together.softmax(dim=1).numpy(), atol=1e-9)
    theirs = figures(together, torch.tensor(labels), "test")
    judged = judge(ours, labels)
    assert judged.errors == theirs["test_errors"]
    assert judged.nll == pytest.approx(theirs["test_nll"])
    assert judged.reliability.error == pytest.approx(theirs["test_ece"])
    said = engines_fidelity(torch.tensor(student), together)
    assert fidelity(log_softmax(student), ours) == pytest.approx((said["teacher_agreement"], said["teacher_kl"]))


def test_that_the_interval_of_the_share_covers_it_and_narrows_with_more_cases() -> None:
    def wrong(errors: int, cases: int) -> np.ndarray:
        return np.arange(cases) < errors

    few, many = (kept_interval(wrong(30 * by, 500 * by), wrong(65 * by, 500 * by), wrong(44 * by, 500 * by)) for by in (1, 20))
    assert few is not None
    assert many is not None
    assert few[0] < many[0] < 0.6 < many[1] < few[1]
    assert kept_interval(wrong(30, 500), wrong(31, 500), wrong(30, 500)) is None


# The sentence


def party(key: str, errors: int | None, multiply_adds: float = 100.0, status: str = "done", message: str = "") -> Party:
    figures = Figures(errors=errors, cases=1000)
    return Party(key=key, name=key, runs=(1,), figures=figures, multiply_adds=multiply_adds, status=status, message=message)


def said(ensemble: int | None, baseline: int | None, student: int | None, cost: float = 3800.0) -> str:
    known = [("ensemble", ensemble, cost), ("baseline", baseline, 100.0), ("student", student, 100.0)]
    parties = tuple(party(key, errors, adds) for key, errors, adds in known if errors is not None)
    return summed_up(Report(experiment=1, name="", status="done", message="", dataset="", parties=parties))


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (
            (30, 64, 49),
            "The student kept 44% of the ensemble's gain over the baseline (errors of 1,000 test images: ensemble 30, student 49,"
            " baseline 64) at 1/38 of its multiply-adds.",
        ),
        ((30, 64, 30), "The student kept all of the ensemble's gain over the baseline (errors"),
        ((30, 64, 28), "The student kept all of the ensemble's gain over the baseline and went beyond it (errors"),
        ((30, 64, 64), "The student kept nothing of the ensemble's gain over the baseline (errors"),
        ((30, 64, 70), "The student is worse than the baseline: it kept nothing of the ensemble's gain (errors"),
        ((64, 64, 60), "The ensemble is no better than the baseline, so there is no gain to keep (errors"),
        ((70, 64, 60), "The ensemble is no better than the baseline, so there is no gain to keep (errors"),
        (
            (30, None, 49),
            "The student makes 49 errors of 1,000 test images, the ensemble 30, at 1/38 of its multiply-adds. There",
        ),
        (
            (None, 64, 1),
            "The student makes 1 error of 1,000 test images, the baseline 64; the errors of what it",
        ),
        (
            (30, 64, None),
            "There is no student in this experiment: the ensemble makes 30 errors of 1,000 test images, the",
        ),
        ((None, None, None), "There is no student in this experiment."),
    ],
)
def test_that_the_sentence_is_honest_in_every_case(errors: tuple[int | None, int | None, int | None], words: str) -> None:
    assert said(*errors).startswith(words)
    gain = errors[0] is not None and errors[1] is not None and errors[0] < errors[1]
    assert gain or "%" not in said(*errors)


@pytest.mark.parametrize(
    ("cost", "words"),
    [(340.0, "1/3.4 of its"), (102.0, "as many multiply-adds"), (40.0, "2.5 times its"), (0.0, "baseline 64).")],
)
def test_that_the_cost_is_said_as_it_is(cost: float, words: str) -> None:
    assert words in said(30, 64, 49, cost)


@pytest.mark.parametrize(("status", "words"), [("failed", "failed (the loss is nan)"), ("stopped", "was stopped")])
def test_that_a_student_that_is_not_done_is_said_to_be_so(status: str, words: str) -> None:
    undone = party("student", None, status=status, message="the loss is nan" if status == "failed" else "")
    report = Report(
        experiment=1, name="", status=status, message="", dataset="", parties=(party("ensemble", 30), undone), ensemble="teacher"
    )
    assert summed_up(report) == f"The student {words}: the teacher makes 30 errors of 1,000 test images."


# Real runs


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The tiny experiment, done."""
    with History(tmp_path_factory.mktemp("report") / "experiments.db") as history:
        assert launch(history, tiny(training__epochs=8, transfer__fraction=0.5))[0] == "done"
        yield history


def reported(history: History, experiment: int = 1) -> Report:
    """The report with labels, as the window asks for it."""
    with closing(open_for_reading(history.path)) as database:
        run = labels_wanted(database, experiment)
        assert run is not None
        return report_of(database, experiment, labels_of(run)(engine(), history))


def test_that_computed_figures_are_those_recorded_with_the_runs(done: History) -> None:
    report = reported(done)
    assert [one.key for one in report.parties] == ["ensemble", "member 1", "member 2", "baseline", "student"]
    assert report.notes == ()
    assert len(report.classes) == 10
    student = rows(done)[-1].figures
    for name, judged, stored in [
        *((one.name, report.parties[at].judged, one.figures) for at, one in zip((1, 2, 3, 4), rows(done), strict=True)),
        ("ensemble", report.parties[0].judged, {key[9:]: value for key, value in student.items() if key[:9] == "ensemble_"}),
    ]:
        assert judged is not None, name
        assert judged.errors == stored["test_errors"]
        assert judged.confusion.sum() == stored["test_size"] == 500
        assert judged.nll == pytest.approx(stored["test_nll"], rel=1e-3)
        assert judged.reliability.error == pytest.approx(stored["test_ece"], abs=2e-3)
    ensemble, last = report.parties[0], report.parties[-1]
    assert ensemble.figures.errors == student["ensemble_test_errors"]
    assert ensemble.parameters == sum(row.parameters or 0 for row in rows(done)[:2])
    assert last.figures.kl == student["teacher_kl"]
    assert reported(done).party("baseline").figures.agreement < 1  # type: ignore[union-attr, operator]


def test_that_the_fidelity_computed_from_kept_predictions_is_the_one_recorded(done: History) -> None:
    student = rows(done)[-1]
    with closing(open_for_reading(done.path)) as database:
        logs = [log_softmax(kept) for run in range(1, 5) if (kept := reading.predictions(database, run)) is not None]
    agreement, divergence = fidelity(logs[3], combined(logs[:2], "arithmetic"))
    assert agreement == pytest.approx(student.figures["teacher_agreement"], abs=0.003)
    assert divergence == pytest.approx(student.figures["teacher_kl"], rel=1e-2)


def test_that_without_labels_the_recorded_figures_still_stand(done: History) -> None:
    with closing(open_for_reading(done.path)) as database:
        bare = report_of(database, 1, None, "The data are gone.")
    assert bare.notes == ("The data are gone.",)
    assert bare.classes == ()
    assert bare.judged == ()
    assert bare.kept is None
    assert summed_up(bare) == summed_up(reported(done))
    assert [line.cells[1:3] for line in lines(bare)] == [line.cells[1:3] for line in lines(reported(done))]
    assert all(len(line.cells) == len(COLUMNS) for line in lines(bare))
    assert "*" in lines(bare)[-1].cells[-2]
    assert latency_notes(bare, None)[0].startswith("* the median as each run ended")


def test_that_predictions_on_other_test_images_are_left_out(done: History) -> None:
    with closing(open_for_reading(done.path)) as database:
        labels = dataclasses.replace(labels_of(4)(engine(), done), digest="another")
        report = report_of(database, 1, labels)
    assert report.judged == ()
    assert "ensemble of 2, baseline, student" in report.notes[0]


def test_that_labels_of_other_data_are_refused_in_a_sentence(done: History, monkeypatch: pytest.MonkeyPatch) -> None:
    past = dataclasses.replace(done.past_run(4), data_digest="another")
    monkeypatch.setattr(done, "past_run", lambda run: past)
    with pytest.raises(DataError, match="digits is no longer what run 4 was trained on"):
        labels_of(4)(engine(), done)


def test_that_a_kept_correction_is_a_line_of_its_own(done: History) -> None:
    with closing(open_database(done.path)) as database:
        changes.keep_correction(database, 4, Correction(classes=(3,), shift=5.0, way="hand"))
        report = reported(done)
        changes.keep_correction(database, 4, None)
        logits = reading.predictions(database, 4)
    corrected = report.party("corrected")
    assert logits is not None
    assert corrected is not None
    labels = labels_of(4)(engine(), done).labels
    assert corrected.figures.errors == errors_at(logits, labels, [3], 5.0).errors
    assert corrected.figures.errors != report.errors("student")
    assert report.notes == ("A bias correction kept with run 4 shifts 3 by +5.00.",)
    assert reported(done).party("corrected") is None


def test_that_an_experiment_that_is_not_there_is_a_sentence(done: History) -> None:
    with closing(open_for_reading(done.path)) as database, pytest.raises(NoReport, match="there is no experiment 99"):
        report_of(database, 99)


def test_that_a_failed_student_leaves_what_is_there(history: History) -> None:
    assert launch(history, tiny(training=DIVERGING, distillation__baseline=False))[0] == "failed"
    report = reported(history)
    assert summed_up(report).startswith("The student failed (")
    assert report.party("ensemble").judged is not None  # type: ignore[union-attr]
    assert report.party("student").judged is None  # type: ignore[union-attr]
    assert [line.cells[1] for line in lines(report)][-1] == "failed"
    with closing(open_for_reading(history.path)) as database:
        assert [one.words() for one in reportable(database)] == ["tiny  #1  (failed)"]


def test_that_an_experiment_stopped_before_anything_ended_is_told(history: History) -> None:
    control = Control()
    control.stop()
    assert launch(history, tiny(), control)[0] == "stopped"
    with closing(open_for_reading(history.path)) as database:
        report = report_of(database, 1)
        assert labels_wanted(database, 1) is None
    assert summed_up(report).startswith("The student was")
    assert all(one.figures.errors is None for one in report.parties)


def test_that_of_refitted_runs_the_refitted_ones_are_reported(history: History) -> None:
    assert launch(history, tiny(refit=True))[0] == "done"
    report, made = reported(history), {row.name: row.id for row in rows(history)}
    runs = {one.key: one.runs for one in report.parties}
    assert runs["student"] == (made["student, refitted"],)
    assert runs["ensemble"] == (made["teacher 1, refitted"], made["teacher 2, refitted"])
    assert runs["baseline"] == (made["baseline, refitted"],)


def test_that_specialists_are_reported_together_with_their_generalist(history: History) -> None:
    assert launch(history, specialised())[0] == "done"
    report, made = reported(history), {row.name: row for row in rows(history)}
    assert report.ensemble == "combination"
    assert [one.name for one in report.parties] == [
        "combination with 2 specialists", "generalist alone", "specialist 1", "specialist 2", "baseline", "student", ALONE,
    ]  # fmt: skip
    together, alone, one = report.parties[:3]
    assert together.figures.errors == made["combined"].figures["test_errors"]
    assert together.judged is not None
    assert together.multiply_adds == made["combined"].figures["multiply_adds_per_image"]
    assert alone.figures.errors == made["generalist"].figures["test_errors"]
    assert one.figures.errors is None
    assert one.judged is None
    assert one.parameters
    apart = report.party("alone")
    assert apart is not None
    assert apart.figures.kl is not None
    assert apart.figures.kl != made[ALONE].figures["teacher_kl"]  # recorded of the generalist; here of all together
    measured = latencies(made["student"].id, report.timed)(engine(), history)
    assert set(measured.of) == {"ensemble", f"member {made['generalist'].id}", "baseline", "student", "alone"}
    continue_run(history, made["student"].id, 5)
    with closing(open_for_reading(history.path)) as database:
        again = report_of(database, 2)
    assert [one.name for one in again.parties][:2] == ["combination with 2 specialists", "generalist alone"]
    assert again.parties[2].figures.errors is None


def test_that_a_point_of_a_sweep_says_how_many_others_there_are(history: History) -> None:
    tables = TINY | {"sweep": {"seeds": 3}}
    history.enqueue_sweep(tables, expand(tables))
    with closing(open_for_reading(history.path)) as database:
        assert report_of(database, 2).sweep == (1, "tiny", 2)


# Latency


def test_that_latency_is_measured_with_the_stored_weights(done: History) -> None:
    report = reported(done)
    import torch

    threads = torch.get_num_threads()
    measured = latencies(4, report.timed)(engine(), done)
    assert set(measured.of) == {one.key for one in report.parties}
    assert measured.threads == 1
    assert "1 thread:" in measured.words()
    assert torch.get_num_threads() == threads
    for key, times in measured.of.items():
        assert set(times) == {1, 64}, key
        assert all(0 < one.median <= one.p95 for one in times.values())
    parts = sum(measured.of[f"member {run}"][1].median for run in (1, 2))
    assert measured.of["ensemble"][1].median == pytest.approx(parts, rel=0.5)
    assert latency_notes(report, measured)[0].startswith("The student names the class of 1 image in 1/")
    shown = lines(report, measured)
    assert " / " in shown[0].cells[-1]


def test_that_nothing_is_measured_while_a_model_trains(done: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine(), "busy", True)
    with pytest.raises(WorkbenchError, match="a model is training"):
        latencies(4, reported(done).timed)(engine(), done)


def test_that_nothing_is_measured_while_another_workbench_trains(done: History) -> None:
    from workbench.running import device_lease

    lease = device_lease.take("cpu")
    assert lease is not None
    try:
        with pytest.raises(WorkbenchError, match="another workbench trains on this cpu"):
            latencies(4, reported(done).timed)(engine(), done)
    finally:
        lease.release()


def test_that_damaged_weights_are_told_and_the_others_measured(history: History) -> None:
    launch(history, tiny(distillation__baseline=False))
    path = history.weights_of(1).path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    measured = latencies(3, reported(history).timed)(engine(), history)
    assert set(measured.of) == {"student"}
    assert "is damaged" in measured.missing[0]
    path.unlink()
    assert "cannot be read" in latencies(3, reported(history).timed)(engine(), history).missing[0]


# The command line


def workbench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_that_the_command_prints_sentence_and_table(done: History) -> None:
    result = workbench("report", 1, "--history", done.path)
    assert result.exit_code == 0, result.output
    report = reported(done)
    out = result.output.splitlines()
    assert out[0] == summed_up(report)
    assert chance(report) in out or not chance(report)
    head = next(place for place, line in enumerate(out) if line.strip().startswith("errors"))
    assert [line.strip().split("  ")[0] for line in out[head + 1 : head + 6]] == [one.name for one in report.parties]


def test_that_json_has_the_matrices_too_and_latency_where_asked(done: History) -> None:
    shown = json.loads(workbench("report", 1, "--latency", "--device", "cpu", "--json", "--history", done.path).stdout)
    report = reported(done)
    student = shown["parties"][-1]
    assert shown["sentence"] == summed_up(report)
    assert student["errors"] == report.errors("student")
    assert student["confusion"] == report.parties[-1].judged.confusion.tolist()  # type: ignore[union-attr]
    assert sum(student["reliability"]["count"]) == 500
    assert student["latency_ms"]["64"]["median"] > 0


def test_that_the_command_says_what_is_left_out_where_the_data_are_gone(history: History, tmp_path: Path) -> None:
    data = write_idx(tmp_path / "data", idx_files(train=400))
    assert launch(history, tiny(data={"dataset": str(data)}))[0] == "done"
    assert len(json.loads(workbench("report", 1, "--json", "--history", history.path).stdout)["classes"]) == 10
    data.rename(tmp_path / "elsewhere")
    result = workbench("report", 1, "--history", history.path)
    assert result.exit_code == 0
    assert "What needs the labels of the test images is left out: " in result.output
    assert json.loads(workbench("report", 1, "--json", "--history", history.path).stdout)["classes"] == []


def test_that_no_such_experiment_is_one_sentence(done: History) -> None:
    result = workbench("report", 99, "--history", done.path)
    assert result.exit_code == 2
    assert result.stderr == "workbench: there is no experiment 99 in this history; see `workbench runs`\n"
