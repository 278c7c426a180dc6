"""The history's filter: an expression with completion, its errors under the caret, and filters kept under a name."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QPointF, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QCompleter,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from workbench.gui import theme
from workbench.gui.forms import label
from workbench.history.fields import Vocabulary
from workbench.history.filters import FilterError, completions, condition, unfinished
from workbench.words import sentence

PATIENCE_MILLISECONDS = 500
"""An error is told once nothing has been typed for so long."""
OFFERED = 12


class FilterEdit(QLineEdit):
    """A line whose wrong part is underlined, and that offers what could stand at the caret."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: FilterError | None = None
        self.known = Vocabulary({})
        self.offered = QStringListModel(self)
        self._completer = QCompleter(self.offered, self)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._completer.setMaxVisibleItems(OFFERED)
        self._completer.setWidget(self)
        popup = self._completer.popup()
        assert popup is not None
        self._popup = popup
        self._completer.activated.connect(self._complete)
        self.setPlaceholderText("Filter: words, or student.units <= 300 and T >= 8 and accuracy > 97% and tag = paper  (Ctrl+F)")
        self.setClearButtonEnabled(True)
        self.setAccessibleName("Filter")
        self.textEdited.connect(lambda _: self._offer())

    def offset(self, place: int) -> float:
        """Where a character begins, in pixels."""
        advance = self.fontMetrics().horizontalAdvance
        at = self.cursorRect().center().x()
        return float(at + advance(self.text()[:place]) - advance(self.text()[: self.cursorPosition()]))

    def keyPressEvent(self, event: Any) -> None:
        """Ctrl+Space offers; while something is offered, Return and Tab take it."""
        if event.key() == Qt.Key.Key_Space and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._offer(anything=True)
            return
        if self._popup.isVisible() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Escape):
            event.ignore()  # the popup's
            return
        super().keyPressEvent(event)

    def _offer(self, *, anything: bool = False) -> None:
        start, offered = completions(self.text(), self.cursorPosition(), self.known)
        typed = self.text()[start : self.cursorPosition()]
        if (not typed and not anything) or not offered or offered == [typed]:
            self._popup.hide()
            return
        self.offered.setStringList(offered[: 5 * OFFERED])
        self._completer.complete()

    def _complete(self, chosen: str) -> None:
        start, _ = completions(self.text(), self.cursorPosition(), self.known)
        before, after = self.text()[:start], self.text()[self.cursorPosition() :]
        self.setText(f"{before}{chosen} {after.lstrip()}")
        self.setCursorPosition(len(before) + len(chosen) + 1)

    def paintEvent(self, event: Any) -> None:
        """Underline what is wrong with a wave."""
        super().paintEvent(event)
        if self.wrong is None:
            return
        left, right = self.offset(self.wrong.start), self.offset(self.wrong.end)
        right = max(right, left + self.fontMetrics().horizontalAdvance("n"))
        base = self.rect().bottom() - 4
        painter = QPainter(self)
        painter.setPen(QPen(QColor(theme.current().error), 1))
        points = [QPointF(left + 2 * n, base + 2 * (n % 2)) for n in range(int((right - left) / 2) + 1)]
        painter.drawPolyline(QPolygonF(points))


class FilterBox(QWidget):
    """The line with what is wrong below it, and a menu of kept filters. ``changed`` gives each filter that can be understood."""

    changed = Signal(str)
    keep_wanted = Signal(str, str)
    forget_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.edit = FilterEdit()
        self.wrong = label("", "error")
        self.wrong.hide()
        self.kept = QPushButton()
        self.kept.setText("Kept filters")
        self.kept.setToolTip("Filters that were kept under a name, and keeping this one.")
        self.kept.setMenu(QMenu(self))
        self.show_kept({})
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MILLISECONDS)
        self._patience.timeout.connect(self._settle)
        self._error: FilterError | None = None
        row = QHBoxLayout()
        row.addWidget(self.edit, 1)
        row.addWidget(self.kept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(row)
        layout.addWidget(self.wrong)
        self.edit.textChanged.connect(lambda _: self.check())
        self.edit.returnPressed.connect(self._settle)

    def set_vocabulary(self, known: Vocabulary) -> None:
        """Complete and check by these fields."""
        self.edit.known = known

    def text(self) -> str:
        """What is typed."""
        return self.edit.text()

    def check(self) -> None:
        """Give what is typed to the list where it can be understood; else tell what is wrong, once the typing rests."""
        self._error = None
        try:
            condition(self.edit.text(), self.edit.known)
        except FilterError as error:
            self._error = error
        self.edit.wrong = None
        self.edit.update()
        self.wrong.hide()
        if self._error is None and not unfinished(self.edit.text()):
            self._patience.stop()
            self.changed.emit(self.edit.text())
        else:
            self._patience.start()

    def _settle(self) -> None:
        """What rests is meant so: filter by it, or tell what is wrong."""
        self._patience.stop()
        if self._error is None:
            self.changed.emit(self.edit.text())
            return
        self.edit.wrong = self._error
        self.edit.update()
        said = str(self._error)
        self.wrong.setText(f"{sentence(said)} The list is as before.")
        room = self.width() - self.wrong.sizeHint().width()
        self.wrong.setIndent(max(0, min(int(self.edit.offset(self._error.start)), room)))
        self.wrong.show()

    def show_kept(self, filters: dict[str, str]) -> None:
        """Offer these filters."""
        menu = self.kept.menu()
        menu.clear()
        for name, expression in filters.items():
            menu.addAction(name.replace("&", "&&")).triggered.connect(lambda _=False, text=expression: self.edit.setText(text))
        if filters:
            forget = menu.addMenu("Forget")
            for name in filters:
                forget.addAction(name.replace("&", "&&")).triggered.connect(
                    lambda _=False, gone=name: self.forget_wanted.emit(gone)
                )
            menu.addSeparator()
        menu.addAction("Keep this filter…").triggered.connect(self._keep)

    def _keep(self) -> None:
        expression = self.edit.text().strip()
        if not expression or self._error is not None:
            self.wrong.setText("Type a filter first; then it can be kept." if not expression else "This filter has an error.")
            self.wrong.setIndent(0)
            self.wrong.show()
            return
        name, right = QInputDialog.getText(self, "Keep this filter", "Name:", text=expression[:40])
        if right and name.strip():
            self.keep_wanted.emit(name.strip(), expression)
