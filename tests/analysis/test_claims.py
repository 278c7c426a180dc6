"""The scoreboard: claims are judged from the experiments of their recipes, and from these alone."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.analysis import claims
from workbench.analysis.claims import CLAIMS, Score, scoreboard
from workbench.cli import cli
from workbench.config import ExperimentConfig
from workbench.history.changes import delete
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import Entry, History
from workbench.plan import plan
from workbench.recipes import recipe_paths, recipe_tables
from workbench.sweep import Point, expand


def enter(history: History, config: ExperimentConfig, status: str = "done", **figures: dict[str, float]) -> int:
    """An experiment that is over, with figures by role."""
    experiment = history.enqueue(config)
    planned = plan(config, lambda run: history.past_run(run).config)
    entries = [Entry(role=one.role, name=one.name, config=one.config, parents=one.parents, multiply_adds=100) for one in planned]
    for run, one in zip(history.enter(experiment, entries), planned, strict=True):
        history.record_figures(run, figures.get(one.role, {}))
        history.finish_run(run, "done", "")
    history.finish_experiment(experiment, status, "")
    return experiment


def fill(history: History, recipe: str, figures: Any) -> list[int]:
    """All experiments of a recipe, with the figures by role that a function gives for each point."""
    return [enter(history, config, **figures(point)) for point, config in expand(recipe_tables(recipe))]


def board(history: History) -> dict[tuple[str, str], Score]:
    with closing(open_for_reading(history.path)) as database:
        return {(score.claim.name, score.form): score for score in scoreboard(database)}


def verdict(history: History, claim: str, form: str = "short") -> claims.Verdict:
    found = board(history)[claim, form].verdict
    assert found is not None
    return found


def test_that_every_claim_has_a_recipe_in_both_forms_of_its_own_name() -> None:
    for claim in CLAIMS:
        for form in claims.FORMS.values():
            assert recipe_tables(f"{claim.recipe}{form}")["name"] == f"{claim.recipe}{form}"
            assert f"{claim.recipe}{form}" in recipe_paths()


def test_that_nothing_is_told_of_an_empty_history(history: History) -> None:
    for score in board(history).values():
        assert score.verdict is None
        assert score.runs == ()
        assert score.standing == f"0 of {len(score.missing)} done"


def table(seed: int, soft: float) -> dict[str, dict[str, float]]:
    return {
        "student": {"test_errors": soft + seed, "test_size": 500.0, "ensemble_test_errors": 30.0},
        "baseline": {"test_errors": 70.0 + seed},
    }


@pytest.mark.parametrize(("soft", "holds"), [(40.0, True), (52.0, None), (68.0, False)])
def test_that_a_claim_holds_or_not_or_is_undecided(soft: float, holds: bool | None, history: History) -> None:
    spread = iter([-6.0, 6.0, -3.0, 3.0, 0.0] if holds is None else [0.0] * 5)
    numbers = fill(history, "mnist-table-short", lambda point: table(point.get("seed", 0), soft + next(spread)))
    found = board(history)["mnist-table", "short"]
    assert found.verdict is not None
    assert found.verdict.holds is holds
    assert found.standing == {True: "holds", False: "does not hold", None: "undecided"}[holds]
    assert [one.experiment for one in found.tried] == numbers
    assert "teacher 30, hard 72.0" in found.verdict.ours


def test_that_one_that_is_not_done_or_was_changed_does_not_count(history: History) -> None:
    (_, first), (_, second), (_, third), *_ = expand(recipe_tables("mnist-table-short"))
    enter(history, first)
    enter(history, second, "failed")
    enter(history, ExperimentConfig.from_dict(third.to_dict() | {"training": {"epochs": 7}}))
    found = board(history)["mnist-table", "short"]
    assert len(found.tried) == 1
    assert found.standing == "1 of 5 done"


def test_that_what_goes_on_from_another_or_was_deleted_does_not_count(history: History) -> None:
    numbers = fill(history, "mnist-table-short", lambda _: table(0, 40.0))
    with closing(open_database(history.path)) as database:
        first, second = (
            database.execute("SELECT run FROM members WHERE experiment = ? AND role = 'student'", [number]).fetchone()[0]
            for number in numbers[:2]
        )
        delete(database, [first], [])
        database.execute("UPDATE runs SET continued_from = ? WHERE id = ?", [first, second])
    assert board(history)["mnist-table", "short"].standing == "3 of 5 done"


def test_that_a_name_changes_nothing(history: History) -> None:
    for _, config in expand(recipe_tables("mnist-table-short")):
        enter(history, ExperimentConfig.from_dict(config.to_dict() | {"name": "mine", "description": ""}), **table(0, 40.0))
    assert verdict(history, "mnist-table").holds is True


def test_that_where_there_is_nothing_to_gain_nothing_is_decided(history: History) -> None:
    fill(history, "mnist-table-short", lambda _: table(0, 40.0) | {"baseline": {"test_errors": 30.0}})
    assert verdict(history, "mnist-table").holds is None


@pytest.mark.parametrize(
    ("errors", "wide", "narrow"),
    [
        (lambda units, T: 60.0 if units < 30 and not 2.5 <= T <= 4 else 40.0, True, True),
        (lambda units, T: 60.0 if units < 30 and 2.5 <= T <= 4 else 40.0, True, False),
        (lambda units, T: 40.0 + T if units >= 300 else 40.0, False, None),
    ],
    ids=["as the paper says", "the other way round", "no difference"],
)
def test_that_temperatures_are_judged_by_width(errors: Any, wide: bool, narrow: bool | None, history: History) -> None:
    def figures(point: Point) -> dict[str, dict[str, float]]:
        found = errors(point["student.units"], point["distillation.temperature"]) + 0.1 * point["seed"]
        return {"student": {"test_errors": found}}

    fill(history, "temperature-by-width-short", figures)
    assert verdict(history, "temperature-wide").holds is wide
    assert verdict(history, "temperature-narrow").holds is narrow


@pytest.mark.parametrize(("wrong", "holds"), [(1.0, True), (20.0, False)])
def test_that_a_class_never_seen_is_judged_by_what_is_right_after_the_correction(
    wrong: float, holds: bool, history: History
) -> None:
    figures = {"unseen_test_size": 50.0, "test_size": 500.0}
    for name, errors in (("unseen", 40.0), ("corrected", wrong), ("paper", 0.0)):
        figures |= {f"{name}_test_errors": errors + 10, f"{name}_class_test_errors": errors}
    fill(history, "missing-3-short", lambda _: {"student": figures})
    found = verdict(history, "missing-3")
    assert found.holds is holds
    assert f"20.0% → {1 - wrong / 50:.1%}" in found.ours
    assert "shift best on test, as in the paper: 100.0%" in found.ours
    fill(history, "only-7-and-8-short", lambda _: {"student": figures})
    assert verdict(history, "only-7-and-8").holds is True


@pytest.mark.parametrize(("soft", "single", "holds"), [(31.0, 40.0, True), (39.0, 40.0, False), (31.0, 30.0, None)])
def test_that_an_ensembles_gain_is_judged_by_the_share_kept(
    soft: float, single: float, holds: bool | None, history: History
) -> None:
    figures = {"student": {"test_errors": soft, "ensemble_test_errors": 30.0}, "baseline": {"test_errors": single}}
    fill(history, "ensemble-of-ten-short", lambda _: figures)
    assert verdict(history, "ensemble-of-ten").holds is holds


@pytest.mark.parametrize(("soft", "holds"), [(0.94, True), (0.90, False)])
def test_that_little_data_is_judged_by_the_distance_kept(soft: float, holds: bool, history: History) -> None:
    def figures(point: Point) -> dict[str, dict[str, float]]:
        few = point["transfer.fraction"] < 1
        return {"student": {"test_accuracy": soft}, "baseline": {"test_accuracy": 0.85 if few else 0.945}}

    fill(history, "three-percent-short", figures)
    assert verdict(history, "three-percent").holds is holds


@pytest.mark.parametrize(("gain", "holds"), [(10.0, True), (-10.0, False)])
def test_that_nets_without_convolution_are_judged_at_every_width(gain: float, holds: bool, history: History) -> None:
    def figures(point: Point) -> dict[str, dict[str, float]]:
        own = gain if point["student.units"] > 8 else 10.0
        return {"student": {"test_errors": 50.0, "ensemble_test_errors": 10.0}, "baseline": {"test_errors": 50.0 + own}}

    fill(history, "without-convolution-short", figures)
    found = verdict(history, "without-convolution")
    assert found.holds is holds
    assert "50.0% of the multiply-adds" in found.ours


def test_that_the_command_line_shows_the_claims_and_does_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "experiments.db"
    given = ["--history", str(path), "--form", "short"]
    nothing = CliRunner().invoke(cli, ["paper", *given])
    assert nothing.exit_code == 2
    wrong = CliRunner().invoke(cli, ["paper", "mnist-tabel", *given])
    assert "did you mean 'mnist-table'" in wrong.output
    small = recipe_tables("mnist-table-short")
    small["teacher_training"]["epochs"] = small["training"]["epochs"] = 1

    def tables(name: str) -> dict[str, Any]:
        return small if name == "mnist-table-short" else recipe_tables(name)

    monkeypatch.setattr(claims, "recipe_tables", tables)
    monkeypatch.setattr("workbench.cli.doing.recipe_tables", tables)
    done = CliRunner().invoke(cli, ["paper", "mnist-table", "--run", "--json", *given])
    assert done.exit_code == 0, done.output
    (shown,) = json.loads(done.stdout)
    assert (shown["claim"], shown["form"]) == ("mnist-table", "short")
    assert len(shown["runs"]) == 11
    assert "of 500" in shown["ours"]
    again = CliRunner().invoke(cli, ["paper", "mnist-table", *given])
    assert "runs 1 to 11" in again.output
