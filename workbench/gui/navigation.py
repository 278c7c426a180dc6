"""From one screen of the window to another, with what should be seen there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config import ExperimentConfig

if TYPE_CHECKING:
    from workbench.gui.main_window import MainWindow


def compare(window: MainWindow, runs: list[int]) -> None:
    """Runs over each other."""
    window.compare.compare(runs)
    window.tabs.setCurrentWidget(window.compare)


def explore(window: MainWindow, runs: list[int]) -> None:
    """What was chosen of the history, many at once."""
    window.explore.show_runs(runs)
    window.tabs.setCurrentWidget(window.explore)


def show_report(window: MainWindow, experiment: int) -> None:
    """One experiment side by side."""
    window.report.show_experiment(experiment)
    window.tabs.setCurrentWidget(window.report)


def show_sweep(window: MainWindow, sweep: int) -> None:
    """One sweep among the sweeps."""
    window.sweeps.show_sweep(sweep)
    window.tabs.setCurrentWidget(window.sweeps)


def show_history(window: MainWindow) -> None:
    """The history as it stands."""
    window.tabs.setCurrentWidget(window.history)


def select(window: MainWindow, runs: list[int]) -> None:
    """Runs, selected in the history."""
    window.tabs.setCurrentWidget(window.history)
    window.history.show_runs(runs)


def show_filtered(window: MainWindow, expression: str) -> None:
    """What of the history an expression is true of."""
    window.history.filter.setText(expression)
    window.tabs.setCurrentWidget(window.history)


def open_setup(window: MainWindow, config: ExperimentConfig) -> None:
    """An experiment in Set up, as a new one."""
    window.banner.hide()
    window.setup.show_config(config)
    window.tabs.setCurrentWidget(window.setup)


def set_up_recipe(window: MainWindow, name: str) -> None:
    """A recipe in Set up."""
    window.setup.show_recipe(name)
    window.tabs.setCurrentWidget(window.setup)


def choose_past_setup(window: MainWindow) -> None:
    """To the history, for a run whose set-up should be opened."""
    window.tabs.setCurrentWidget(window.history)
    window.banner.say("Select a run below and press “Open as new set-up”.")


def choose_past_teacher(window: MainWindow) -> None:
    """To the history, for a run that should be a teacher."""
    window.tabs.setCurrentWidget(window.history)
    window.banner.say("Select a finished run below and press “Use as teacher”.")


def use_as_teacher(window: MainWindow, run: int, words: str) -> None:
    """A run as a teacher in Set up."""
    window.banner.hide()
    window.setup.add_past_run(run, words)
    window.tabs.setCurrentWidget(window.setup)
