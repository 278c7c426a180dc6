"""Drives an experiment: takes events from trainers one by one, acts on commands between them, and writes the history.

The driver alone says how a run ended, and alone writes checkpoints.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from workbench.config import RunConfig
from workbench.distill import checkpoints
from workbench.distill.data import ResidentData
from workbench.distill.ensembles import Ensemble
from workbench.distill.evaluation import fidelity, figures, logits_on
from workbench.distill.sources import Tell
from workbench.distill.training import Trainer
from workbench.engine import Engine
from workbench.errors import Cancelled, CannotWrite, CheckpointError, Diverged, WorkbenchError
from workbench.events import (
    CheckpointWritten,
    EpochEnded,
    Event,
    ExperimentFinished,
    ExperimentStarted,
    Loading,
    Metrics,
    Note,
    Paused,
    RunFinished,
    RunStarted,
)
from workbench.history.writing import History, Patience, patiently
from workbench.plan import PlannedRun, plan

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
CHECKPOINT_SECONDS = 60.0
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


@dataclass(slots=True)
class _Experiment:
    """What an experiment under way keeps between its runs."""

    number: int
    engine: Engine
    history: History
    control: Control
    emit: Emit
    waiting: _Waiting
    runs: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)


def run_experiment(engine: Engine, history: History, experiment: int, control: Control, emit: Emit) -> str:
    """Do a waiting experiment from the queue; how it ended: ``done``, ``stopped``, ``failed`` or ``interrupted``.

    A run that fails with a sentence does not end the experiment: what does not depend on it is still done. Where the disk
    is full, or somebody holds the history, it waits until it is not, or a person stops it.
    """
    if not history.claim(experiment):
        raise WorkbenchError(f"experiment {experiment} is not waiting, or another process has taken it")
    config = history.experiment_config(experiment)
    under_way = _Experiment(experiment, engine, history, control, emit, _Waiting(control, emit))
    status, message = "failed", ""
    engine.begin()
    history.patience = under_way.waiting
    try:
        status, message = _do(under_way)
    except Exception as error:
        status, message = _ending(under_way, error, f"experiment {experiment}")
    try:
        for run in under_way.own:
            history.abandon_waiting(run, control.ending or "skipped", message or "the experiment ended before")
        history.finish_experiment(experiment, status, message)
    except WorkbenchError as error:
        status, message = "failed", str(error)
    finally:
        history.patience = Patience()
        engine.end()
    emit(ExperimentFinished(experiment, config.name, status, message))
    return status


class _Waiting(Patience):
    """Waits, as in a pause, for room on the disk or for whoever holds the history."""

    def __init__(self, control: Control, emit: Emit) -> None:
        self._control, self._emit, self._told = control, emit, False
        self.seconds = 0.0

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
        self.seconds += time.perf_counter() - start
        return True

    def taken(self) -> float:
        """Seconds that were waited since this was last asked."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def over(self) -> None:
        """Say that it goes on."""
        self._told = False
        self._emit(Note(0, "What had to wait is written; training goes on."))


def _ending(under_way: _Experiment, error: Exception, what: str) -> tuple[str, str]:
    """The status and the sentence that an error means for a run or an experiment."""
    if isinstance(error, WorkbenchError):
        return under_way.control.ending or "failed", str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        torch.cuda.empty_cache()
        return "failed", "the device ran out of memory; lower the batch size, choose bf16, or take a smaller model"
    logger.error("%s", what, exc_info=error)
    return "failed", f"unexpected {type(error).__name__}: {error}; the log file has the details"


def _do(under_way: _Experiment) -> tuple[str, str]:
    engine, history, control, emit = under_way.engine, under_way.history, under_way.control, under_way.emit
    config = history.experiment_config(under_way.number)

    data = engine.data(config.data, _teller(under_way), control.cancelled)
    engine.check(config, history.past_run)
    planned = plan(config, lambda run: history.past_run(run).config)
    reused = _enter(under_way, planned, data)
    emit(ExperimentStarted(under_way.number, config.name, tuple(under_way.runs)))
    for position, item in enumerate(planned):
        if position in reused:
            emit(RunFinished(under_way.runs[position], under_way.number, item.role, item.name, "reused", "trained before"))
        elif control.ending:
            break
        else:
            _do_run(under_way, position, item, planned)
    if control.ending:
        return control.ending, "a person stopped it" if control.ending == "stopped" else "the program was told to end"
    if under_way.failed:
        names = ", ".join(planned[position].name for position in sorted(under_way.failed))
        return "failed", f"not done: {names}"
    return "done", ""


def _teller(under_way: _Experiment) -> Tell:
    """Tells the screen of a long preparation, answers questions meanwhile, and gives up where a person stops it."""

    def tell(text: str, done: int, total: int, unit: str) -> None:
        under_way.emit(Loading(text, done, total, unit))
        under_way.control.between_events()
        if under_way.control.ending:
            raise Cancelled(f"{text} was given up")

    return tell


def _enter(under_way: _Experiment, planned: tuple[PlannedRun, ...], data: ResidentData) -> set[int]:
    """Put the plan's runs into the history; the positions of those that are there already and are reused."""
    engine, history = under_way.engine, under_way.history
    reused: set[int] = set()
    for position, item in enumerate(planned):
        found, note = (item.past_run, "") if item.past_run else _stand_in(under_way, item)
        if found:
            history.add_reused(under_way.number, position, item.role, found)
            if item.past_run and history.past_run(found).data_digest != data.digest:
                under_way.emit(Note(found, f"{item.name} is run {found}, which was trained on {item.config.data.dataset}"))
            reused.add(position)
            under_way.runs.append(found)
            continue
        parents = [under_way.runs[parent] for parent in item.parents]
        run = history.add_run(under_way.number, position, item.role, item.name, item.config, parents)
        size = engine.size(item.config.model, data)
        history.set_model_size(run, size.parameters, size.multiply_adds)
        under_way.runs.append(run)
        under_way.own.append(run)
        if note:
            history.add_note(run, note)
            under_way.emit(Note(run, note))
    return reused


def _stand_in(under_way: _Experiment, item: PlannedRun) -> tuple[int, str]:
    """A finished run with the same fingerprint whose checkpoint verifies, or 0 and what is to be said of it."""
    engine, history = under_way.engine, under_way.history
    if not item.reusable:
        return 0, ""
    found = history.find_reusable(engine.fingerprint(item.config, engine.data(item.config.data)))
    if found is None:
        return 0, ""
    stored = history.weights_of(found)
    if checkpoints.verifies(stored.path, stored.sha256):
        return found, ""
    return 0, f"the weights of run {found} are damaged or gone; {item.name} is trained again"


def _do_run(under_way: _Experiment, position: int, item: PlannedRun, planned: tuple[PlannedRun, ...]) -> None:
    run = under_way.runs[position]
    missing = [planned[parent].name for parent in item.parents if parent in under_way.failed]
    try:
        if missing:
            status, message = "skipped", f"not done, because {', '.join(missing)} failed"
        else:
            status, message = _train(under_way, run, item)
    except Exception as error:
        status, message = _ending(under_way, error, f"run {run}")
    if status in ("failed", "skipped"):
        under_way.failed.add(position)
    under_way.history.finish_run(run, status, message)
    under_way.emit(RunFinished(run, under_way.number, item.role, item.name, status, message))


def _train(under_way: _Experiment, run: int, item: PlannedRun) -> tuple[str, str]:
    engine, history, emit = under_way.engine, under_way.history, under_way.emit
    config, data = item.config, engine.data(item.config.data)
    threads = engine.use_threads(engine.size(config.model, data), config.training.batch_size)
    stored = [history.weights_of(under_way.runs[parent]) for parent in item.parents]
    ensemble = None
    if config.distillation is not None:
        ensemble = engine.ensemble(stored, config.distillation.mean, data)
    trainer = Trainer(engine.job(run, config, ensemble, _teller(under_way)))
    history.start_run(
        run,
        fingerprint=engine.fingerprint(config, data, [parent.sha256 for parent in stored]),
        data_digest=data.digest,
        steps=trainer.job.steps,
        environment=engine.environment(threads, config.training.precision),
    )
    if ensemble is not None:
        history.record_figures(run, _ensemble_figures(engine, ensemble, config))
    training = config.training
    emit(
        RunStarted(
            run, under_way.number, item.role, item.name, 0, trainer.job.steps, training.epochs, engine.device.type, threads
        )
    )
    try:
        finished = _follow(under_way, run, trainer)
    except Diverged:
        if trainer.best.weights:
            _write_weights(under_way, run, trainer, trainer.best.weights)
        raise
    if not finished:
        _write_state(under_way, run, trainer)
        return under_way.control.ending, f"at epoch {trainer.step / trainer.job.steps_per_epoch:.1f} of {training.epochs}"
    _finish(under_way, run, trainer, ensemble)
    early = f"stopped early after {trainer.epochs_done} epochs" if trainer.stopped_early else ""
    return "done", early


def _follow(under_way: _Experiment, run: int, trainer: Trainer) -> bool:
    """Take a trainer's events to their end; False where a person or the program's end came first."""
    control, history, emit = under_way.control, under_way.history, under_way.emit
    waiting: list[Metrics] = []
    flushed = written = time.monotonic()
    try:
        for event in trainer:
            if isinstance(event, Metrics):
                waiting.append(event)
            emit(event)
            now = time.monotonic()
            if now - flushed >= FLUSH_SECONDS:
                history.write_metrics(waiting)
                waiting, flushed = [], now
            if isinstance(event, EpochEnded) and now - written >= CHECKPOINT_SECONDS:
                _write_state(under_way, run, trainer)
                written = now
            before = time.perf_counter()
            control.between_events()
            trainer.exclude(time.perf_counter() - before + under_way.waiting.taken())
            if control.paused and not control.ending:
                history.write_metrics(waiting)
                waiting = []
                _wait(control, run, trainer, emit)
            if control.ending:
                return False
    finally:
        history.write_metrics(waiting)
    return True


def _wait(control: Control, run: int, trainer: Trainer, emit: Emit) -> None:
    start = time.perf_counter()
    emit(Paused(run, True))
    while control.paused and not control.ending:
        control.wait(0.05)
        control.between_events()
    trainer.exclude(time.perf_counter() - start)
    emit(Paused(run, False))


def _ensemble_figures(engine: Engine, ensemble: Ensemble, config: RunConfig) -> dict[str, float]:
    """What the ensemble itself reaches, for the student's reference lines and its report."""
    data = engine.data(config.data)
    found: dict[str, float] = {}
    for split, cases in (("validation", data.validation), ("test", data.test)):
        short = "val" if split == "validation" else split
        numbers = figures(engine.ensemble_logits(ensemble, config.data, split), cases.labels, short)
        found |= {f"ensemble_{name}": value for name, value in numbers.items()}
    return found


def _finish(under_way: _Experiment, run: int, trainer: Trainer, ensemble: Ensemble | None) -> None:
    """Keep the weights, then the figures: validation, and the test split, once."""
    engine, history, data = under_way.engine, under_way.history, trainer.job.data
    weights = trainer.weights()
    _write_weights(under_way, run, trainer, weights)
    trainer.model.load_state_dict(weights)
    on_validation = logits_on(trainer.model, data, data.validation.images)
    on_test = logits_on(trainer.model, data, data.test.images)
    found = figures(on_validation, data.validation.labels, "val") | figures(on_test, data.test.labels, "test")
    if ensemble is not None:
        found |= fidelity(on_test, engine.ensemble_logits(ensemble, trainer.job.config.data, "test"))
    history.record_figures(run, found | {"best_epoch": float(trainer.best.epoch)})
    cases, classes = on_test.shape
    history.record_predictions(run, "test", cases, classes, on_test.half().cpu().numpy().tobytes())
    history.record_speed(run, trainer.samples_per_second)


def _write_weights(under_way: _Experiment, run: int, trainer: Trainer, weights: dict[str, torch.Tensor]) -> None:
    data, model = trainer.job.data, trainer.job.config.model
    about = {
        "model": asdict(model),
        "shape": list(data.shape),
        "classes": list(data.classes),
        "mean": data.mean.flatten().tolist(),
        "deviation": data.deviation.flatten().tolist(),
        "dataset": data.name,
        "epoch": trainer.epochs_done,
    }
    _write(under_way, run, "weights", trainer.step, weights, about)


def _write_state(under_way: _Experiment, run: int, trainer: Trainer) -> None:
    state = trainer.state()
    _write(under_way, run, "state", trainer.step, state.tensors, state.values)


def _write(
    under_way: _Experiment, run: int, kind: str, step: int, tensors: dict[str, torch.Tensor], about: dict[str, object]
) -> None:
    history = under_way.history
    path = history.run_folder(run) / f"{kind}-{step}.safetensors"
    size, sha256 = patiently(history.patience, lambda: checkpoints.write(path, tensors, about))
    before = history.artefact(run, kind)
    history.record_artefact(run, kind, step, path, size, sha256)
    if before is not None and before.path != path:
        before.path.unlink(missing_ok=True)
    under_way.emit(CheckpointWritten(run, step, kind, str(path), size))


def load_state(history: History, run: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """The verified resume checkpoint of a run; a :class:`CheckpointError` where it has none."""
    stored = history.artefact(run, "state")
    if stored is None:
        raise CheckpointError(f"run {run} has no checkpoint to go on from")
    return checkpoints.read(stored.path, stored.sha256)
