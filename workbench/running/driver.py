"""Drives runs: takes events from their trainers, acts on commands between them, and writes the history and checkpoints.

The driver alone says how a run ended, and alone writes checkpoints.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from workbench.analysis.bias import unseen_figures
from workbench.config import ElsewhereConfig, ModelConfig, RunConfig, SpecialistConfig
from workbench.distill import checkpoints
from workbench.distill.data import ResidentData
from workbench.distill.ensembles import Ensemble
from workbench.distill.evaluation import BATCH, fidelity, figures, latency, logits_on
from workbench.distill.sources import Tell
from workbench.distill.specialist_figures import specialist_figures
from workbench.distill.specialists import Combination
from workbench.distill.together import Together, company
from workbench.distill.training import Job, Trainer, TrainerState
from workbench.errors import Cancelled, CannotWrite, CheckpointError, DataError, WorkbenchError
from workbench.events import CheckpointWritten, EpochEnded, Event, Loading, Metrics, Note, Paused, RunFinished, RunStarted
from workbench.history.patience import Patience, patiently
from workbench.history.reading import StoredFile
from workbench.history.writing import Artefact, History, Member, Started
from workbench.running.engine import Engine

if TYPE_CHECKING:
    from workbench.running.ray_executor import Pool

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
CHECKPOINT_SECONDS = 60.0
EPOCH_CHECKPOINT_SECONDS = 1.0
CHECKPOINT_SHARE = 5
"""An epoch's checkpoint waits until so many times the last one's duration have been trained."""
RETRY_SECONDS = 2.0

Emit = Callable[[Event], None]


class Control:
    """What a person asks of a running experiment; may be called from any thread.

    ``between_events`` is called by the driver between two events and while it waits in a pause.
    """

    def __init__(self, between_events: Callable[[], None] = lambda: None) -> None:
        self.between_events = between_events
        self._go_on = threading.Event()
        self._go_on.set()
        self.ending = ""

    def pause(self) -> None:
        """Wait before the next step."""
        self._go_on.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._go_on.set()

    def stop(self) -> None:
        """End the experiment with a checkpoint, because a person asked for it."""
        self.ending = "stopped"

    def interrupt(self) -> None:
        """End the experiment with a checkpoint, because the program ends."""
        self.ending = "interrupted"

    def cancelled(self) -> bool:
        """Whether what is being prepared should be given up."""
        return bool(self.ending)

    @property
    def paused(self) -> bool:
        """Whether the driver waits."""
        return not self._go_on.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for the pause to end, at most ``seconds``."""
        self._go_on.wait(seconds)


class Waiting(Patience):
    """Waits, as in a pause, for room on the disk or for whoever holds the history."""

    def __init__(self, control: Control, emit: Emit) -> None:
        self._control, self._emit, self._told = control, emit, False
        self._seconds = 0.0

    def wait(self, error: CannotWrite) -> bool:
        """Wait until it is time to try again; not once the end is wanted."""
        if self._control.ending:
            return False
        if not self._told:
            self._told = True
            self._emit(Note(0, f"{error}. Training waits and goes on by itself once there is room."))
        start = time.perf_counter()
        while time.perf_counter() < start + RETRY_SECONDS and not self._control.ending:
            self._control.between_events()
            time.sleep(0.05)
        self._seconds += time.perf_counter() - start
        return True

    def over(self) -> None:
        """Say that it goes on."""
        self._told = False
        self._emit(Note(0, "What had to wait is written; training goes on."))

    def taken(self) -> float:
        """Seconds that were waited since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


@dataclass(slots=True)
class UnderWay:
    """What is under way: who does it, who is told, and which runs have failed so far (their names).

    Where there is a ``pool``, its workers train, see :mod:`workbench.running.remote`.
    """

    engine: Engine
    history: History
    control: Control
    emit: Emit
    waiting: Waiting
    failed: dict[int, str] = field(default_factory=dict)
    kept: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each run the step and the epochs behind it at its newest checkpoint."""
    pool: Pool | None = None

    def tell(self, text: str, done: int, total: int, unit: str) -> None:
        """Tell the screen of a long preparation, answer questions meanwhile, and give up where a person stops it."""
        self.emit(Loading(text, done, total, unit))
        self.control.between_events()
        if self.control.ending:
            raise Cancelled(f"{text} was given up")

    def note(self, run: int, text: str) -> None:
        """Say a sentence about a run, and keep it with the run."""
        self.history.add_note(run, text)
        self.emit(Note(run, text))


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A run ready to be trained; ``parents`` are its teachers' weights."""

    member: Member
    trainer: Trainer
    parents: list[StoredFile]


def teller(under_way: UnderWay) -> Tell:
    """What preparations tell of their progress."""
    return under_way.tell


def do_runs(under_way: UnderWay, members: Sequence[Member]) -> None:
    """Train runs that do not depend on each other, from their checkpoints where they have one, and record how they ended.

    Those of one company are trained together as one model, the others one by one. A run that fails with a sentence does
    not raise: those that need it are skipped, the others done.
    """
    companies: dict[Hashable, list[Ready]] = {}
    ensembles: dict[Hashable, Ensemble] = {}
    for member in members:
        if settled(under_way, member):
            continue
        try:
            ready = prepared(under_way, member, ensembles)
        except Exception as error:
            end_run(under_way, member, *ending(under_way, error, f"run {member.run}"))
            continue
        key = company(ready.trainer) if len(members) > 1 else None
        if key is not None:
            companies.setdefault(key, []).append(ready)
        elif not under_way.control.ending:  # at once: the next one to be prepared draws random numbers
            _do_together(under_way, [ready])
    for together in companies.values():
        if not under_way.control.ending:
            _do_together(under_way, together)


def settled(under_way: UnderWay, member: Member) -> bool:
    """Record a run that is not to be trained, if this is one: one whose teachers failed, or a generalist with specialists."""
    missing = [under_way.failed[parent] for parent in member.parents if parent in under_way.failed]
    if missing:
        end_run(under_way, member, "skipped", f"not done, because {', '.join(missing)} failed")
    elif is_combination(member):
        _combine(under_way, member)
    return bool(missing) or is_combination(member)


def is_combination(member: Member) -> bool:
    """Whether a run is a generalist with its specialists, of which nothing is trained."""
    return member.config.combination is not None and member.config.distillation is None


def _do_together(under_way: UnderWay, together: list[Ready]) -> None:
    """Train one run, or several as one model, and record how each ended; one by one where the device has no room for all."""
    try:
        finished = _train(under_way, together)
    except (torch.OutOfMemoryError, MemoryError) as error:
        members = [ready.member for ready in together]
        together.clear()
        torch.cuda.empty_cache()
        for member in members:
            if len(members) > 1:
                do_runs(under_way, [member])
            else:
                end_run(under_way, member, *ending(under_way, error, f"run {member.run}"))
        return
    except Exception as error:
        for ready in together:
            end_run(under_way, ready.member, *ending(under_way, error, f"run {ready.member.run}"))
        return
    conclude(under_way, together, finished)


def conclude(under_way: UnderWay, together: Sequence[Ready], finished: bool) -> None:
    """Record how runs ended, the figures and weights of those that are done; ``finished`` where nobody broke them off."""
    for ready in together:
        try:
            status, message = _outcome(under_way, ready, finished)
        except Exception as error:
            status, message = ending(under_way, error, f"run {ready.member.run}")
        end_run(under_way, ready.member, status, message)


def end_run(under_way: UnderWay, member: Member, status: str, message: str) -> None:
    """Record how a run ended, and tell it."""
    if status in ("failed", "skipped"):
        under_way.failed[member.run] = member.name
    under_way.history.finish_run(member.run, status, message)
    under_way.emit(RunFinished(member.run, member.experiment, member.role, member.name, status, message))


def ending(under_way: UnderWay, error: Exception, what: str) -> tuple[str, str]:
    """The status and the sentence that an error means for a run or an experiment."""
    if isinstance(error, WorkbenchError):
        return under_way.control.ending or "failed", str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        torch.cuda.empty_cache()
        return "failed", "the device ran out of memory; lower the batch size, choose bf16, or take a smaller model"
    logger.error("%s", what, exc_info=error)
    return "failed", f"unexpected {type(error).__name__}: {error}; the log file has the details"


def prepared(under_way: UnderWay, member: Member, ensembles: dict[Hashable, Ensemble]) -> Ready:
    """A run ready to be trained; ``ensembles`` keeps teachers that several have in common."""
    engine, history, config = under_way.engine, under_way.history, member.config
    data = engine.run_data(config, teller(under_way))
    if member.data_digest not in ("", data.digest):
        what = " with ".join(part for part in (config.data.dataset, config.transfer.images) if part)
        raise DataError(f"{what} is no longer what this run began with; launch it anew")
    stored = [history.weights_of(parent) for parent in member.parents]
    ensemble = None
    if config.specialist is not None:
        return Ready(member, trainer_of(under_way, member, engine.specialist_job(member.run, config, stored[0])), stored)
    if config.distillation is not None:
        key = (*(parent.sha256 for parent in stored), config.distillation.mean, config.combination)
        ensemble = ensembles.get(key) or engine.ensemble(stored, config.distillation.mean, data, config.combination)
        ensembles[key] = ensemble
    job = engine.job(member.run, config, ensemble, teller(under_way))
    return Ready(member, trainer_of(under_way, member, job), stored)


def _combine(under_way: UnderWay, member: Member) -> None:
    """Record what a generalist and its specialists reach together; nothing is trained."""
    try:
        _record_combination(under_way, member)
    except Exception as error:
        end_run(under_way, member, *ending(under_way, error, f"run {member.run}"))
        return
    end_run(under_way, member, "done", "")


def _record_combination(under_way: UnderWay, member: Member) -> None:
    engine, history, config = under_way.engine, under_way.history, member.config
    data = engine.data(config.data, teller(under_way))
    stored = [history.weights_of(parent) for parent in member.parents]
    assert config.combination is not None
    ensemble = engine.combination(stored, config.combination, data)
    whole = ensemble.members[0]
    assert isinstance(whole, Combination)
    size = engine.size(config.model, data)
    threads = engine.use_threads(size, BATCH, member.threads)
    started = Started(
        run=member.run,
        fingerprint=engine.fingerprint(config, data, [one.sha256 for one in stored]),
        data_digest=data.digest,
        steps=0,
        environment=engine.environment(threads, "float32", [member.run]),
    )
    history.start_runs([started])
    about = (member.run, member.experiment, member.role, member.name)
    under_way.emit(RunStarted(*about, 0, 0, 0, engine.device.type, threads))
    found = specialist_figures(whole, data, "test")
    found["multiply_adds_per_image"] = size.multiply_adds * (1 + found["test_specialists_per_image"])
    on_test = engine.ensemble_logits(ensemble, config.data, "test")
    found |= figures(on_test, data.test.labels, "test") | {"latency_ms": latency(whole, data)}
    if len(data.validation):
        on_validation = engine.ensemble_logits(ensemble, config.data, "validation")
        found |= figures(on_validation, data.validation.labels, "val") | specialist_figures(whole, data, "validation")
    history.record_figures(member.run, found)
    cases, classes = on_test.shape
    history.record_predictions(member.run, "test", cases, classes, on_test.half().cpu().numpy().tobytes())
    if found["test_unfinished"]:
        many = f"{found['test_unfinished']:.0f} of {found['test_size']:.0f}"
        under_way.note(member.run, f"the descent did not end on {many} test images; their geometric mean stands in")


def trainer_of(under_way: UnderWay, member: Member, job: Job) -> Trainer:
    """A trainer that goes on from the run's newest sound checkpoint, or begins where there is none."""
    for kind in ("state", "best"):
        stored = under_way.history.artefact(member.run, kind)
        if stored is None:
            continue
        try:
            tensors, values = checkpoints.read(stored.path, stored.sha256)
        except CheckpointError as error:
            under_way.note(member.run, f"{error}; what came before it is used")
            continue
        trainer = Trainer.resume(job, TrainerState(tensors, values))
        if kind == "state":
            under_way.kept[member.run] = _place(trainer)
        return trainer
    if member.continues:
        raise CheckpointError(f"run {member.run} has no sound checkpoint to go on from")
    return Trainer(job)


def _train(under_way: UnderWay, together: Sequence[Ready]) -> bool:
    """Train one run, or several as one model, to a last checkpoint of all; False where a person or the program's end came
    first."""
    engine, first = under_way.engine, together[0]
    config = first.member.config
    size = engine.size(config.model, first.trainer.job.data)
    threads = engine.use_threads(size, config.training.batch_size, first.member.threads, len(together))
    runs = [one.member.run for one in together]
    precision = config.training.precision
    begin_runs(under_way, together, engine.environment(threads, precision, first.member.together or runs))
    trainers = [ready.trainer for ready in together]
    alone = len(first.member.together or together) == 1  # the last one left of several goes on by their arithmetic
    finished = _follow(under_way, trainers[0] if alone else Together(trainers), trainers)
    write_states(under_way, trainers)
    return finished


def begin_runs(under_way: UnderWay, together: Sequence[Ready], environment: dict[str, Any], *, again: bool = False) -> None:
    """Record that runs begin, or go on, in an environment, and what their ensembles reach; tell it, unless it is ``again``."""
    engine, history = under_way.engine, under_way.history
    history.start_runs([_start(engine, ready, environment) for ready in together])
    for ready in () if again else together:
        member, job = ready.member, ready.trainer.job
        if job.ensemble is not None:
            history.record_figures(member.run, _ensemble_figures(engine, job.ensemble, member.config))
        about = (member.run, member.experiment, member.role, member.name, ready.trainer.step, job.steps)
        under_way.emit(
            RunStarted(*about, member.config.training.epochs, environment["device"], environment["threads"], len(together))
        )


def _start(engine: Engine, ready: Ready, environment: dict[str, Any]) -> Started:
    member, job = ready.member, ready.trainer.job
    roots = [parent.sha256 for parent in ready.parents] + ([member.continues] if member.continues else [])
    return Started(
        run=member.run,
        fingerprint=engine.fingerprint(member.config, job.data, roots),
        data_digest=job.data.digest,
        steps=job.steps,
        environment=environment,
    )


def _outcome(under_way: UnderWay, ready: Ready, finished: bool) -> tuple[str, str]:
    """How a run ended, its figures and weights kept where it is done."""
    trainer, run = ready.trainer, ready.member.run
    if trainer.failure is not None:
        if trainer.best.weights:
            _write_weights(under_way, trainer, trainer.best.weights)
        return "failed", str(trainer.failure)
    if not finished and not trainer.finished:
        epoch, epochs = trainer.step / trainer.job.steps_per_epoch, ready.member.config.training.epochs
        return under_way.control.ending, f"at epoch {epoch:.1f} of {epochs}"
    _finish(under_way, run, trainer)
    return "done", f"stopped early after {trainer.epochs_done} epochs" if trainer.stopped_early else ""


def _follow(under_way: UnderWay, source: Trainer | Together, trainers: Sequence[Trainer]) -> bool:
    """Take the events to their end; False where a person or the program's end came first."""
    control, history, emit = under_way.control, under_way.history, under_way.emit
    waiting: list[Metrics] = []
    flushed = written = time.monotonic()
    taken = 0.0
    try:
        for moment in source.moments():
            waiting += [event for event in moment if isinstance(event, Metrics)]
            for event in moment:
                emit(event)
            now = time.monotonic()
            pace = max(EPOCH_CHECKPOINT_SECONDS, CHECKPOINT_SHARE * taken)
            due = isinstance(moment[-1], EpochEnded) and now - written >= pace and not all(one.finished for one in trainers)
            due = due or now - written >= CHECKPOINT_SECONDS
            if due or now - flushed >= FLUSH_SECONDS:
                history.write_metrics(waiting)
                waiting, flushed = [], now
            if due:  # after the metrics: those before a checkpoint are not told again by whoever goes on from it
                write_states(under_way, trainers)
                written, taken = time.monotonic(), time.monotonic() - now
            before = time.perf_counter()
            control.between_events()
            source.exclude(time.perf_counter() - before + under_way.waiting.taken())
            if control.paused and not control.ending:
                history.write_metrics(waiting)
                waiting = []
                _wait(control, trainers[0].job.run, source, emit)
            if control.ending:
                break
    finally:
        history.write_metrics(waiting)
    return not control.ending or all(one.finished for one in trainers)


def _wait(control: Control, run: int, source: Trainer | Together, emit: Emit) -> None:
    start = time.perf_counter()
    emit(Paused(run, True))
    while control.paused and not control.ending:
        control.wait(0.05)
        control.between_events()
    source.exclude(time.perf_counter() - start)
    emit(Paused(run, False))


def _ensemble_figures(engine: Engine, ensemble: Ensemble, config: RunConfig) -> dict[str, float]:
    """What the ensemble itself reaches, for the student's reference lines and its report."""
    data = engine.data(config.data)
    found: dict[str, float] = {}
    for split, cases in (("validation", data.validation), ("test", data.test)):
        short = "val" if split == "validation" else split
        if not len(cases):
            continue
        numbers = figures(engine.ensemble_logits(ensemble, config.data, split), cases.labels, short)
        found |= {f"ensemble_{name}": value for name, value in numbers.items()}
    return found


def _finish(under_way: UnderWay, run: int, trainer: Trainer) -> None:
    """Keep the weights, then the figures: validation, and the test split, once."""
    engine, history, data, ensemble = under_way.engine, under_way.history, trainer.job.data, trainer.job.ensemble
    weights = trainer.weights()
    _write_weights(under_way, trainer, weights)
    trainer.model.load_state_dict(weights)
    on_test = logits_on(trainer.model, data, data.test.images)
    found = figures(on_test, data.test.labels, "test") | {"latency_ms": latency(trainer.model, data)}
    if len(data.validation):
        on_validation = logits_on(trainer.model, data, data.validation.images)
        found |= figures(on_validation, data.validation.labels, "val") | _unseen(trainer.job, on_validation, on_test)
        found["best_epoch"] = float(trainer.best.epoch)
    if ensemble is not None:
        found |= fidelity(on_test, engine.ensemble_logits(ensemble, trainer.job.config.data, "test"))
    history.record_figures(run, found)
    cases, classes = on_test.shape
    history.record_predictions(run, "test", cases, classes, on_test.half().cpu().numpy().tobytes())
    history.record_speed(run, trainer.samples_per_second)


def _unseen(job: Job, on_validation: torch.Tensor, on_test: torch.Tensor) -> dict[str, float]:
    """How a run that has not seen every class does on the others, before and after a correction of its bias."""
    data, classes = job.data, len(job.data.classes)
    seen = job.data.train.labels[job.cases]
    unseen = torch.bincount(seen[seen >= 0], minlength=classes).cpu().numpy() == 0
    numbers = [number for number in range(classes) if unseen[number]]
    if not 0 < len(numbers) < classes:
        return {}
    labels = data.train.labels[data.train.labels >= 0].cpu().numpy()
    frequency = float(np.isin(labels, numbers).mean())
    splits = [(on_validation, data.validation.labels), (on_test, data.test.labels)]
    validation, test = [(logits.cpu().numpy(), labels.cpu().numpy()) for logits, labels in splits]
    return unseen_figures(validation, test, numbers, frequency)


def about_weights(
    data: ResidentData,
    model: ModelConfig,
    epoch: int,
    specialist: SpecialistConfig | None = None,
    elsewhere: ElsewhereConfig | None = None,
) -> dict[str, object]:
    """What stands beside weights in their file: the model, the images and classes they are for."""
    return {
        "model": asdict(model),
        "shape": list(data.shape),
        "classes": list(data.classes),
        "mean": data.mean.flatten().tolist(),
        "deviation": data.deviation.flatten().tolist(),
        "dataset": data.name,
        "epoch": epoch,
    } | {key: asdict(part) for key, part in (("specialist", specialist), ("elsewhere", elsewhere)) if part}


def _write_weights(under_way: UnderWay, trainer: Trainer, weights: dict[str, torch.Tensor]) -> None:
    config = trainer.job.config
    about = about_weights(trainer.job.data, config.model, trainer.epochs_done, config.specialist)
    _record(under_way, [_written(under_way, trainer, ("weights",), weights, about)])


def write_states(under_way: UnderWay, trainers: Sequence[Trainer]) -> None:
    """Checkpoints of one moment, recorded all or none: those trained together go on together.

    None is written of what has failed, nor of what has gone no further since, whose file a kill would find half replaced.
    """
    files, moved = [], [one for one in trainers if one.failure is None and under_way.kept.get(one.job.run) != _place(one)]
    for trainer in moved:
        state, epoch = trainer.state(), trainer.epochs_done
        best = trainer.best.epoch == epoch and trainer.step == epoch * trainer.job.steps_per_epoch > 0
        kinds = ("state", "best") if best else ("state",)
        files.append(_written(under_way, trainer, kinds, state.tensors, state.values))
    _record(under_way, files)
    under_way.kept |= {trainer.job.run: _place(trainer) for trainer in moved}


def _place(trainer: Trainer) -> tuple[int, int]:
    """Where a run is: its step, and the epochs behind it, since an epoch's last step may be done and its end not."""
    return trainer.step, trainer.epochs_done


def _written(
    under_way: UnderWay, trainer: Trainer, kinds: tuple[str, ...], tensors: dict[str, torch.Tensor], about: dict[str, object]
) -> Artefact:
    """A checkpoint that will stand for ``kinds``."""
    run, (step, epochs) = trainer.job.run, _place(trainer)
    path = under_way.history.run_folder(run) / f"{kinds[0]}-{step}-{epochs}.safetensors"
    size, sha256 = patiently(under_way.history.patience, lambda: checkpoints.write(path, tensors, about))
    return Artefact(run, kinds, step, path, size, sha256)


def _record(under_way: UnderWay, files: Sequence[Artefact]) -> None:
    """Record checkpoints; the files they stood in before go once the new ones are recorded."""
    for old in under_way.history.record_artefacts(files):
        old.unlink(missing_ok=True)
    for file in files:
        under_way.emit(CheckpointWritten(file.run, file.step, file.kinds[0], str(file.path), file.size))
