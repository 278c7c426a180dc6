"""What a launch would do, how long that takes, and what else is to be queued.

Nothing here imports torch; what comes back is numpy arrays, texts and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.analysis.claims import scoreboard
from workbench.config import ExperimentConfig
from workbench.errors import WorkbenchError
from workbench.history.database import open_for_reading
from workbench.plan import MOST_TOGETHER, choosing, company_of, plan
from workbench.questions.specialists import after_generalist, specialists_asked
from workbench.recipes import recipe_tables
from workbench.sweep import Sweep, sketch
from workbench.words import duration, many

if TYPE_CHECKING:
    from workbench.history.writing import History
    from workbench.running.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """What a launch would do. ``seconds`` is None while it cannot be measured. With up to so many ``specialists`` there is one
    teacher, their generalist, and ``students`` says whether they are distilled back."""

    teachers: int
    reused: int
    baseline: bool
    baseline_reused: bool
    student_parameters: int
    student_multiply_adds: int
    ensemble_parameters: int
    training_cases: int
    transfer_cases: int
    cases_by_class: tuple[tuple[str, int], ...]
    own_images: int
    own_note: str
    seconds: float | None
    device: str
    specialists: int = 0
    students: bool = True

    def words(self) -> str:
        """The plan in a sentence or two."""
        if self.specialists:
            return self._words_with_specialists()
        teachers = many(self.teachers, "teacher") + (f", {self.reused} reused" if self.reused else "")
        share = self.ensemble_parameters / self.student_parameters if self.student_parameters else 0.0
        size = (
            f"student has 1/{share:,.0f} of the ensemble's parameters"
            if share >= 1.5
            else f"student has {self.student_parameters:,} parameters"
        )
        baseline = "" if not self.baseline else "; baseline reused" if self.baseline_reused else "; with its baseline"
        return f"{teachers}; {size}, learns from {self._cases()}{baseline}{self._time()}"

    def _words_with_specialists(self) -> str:
        generalist = f"1 generalist{', reused' if self.reused else ''}, up to {many(self.specialists, 'specialist')}"
        if not self.students:
            return f"{generalist}, and all of them combined{self._time()}"
        baseline = ", and its baseline" + (", reused" if self.baseline_reused else "") if self.baseline else ""
        student = f"the student, distilled from all and from the generalist alone{baseline}"
        return f"{generalist}; {student}; {self._cases()}{self._time()}"

    def _cases(self) -> str:
        own = f" and {many(self.own_images, 'own image')}" if self.own_images else ""
        return f"{self.transfer_cases:,} of {self.training_cases:,} training cases{own}"

    def _time(self) -> str:
        return f"; about {duration(self.seconds)} on this {self.device}" if self.seconds is not None else ""


def summarise(config: ExperimentConfig) -> Callable[[Engine, History], PlanSummary]:
    """What launching ``config`` would do; errors are those that Launch would meet, a download apart."""

    def answer(engine: Engine, history: History) -> PlanSummary:
        data = engine.check(config, history.past_run, download=False)
        planned = plan(config, lambda run: history.past_run(run).config)
        reused = [item.past_run or engine.stand_in(item, history, data, verify=False)[0] for item in planned]
        sizes = [engine.run_size(item.config, data) for item in planned]
        teachers = [index for index, item in enumerate(planned) if item.role in ("teacher", "generalist")]
        student = engine.size(config.student, data)
        cases, counts = engine.transfer(config, data)
        own = engine.own(config.data, config.transfer.images) if config.transfer.images else None
        first = choosing(config, planned)
        seconds = [
            engine.seconds(item.config)
            for item, there in zip(planned, reused, strict=True)
            for _ in range((item in first and not there) + (config.refit and not item.past_run))
        ]
        baseline_reused = any(there for item, there in zip(planned, reused, strict=True) if item.role == "baseline")
        if config.specialists:
            later = after_generalist(config, planned[0], engine, history)
            baseline_reused, seconds = later.baseline_reused, [*seconds, *later.seconds]
        return PlanSummary(
            teachers=len(teachers),
            reused=sum(bool(reused[index]) for index in teachers),
            baseline=config.distillation.baseline,
            baseline_reused=baseline_reused,
            student_parameters=student.parameters,
            student_multiply_adds=student.multiply_adds,
            ensemble_parameters=sum(sizes[index].parameters for index in teachers),
            training_cases=len(data.train),
            transfer_cases=cases,
            cases_by_class=tuple(zip(data.classes, counts, strict=True)),
            own_images=len(own.data.train) - len(data.train) if own else 0,
            own_note=own.note if own else "",
            seconds=None if any(part is None for part in seconds) else sum(part or 0.0 for part in seconds),
            device="CPU" if engine.device.type == "cpu" else "GPU",
            specialists=specialists_asked(config.specialists) if config.specialists else 0,
            students=config.specialists is None or config.specialists.students,
        )

    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """What launching a sweep would do: how many experiments, models to train and there already, and about how long.

    Of a ``search`` all of it is at most so much; with ``specialists`` so many are models to train.
    """

    search: bool
    experiments: int
    training: int
    reused: int
    seconds: float | None
    device: str
    specialists: bool = False

    def words(self) -> str:
        """The plan of a sweep in a sentence."""
        time = f"; about {duration(self.seconds)} on this {self.device}" if self.seconds is not None else ""
        there = f", {self.reused} reused" if self.reused else ""
        what, most = ("search", "at most ") if self.search else ("sweep", "")
        experiments, models = many(self.experiments, "experiment"), many(self.training, "model")
        return f"A {what} of {most}{experiments}: {most or 'at most ' * self.specialists}{models} to train{there}{time}"


def summarise_sweep(tables: dict[str, Any]) -> Callable[[Engine, History], SweepSummary]:
    """What launching a recipe with a ``[sweep]`` would do; runs that several of its experiments share count once."""

    def answer(engine: Engine, history: History) -> SweepSummary:
        there: set[str] = set()
        training = reused = 0
        seconds: list[float | None] = []
        experiments = sketch(tables)
        sweep = Sweep.from_dict(tables.get("sweep", {}))
        companies = Counter(company_of(config) for _, config in experiments)
        for _, config in experiments:
            data = engine.check(config, history.past_run, download=False)
            planned = plan(config, lambda run: history.past_run(run).config)
            refits = [(item, "refitted ") for item in planned if config.refit and not item.past_run]
            for item, again in [*((item, "") for item in choosing(config, planned)), *refits]:
                mark = "" if not item.reusable else again + engine.fingerprint(item.config, data)
                if item.past_run or mark in there or (not again and engine.stand_in(item, history, data, verify=False)[0]):
                    reused += 1
                    continue
                there |= {mark} - {""}
                training += 1
                company = company_of(config) if item.role in ("student", "baseline") else None
                seconds.append(engine.seconds(item.config, min(MOST_TOGETHER, companies[company]) if company else 1))
            if config.specialists:
                later = after_generalist(config, planned[0], engine, history)
                training, reused = training + later.training, reused + later.baseline_reused
                seconds += later.seconds
        return SweepSummary(
            search=sweep.how == "bayes",
            experiments=sweep.size,
            training=training,
            reused=reused,
            seconds=None if None in seconds else sum(part or 0.0 for part in seconds),
            device="CPU" if engine.device.type == "cpu" else "GPU",
            specialists=any(config.specialists for _, config in experiments),
        )

    return answer


def times(experiments: Sequence[tuple[int, dict[str, Any]]]) -> Callable[[Engine, History], dict[int, float | None]]:
    """About how long experiments, written as tables, would take, by number; None where nothing tells."""

    def answer(engine: Engine, history: History) -> dict[int, float | None]:
        found: dict[int, float | None] = {}
        for number, table in experiments:
            try:
                config = ExperimentConfig.from_dict(table)
                found[number] = summarise(config)(engine, history).seconds if engine.has(config) else None
            except WorkbenchError:
                found[number] = None
        return found

    return answer


def resume(experiments: Sequence[int]) -> Callable[[Engine, History], str]:
    """Queue experiments that are over, to do what was not done; a sentence on others that go on together with them, or ""."""

    def answer(_: Engine, history: History) -> str:
        from workbench.running.experiment import resume as take_up

        return history.gone_on_with(take_up(history, experiments))

    return answer


def queue_missing(recipes: Sequence[str]) -> Callable[[Engine, History], int]:
    """Queue what the paper's claims lack of these recipes, each recipe as a sweep; how many experiments that were.

    What waits or runs already is left alone, and nothing is queued where data is not on this machine.
    """

    def answer(engine: Engine, history: History) -> int:
        with closing(open_for_reading(history.path)) as database:
            lacking = {score.recipe: score.unqueued for score in scoreboard(database) if score.recipe in recipes}
        for missing in lacking.values():
            for _, config in missing:
                engine.check(config, history.past_run, download=False)
        for recipe, missing in lacking.items():
            if missing:
                history.enqueue_sweep(recipe_tables(recipe), missing)
        return sum(map(len, lacking.values()))

    return answer


def go_on(run: int, epochs: int, kind: str) -> Callable[[Engine, History], None]:
    """Queue a run that goes on with more epochs, from a checkpoint of another."""

    def answer(_: Engine, history: History) -> None:
        from workbench.running.experiment import continue_run

        continue_run(history, run, epochs, kind)

    return answer
