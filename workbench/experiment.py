"""Does an experiment: checks it, enters its plan into the history, and has its runs driven one after the other."""

from __future__ import annotations

import dataclasses
import time

from workbench import device_lease
from workbench.distill import checkpoints
from workbench.distill.data import ResidentData
from workbench.driver import Control, Emit, UnderWay, Waiting, do_run, ending, teller
from workbench.engine import Engine
from workbench.errors import Cancelled, CheckpointError, WorkbenchError
from workbench.events import ExperimentFinished, ExperimentStarted, Loading, Note, RunFinished
from workbench.history.liveness import ProcessLock
from workbench.history.patience import Patience
from workbench.history.writing import Entry, History, Member
from workbench.plan import PlannedRun, plan


def run_experiment(engine: Engine, history: History, experiment: int, control: Control, emit: Emit) -> str:
    """Do a waiting experiment of the queue; how it ended: ``done``, ``stopped``, ``failed`` or ``interrupted``.

    One that was begun before goes on: finished runs stay, others start at their newest checkpoint. A run that fails with
    a sentence does not end the experiment: what does not depend on it is still done. Where the disk is full, or somebody
    holds the history, it waits until it is not, or a person stops it.
    """
    config = history.experiment_config(experiment)
    under_way = UnderWay(experiment, engine, history, control, emit, Waiting(control, emit))
    history.patience = under_way.waiting
    try:
        if not history.claim(experiment):
            raise WorkbenchError(f"experiment {experiment} is not waiting, or another process has taken it")
    except WorkbenchError:
        history.patience = Patience()
        raise
    engine.begin()
    lease = None
    try:
        lease = _device(under_way)
        status, message = _do(under_way)
    except Exception as error:
        status, message = ending(under_way, error, f"experiment {experiment}")
    finally:
        if lease is not None:
            lease.release()
    try:
        for member in history.members(experiment):
            if not member.reused:
                history.abandon_waiting(member.run, control.ending or "skipped", message or "the experiment ended before")
        history.finish_experiment(experiment, status, message)
    except WorkbenchError as error:
        status, message = "failed", str(error)
    finally:
        history.patience = Patience()
        engine.end()
    emit(ExperimentFinished(experiment, config.name, status, message))
    return status


def _device(under_way: UnderWay) -> ProcessLock | None:
    """The device for this experiment alone, waited for where another workbench trains on it; None where it is shared."""
    engine, control = under_way.engine, under_way.control
    told = False
    while not engine.wants_share:
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


def _do(under_way: UnderWay) -> tuple[str, str]:
    engine, history, control, emit = under_way.engine, under_way.history, under_way.control, under_way.emit
    experiment = under_way.experiment
    config = history.experiment_config(experiment)
    data = engine.data(config.data, teller(under_way), control.cancelled)
    if not history.members(experiment):
        engine.check(config, history.past_run, teller(under_way))
        _enter(under_way, plan(config, lambda run: history.past_run(run).config), data)
    members = history.members(experiment)
    emit(ExperimentStarted(experiment, config.name, tuple(member.run for member in members)))
    for member in members:
        if member.reused or (member.status == "done" and _has_weights(history, member)):
            status = "reused" if member.reused else "done"
            emit(RunFinished(member.run, experiment, member.role, member.name, status, "trained before"))
        elif control.ending:
            break
        else:
            do_run(under_way, member)
    if control.ending:
        return control.ending, "a person stopped it" if control.ending == "stopped" else "the program was told to end"
    if under_way.failed:
        return "failed", f"not done: {', '.join(under_way.failed.values())}"
    return "done", ""


def _has_weights(history: History, member: Member) -> bool:
    """Whether a run that was done before can still be built on, or has to be done again."""
    stored = history.artefact(member.run, "weights")
    return stored is not None and checkpoints.has_size(stored.path, stored.size)


def _enter(under_way: UnderWay, planned: tuple[PlannedRun, ...], data: ResidentData) -> None:
    """Put the plan's runs into the history, all at once; those that are there already and can stand in are reused."""
    engine, history = under_way.engine, under_way.history
    entries, notes = [], []
    for item in planned:
        found, note = (item.past_run, "") if item.past_run else engine.stand_in(item, history, data)
        size = engine.size(item.config.model, data)
        entries.append(
            Entry(
                role=item.role,
                name=item.name,
                config=item.config,
                parents=item.parents,
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
    for run, note, entry in zip(history.enter(under_way.experiment, entries), notes, entries, strict=True):
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
