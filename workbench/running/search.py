"""A Bayesian search: a sweep whose combinations are chosen one after the other, each from what those before came to.

What is maximised is the student's accuracy on validation, never on test. A search keeps nothing of its own: an Optuna
study is made anew from the sweep's experiments whenever it is asked for the next combination, so that one which was
interrupted goes on wherever its history is opened. Optuna is an extra, and nothing else here needs it.
"""

from __future__ import annotations

import contextlib
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.history.reading import SweepState, Trial, sweep_of, sweep_state
from workbench.history.writing import History, More
from workbench.sweep import Point, Range, Sweep, Values, at_points, base_of, varied

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

WITHOUT_OPTUNA = "the Bayesian search needs Optuna: pip install 'distillation-workbench[optuna]'"
ASKED = 50
"""So often the study is asked for a combination that was not tried before; then one is drawn."""
DRAWN = 10_000

Experiments = list[tuple[Point, ExperimentConfig]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One that was tried, with its mean accuracy over seeds. ``told`` says that the study hears of it, as failed if need be."""

    point: Point
    over: bool
    told: bool
    failed: bool
    score: float


def first_points(tables: Mapping[str, Any]) -> Experiments:
    """The first combination's experiments of a recipe with a search; :class:`ConfigError` where any value of it is wrong."""
    _optuna()
    sweep = Sweep.from_dict(tables["sweep"])
    for _, config in at_points(tables, _probes(sweep)):
        if not config.data.validation_fraction:
            raise ConfigError("data.validation_fraction", "must be above 0: the Bayesian search chooses on validation")
        if config.specialists and not config.specialists.students:
            raise ConfigError("specialists.students", "must be true: the Bayesian search chooses by the student")
    found = _suggestion(tables, sweep, [])
    if not found:
        raise ConfigError("sweep", "no combination of these settings can be done; see what of them goes together")
    return found


def next_points(history: History, sweep: int) -> Experiments:
    """The experiments of the next combination of a sweep, one a seed; none where it is no search, or not its turn."""
    return _next(history.sweep_state(sweep))


def after(history: History, experiment: int, status: str) -> More | None:
    """What a search tries once ``experiment`` has ended with ``status``; None where that begins nothing new."""
    state = history.sweep_of(experiment)
    if state is None:
        return None
    ended = [replace(one, status=status) if one.experiment == experiment else one for one in state.trials]
    return _more(replace(state, trials=tuple(ended)))


def unfinished(database: Database, experiment: int) -> bool:
    """Whether an experiment belongs to a search that has something left, for :func:`take_up` or in another process."""
    sweep = sweep_of(database, experiment)
    state = None if sweep is None else sweep_state(database, sweep)
    if state is None or _of(state) is None:
        return False
    return _goes_on(state) or any(one.status in ("waiting", "interrupted") and not one.deleted for one in state.trials)


def take_up(history: History, experiment: int) -> list[int]:
    """Queue, for this process, what was left of the search that an experiment belongs to; the numbers."""
    state = history.sweep_of(experiment)
    if state is None or _of(state) is None:
        return []
    left = [one.experiment for one in state.trials if one.left]
    for number in left:
        history.resume(number)
    more = None if left else _more(state)
    return history.extend_sweep(more) if more else left


def waiting(history: History, experiment: int) -> list[int]:
    """What waits, for this process, of the search that an experiment belongs to."""
    state = history.sweep_of(experiment)
    return [number for number, _ in history.waiting_beside(experiment)] if state is not None and _of(state) else []


def _of(state: SweepState) -> Sweep | None:
    """The search that a sweep is, or None where it is another sweep."""
    table = state.tables.get("sweep", {})
    return Sweep.from_dict(table) if table.get("how") == "bayes" else None


def _more(state: SweepState) -> More | None:
    found = _next(state)
    return More(sweep=state.sweep, after=len(state.trials), experiments=found) if found else None


def _next(state: SweepState) -> Experiments:
    sweep = _of(state)
    return _suggestion(state.tables, sweep, _tried(state.trials)) if sweep is not None and _goes_on(state) else []


def _goes_on(state: SweepState) -> bool:
    """Whether the newest combination is over and another is to be tried; a person's stop, or removal, ends the search."""
    sweep, tried = _of(state), _tried(state.trials)
    by_hand = any(one.status == "stopped" or (one.deleted and one.status not in ("done", "failed")) for one in state.trials)
    return sweep is not None and bool(tried) and tried[-1].over and not by_hand and len(tried) < sweep.tries


def _tried(trials: Sequence[Trial]) -> list[Combination]:
    """The combinations in their order, the seeds of each together."""
    groups: dict[str, list[Trial]] = {}
    for one in trials:
        groups.setdefault(_mark(one.point), []).append(one)
    found = []
    for group in groups.values():
        left = [one for one in group if not one.deleted]
        scores = [one.score for one in left if one.status == "done" and one.score is not None]
        failed = any(one.status == "failed" for one in left)
        found.append(
            Combination(
                point=varied(group[0].point),
                over=all(one.status in ("done", "failed", "stopped") for one in group),
                told=failed or bool(scores),
                failed=failed,
                score=statistics.fmean(scores) if scores else 0.0,
            )
        )
    return found


def _suggestion(tables: Mapping[str, Any], sweep: Sweep, tried: Sequence[Combination]) -> Experiments:
    """The experiments of a combination that was not tried yet, one a seed; none where there is no other that can be done."""
    seed, before = base_of(tables).seed, {_mark(one.point) for one in tried}
    for point in _candidates(sweep, tried, seed):
        if _mark(point) not in before:
            before.add(_mark(point))
            with contextlib.suppress(ConfigError):  # settings that do not go together
                return at_points(tables, sweep.with_seeds(point, seed))
    return []


def _candidates(sweep: Sweep, tried: Sequence[Combination], seed: int) -> Iterator[Point]:
    """What the study proposes, then any others: the same for the same combinations tried."""
    optuna = _optuna()
    draw = random.Random(f"{seed} {len(tried)}")
    space = {path: _distribution(values) for path, values in sweep.axes}
    startup = min(10, max(3, sweep.count // 3))
    sampler = optuna.samplers.TPESampler(seed=draw.getrandbits(32), n_startup_trials=startup)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for one in tried:
        if one.told:
            study.add_trial(_trial(sweep, space, one))
    for _ in range(ASKED):
        chosen = study.ask(space).params
        yield {path: _value(values, chosen[path]) for path, values in sweep.axes}
    few = sweep.combinations <= DRAWN
    places = (
        draw.sample(range(sweep.combinations), sweep.combinations)
        if few
        else [draw.randrange(sweep.combinations) for _ in range(DRAWN)]
    )
    for place in places:
        yield sweep.combination(place)


def _trial(sweep: Sweep, space: dict[str, BaseDistribution], one: Combination) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.FAIL if one.failed else TrialState.COMPLETE,
        value=None if one.failed else one.score,
        params={path: _parameter(values, one.point[path]) for path, values in sweep.axes},
        distributions=space,
    )


def _distribution(values: Values) -> BaseDistribution:
    """A setting as Optuna knows it: values of a list by their place, since a value may be a list itself."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Range):
        return CategoricalDistribution(range(len(values)))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(float(values.low), float(values.high), log=values.log)


def _value(values: Values, parameter: Any) -> Any:
    return values.near(parameter) if isinstance(values, Range) else values[parameter]


def _parameter(values: Values, value: Any) -> Any:
    return value if isinstance(values, Range) else [repr(one) for one in values].index(repr(value))


def _probes(sweep: Sweep) -> Iterator[Point]:
    """Points at which each value of a list, and both ends of each range, stand once."""
    first = sweep.combination(0)
    for path, values in sweep.axes:
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            yield first | {path: value}


def _mark(point: Point) -> str:
    return repr(varied(point))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError("sweep.how", WITHOUT_OPTUNA) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
