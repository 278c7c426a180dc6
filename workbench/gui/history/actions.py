"""What can be done with selected runs: the buttons above the table, and its context menu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QColor, QGuiApplication, QIcon, QKeySequence, QPixmap
from PySide6.QtWidgets import QInputDialog, QMenu, QPushButton

from workbench.gui import theme
from workbench.gui.history.commands import with_tags

if TYPE_CHECKING:
    from workbench.gui.history.screen import HistoryScreen


class Actions:
    """The buttons by name, enabled for what is selected; a right click on the table offers the same."""

    def __init__(self, screen: HistoryScreen) -> None:
        self._screen = screen
        self.buttons: dict[str, QPushButton] = {}
        for name, text, help_, slot in (
            ("compare", "Compare", "Lay the selected runs over each other (Ctrl+K, or a double click).", screen.compare),
            ("explore", "Explore", "See the selected runs as points and as lines through many axes.", screen.explore),
            ("report", "Report", "Teachers, baseline and student of the selected run's experiment side by side.", screen.report),
            ("open", "Open as new set-up", "Fill the set-up with this run's experiment.", screen.open_set_up),
            ("resume", "Resume", "Go on with what the selected experiments have not done, from the checkpoints.", screen.resume),
            ("epochs", "More epochs…", "Go on with this run as a new one, which leaves it as it is.", screen.more_epochs),
            ("bias", "Bias…", "Shift the logits of classes that the run has never seen, chosen on validation.", screen.bias),
            ("teacher", "Use as teacher", "Add the selected run to the ensemble of the set-up.", screen.teach),
            ("take", "Take away…", "Write the selected run to a file that gives the same answers elsewhere.", screen.take_away),
            ("export", "Export…", "Write the selected experiments with all that belongs to them to one file.", screen.export),
            ("delete", "Delete", "Delete what is selected (Del); Ctrl+Z takes it back.", screen.delete_selected),
        ):
            button = QPushButton(text)
            button.setToolTip(help_)
            button.clicked.connect(slot)
            self.buttons[name] = button
        self.marks = self._marks()
        mark = QPushButton("Mark")
        mark.setToolTip("Stars, pins, colours and tags of the selected runs.")
        mark.setMenu(self.marks)
        self.buttons["mark"] = mark
        screen.table.customContextMenuRequested.connect(self._offer)
        for text, keys, slot in (
            ("Delete", QKeySequence(QKeySequence.StandardKey.Delete), screen.delete_selected),
            ("Copy", QKeySequence(QKeySequence.StandardKey.Copy), self.copy),
        ):
            action = QAction(text, screen.table)
            action.setShortcut(keys)
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(slot)
            screen.table.addAction(action)

    def enable(self, **possible: bool) -> None:
        """Which of them can be done."""
        for name, whether in possible.items():
            self.buttons[name].setEnabled(whether)

    def _marks(self) -> QMenu:
        screen = self._screen
        menu = QMenu(screen)
        self._mark(menu, "Star", "Ctrl+D", lambda: screen.mark("star", lambda one: replace(one, starred=not one.starred)))
        self._mark(menu, "Pin to the top", "Ctrl+T", lambda: screen.mark("pin", lambda one: replace(one, pinned=not one.pinned)))
        menu.addAction("Tags…").triggered.connect(lambda: self._tags())
        colours = menu.addMenu("Colour")
        for name in theme.COLOURS:
            action = colours.addAction(name)
            action.triggered.connect(lambda _=False, it=name: screen.mark("colour", lambda one: replace(one, colour=it)))
        colours.addAction("none").triggered.connect(lambda: screen.mark("colour", lambda one: replace(one, colour="")))
        colours.aboutToShow.connect(lambda: self._paint(colours))
        return menu

    def _mark(self, menu: QMenu, text: str, keys: str, slot: Callable[[], None]) -> None:
        action = menu.addAction(text)
        action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(slot)
        self._screen.table.addAction(action)

    def _paint(self, menu: QMenu) -> None:
        for action, colour in zip(menu.actions(), theme.current().curves, strict=False):
            swatch = QPixmap(12, 12)
            swatch.fill(QColor(colour))
            action.setIcon(QIcon(swatch))

    def _tags(self) -> None:
        hint = "Tags to add, separated by commas; a minus before one takes it away:"
        text, right = QInputDialog.getText(self._screen, "Tags", hint)
        words = [word.strip() for word in text.split(",") if word.strip()]
        if right and words:
            removed = [word.removeprefix("-").strip() for word in words if word.startswith("-")]
            self._screen.mark("tag", with_tags([word for word in words if not word.startswith("-")], removed))

    def _offer(self, place: QPoint) -> None:
        table = self._screen.table
        menu = QMenu(table)
        for name, button in self.buttons.items():
            if name in ("mark", "delete"):
                continue
            self._same(menu, button)
        menu.addSeparator()
        mark = menu.addMenu("Mark")
        mark.addActions(self.marks.actions())
        mark.setEnabled(self.buttons["mark"].isEnabled())
        menu.addAction("Copy", self.copy)
        menu.addAction("Save the list as CSV…", self._screen.save_list)
        menu.addAction("Unfold all", lambda: self.fold_all(unfolded=True))
        menu.addAction("Fold all", lambda: self.fold_all(unfolded=False))
        menu.addSeparator()
        self._same(menu, self.buttons["delete"])
        menu.exec(table.viewport().mapToGlobal(place))
        menu.deleteLater()

    def _same(self, menu: QMenu, button: QPushButton) -> None:
        action = menu.addAction(button.text())
        action.setEnabled(button.isEnabled())
        action.triggered.connect(button.click)

    def fold_all(self, *, unfolded: bool) -> None:
        """Fold every group, or unfold it."""
        table = self._screen.table
        kept = table.selected_keys()
        self._screen.model.fold_all(unfolded=unfolded)
        table.select_keys(kept)
        table.look()

    def copy(self) -> None:
        """Put the selected lines on the clipboard as a table, with tabs between its columns."""
        model, table = self._screen.model, self._screen.table
        header = table.horizontalHeader()
        columns = sorted(range(model.columnCount()), key=header.visualIndex)
        lines = ["\t".join(model.columns[column].title for column in columns)]
        for line in table.selected_lines():
            lines.append("\t".join(str(model.index(line, column).data() or "").strip() for column in columns))
        QGuiApplication.clipboard().setText("\n".join(lines))
