"""Drives one run: takes events from its trainer, acts on commands between them, and writes the history and checkpoints.

The driver alone says how a run ended, and alone writes checkpoints.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from workbench.config import ModelConfig, RunConfig
from workbench.distill import checkpoints
from workbench.distill.data import ResidentData
from workbench.distill.ensembles import Ensemble
from workbench.distill.evaluation import fidelity, figures, logits_on
from workbench.distill.sources import Tell
from workbench.distill.training import Job, Trainer, TrainerState
from workbench.engine import Engine
from workbench.errors import Cancelled, CannotWrite, CheckpointError, Diverged, WorkbenchError
from workbench.events import CheckpointWritten, EpochEnded, Event, Loading, Metrics, Note, Paused, RunFinished, RunStarted
from workbench.history.patience import Patience, patiently
from workbench.history.writing import History, Member

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
CHECKPOINT_SECONDS = 60.0
EPOCH_CHECKPOINT_SECONDS = 1.0
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
    """An experiment under way: who does it, who is told, and what has failed so far."""

    experiment: int
    engine: Engine
    history: History
    control: Control
    emit: Emit
    waiting: Waiting
    failed: dict[int, str] = field(default_factory=dict)

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


def teller(under_way: UnderWay) -> Tell:
    """What preparations tell of their progress."""
    return under_way.tell


def do_run(under_way: UnderWay, member: Member) -> None:
    """Train one run of an experiment, from its checkpoint where it has one, and record how it ended.

    A run that fails with a sentence does not raise: those that need it are skipped, the others done.
    """
    missing = [under_way.failed[parent] for parent in member.parents if parent in under_way.failed]
    try:
        if missing:
            status, message = "skipped", f"not done, because {', '.join(missing)} failed"
        else:
            status, message = _train(under_way, member)
    except Exception as error:
        status, message = ending(under_way, error, f"run {member.run}")
    if status in ("failed", "skipped"):
        under_way.failed[member.run] = member.name
    under_way.history.finish_run(member.run, status, message)
    under_way.emit(RunFinished(member.run, under_way.experiment, member.role, member.name, status, message))


def ending(under_way: UnderWay, error: Exception, what: str) -> tuple[str, str]:
    """The status and the sentence that an error means for a run or an experiment."""
    if isinstance(error, WorkbenchError):
        return under_way.control.ending or "failed", str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        torch.cuda.empty_cache()
        return "failed", "the device ran out of memory; lower the batch size, choose bf16, or take a smaller model"
    logger.error("%s", what, exc_info=error)
    return "failed", f"unexpected {type(error).__name__}: {error}; the log file has the details"


def _train(under_way: UnderWay, member: Member) -> tuple[str, str]:
    engine, history, run = under_way.engine, under_way.history, member.run
    config, data = member.config, engine.run_data(member.config, teller(under_way))
    if member.data_digest not in ("", data.digest):
        what = " with ".join(part for part in (config.data.dataset, config.transfer.images) if part)
        return "failed", f"{what} is no longer what this run began with; launch it anew"
    threads = engine.use_threads(engine.size(config.model, data), config.training.batch_size, member.threads)
    stored = [history.weights_of(parent) for parent in member.parents]
    ensemble = None
    if config.distillation is not None:
        ensemble = engine.ensemble(stored, config.distillation.mean, data)
    trainer = _trainer(under_way, member, engine.job(run, config, ensemble, teller(under_way)))
    roots = [parent.sha256 for parent in stored] + ([member.continues] if member.continues else [])
    history.start_run(
        run,
        fingerprint=engine.fingerprint(config, data, roots),
        data_digest=data.digest,
        steps=trainer.job.steps,
        environment=engine.environment(threads, config.training.precision),
    )
    if ensemble is not None:
        history.record_figures(run, _ensemble_figures(engine, ensemble, config))
    steps, epochs = trainer.job.steps, config.training.epochs
    under_way.emit(
        RunStarted(run, under_way.experiment, member.role, member.name, trainer.step, steps, epochs, engine.device.type, threads)
    )
    try:
        finished = _follow(under_way, run, trainer)
    except Diverged:
        if trainer.best.weights:
            _write_weights(under_way, run, trainer, trainer.best.weights)
        raise
    if not finished:
        _write_state(under_way, run, trainer)
        return under_way.control.ending, f"at epoch {trainer.step / trainer.job.steps_per_epoch:.1f} of {epochs}"
    _finish(under_way, run, trainer, ensemble)
    early = f"stopped early after {trainer.epochs_done} epochs" if trainer.stopped_early else ""
    return "done", early


def _trainer(under_way: UnderWay, member: Member, job: Job) -> Trainer:
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
        return Trainer.resume(job, TrainerState(tensors, values))
    if member.continues:
        raise CheckpointError(f"run {member.run} has no sound checkpoint to go on from")
    return Trainer(job)


def _follow(under_way: UnderWay, run: int, trainer: Trainer) -> bool:
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
            due = isinstance(event, EpochEnded) and now - written >= EPOCH_CHECKPOINT_SECONDS and not trainer.finished
            due = due or now - written >= CHECKPOINT_SECONDS
            if due or now - flushed >= FLUSH_SECONDS:
                history.write_metrics(waiting)
                waiting, flushed = [], now
            if due:  # after the metrics: those before a checkpoint are not told again by whoever goes on from it
                _write_state(under_way, run, trainer, best=isinstance(event, EpochEnded) and event.best)
                written = time.monotonic()
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


def _finish(under_way: UnderWay, run: int, trainer: Trainer, ensemble: Ensemble | None) -> None:
    """Keep weights and the state to go on from with more epochs, then the figures: validation, and the test split, once."""
    engine, history, data = under_way.engine, under_way.history, trainer.job.data
    _write_state(under_way, run, trainer)
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


def about_weights(data: ResidentData, model: ModelConfig, epoch: int) -> dict[str, object]:
    """What stands beside weights in their file: the model, the images and classes they are for."""
    return {
        "model": asdict(model),
        "shape": list(data.shape),
        "classes": list(data.classes),
        "mean": data.mean.flatten().tolist(),
        "deviation": data.deviation.flatten().tolist(),
        "dataset": data.name,
        "epoch": epoch,
    }


def _write_weights(under_way: UnderWay, run: int, trainer: Trainer, weights: dict[str, torch.Tensor]) -> None:
    about = about_weights(trainer.job.data, trainer.job.config.model, trainer.epochs_done)
    _write(under_way, run, ("weights",), trainer.step, weights, about)


def _write_state(under_way: UnderWay, run: int, trainer: Trainer, *, best: bool = False) -> None:
    state = trainer.state()
    _write(under_way, run, ("state", "best") if best else ("state",), trainer.step, state.tensors, state.values)


def _write(
    under_way: UnderWay, run: int, kinds: tuple[str, ...], step: int, tensors: dict[str, torch.Tensor], about: dict[str, object]
) -> None:
    """A checkpoint that stands for ``kinds``; the files they stood in before go once the new one is recorded."""
    history = under_way.history
    path = history.run_folder(run) / f"{kinds[0]}-{step}.safetensors"
    size, sha256 = patiently(history.patience, lambda: checkpoints.write(path, tensors, about))
    for old in history.record_artefact(run, kinds, step, path, size, sha256):
        old.unlink(missing_ok=True)
    under_way.emit(CheckpointWritten(run, step, kinds[0], str(path), size))
