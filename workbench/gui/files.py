"""What the window does with files: the log, runs and experiments out and in, the disk, the bin, and backups."""

from __future__ import annotations

import logging
import logging.handlers
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from workbench.gui import exchange, navigation
from workbench.gui.bin_dialog import BinDialog
from workbench.gui.files_dialogs import DiskDialog, RestoreDialog
from workbench.gui.setup.elsewhere_dialog import ElsewhereDialog
from workbench.gui.take_dialog import TakeDialog
from workbench.history.backups import back_up_daily, list_backups, restore
from workbench.history.unbundle import Brought
from workbench.paths import log_path

if TYPE_CHECKING:
    from workbench.gui.main_window import MainWindow

logger = logging.getLogger(__name__)


# The log


def log_to_file() -> None:
    """Write the log to its file, which is begun anew when it is full; to the console where there can be none."""
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.handlers.RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    except OSError:
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def open_log(window: MainWindow) -> None:
    """Open the log file in whatever the system opens it with."""
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_path()))):
        window.banner.say(f"The log file is {log_path()}.")


# Networks, out of the history and in


def take_away(window: MainWindow, run: int, name: str) -> None:
    """Ask into what file a run should go; beside a training one thread does it."""
    if _may_open(window, window.taking):
        window.taking = TakeDialog(run, name, window.history_path, *_beside(window), window)
        window.taking.open()


def bring_teacher(window: MainWindow) -> None:
    """Ask for a teacher from elsewhere, for the data that stands in Set up."""
    data = window.setup.data_config()
    if data is None:
        window.banner.say("Something in the set-up is wrong; put it right first, for a teacher is brought in for its data.")
    elif _may_open(window, window.bringing):
        window.bringing = ElsewhereDialog(data, window.history_path, *_beside(window), window)
        window.bringing.brought.connect(partial(navigation.use_as_teacher, window))
        window.bringing.brought.connect(lambda *_: window.history.reload())
        window.bringing.open()


def _may_open(window: MainWindow, before: TakeDialog | ElsewhereDialog | None) -> bool:
    """Whether a dialog can take the place of one that was there before, whose work was perhaps cancelled."""
    if before is not None and not before.ended:
        window.banner.say("What was cancelled is still being given up; try again in a moment.")
        return False
    if before is not None:
        before.deleteLater()
    return True


def _beside(window: MainWindow) -> tuple[tuple[Path, ...], int]:
    """The data folders, and the threads of work in a process of its own, beside a training one."""
    settings = window.engine_settings()
    return settings["folders"], settings["threads"] or int(window.executor.busy)


# Experiments, out of the history and in


def export_selected(window: MainWindow) -> None:
    """Write the experiments of the selected runs to a file."""
    if experiments := window.history.selected_experiments():
        export_experiments(window, experiments)
    else:
        window.tabs.setCurrentWidget(window.history)
        window.banner.say("Select the experiments to export below, then File → Export experiment.")


def export_experiments(window: MainWindow, experiments: list[int]) -> None:
    """Write experiments to a file that the person chooses."""
    exchange.export_experiments(window, window.ask_history, window.history_path, experiments, window.banner.say, window.tell)


def import_experiments(window: MainWindow) -> None:
    """Take the experiments of a file into the history."""

    def imported(brought: Brought) -> None:
        window.show_reference()
        window.setup.refresh()
        runs = list(brought.runs)
        window.banner.say(brought.words(), "Show" if runs else "", partial(navigation.select, window, runs))

    exchange.import_file(window, window.change_history, window.history_path, imported, window.tell)


# Files beside the history


def show_disk_usage(window: MainWindow) -> None:
    """What the files beside the history take, and what of it may go."""
    DiskDialog(
        window.history_path,
        lambda reading, shown: window.ask_history("disk", reading, shown),
        lambda change, done: window.change_history("disk", change, done),
        window,
    ).exec()


def show_bin(window: MainWindow) -> None:
    """What was deleted: take it back, or empty the bin."""
    dialog = BinDialog(
        window.history_path,
        lambda reading, shown: window.ask_history(("bin", reading.__name__), reading, shown),
        lambda change, done: window.change_history("bin", change, done),
        window,
    )
    dialog.exec()
    if dialog.changed:
        window.show_reference()
        window.setup.refresh()


# Backups


class Restored:
    """News that the exchange of the files is over."""

    def __init__(self, words: str) -> None:
        self.words = words


def back_up(window: MainWindow) -> None:
    """Keep a backup of the history where today has none."""
    window.ask_history("backup", lambda _: back_up_daily(window.history_path), lambda _: None)


def show_backups(window: MainWindow) -> None:
    """Choose a backup that takes the history's place."""
    if window.executor.busy:
        window.banner.say("A model is training; stop it before you restore a backup.")
        return
    dialog = RestoreDialog(list_backups(window.history_path), window)
    if dialog.exec() and (chosen := dialog.chosen()):
        restore_backup(window, chosen)


def restore_backup(window: MainWindow, backup: Path) -> None:
    """End both threads and exchange the files; the window begins anew once it hears :class:`Restored`."""
    window.stand_still("restoring…")
    old, history = (window.executor, window.history_thread), window.history_path

    def work() -> None:
        for thread in old:
            thread.close()
            thread.join()
        try:
            kept = restore(history, backup)
            words = f"Restored. What was there before is kept as {kept.name if kept else 'nothing'}."
        except Exception as error:
            logger.exception("restoring %s", backup)
            words = f"Nothing was restored: {error}."
        window.feed.post(Restored(words))

    threading.Thread(target=work, name="restore").start()
