"""What the window sends to the queue: launches, what goes on, what the paper's claims are missing, what was left last time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.config import ExperimentConfig
from workbench.errors import NotHere
from workbench.gui import navigation
from workbench.history import changes
from workbench.history.reading import QueuedRow
from workbench.questions import plans
from workbench.words import many, sentence

if TYPE_CHECKING:
    from workbench.gui.main_window import MainWindow


def launch(window: MainWindow, config: ExperimentConfig) -> None:
    """Queue an experiment."""
    window.banner.hide()
    window.executor.submit(config)
    window.tabs.setCurrentWidget(window.live)


def launch_sweep(window: MainWindow, tables: dict[str, Any]) -> None:
    """Queue a sweep, which Sweeps shows once it is in the queue."""
    window.banner.hide()
    window.executor.submit_sweep(tables)
    window.sweep_launched = True
    window.tabs.setCurrentWidget(window.live)


def launch_what_is_seen(window: MainWindow) -> None:
    """Launch what is seen: from another screen the set-up is shown first."""
    if window.tabs.currentWidget() is window.setup:
        window.setup.launch_when_checked()
    else:
        window.tabs.setCurrentWidget(window.setup)


def resume(window: MainWindow, experiments: list[int]) -> None:
    """Have experiments go on from their checkpoints."""

    def queued(others: str) -> None:
        _show_queued(window)
        if others:
            window.tell(sentence(others))

    window.ask_engine(("resume", *experiments), plans.resume(experiments), queued)


def go_on(window: MainWindow, run: int, epochs: int, kind: str) -> None:
    """Have a run go on for more epochs, from a kind of checkpoint."""
    window.ask_engine(("go on", run), plans.go_on(run, epochs, kind), lambda _: _show_queued(window))


def run_missing(window: MainWindow, recipes: list[str]) -> None:
    """Queue what the paper's claims are missing of recipes."""
    window.banner.hide()

    def queued(count: int) -> None:
        window.paper.answered(recipes)
        window.queue.reload()
        window.sweeps.show_newest()
        window.tell(f"{many(count, 'experiment')} more in the queue on Live.")

    def failed(error: Exception) -> None:
        window.paper.answered(recipes)
        if isinstance(error, NotHere):  # set up, a launch downloads it
            window.banner.say(f"{error}.", "Open in Set up", partial(navigation.set_up_recipe, window, recipes[0]))
        else:
            window.banner.say(str(error))

    window.ask_engine(("missing", *recipes), plans.queue_missing(recipes), queued, failed)


def offer_what_waits(window: MainWindow, before: str, rows: list[QueuedRow]) -> None:
    """What was left held from last time is asked about, once, after the words that go before."""
    window.queue.show_rows(rows)
    left = [row for row in rows if row.left]
    held = [row.experiment for row in left]
    if held:
        names = ", ".join(f"{row.name} #{row.experiment}" for row in left[:3]) + f" and {len(left) - 3} more" * (len(left) > 3)
        begun = any(row.status == "interrupted" for row in left)
        words = f"{before}{names}: {'interrupted' if begun else 'left waiting'} last time."
        window.banner.say(
            f"{words} Go on{' from the last checkpoint' if begun else ''}? Until then it waits in the queue on Live.",
            "Go on",
            lambda: window.queue.change(lambda database: changes.hold(database, held, False)),
        )


def _show_queued(window: MainWindow) -> None:
    window.executor.wake()
    window.queue.reload()
    window.history.reload()
    window.tabs.setCurrentWidget(window.live)
