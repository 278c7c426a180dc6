"""The background thread that does experiments and answers questions."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.experiments import tiny
from workbench.config import DataConfig
from workbench.errors import WorkbenchError
from workbench.events import (
    Answer,
    EngineFailed,
    EngineReady,
    EpochEnded,
    ExperimentFinished,
    ExperimentQueued,
    ExperimentStarted,
    Metrics,
    Note,
    Paused,
    Progress,
    RunFinished,
    RunStarted,
)
from workbench.history import reading
from workbench.history.changes import hold
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History
from workbench.running.runner import Executor, LocalThread

if TYPE_CHECKING:
    from workbench.history.writing import History
    from workbench.running.engine import Engine

Kind = TypeVar("Kind")
LONG = tiny(teacher_training__epochs=100_000)


class Desk:
    """A thread and what it posted."""

    def __init__(self, history: Path, **settings: Any) -> None:
        self.history = history
        self.news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.seen: list[Any] = []
        self.thread = LocalThread(history, {"device": "cpu", "threads": 1} | settings, self.news.put)
        self.thread.start()

    def until(self, kind: type[Kind], fits: Callable[[Kind], bool] = lambda news: True) -> Kind:
        """Wait for news of a kind."""
        while True:
            news = self.news.get(timeout=60)
            self.seen.append(news)
            if isinstance(news, kind) and fits(news):
                return news
            assert not isinstance(news, EngineFailed), news.message

    def rest(self) -> list[Any]:
        """What is left once the thread has ended."""
        found = []
        while not self.news.empty():
            found.append(self.news.get())
        return found

    def statuses(self) -> list[tuple[str, str]]:
        with closing(open_for_reading(self.history)) as database:
            return [(row.name, row.status) for row in sorted(reading.list_runs(database), key=lambda row: row.id)]


@pytest.fixture
def desk(history_path: Path) -> Iterator[Desk]:
    desk = Desk(history_path)
    yield desk
    desk.thread.close()
    assert desk.thread.join(60)


def test_that_the_thread_says_when_it_is_ready_and_ends_when_closed(history_path: Path) -> None:
    desk = Desk(history_path)
    assert desk.until(EngineReady).device == "cpu"
    desk.thread.close()
    assert desk.thread.join(60)
    assert history_path.exists()
    assert list((history_path.parent / "experiments.files" / "locks").iterdir()) == []


def test_that_it_is_an_executor(desk: Desk) -> None:
    executor: Executor = desk.thread
    executor.submit(tiny())
    assert desk.until(ExperimentFinished).status == "done"


def test_that_experiments_are_done_one_after_the_other_in_the_order_they_were_launched(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        desk.thread.submit(tiny(name=name))
    last = desk.until(ExperimentFinished, lambda news: news.name == "c")
    assert last.status == "done"
    turns = [news for news in desk.seen if isinstance(news, (ExperimentStarted, ExperimentFinished))]
    assert [(type(turn), turn.name) for turn in turns] == [
        (kind, name) for name in "abc" for kind in (ExperimentStarted, ExperimentFinished)
    ]
    assert [news.name for news in desk.seen if isinstance(news, ExperimentQueued)] == ["a", "b", "c"]


def test_that_questions_are_answered_while_an_experiment_goes_on_and_after_it(desk: Desk) -> None:
    def threads(engine: Engine, history: History) -> tuple[str, tuple[int, int, int]]:
        return threading.current_thread().name, engine.data(DataConfig()).shape

    desk.thread.submit(LONG)
    desk.until(RunStarted)
    assert desk.thread.busy
    desk.thread.ask(7, threads)
    answer = desk.until(Answer)
    assert (answer.token, answer.value, answer.error) == (7, ("engine", (1, 8, 8)), None)
    desk.thread.stop()
    assert desk.until(ExperimentFinished).status == "stopped"
    desk.thread.ask(8, threads)
    assert desk.until(Answer).token == 8


def test_that_a_training_goes_on_between_the_slices_of_an_answer(desk: Desk) -> None:
    told: list[int] = []

    def slices(engine: Engine, history: History) -> Iterator[None]:
        for number in range(4):
            told.append(number)
            desk.news.put(Note(number, "a slice"))
            yield
        return sum(told)  # type: ignore[return-value]

    desk.thread.submit(LONG)
    desk.until(RunStarted)
    desk.thread.ask(7, slices)
    desk.thread.ask(8, lambda engine, history: "at once")
    assert desk.until(Answer).value == "at once"
    answer = desk.until(Answer)
    assert (answer.token, answer.value, answer.error) == (7, 6, None)
    at = [place for place, news in enumerate(desk.seen) if isinstance(news, Note)]
    between = [desk.seen[before + 1 : after] for before, after in itertools.pairwise(at)]
    assert all(any(isinstance(news, Metrics | Progress | EpochEnded) for news in some) for some in between)
    desk.thread.stop()
    desk.until(ExperimentFinished)
    desk.thread.ask(9, slices)
    assert desk.until(Answer).value == 12


def test_that_an_answer_in_slices_that_fails_answers_with_its_error(desk: Desk) -> None:
    error = WorkbenchError("in a sentence")

    def slices(engine: Engine, history: History) -> Iterator[None]:
        yield
        raise error

    desk.thread.ask(3, slices)
    answer = desk.until(Answer)
    assert (answer.token, answer.value, answer.error) == (3, None, error)


def test_that_a_question_is_answered_in_a_pause(desk: Desk) -> None:
    desk.thread.submit(LONG)
    desk.until(Metrics)
    desk.thread.pause()
    desk.until(Paused, lambda news: news.paused)
    desk.thread.ask(1, lambda engine, history: engine.busy)
    assert desk.until(Answer).value is True
    desk.thread.resume()
    desk.until(Paused, lambda news: not news.paused)
    desk.until(Metrics)
    desk.thread.stop()
    desk.until(ExperimentFinished)


@pytest.mark.parametrize("error", [WorkbenchError("in a sentence"), ZeroDivisionError("a bug")])
def test_that_a_question_that_fails_answers_with_its_error_and_harms_nothing(error: Exception, desk: Desk) -> None:
    def question(engine: Engine, history: History) -> None:
        raise error

    desk.thread.ask(3, question)
    answer = desk.until(Answer)
    assert (answer.token, answer.value, answer.error) == (3, None, error)
    desk.thread.submit(tiny())
    assert desk.until(ExperimentFinished).status == "done"


def test_that_stopping_ends_the_experiment_under_way_and_the_next_is_done(desk: Desk) -> None:
    desk.thread.submit(LONG)
    desk.thread.submit(tiny(name="next"))
    desk.until(Metrics)
    desk.thread.pause()
    desk.until(Paused)
    desk.thread.stop()
    assert desk.until(ExperimentFinished).status == "stopped"
    assert desk.until(ExperimentFinished).status == "done"
    assert desk.statuses()[0] == ("teacher 1", "stopped")


@pytest.mark.parametrize("paused", [False, True])
def test_that_closing_ends_the_run_under_way_with_a_checkpoint(paused: bool, history_path: Path) -> None:
    desk = Desk(history_path)
    desk.thread.submit(LONG)
    desk.until(Metrics)
    if paused:
        desk.thread.pause()
        desk.until(Paused)
    desk.thread.close()
    assert desk.thread.join(60)
    ends = [news for news in desk.rest() if isinstance(news, (RunFinished, ExperimentFinished))]
    assert [news.status for news in ends] == ["interrupted", "interrupted"]
    assert {status for _, status in desk.statuses()} == {"interrupted"}
    with closing(open_for_reading(history_path)) as database:
        assert "state" in [kind for kind, _, _ in reading.run_details(database, 1).artefacts]


def test_that_pause_resume_and_stop_with_nothing_under_way_are_harmless(desk: Desk) -> None:
    desk.thread.pause()
    desk.thread.resume()
    desk.thread.stop()
    desk.thread.submit(tiny())
    assert desk.until(ExperimentFinished).status == "done"
    assert not any(isinstance(news, Paused) for news in desk.seen)


def test_that_an_engine_that_cannot_start_says_why_in_a_sentence(history_path: Path) -> None:
    history_path.mkdir()
    desk = Desk(history_path)
    assert "is a folder" in desk.until(EngineFailed).message
    assert desk.thread.join(60)


def test_that_what_fails_an_experiment_is_told_and_the_next_is_done(desk: Desk) -> None:
    desk.thread.submit(tiny(transfer__leave_out=["cow"]))
    assert "there is no class 'cow'" in desk.until(ExperimentFinished).message
    desk.thread.submit(tiny())
    assert desk.until(ExperimentFinished).status == "done"


def test_that_questions_asked_meanwhile_leave_the_weights_as_they_would_be(tmp_path: Path) -> None:
    config = tiny(teachers__0__dropout=0.5, teacher_training__epochs=6)
    hashes = []
    for name, questions in (("alone", 0), ("asked", 400)):
        desk = Desk(tmp_path / f"{name}.db")
        desk.until(EngineReady)
        desk.thread.submit(config)
        desk.until(RunStarted)
        for token in range(questions):
            desk.thread.ask(token, _draws_random_numbers)
        desk.until(ExperimentFinished)
        desk.thread.close()
        assert desk.thread.join(60)
        with closing(open_for_reading(desk.history)) as database:
            hashes.append([row[0] for row in database.execute("SELECT weights_sha256 FROM runs ORDER BY id").fetchall()])
    assert hashes[0] == hashes[1]


def _draws_random_numbers(engine: Engine, history: History) -> None:
    import torch

    torch.rand(3)


def test_that_a_device_that_is_gone_does_not_keep_the_engine_from_starting(history_path: Path) -> None:
    desk = Desk(history_path, device="mps")
    note = desk.until(Note)
    assert "mps" in note.text
    assert desk.until(EngineReady).device in ("cpu", "cuda")
    desk.thread.close()
    assert desk.thread.join(60)


def test_that_what_still_waits_when_the_thread_is_closed_waits_for_the_next_that_a_person_lets_go_on(desk: Desk) -> None:
    desk.until(EngineReady)
    desk.thread.submit(LONG)
    desk.until(RunStarted)
    desk.thread.submit(tiny())
    desk.until(ExperimentQueued)
    desk.thread.close()
    assert desk.thread.join(60)
    with closing(open_for_reading(desk.history)) as database:
        listed = reading.list_experiments(database)
    assert [(one.name, one.status, one.held) for one in listed] == [("tiny", "waiting", True), ("tiny", "interrupted", True)]
    with History(desk.history) as history:
        assert history.next_in_queue() is None
    second = Desk(desk.history)
    second.until(EngineReady)
    with closing(open_database(desk.history)) as database:
        hold(database, [listed[0].id], False)
    second.thread.wake()
    assert second.until(ExperimentFinished).status == "done"
    second.thread.close()
    assert second.thread.join(60)


def test_that_a_launch_is_not_lost_when_the_thread_is_closed_at_once(desk: Desk) -> None:
    desk.until(EngineReady)
    desk.thread.submit(LONG)
    desk.until(RunStarted)
    desk.thread.submit(tiny(name="late"))
    desk.thread.close()
    assert desk.thread.join(60)
    with closing(open_for_reading(desk.history)) as database:
        assert reading.list_experiments(database)[0].name == "late"
