"""Subsets of classes as cards that a person fills by hand: drag a class to another card, with Ctrl also into that one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDrag,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QIcon,
    QKeyEvent,
    QPixmap,
    QResizeEvent,
    QUndoCommand,
    QUndoStack,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.forms import label, plain_tooltip

MIME = "application/x-workbench-class"
SIDE = 32
TILE_HEIGHT = 54
NARROWEST, WIDEST = 48, 84
"""Pixels of width that a class takes, by the length of the names."""
CARD = 300
"""Pixels of width below which there is one column of cards less."""
NOWHERE = -1
"""The place of the card of those classes that are in no subset."""


class ClassList(QListWidget):
    """The classes of a card, ``place`` among the cards."""

    dropped = Signal(int, int, int, bool)
    removed = Signal(int, int)
    menu_wanted = Signal(int, int, QPoint)

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setMovement(QListWidget.Movement.Static)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setWordWrap(False)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.viewport().setAcceptDrops(True)

    def fill(self, numbers: Sequence[int], names: Sequence[str], pictures: dict[int, QIcon]) -> None:
        """Show these classes."""
        self.clear()
        for number in numbers:
            item = QListWidgetItem(pictures.get(number, QIcon()), names[number])
            item.setData(Qt.ItemDataRole.UserRole, number)
            item.setToolTip(plain_tooltip(names[number]) or "")
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            self.addItem(item)

    def fit(self, width: int, tile: int) -> None:
        """As high as its classes, each ``tile`` wide, need in that width."""
        self.setGridSize(QSize(tile, TILE_HEIGHT))
        columns = max(1, width // tile)
        self.setFixedHeight(-(-self.count() // columns) * TILE_HEIGHT + 6 if self.count() else TILE_HEIGHT // 2)

    def current_class(self) -> int | None:
        """The class that is chosen."""
        item = self.currentItem()
        return item.data(Qt.ItemDataRole.UserRole) if item else None

    def startDrag(self, _: Qt.DropAction) -> None:
        """Take the chosen class along."""
        item, number = self.currentItem(), self.current_class()
        if number is None:
            return
        drag = QDrag(self)
        drag.setMimeData(class_mime(number, self.place))
        drag.setPixmap(item.icon().pixmap(SIDE, SIDE))
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.MoveAction)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take classes."""
        event.acceptProposedAction() if event.mimeData().hasFormat(MIME) else event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Take classes."""
        event.acceptProposedAction() if event.mimeData().hasFormat(MIME) else event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """A class is moved here, or with Ctrl is here too."""
        if event.mimeData().hasFormat(MIME):
            number, source = map(int, bytes(event.mimeData().data(MIME).data()).split())
            event.acceptProposedAction()
            self.dropped.emit(number, source, self.place, bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete takes the chosen class out."""
        number = self.current_class()
        if event.key() == Qt.Key.Key_Delete and number is not None:
            self.removed.emit(number, self.place)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """What can be done with the class under the pointer, or the chosen one."""
        mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        item = self.itemAt(event.pos()) if mouse else self.currentItem()
        if item is not None:
            self.setCurrentItem(item)
            self.menu_wanted.emit(item.data(Qt.ItemDataRole.UserRole), self.place, event.globalPos())


def class_mime(number: int, place: int) -> QMimeData:
    """A class on its way from a card."""
    mime = QMimeData()
    mime.setData(MIME, f"{number} {place}".encode())
    return mime


class SubsetCard(QFrame):
    """One subset, or those classes that are in none."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.setProperty("role", "claim")
        self.place = place
        self.title, self.count = label(), label("", "faint")
        bold = self.title.font()
        bold.setBold(True)
        self.title.setFont(bold)
        self.add, self.away = QToolButton(), QToolButton()
        self.add.setText("Add")
        self.add.setToolTip("Put another class into this subset; it stays in those it is in.")
        self.add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.add.setMenu(QMenu(self.add))
        self.away.setText("✕")
        self.away.setToolTip("Do without this subset.")
        self.classes = ClassList(place)
        top = QHBoxLayout()
        top.addWidget(self.title)
        top.addWidget(self.count)
        top.addStretch(1)
        top.addWidget(self.add)
        top.addWidget(self.away)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 6, 4)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.classes)
        self.title.setText("In no subset" if place == NOWHERE else f"Subset {place + 1}")
        self.classes.setAccessibleName(f"Classes of {self.title.text()}")
        self.add.setVisible(place != NOWHERE)
        self.away.setVisible(place != NOWHERE)


class _Change(QUndoCommand):
    """A person has changed the subsets."""

    def __init__(self, cards: Cards, words: str, after: list[list[int]]) -> None:
        super().__init__(words)
        self._cards, self._before, self._after = cards, cards.subsets, after

    def redo(self) -> None:
        self._cards.put(self._after)

    def undo(self) -> None:
        self._cards.put(self._before)


class Cards(QScrollArea):
    """``subsets`` are what the cards show; ``changed`` says that a person has changed them, or has undone it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Subsets of classes")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.subsets: list[list[int]] = []
        self.undo_stack = QUndoStack(self)
        self._names: tuple[str, ...] = ()
        self._pictures: dict[int, QIcon] = {}
        self.cards: list[SubsetCard] = []
        self.nowhere = self._made(NOWHERE)
        self.more = QPushButton("New subset")
        self.more.setToolTip("Begin another subset; drag classes into it, or add them.")
        self.more.clicked.connect(self._begin)
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 6, 0)
        self._grid.setSpacing(6)
        self.setWidget(inside)

    def show_subsets(self, subsets: Sequence[Sequence[int]], names: tuple[str, ...], pictures: dict[int, QPixmap]) -> None:
        """Show these subsets of classes, each class with a picture that is ``SIDE`` pixels wide; those before are forgotten."""
        self.undo_stack.clear()
        self._names, self.subsets = names, [sorted(subset) for subset in subsets]
        self._pictures = {number: QIcon(pixmap) for number, pixmap in pictures.items()}
        self._fill()

    def move_class(self, number: int, source: int, target: int, keep: bool = False) -> None:
        """Put a class from one card into another; ``keep`` leaves it in the first too."""
        if source == target or not 0 <= number < len(self._names):
            return
        after = list(self.subsets)
        if source != NOWHERE and not (keep and target != NOWHERE):
            after[source] = [one for one in after[source] if one != number]
        if target != NOWHERE:
            after[target] = sorted({*after[target], number})
        if after != self.subsets:
            self.undo_stack.push(_Change(self, "move of a class", after))

    def remove_subset(self, place: int) -> None:
        """Do without a subset."""
        after = [subset for at, subset in enumerate(self.subsets) if at != place]
        self.undo_stack.push(_Change(self, "removal of a subset", after))

    def put(self, subsets: list[list[int]]) -> None:
        """Show other subsets of the same classes."""
        self.subsets = subsets
        self._fill()
        self.changed.emit()

    def menu_of(self, number: int, place: int) -> QMenu:
        """What can be done with a class of a card."""
        menu = QMenu(self)
        if place != NOWHERE:
            menu.addAction("Remove from this subset", partial(self.move_class, number, place, NOWHERE))
        others = [other for other in range(len(self.subsets)) if other != place and number not in self.subsets[other]]
        for title, keep in (("Move to", False), ("Put also into", True)) if place != NOWHERE else (("Put into", False),):
            part = menu.addMenu(title)
            part.setEnabled(bool(others))
            for other in others:
                part.addAction(f"Subset {other + 1}", partial(self.move_class, number, place, other, keep))
        return menu

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many columns as there is room for."""
        super().resizeEvent(event)
        self._arrange()

    def _begin(self) -> None:
        self.undo_stack.push(_Change(self, "new subset", [*self.subsets, []]))
        self.ensureWidgetVisible(self.cards[len(self.subsets) - 1])

    def _made(self, place: int) -> SubsetCard:
        card = SubsetCard(place)
        card.classes.dropped.connect(self.move_class)
        card.classes.removed.connect(lambda number, source: self.move_class(number, source, NOWHERE))
        card.classes.menu_wanted.connect(self._show_menu)
        card.away.clicked.connect(lambda: self.remove_subset(place))
        card.add.menu().aboutToShow.connect(partial(self._offer, card))
        return card

    def _show_menu(self, number: int, place: int, where: QPoint) -> None:
        menu = self.menu_of(number, place)
        menu.exec(where)
        menu.deleteLater()

    def _offer(self, card: SubsetCard) -> None:
        """The classes that a subset does not have yet."""
        menu = card.add.menu()
        menu.clear()
        for number, name in enumerate(self._names):
            if number not in self.subsets[card.place]:
                picture = self._pictures.get(number, QIcon())
                menu.addAction(picture, name.replace("&", "&&"), partial(self.move_class, number, NOWHERE, card.place))

    def _fill(self) -> None:
        while len(self.cards) < len(self.subsets):
            self.cards.append(self._made(len(self.cards)))
        for card, subset in zip(self.cards, self.subsets, strict=False):
            card.count.setText(f"{len(subset)} class{'' if len(subset) == 1 else 'es'}")
            card.classes.fill(subset, self._names, self._pictures)
        left = [number for number in range(len(self._names)) if not any(number in subset for subset in self.subsets)]
        self.nowhere.classes.fill(left, self._names, self._pictures)
        self.nowhere.count.setText(f"{len(left)}" if left else "none; drag here what is to be taken out")
        self._arrange()

    def _arrange(self) -> None:
        width = self.viewport().width() - 6
        columns = max(1, width // CARD)
        longest = max((self.fontMetrics().horizontalAdvance(name) for name in self._names), default=0)
        tile = min(WIDEST, max(NARROWEST, longest + 10))
        shown = [*self.cards[: len(self.subsets)], self.nowhere]
        for card in self.cards[len(self.subsets) :]:
            card.hide()
        for widget in (*self.cards, self.nowhere, self.more):
            self._grid.removeWidget(widget)
        for at, card in enumerate(shown):
            card.classes.fit(width // columns - 24, tile)
            self._grid.addWidget(card, at // columns, at % columns, Qt.AlignmentFlag.AlignTop)
            card.show()
        last = len(shown) // columns + 1
        self._grid.addWidget(self.more, last, 0, Qt.AlignmentFlag.AlignLeft)
        for row in range(self._grid.rowCount()):
            self._grid.setRowStretch(row, int(row == last + 1))
        self._grid.setRowStretch(last + 1, 1)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, int(column < columns))
