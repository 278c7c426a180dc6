"""Screens that are built when they are first wanted, so that the window is there sooner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from PySide6.QtWidgets import QTabWidget, QWidget


class Screen(QWidget):
    """What the window may ask of any such screen; ``reference`` is whether runs that came with the workbench are shown."""

    reference = True

    def reload(self) -> None:
        """Read anew what is shown."""

    def dress(self) -> None:
        """Take the colours of the theme."""

    def forget(self) -> None:
        """Expect no answers any more: whoever was asked is gone, and the runs may be others."""


Kind = TypeVar("Kind", bound=Screen)


class LaterScreens:
    """Tabs whose screens are built when they come to the front, or are asked for by their class."""

    def __init__(self, tabs: QTabWidget) -> None:
        self._tabs = tabs
        self._waiting: dict[type[Screen], tuple[QWidget, Callable[[], Screen]]] = {}
        self._there: dict[type[Screen], Screen] = {}
        tabs.currentChanged.connect(self._come_to_front)

    def add(self, title: str, kind: type[Kind], build: Callable[[], Kind]) -> None:
        """A tab at the end."""
        page = QWidget()
        self._waiting[kind] = page, build
        self._tabs.addTab(page, title)

    def get(self, kind: type[Kind]) -> Kind:
        """The screen of a class, built for it where need be."""
        if kind in self._waiting:
            page, build = self._waiting.pop(kind)
            screen = self._there[kind] = build()
            place = self._tabs.indexOf(page)
            front, silent = self._tabs.currentIndex() == place, self._tabs.blockSignals(True)
            self._tabs.insertTab(place, screen, self._tabs.tabText(place))
            self._tabs.removeTab(place + 1)
            if front:
                self._tabs.setCurrentIndex(place)
            self._tabs.blockSignals(silent)
            page.deleteLater()
        return cast(Kind, self._there[kind])

    def there(self, kind: type[Kind]) -> Kind | None:
        """The screen of a class if it has been built."""
        return cast("Kind | None", self._there.get(kind))

    def built(self) -> list[Screen]:
        """Those that have been built."""
        return list(self._there.values())

    def _come_to_front(self, place: int) -> None:
        page = self._tabs.widget(place)
        for kind, (waiting, _) in list(self._waiting.items()):
            if waiting is page:
                self.get(kind)
