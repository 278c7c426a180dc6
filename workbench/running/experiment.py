"""Does experiments: checks them, enters their plans into the history, and has their runs driven."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

from workbench.config import ExperimentConfig
from workbench.distill import checkpoints
from workbench.distill.data import ResidentData
from workbench.errors import Cancelled, CheckpointError, WorkbenchError
from workbench.events import ExperimentFinished, ExperimentStarted, Loading, Note, RunFinished
from workbench.history.liveness import ProcessLock
from workbench.history.patience import Patience
from workbench.history.writing import Entry, History, Member, More
from workbench.plan import MOST_TOGETHER, PlannedRun, choosing, company_of, plan, refit_plan, specialists_plan
from workbench.running import device_lease, ray_executor, search
from workbench.running.driver import Control, Emit, UnderWay, Waiting, do_runs, ending, teller
from workbench.running.engine import Engine
from workbench.running.remote import do_remotely

logger = logging.getLogger(__name__)


def run_experiment(engine: Engine, history: History, experiment: int, control: Control, emit: Emit) -> str:
    """Do a waiting experiment of the queue; how it ended: ``done``, ``stopped``, ``failed`` or ``interrupted``."""
    return run_experiments(engine, history, [experiment], control, emit)[experiment]


def run_experiments(engine: Engine, history: History, experiments: Sequence[int], control: Control, emit: Emit) -> dict[int, str]:
    """Do waiting experiments of the queue at once, their students together where they can be; how each ended.

    One that was begun before goes on: finished runs stay, others start at their newest checkpoint. A run that fails with
    a sentence does not end the experiment: what does not depend on it is still done. Where the disk is full, or somebody
    holds the history, it waits until it is not, or a person stops it. Raises :class:`WorkbenchError` where the first is
    not to be had; others that another process has taken, or that were not begun before the end, are left out.
    """
    under_way = UnderWay(engine, history, control, emit, Waiting(control, emit))
    history.patience = under_way.waiting
    engine.begin()
    try:
        if ray_executor.missing(engine.settings.executor):
            emit(Loading("starting Ray", 0, 0, ""))
        under_way.pool = ray_executor.connect(engine.settings.executor, engine.settings.device)
        if not history.claim(experiments[0]):
            raise WorkbenchError(f"experiment {experiments[0]} is not waiting, or another process has taken it")
        claimed = [experiments[0], *_claimed(history, experiments[1:])]
        ends = _on_device(under_way, claimed)
        return {experiment: _end(under_way, experiment, ends[experiment]) for experiment in claimed if experiment in ends}
    finally:
        history.patience = Patience()
        engine.end()


def _claimed(history: History, experiments: Sequence[int]) -> list[int]:
    """Those of some waiting experiments that could be had; where the history cannot be written, those before."""
    found = []
    with contextlib.suppress(WorkbenchError):
        for experiment in experiments:
            if history.claim(experiment):
                found.append(experiment)
    return found


def _on_device(under_way: UnderWay, claimed: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Do experiments once the device is free; how each ended. Where it never is, all but the first go on waiting."""
    lease, begun = None, claimed[:1]
    try:
        lease = _device(under_way)
        begun = claimed
        return _do(under_way, claimed)
    except Exception as error:
        with contextlib.suppress(WorkbenchError):
            for experiment in claimed[len(begun) :]:
                under_way.history.release(experiment)
        return {experiment: ending(under_way, error, f"experiment {experiment}") for experiment in begun}
    finally:
        if lease is not None:
            lease.release()


def _end(under_way: UnderWay, experiment: int, end: tuple[str, str]) -> str:
    """Record how an experiment ended, and tell it."""
    history, (status, message) = under_way.history, end
    try:
        for member in history.members(experiment):
            if not member.reused:
                history.abandon_waiting(
                    member.run, under_way.control.ending or "skipped", message or "the experiment ended before"
                )
        history.finish_experiment(experiment, status, message, _next(under_way, experiment, status))
    except WorkbenchError as error:
        status, message = "failed", str(error)
    under_way.emit(ExperimentFinished(experiment, history.experiment_config(experiment).name, status, message))
    return status


def _next(under_way: UnderWay, experiment: int, status: str) -> More | None:
    """What a search tries after an experiment that ends so. Where that cannot be told the search ends, with a sentence."""
    try:
        return search.after(under_way.history, experiment, status)
    except Exception as error:
        if not isinstance(error, WorkbenchError):
            logger.exception("the search of experiment %d", experiment)
        under_way.emit(Note(0, f"The search ends with experiment {experiment}: {error}."))
        return None


def companions(history: History, experiment: int, executor: str = "local") -> list[int]:
    """The waiting experiments of the same sweep that can be done at once with one: their students are of one kind, or each
    run has a worker of its own."""
    company = company_of(history.experiment_config(experiment))
    remote = executor != "local"
    if company is None and not remote:
        return []
    beside = [number for number, other in history.waiting_beside(experiment) if remote or company_of(other) == company]
    return beside[: MOST_TOGETHER - 1]


def resume(history: History, experiments: Sequence[int], *, alone: bool = False) -> list[int]:
    """Queue experiments that are over, to do what was not done; the others that go on with them.

    Students that were trained together end as if nothing had been only where they go on together. ``alone`` leaves the
    others where they are; what is then trained agrees to float tolerance.
    """
    others = [] if alone else history.left_with(experiments)
    history.resume(*experiments, *others)
    return others


def _device(under_way: UnderWay) -> ProcessLock | None:
    """The device for this experiment alone, waited for where another workbench trains on it; None where it is shared."""
    engine, control = under_way.engine, under_way.control
    told = False
    while not engine.wants_share and (under_way.pool is None or under_way.pool.here):
        try:
            lease = device_lease.take(engine.device.type)
        except OSError as error:
            under_way.emit(Note(0, f"Whether another workbench trains on this device is not known: {error}."))
            return None
        if lease is not None:
            return lease
        if not told:
            told = True
            words = f"Another workbench is training on this {engine.device.type}; this experiment waits until it is free"
            under_way.emit(Note(0, f"{words}, or share the device (File → Settings, --share-device)."))
            under_way.emit(Loading("waiting for the device", 0, 0, ""))
        control.between_events()
        if control.ending:
            raise Cancelled("the device was not free yet")
        time.sleep(0.1)
    return None


def _do(under_way: UnderWay, experiments: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Everybody's plan, then the refits of those that want them; how each experiment ended."""
    ends: dict[int, tuple[str, str]] = {}
    _round(under_way, experiments, ends, _begun)
    for more in (_refitted, _specialised):
        again = [experiment for experiment, end in ends.items() if not end[0] and _wants(under_way, experiment, more)]
        _round(under_way, again, ends, more)
    return {experiment: end if end[0] else _ended(under_way, experiment) for experiment, end in ends.items()}


Settle = Callable[[Sequence[PlannedRun]], None]
"""Trains runs that wait where one of these, about to be entered, can then reuse one of them."""


def _round(
    under_way: UnderWay,
    experiments: Sequence[int],
    ends: dict[int, tuple[str, str]],
    begin: Callable[[UnderWay, int, Settle], list[Member]],
) -> None:
    """Teachers one after the other, then everybody's baselines, then everybody's students; ``ends`` tells what failed.

    With a pool everybody's runs wait until all are entered, and are done at the same time.
    """
    history, control, pool = under_way.history, under_way.control, under_way.pool
    first, students = list[Member](), list[Member]()

    def flush(members: list[Member]) -> None:
        if not control.ending and pool is not None:
            do_remotely(under_way, pool, members)
        elif not control.ending:
            do_runs(under_way, members)
        members.clear()

    def settle(planned: Sequence[PlannedRun]) -> None:
        waiting = [(one.role, one.config) for one in first]
        if any((item.role, item.config) in waiting for item in planned if item.reusable):
            flush(first)

    for experiment in experiments:
        if control.ending and experiment != experiments[0] and experiment not in ends:
            history.release(experiment)
            continue
        ends[experiment] = ("", "")
        try:
            for member in begin(under_way, experiment, settle):
                if member.reused or (member.status == "done" and _has_weights(history, member)):
                    status = "reused" if member.reused else "done"
                    under_way.emit(RunFinished(member.run, experiment, member.role, member.name, status, "trained before"))
                elif control.ending:
                    break
                elif member.role == "student":
                    students.append(member)
                elif member.role == "baseline" or pool is not None:
                    first.append(member)
                else:
                    do_runs(under_way, [member])
        except Exception as error:
            ends[experiment] = ending(under_way, error, f"experiment {experiment}")
    for members in ([*first, *students],) if pool is not None else (first, students):
        flush([member for member in members if ends[member.experiment] == ("", "")])


def _begun(under_way: UnderWay, experiment: int, settle: Settle) -> list[Member]:
    """Check an experiment and enter its runs, where it is new; tell of it; its runs."""
    engine, history, emit = under_way.engine, under_way.history, under_way.emit
    config = history.experiment_config(experiment)
    data = engine.data(config.data, teller(under_way), under_way.control.cancelled)
    if not history.members(experiment):
        engine.check(config, history.past_run, teller(under_way))
        planned = _first(history, config)
        settle(planned)
        _enter(under_way, experiment, planned, data)
    members = history.members(experiment)
    emit(ExperimentStarted(experiment, config.name, tuple(member.run for member in members)))
    return members


def _wants(under_way: UnderWay, experiment: int, more: Callable[[UnderWay, int, Settle], list[Member]]) -> bool:
    """Whether an experiment's first runs are all there, and its refits, or what follows its generalist, not entered yet."""
    config, members = under_way.history.experiment_config(experiment), under_way.history.members(experiment)
    there = all(member.run not in under_way.failed for member in members) and not under_way.control.ending
    asked = config.refit if more is _refitted else config.specialists is not None
    return asked and there and len(members) == len(_first(under_way.history, config))


def _first(history: History, config: ExperimentConfig) -> tuple[PlannedRun, ...]:
    """The runs of an experiment without its refits."""
    return choosing(config, plan(config, lambda run: history.past_run(run).config))


def _best_epochs(history: History, member: Member) -> int:
    """How long a run is refitted: to its best epoch, or to its end where its last weights are the ones kept."""
    best = history.figure(member.run, "best_epoch") if member.config.training.keep == "best" else history.epochs(member.run)
    return round(best or member.config.training.epochs)


def _refitted(under_way: UnderWay, experiment: int, settle: Settle) -> list[Member]:
    """Enter the refits of an experiment whose runs have chosen their epochs; tell of it; the refits."""
    history = under_way.history
    config, chosen = history.experiment_config(experiment), history.members(experiment)
    epochs = [_best_epochs(history, member) for member in chosen]
    planned = refit_plan(config, lambda run: history.past_run(run).config, epochs)
    whole = next(item.config.data for item in planned if not item.past_run)
    data = under_way.engine.data(whole, teller(under_way), under_way.control.cancelled)
    settle(planned)
    _enter(under_way, experiment, planned, data)
    members = history.members(experiment)
    under_way.emit(ExperimentStarted(experiment, config.name, tuple(member.run for member in members)))
    refits = members[len(chosen) :]
    for member, best, by in zip(refits, epochs, chosen, strict=False):
        if not member.reused:
            under_way.note(member.run, f"refitted on all cases for {best} epochs, after run {by.run} on validation")
    return refits


def _specialised(under_way: UnderWay, experiment: int, settle: Settle) -> list[Member]:
    """Find the subsets that a generalist's predictions ask for, and enter its specialists and what follows; those runs."""
    engine, history = under_way.engine, under_way.history
    config, (generalist,) = history.experiment_config(experiment), history.members(experiment)
    assert config.specialists is not None
    data = engine.data(config.data, teller(under_way), under_way.control.cancelled)
    under_way.emit(Loading("finding subsets of classes", 0, 0, ""))
    found = engine.subsets(history.weights_of(generalist.run), config.specialists, config.data, config.teacher_seed)
    planned = specialists_plan(config, generalist.run, generalist.config.model, found.subsets)
    settle(planned)
    _enter(under_way, experiment, planned, data)
    members = history.members(experiment)
    under_way.emit(ExperimentStarted(experiment, config.name, tuple(member.run for member in members)))
    whole = next(member for member in members[1:] if member.role == "generalist")
    names = "; ".join(", ".join(data.classes[number] for number in subset) for subset in found.subsets)
    inside = f" {found.inside:.0%} of the generalist's errors on validation lie inside one." if found.inside >= 0 else ""
    under_way.note(whole.run, f"{len(found.subsets)} subsets of classes: {names}.{inside}")
    return members[1:]


def _ended(under_way: UnderWay, experiment: int) -> tuple[str, str]:
    control, history = under_way.control, under_way.history
    config, members = history.experiment_config(experiment), history.members(experiment)
    failed = [under_way.failed[one.run] for one in members if one.run in under_way.failed]
    whole = len(members) > len(_first(history, config)) if config.refit or config.specialists else True
    complete = bool(members) and whole and all(one.reused or one.status == "done" for one in members)
    if control.ending and not complete:
        return control.ending, "a person stopped it" if control.ending == "stopped" else "the program was told to end"
    return ("failed", f"not done: {', '.join(failed)}") if failed else ("done", "")


def _has_weights(history: History, member: Member) -> bool:
    """Whether a run that was done before can still be built on, or has to be done again."""
    stored = history.artefact(member.run, "weights")
    return stored is not None and checkpoints.has_size(stored.path, stored.size)


def _enter(under_way: UnderWay, experiment: int, planned: tuple[PlannedRun, ...], data: ResidentData) -> None:
    """Put the plan's runs into the history, all at once; those that are there already and can stand in are reused."""
    engine, history = under_way.engine, under_way.history
    entries, notes = [], []
    for item in planned:
        found, note = (item.past_run, "") if item.past_run else engine.stand_in(item, history, data)
        size = engine.run_size(item.config, data)
        entries.append(
            Entry(
                role=item.role,
                name=item.name,
                config=item.config,
                parents=item.parents,
                above=item.above,
                reused=found,
                parameters=size.parameters,
                multiply_adds=size.multiply_adds,
            )
        )
        if item.past_run and history.past_run(found).dataset_digest != data.digest:
            note = f"{item.name} is run {found}, which was trained on {item.config.data.dataset}"
        if item.config.transfer.images and not item.past_run:
            note = engine.own(item.config.data, item.config.transfer.images).note
        notes.append(note)
    for run, note, entry in zip(history.enter(experiment, entries), notes, entries, strict=True):
        if note and entry.reused:
            under_way.emit(Note(run, note))
        elif note:
            under_way.note(run, note)


def continue_run(history: History, run: int, epochs: int, kind: str = "state") -> int:
    """Queue an experiment that goes on with a finished or stopped run until ``epochs``, as a new run; its number.

    ``kind`` is the checkpoint to go on from: ``state``, the last, or ``best``, of the epoch best on validation. The old
    run stays as it is. Raises :class:`CheckpointError` where that checkpoint is absent or damaged, and where ``epochs``
    are already behind it.
    """
    past, stored = history.past_run(run), history.artefact(run, kind)
    if stored is None or past.status in ("running", "waiting"):
        raise CheckpointError(f"run {run} has no such checkpoint to go on from, or it was cleaned up; launch it anew")
    tensors, values = checkpoints.read(stored.path, stored.sha256)
    if epochs <= values["epochs_done"]:
        raise CheckpointError(
            f"run {run} has {values['epochs_done']} epochs behind it at that checkpoint; ask for more than that"
        )
    training = dataclasses.replace(past.config.training, epochs=epochs, patience=0)
    state = history.new_folder() / f"state-{values['step']}.safetensors"
    size, sha256 = checkpoints.write(state, tensors, values)
    return history.continue_run(run, dataclasses.replace(past.config, training=training), values["step"], state, size, sha256)
