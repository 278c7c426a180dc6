"""Where experiments are done: the Executor protocol, and the one background thread that owns torch."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.config import ExperimentConfig
from workbench.errors import WorkbenchError
from workbench.events import Answer, EngineFailed, EngineReady, Event, ExperimentQueued, Note
from workbench.running import ray_executor
from workbench.sweep import expand

if TYPE_CHECKING:
    from workbench.history.writing import History
    from workbench.running.driver import Control
    from workbench.running.engine import Engine, EngineSettings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""After so long an experiment that could not be begun is tried again."""


News = Event | Answer | EngineReady | EngineFailed | ExperimentQueued
Post = Callable[[News], None]
Question = Callable[["Engine", "History"], Any]


class Executor(Protocol):
    """Does experiments somewhere, and posts what happens. Every method returns at once and may be called from any thread."""

    def start(self) -> None:
        """Begin; it posts :class:`EngineReady` once experiments can be done."""

    def submit(self, config: ExperimentConfig) -> None:
        """Queue an experiment."""

    def submit_sweep(self, tables: dict[str, Any]) -> None:
        """Queue the experiments of a recipe with a ``[sweep]``."""

    def wake(self) -> None:
        """Look into the queue: a person has changed it."""

    def ask(self, token: int, question: Question) -> None:
        """Have a small question answered between two events; the answer is posted with its token. One that answers with a
        generator has a slice of it done between two events each, and is answered with what that returns."""

    def pause(self) -> None:
        """Let the running experiment wait before its next step."""

    def resume(self) -> None:
        """Let it go on."""

    def stop(self) -> None:
        """End the running experiment with a checkpoint."""

    @property
    def busy(self) -> bool:
        """Whether an experiment is under way."""

    def close(self) -> None:
        """End everything with a checkpoint and give the device back."""

    def join(self, timeout: float | None = None) -> bool:
        """Wait for all to have ended; whether it has."""


class LocalThread:
    """The background GPU thread of this machine (CPU where there is none): one experiment at a time.

    It alone imports torch and owns torch's random state and the writing connection. A thread and not a QThread: a
    training loop has no event loop, and a QThread deleted while it runs ends the process.
    """

    def __init__(self, history: Path, settings: dict[str, Any], post: Post) -> None:
        self._history_path = history
        self._settings = settings
        self._post = post
        self._questions: queue.SimpleQueue[tuple[int, Question]] = queue.SimpleQueue()
        self._slices: deque[tuple[int, Generator[None, None, Any]]] = deque()
        self._launches: queue.SimpleQueue[ExperimentConfig | dict[str, Any]] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._closing = False
        self._control: Control | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=False)

    def start(self) -> None:
        """Start the thread; it posts :class:`EngineReady` once torch is there."""
        self._thread.start()

    def submit(self, config: ExperimentConfig) -> None:
        """Queue an experiment."""
        self._launches.put(config)
        self._woken.set()

    def submit_sweep(self, tables: dict[str, Any]) -> None:
        """Queue the experiments of a recipe with a ``[sweep]``."""
        self._launches.put(tables)
        self._woken.set()

    def wake(self) -> None:
        """Look into the queue: a person has changed it."""
        self._woken.set()

    def ask(self, token: int, question: Question) -> None:
        """Have a question answered as soon as the thread is between two events."""
        self._questions.put((token, question))
        self._woken.set()

    def pause(self) -> None:
        """Let the running experiment wait before its next step."""
        if control := self._control:
            control.pause()

    def resume(self) -> None:
        """Let it go on."""
        if control := self._control:
            control.resume()

    def stop(self) -> None:
        """End the running experiment with a checkpoint."""
        if control := self._control:
            control.stop()
            control.resume()

    def close(self) -> None:
        """Ask everything to end with a checkpoint; :meth:`join` waits for it."""
        self._closing = True
        if control := self._control:
            control.interrupt()
            control.resume()
        self._woken.set()

    @property
    def busy(self) -> bool:
        """Whether an experiment is under way."""
        return self._control is not None

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            import torch

            from workbench.history.writing import History
            from workbench.running.engine import Engine, EngineSettings

            settings: EngineSettings = EngineSettings(**self._settings, window=True)
            try:
                engine = Engine(settings)
            except WorkbenchError as error:
                self._post(Note(0, f"{error}. Until then the device is chosen by itself."))
                engine = Engine(dataclasses.replace(settings, device="auto"))
            engine.closing = lambda: self._closing
            engine.warm_up()
            with History(self._history_path) as history, contextlib.ExitStack() as stack:
                stack.callback(ray_executor.disconnect)
                self._post(EngineReady(engine.device.type, torch.__version__))
                self._serve(engine, history)
        except WorkbenchError as error:
            self._post(EngineFailed(str(error)))
        except Exception as error:
            logger.exception("the engine")
            self._post(EngineFailed(f"the engine stopped: {type(error).__name__}: {error}; the log file has the details"))

    def _serve(self, engine: Engine, history: History) -> None:
        retry: float | None = None
        while not self._closing:
            self._woken.wait(retry)
            self._woken.clear()
            retry = None
            self._answer_all(engine, history)
            self._take_launches(history)
            while not self._closing and (experiment := history.next_in_queue()) is not None:
                begun = self._do(engine, history, experiment)
                self._answer_all(engine, history)
                if not begun:
                    retry = RETRY_SECONDS
                    break
            ray_executor.rest(engine.settings.executor)
        self._take_launches(history)
        history.leave_queue()

    def _do(self, engine: Engine, history: History, experiment: int) -> bool:
        """Do one experiment, or several of a sweep at once; False where it could not even be begun."""
        import torch

        from workbench.running.driver import Control
        from workbench.running.experiment import companions, run_experiments

        def between_events() -> None:
            self._answer_all(engine, history)
            self._take_launches(history)

        self._control = Control(between_events)
        if self._closing:
            self._control.interrupt()
        device = engine.device.type
        try:
            beside = companions(history, experiment, engine.settings.executor)
            run_experiments(engine, history, [experiment, *beside], self._control, self._post)
        except WorkbenchError as error:
            self._post(Note(0, f"{error}."))
            return False
        finally:
            self._control = None
        if engine.device.type != device:
            self._post(EngineReady(engine.device.type, torch.__version__))
        return True

    def _take_launches(self, history: History) -> None:
        while not self._launches.empty():
            launched = self._launches.get()
            name = launched.name if isinstance(launched, ExperimentConfig) else str(launched.get("name", "the sweep"))
            try:
                if isinstance(launched, ExperimentConfig):
                    experiments = [history.enqueue(launched)]
                else:
                    experiments = history.enqueue_sweep(launched, expand(launched))[1]
            except WorkbenchError as error:
                self._post(Note(0, f"{name} was not launched: {error}. Launch it again."))
            else:
                self._post(ExperimentQueued(experiments[0], name))

    def _answer_all(self, engine: Engine, history: History) -> None:
        while not self._questions.empty() and not self._closing:
            token, question = self._questions.get()
            with self._failures_told(token), engine.random_state_kept():
                answer = question(engine, history)
                if isinstance(answer, Generator):
                    self._slices.append((token, answer))
                else:
                    self._post(Answer(token, answer, None))
        if self._slices and not self._closing:
            self._go_on_answering(engine)

    def _go_on_answering(self, engine: Engine) -> None:
        """One slice of the answer whose turn it is."""
        token, slices = self._slices.popleft()
        with self._failures_told(token), engine.random_state_kept():
            try:
                next(slices)
            except StopIteration as end:
                self._post(Answer(token, end.value, None))
            else:
                self._slices.appendleft((token, slices))
        if self._slices:
            self._woken.set()

    @contextlib.contextmanager
    def _failures_told(self, token: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not isinstance(error, WorkbenchError):
                logger.exception("a question to the engine")
            self._post(Answer(token, None, error))
