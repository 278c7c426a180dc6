"""The screens of the window: what each is built from, and where each of its signals goes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.gui import files, launching, navigation, preferences
from workbench.gui.compare.screen import CompareScreen
from workbench.gui.explore.screen import ExploreScreen
from workbench.gui.later import Kind, LaterScreens
from workbench.gui.look.screen import LookScreen
from workbench.gui.paper.screen import PaperScreen
from workbench.gui.report.screen import ReportScreen
from workbench.gui.specialists.screen import SpecialistsScreen
from workbench.gui.sweeps.screen import SweepScreen
from workbench.history import reading
from workbench.questions import images, plans

if TYPE_CHECKING:
    from workbench.gui.main_window import MainWindow


def wire_first_screens(window: MainWindow) -> None:
    """Wire Set up, Live with its queue, and History, which are there from the start."""
    _wire_setup(window)
    _wire_live(window)
    _wire_history(window)


def add_later_screens(window: MainWindow) -> LaterScreens:
    """The tabs behind these, whose screens are built when they are first wanted."""
    later = LaterScreens(window.tabs)
    later.add("Sweeps", SweepScreen, partial(_build_sweeps, window))
    later.add("Compare", CompareScreen, partial(_build_compare, window))
    later.add("Explore", ExploreScreen, partial(_build_explore, window))
    later.add("Report", ReportScreen, partial(_build_report, window))
    later.add("Paper", PaperScreen, partial(_build_paper, window))
    later.add("Specialists", SpecialistsScreen, partial(_build_specialists, window))
    later.add("Look", LookScreen, partial(_build_look, window))
    return later


# Those that are there from the start


def _wire_setup(window: MainWindow) -> None:
    setup = window.setup
    setup.launched.connect(partial(launching.launch, window))
    setup.sweep_launched.connect(partial(launching.launch_sweep, window))
    setup.said.connect(window.banner.say)
    setup.past_run_wanted.connect(partial(navigation.choose_past_setup, window))
    setup.teachers.past_wanted.connect(partial(navigation.choose_past_teacher, window))
    setup.teachers.elsewhere_wanted.connect(partial(files.bring_teacher, window))


def _wire_live(window: MainWindow) -> None:
    live, queue = window.live, window.queue
    live.pause_wanted.connect(lambda on: window.executor.pause() if on else window.executor.resume())
    live.stop_wanted.connect(lambda: window.executor.stop())
    live.results_wanted.connect(partial(navigation.compare, window))
    live.said.connect(window.banner.say)
    queue.changed.connect(lambda: window.executor.wake())
    queue.edit_wanted.connect(partial(navigation.open_setup, window))
    queue.again_wanted.connect(lambda config: window.executor.submit(config))
    queue.said.connect(window.tell)
    queue.times_wanted.connect(partial(_ask_times, window))


def _wire_history(window: MainWindow) -> None:
    history = window.history
    history.resume_wanted.connect(partial(launching.resume, window))
    history.epochs_wanted.connect(partial(launching.go_on, window))
    history.bias_wanted.connect(partial(_ask_bias, window))
    history.compare_wanted.connect(partial(navigation.compare, window))
    history.take_wanted.connect(partial(files.take_away, window))
    history.export_wanted.connect(partial(files.export_experiments, window))
    history.report_wanted.connect(partial(navigation.show_report, window))
    history.explore_wanted.connect(partial(navigation.explore, window))
    history.setup_wanted.connect(partial(navigation.open_setup, window))
    history.teacher_wanted.connect(partial(navigation.use_as_teacher, window))
    history.said.connect(window.banner.say)
    history.told.connect(window.tell)
    history.changed.connect(window.setup.refresh)


def _ask_times(window: MainWindow, experiments: list[tuple[int, dict[str, Any]]]) -> None:
    window.ask_engine("times", plans.times(experiments), window.queue.show_times)


def _ask_bias(window: MainWindow, run: int) -> None:
    def answered(samples: images.BiasSamples) -> None:
        window.ask_history("bias", lambda database: reading.correction(database, run), partial(window.history.ask_bias, samples))

    window.ask_engine(("bias", run), images.bias_samples(run), answered)


# Those that are built when they are first wanted


def _ready(window: MainWindow, screen: Kind) -> Kind:
    screen.reference = window.preferences.reference
    preferences.restore_splitters(screen)
    return screen


def _build_sweeps(window: MainWindow) -> SweepScreen:
    screen = _ready(window, SweepScreen(window.ask_history))
    screen.compare_wanted.connect(partial(navigation.compare, window))
    screen.said.connect(window.banner.say)
    return screen


def _build_compare(window: MainWindow) -> CompareScreen:
    screen = _ready(window, CompareScreen(window.ask_history, window.ask_engine))
    screen.said.connect(window.banner.say)
    screen.history_wanted.connect(partial(navigation.show_history, window))
    return screen


def _build_explore(window: MainWindow) -> ExploreScreen:
    screen = _ready(window, ExploreScreen(window.ask_history, window.work))
    screen.compare_wanted.connect(partial(navigation.compare, window))
    screen.select_wanted.connect(partial(navigation.select, window))
    screen.filter_wanted.connect(partial(navigation.show_filtered, window))
    screen.said.connect(window.banner.say)
    return screen


def _build_report(window: MainWindow) -> ReportScreen:
    screen = _ready(window, ReportScreen(window.ask_history, window.ask_engine))
    screen.compare_wanted.connect(partial(navigation.compare, window))
    screen.select_wanted.connect(partial(navigation.select, window))
    screen.sweep_wanted.connect(partial(navigation.show_sweep, window))
    screen.said.connect(window.banner.say)
    screen.told.connect(window.tell)
    screen.take_wanted.connect(partial(files.take_away, window))
    return screen


def _build_paper(window: MainWindow) -> PaperScreen:
    screen = _ready(window, PaperScreen(window.ask_history))
    screen.set_engine_there(window.engine_there)
    screen.compare_wanted.connect(partial(navigation.compare, window))
    screen.select_wanted.connect(partial(navigation.select, window))
    screen.run_wanted.connect(partial(launching.run_missing, window))
    return screen


def _build_specialists(window: MainWindow) -> SpecialistsScreen:
    screen = _ready(window, SpecialistsScreen(window.ask_history, window.ask_engine))
    screen.setup_wanted.connect(partial(navigation.open_setup, window))
    screen.said.connect(window.banner.say)
    window.undo_group.addStack(screen.subsets.cards.undo_stack)
    screen.tabs.currentChanged.connect(lambda _: window.choose_undo())
    return screen


def _build_look(window: MainWindow) -> LookScreen:
    quick, slow = partial(window.look_by, window.quick), partial(window.look_by, window.slow)
    screen = _ready(window, LookScreen(window.ask_history, window.ask_engine, quick, slow, window.feed.drain))
    screen.told.connect(window.tell)
    return screen
