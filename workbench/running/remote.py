"""Drives runs that a pool's workers train at the same time: the one writer of the history and checkpoints as ever.

Each run has a trainer here too, which does not train: it takes the state that its worker sends, so that checkpoints, weights
and figures are kept by the same code as those of a run trained in this process.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch

from workbench.distill.ensembles import Ensemble
from workbench.distill.worker import Snapshot, Told, pack
from workbench.errors import Diverged, WorkbenchError
from workbench.events import EpochEnded, Event, Loading, Metrics, Paused, Progress
from workbench.history.writing import Member
from workbench.running.driver import (
    CHECKPOINT_SECONDS,
    CHECKPOINT_SHARE,
    EPOCH_CHECKPOINT_SECONDS,
    FLUSH_SECONDS,
    Ready,
    UnderWay,
    begin_runs,
    conclude,
    end_run,
    ending,
    is_combination,
    prepared,
    settled,
    trainer_of,
    write_states,
)
from workbench.running.ray_executor import Asked, Lost, Pool

SLICE_SECONDS = 0.2
SLICES = 2
"""So many slices are asked of a worker ahead, so that it has something to do while the driver writes."""
POLL_SECONDS = 0.05
MOST_LOST = 3
"""So often a run is tried again whose worker was lost."""


@dataclass(slots=True, eq=False)
class Going:
    """Runs that a worker trains, and how far what it told is recorded.

    ``attempt`` and ``number`` are those of what it is to tell next; ``heard`` marks what was told since the last
    checkpoint, which is told again after a loss. ``kept`` is when the last snapshots came, and how long it took to write them.
    """

    together: list[Ready]
    worker: Asked
    attempt: int = 1
    number: int = 0
    recorded: bool = False
    ending: bool = False
    wanted: bool = False
    waiting: list[Metrics] = field(default_factory=list)
    heard: set[Hashable] = field(default_factory=set)
    flushed: float = 0.0
    kept: float = 0.0
    taken: float = 0.0
    rate: float = 0.0

    @property
    def begun(self) -> bool:
        """Whether the worker of this attempt is there."""
        return self.number > 0


def do_remotely(under_way: UnderWay, pool: Pool, members: Sequence[Member]) -> None:
    """Have a pool's workers train runs, as many at once as it has room for, each once its parents among them are done; and
    record how they ended. As with :func:`workbench.running.driver.do_runs` a run that fails does not raise."""
    course = _Course(under_way, pool, list(members))
    control = under_way.control
    try:
        while course.todo or course.going:
            if control.ending:
                course.end()
                if not course.going:
                    break
            else:
                course.launch()
            course.hear()
            control.between_events()
            course.follow_pause()
    finally:
        for one in course.going:
            pool.drop(one.worker)
        under_way.waiting.taken()


class _Course:
    def __init__(self, under_way: UnderWay, pool: Pool, todo: list[Member]) -> None:
        self._under_way, self._pool, self.todo = under_way, pool, todo
        self.going: list[Going] = []
        self._ensembles: dict[Hashable, Ensemble] = {}
        self._device = pool.device(under_way.engine.settings.device)
        self._room = pool.room(self._device)
        self._paused = 0

    def launch(self) -> None:
        """Begin what there is room for."""
        under_way = self._under_way
        while not under_way.control.ending and (member := self._next()) is not None:
            self.todo.remove(member)
            if settled(under_way, member):
                continue
            try:
                ready = prepared(under_way, member, self._ensembles)
                self._send(Going([ready], self._pool.worker(self._device, self._threads(member))))
            except Exception as error:
                end_run(under_way, member, *ending(under_way, error, f"run {member.run}"))

    def _next(self) -> Member | None:
        """The next that can be begun; what a generalist reaches with its specialists is worked out here, and can wait."""
        open_ = {member.run for member in self.todo} | {ready.member.run for one in self.going for ready in one.together}
        free = [member for member in self.todo if not open_ & set(member.parents)]
        member = min(free, key=is_combination, default=None)
        if member is None:
            return None
        taken = sum(self._pool.takes(*one.worker.kind) for one in self.going)
        wanted = self._pool.takes(self._device, self._threads(member))
        return member if not self.going or taken + wanted <= self._room else None

    def _threads(self, member: Member) -> int:
        return member.threads or self._under_way.engine.settings.threads or 1

    def _send(self, one: Going) -> None:
        if one not in self.going:
            self.going.append(one)
        if not any(other.begun for other in self.going):
            self._under_way.emit(Loading("waiting for a worker of Ray's", 0, 0, ""))
        trainers = [ready.trainer for ready in one.together]
        snapshots = {trainer.job.run: Snapshot.of(trainer.state()) for trainer in trainers if trainer.step}
        images = self._pool.images(trainers[0].job.data)
        alone = len(one.together[0].member.together or trainers) == 1  # one of several goes on by their arithmetic
        one.worker.begin(one.attempt, images, [pack(trainer.job) for trainer in trainers], snapshots, alone)

    def hear(self) -> None:
        """Take what workers tell, and ask for more."""
        by = {id(one.worker): one for one in self.going}
        for worker in self._pool.first([one.worker for one in self.going], POLL_SECONDS):
            one = by[id(worker)]
            try:
                told = self._pool.answer(worker)
            except Lost as lost:
                self._lost(one, str(lost))
                continue
            except Exception as error:
                self._fail(one, error)
                continue
            try:
                self._take(one, told)
            except Exception as error:
                self._fail(one, error)

    def _take(self, one: Going, told: Told) -> None:
        if (told.attempt, told.number) != (one.attempt, one.number):
            return
        one.number += 1
        if told.number == 0:
            self._begun(one, dict(told.environment))
        self._tell(one, tuple(itertools.chain(*told.moments)))
        now = time.monotonic()
        if told.snapshots is not None or now - one.flushed >= FLUSH_SECONDS:
            self._flush(one)
        if told.snapshots is not None:  # after the metrics, as with a run trained here
            self._keep(one, told)
            one.kept = time.monotonic()
            one.taken, one.wanted = one.kept - now, False
        if told.over:
            self._over(one)
        else:
            self._ask(one)

    def _begun(self, one: Going, environment: dict[str, object]) -> None:
        engine, first = self._under_way.engine, one.together[0].member
        threads = int(str(environment["threads"]))
        runs = first.together or [ready.member.run for ready in one.together]
        here = engine.environment(threads, first.config.training.precision, runs)
        torch.set_num_threads(threads)
        begin_runs(self._under_way, one.together, here | environment | {"executor": "ray"}, again=one.recorded)
        one.recorded = True
        one.flushed = one.kept = time.monotonic()

    def _tell(self, one: Going, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Progress):
                one.rate = event.rate
                if one is self.going[0]:  # one bar moves, at everybody's rate
                    self._under_way.emit(dataclasses.replace(event, rate=sum(other.rate for other in self.going)))
                continue
            if (mark := _mark(event)) in one.heard:
                continue
            one.heard.add(mark)
            one.waiting += [event] if isinstance(event, Metrics) else []
            self._under_way.emit(event)

    def _flush(self, one: Going) -> None:
        self._under_way.history.write_metrics(one.waiting)
        one.waiting, one.flushed = [], time.monotonic()

    def _keep(self, one: Going, told: Told) -> None:
        """Take the state of those that sent it, and write their checkpoints."""
        assert told.snapshots is not None
        trainers = {ready.member.run: ready.trainer for ready in one.together}
        for run, snapshot in told.snapshots.items():
            trainers[run].restore(snapshot.state())
            if run in told.failures:
                trainers[run].failure = Diverged(told.failures[run])
        write_states(self._under_way, [trainers[run] for run in told.snapshots])
        one.heard.clear()

    def _over(self, one: Going) -> None:
        self.going.remove(one)
        self._pool.give_back(one.worker)
        torch.set_num_threads(one.worker.kind[1])
        conclude(self._under_way, one.together, False)

    def _ask(self, one: Going) -> None:
        control = self._under_way.control
        while one.begun and not control.ending and not control.paused and len(one.worker.waiting) < SLICES:
            pace = max(EPOCH_CHECKPOINT_SECONDS, CHECKPOINT_SHARE * one.taken)
            wanted = not one.wanted and time.monotonic() - one.kept >= pace
            one.wanted = one.wanted or wanted
            one.worker.more(SLICE_SECONDS, wanted, CHECKPOINT_SECONDS)

    def _lost(self, one: Going, why: str) -> None:
        """Try again with another worker, from the last checkpoint."""
        under_way = self._under_way
        self._pool.drop(one.worker)
        try:
            self._flush(one)
            one.together = [
                dataclasses.replace(ready, trainer=trainer_of(under_way, ready.member, ready.trainer.job))
                for ready in one.together
            ]
            if under_way.control.ending:
                self._break_off(one)
                return
            if one.attempt > MOST_LOST:
                raise WorkbenchError(f"its worker was lost {one.attempt} times, the last time because: {why}")
            one.attempt += 1
            for ready in one.together:
                at = f"from its checkpoint at step {ready.trainer.step}" if ready.trainer.step else "from the beginning"
                under_way.note(ready.member.run, f"its worker was lost ({why}); attempt {one.attempt} goes on {at}")
            one.number, one.wanted, one.rate = 0, False, 0.0
            one.worker = self._pool.worker(*one.worker.kind)
            self._send(one)
        except Exception as error:
            self._fail(one, error)

    def _fail(self, one: Going, error: Exception) -> None:
        self.going.remove(one)
        self._pool.drop(one.worker)
        for ready in one.together:
            member = ready.member
            end_run(self._under_way, member, *ending(self._under_way, error, f"run {member.run}"))

    def end(self) -> None:
        """Ask all for their end. One whose worker has not come yet is left as it is."""
        for one in list(self.going):
            if not one.begun:
                self._pool.drop(one.worker)
                self._break_off(one)
            elif not one.ending:
                one.ending = True
                one.worker.end()

    def _break_off(self, one: Going) -> None:
        self.going.remove(one)
        if one.recorded:
            conclude(self._under_way, one.together, False)

    def follow_pause(self) -> None:
        """Ask for nothing in a pause, and for more after it."""
        control = self._under_way.control
        paused = control.paused and not control.ending
        if paused and not self._paused and self.going:
            self._paused = self.going[0].together[0].member.run
            for one in self.going:
                self._flush(one)
            self._under_way.emit(Paused(self._paused, True))
        elif self._paused and not paused:
            self._under_way.emit(Paused(self._paused, False))
            self._paused = 0
            for one in self.going:
                self._ask(one)


def _mark(event: Event) -> Hashable:
    """What tells an event from others of its run, and is the same where a retry tells it again."""
    if isinstance(event, Metrics):
        return (event.run, event.step, tuple(name for name, _ in event.values))
    assert isinstance(event, EpochEnded)
    return (event.run, event.step, "epoch")
