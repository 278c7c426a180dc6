"""Ray's workers, on the cores of this machine or on a cluster: to be had, to be asked, to be lost. Nothing else knows Ray.

Ray is an extra, and imported only where it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.distill.data import ResidentData
    from workbench.distill.worker import Parcel, Snapshot

LOCAL = "local"
RAY = "ray"
WITHOUT_RAY = "the executor ray needs Ray: pip install 'distillation-workbench[ray]'"
REACH_SECONDS = 10.0
MOST_DATA = 3
"""Data sets whose images stay with Ray."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else each worker of a `uv run` makes an environment of its own
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # its words about lost workers would go to standard output, where --json has its own
    "RAY_worker_niceness": "0",  # as the local thread; Ray's own 15 gets next to nothing of a busy machine
}


class Lost(Exception):
    """A worker that is no more."""


def installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("ray") is not None


def checked(executor: str) -> str:
    """``local``, ``ray`` (this machine) or ``ray://host:port`` (a cluster); else a :class:`WorkbenchError`."""
    if executor not in (LOCAL, RAY) and not re.fullmatch(r"ray://[^\s/:]+:\d{1,5}", executor):
        raise WorkbenchError(f"there is no executor {executor!r}; choose local, ray or ray://HOST:PORT")
    return executor


@dataclass(eq=False)
class Asked:
    """A worker and what it was asked and has not told yet, in order."""

    actor: Any
    kind: tuple[str, int]
    waiting: list[Any] = field(default_factory=list)

    def begin(self, attempt: int, images: Any, parcels: Sequence[Parcel], snapshots: Mapping[int, Snapshot], alone: bool) -> None:
        """See :meth:`workbench.distill.worker.Worker.begin`."""
        self.waiting.append(self.actor.begin.remote(attempt, images, parcels, snapshots, alone))

    def more(self, seconds: float, wanted: bool, at_least_every: float) -> None:
        """See :meth:`workbench.distill.worker.Worker.more`."""
        self.waiting.append(self.actor.more.remote(seconds, wanted, at_least_every))

    def end(self) -> None:
        """See :meth:`workbench.distill.worker.Worker.end`."""
        self.waiting.append(self.actor.end.remote())


class Pool:
    """The workers of one Ray, kept from run to run, for a process takes seconds to import torch."""

    def __init__(self, ray: Any, address: str) -> None:
        self.address = address
        self._ray = ray
        self._largest = int(max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=1))
        self._idle: list[Asked] = []
        self._images: dict[int, tuple[Any, Any]] = {}

    @property
    def here(self) -> bool:
        """Whether the workers are on this machine."""
        return self.address == RAY

    @property
    def connected(self) -> bool:
        """Whether Ray is still there."""
        return bool(self._ray.is_initialized())

    def device(self, wanted: str) -> str:
        """Where workers train; a :class:`WorkbenchError` where that is nowhere."""
        there = self._resources("GPU") >= 1
        if wanted == "cuda" and not there:
            raise WorkbenchError(f"{self.address} has no GPU; choose --device auto or cpu")
        return "cuda" if there and wanted in ("auto", "cuda") else "cpu"

    def room(self, device: str) -> int:
        """How much there is of what workers take: GPUs, or cores."""
        return int(self._resources("GPU" if device == "cuda" else "CPU"))

    def takes(self, device: str, threads: int) -> int:
        """How much of the room a worker takes."""
        return 1 if device == "cuda" else self._cpus(threads)

    def _resources(self, kind: str) -> float:
        return float(self._ray.cluster_resources().get(kind, 0))

    def _cpus(self, threads: int) -> int:
        """The cores a worker asks for: no more than the largest machine has, else it would never be had."""
        return max(1, min(threads, self._largest))

    def worker(self, device: str, threads: int) -> Asked:
        """A worker with so many threads, one that is idle where there is one."""
        kind = (device, threads)
        for place, idle in enumerate(self._idle):
            if idle.kind == kind:
                return self._idle.pop(place)
        self.release()  # those of another kind hold what this one needs

        from workbench.distill.worker import Worker

        options = {"num_cpus": self._cpus(threads), "num_gpus": int(device == "cuda"), "max_restarts": 0, "max_task_retries": 0}
        return Asked(self._ray.remote(Worker).options(**options).remote(device, threads), kind)

    def images(self, data: ResidentData) -> Any:
        """The images of a data set, with Ray once."""
        from workbench.distill.worker import pack_images

        key = id(data.train.images)
        if key not in self._images:
            while len(self._images) >= MOST_DATA:
                self._images.pop(next(iter(self._images)))
            self._images[key] = (data.train.images, self._ray.put(pack_images(data)))  # the tensor, so that its id stays its own
        return self._images[key][1]

    def first(self, workers: Sequence[Asked], seconds: float) -> list[Asked]:
        """Those of some workers that have answered what they were asked first, waiting at most so long for one."""
        by = {one.waiting[0]: one for one in workers if one.waiting}
        if not by:
            time.sleep(seconds if workers else 0)
            return []
        with self._connected():
            ready, _ = self._ray.wait(list(by), num_returns=1, timeout=seconds)
            others = [one for one in by if one not in ready]
            more = self._ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
        return [by[one] for one in (*ready, *more)]

    def answer(self, worker: Asked) -> Any:
        """What a worker says to the first that it was asked; raises what went wrong there, :class:`Lost` where it is gone."""
        from ray.exceptions import RayError, RayTaskError

        try:
            with self._connected():
                return self._ray.get(worker.waiting.pop(0))
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except RayError as error:
            raise Lost(str(error).strip().partition("\n")[0]) from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, RuntimeError) as error:
            if self.connected:
                raise
            raise WorkbenchError(f"the connection to {self.address} was lost: {error}") from None

    def give_back(self, worker: Asked) -> None:
        """A worker that has told all and is free for another run."""
        self._idle.append(worker)

    def drop(self, worker: Asked) -> None:
        """End a worker, whatever it does."""
        with contextlib.suppress(Exception):
            self._ray.kill(worker.actor)

    def release(self) -> None:
        """End idle workers: their cores are somebody else's."""
        while self._idle:
            self.drop(self._idle.pop())

    def forget(self) -> None:
        """End everything with Ray."""
        self.release()
        self._images.clear()
        with contextlib.suppress(Exception):
            self._ray.shutdown()


_pool: Pool | None = None


def missing(executor: str) -> bool:
    """Whether :func:`connect` will have to start or reach Ray, for seconds."""
    return executor != LOCAL and (_pool is None or _pool.address != executor or not _pool.connected)


def connect(executor: str, device: str = "auto", **options: Any) -> Pool | None:
    """The workers of an executor, those of before where they are still to be had; None for ``local``.

    A :class:`WorkbenchError` where Ray is not installed or cannot be reached, or has no such device. ``options`` are some for
    ``ray.init``.
    """
    global _pool
    if checked(executor) == LOCAL:
        return None
    if missing(executor) or _pool is None:
        disconnect()
        _pool = Pool(_started(executor, options), executor)
    _pool.device(device)
    return _pool


def rest(executor: str) -> None:
    """Nothing is to be done for now: end idle workers, and Ray where it is no longer the executor."""
    if executor == LOCAL:
        disconnect()
    elif _pool is not None:
        _pool.release()


def disconnect() -> None:
    """End everything with Ray, where there is anything."""
    global _pool
    if _pool is not None:
        _pool.forget()
        _pool = None


def _started(executor: str, options: Mapping[str, Any]) -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise WorkbenchError(WITHOUT_RAY) from None
    if executor != RAY:
        _reach(executor)
    logging.getLogger("ray").setLevel(logging.ERROR)
    given: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if executor == RAY:
        given |= {"address": "local", "include_dashboard": False}
    else:
        given |= {"address": executor, "runtime_env": {"py_modules": [str(Path(__file__).parent)]}}
    token = "" if executor == RAY else "; if the cluster asks for a token, set RAY_AUTH_MODE=token"
    with _signals_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(**given, **options)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise WorkbenchError(f"{executor} could not be had: {reason}{token}") from None
    return ray


def _reach(executor: str) -> None:
    """A :class:`WorkbenchError` where nobody listens at an address, for Ray itself asks for half a minute."""
    host, _, port = executor.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkbenchError(f"no Ray cluster answers at {executor} ({reason}); start it, or choose ray or local") from None


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself: what the program does on signals stays as it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[..., Any] | int | None] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
