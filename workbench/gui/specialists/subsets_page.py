"""Which classes belong together: found from a generalist's predictions, changed by hand, and set up for specialists."""

from __future__ import annotations

import dataclasses
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from workbench.config import SpecialistsConfig
from workbench.errors import ConfigError
from workbench.gui.forms import Editor, label
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.cards import SIDE, Cards
from workbench.gui.specialists.heat_map import HeatMap
from workbench.questions.specialists import SubsetsFound, share_inside
from workbench.settings import options_of
from workbench.words import sentence

SETTLE_MILLISECONDS = 250
ASKED = ("count", "size", "by", "temperature")
WHAT = {
    "correlation": "correlation of the predictions",
    "covariance": "covariance of the predictions",
    "confusion": "share taken for the other",
}


class SubsetsPage(QWidget):
    """Emits ``wanted`` with a config for which subsets are to be found, ``chosen`` with the names of those on the screen."""

    wanted = Signal(object)
    chosen = Signal(list, object)

    def __init__(self) -> None:
        super().__init__()
        self.found: SubsetsFound | None = None
        self._config = SpecialistsConfig()
        self._quiet = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MILLISECONDS)
        self._settle.timeout.connect(self._ask)
        self.editors = {option.name: Editor(option) for option in options_of(SpecialistsConfig) if option.name in ASKED}
        top = QHBoxLayout()
        for name, editor in self.editors.items():
            about = editor.option.setting
            words = label("Subsets" if name == "count" else about.label)
            words.setToolTip(editor.field.toolTip())
            top.addWidget(words)
            top.addWidget(editor)
            editor.setMaximumWidth({"by": 130, "temperature": 90}.get(name, 120))
            editor.changed.connect(self._changed)
        top.addStretch(1)
        self.set_up = QPushButton("Set up with these subsets")
        self.set_up.setProperty("role", "primary")
        self.set_up.clicked.connect(self._choose)
        top.addWidget(self.set_up)
        self.share, self.error = label("", wrap=True), label("", "error", wrap=True)
        self.share.setToolTip(
            "A specialist can put right only what is taken for another class of its subset. More and larger subsets hold more of "
            "the errors, and cost more."
        )
        self.map, self.cards = HeatMap(), Cards()
        self.cards.changed.connect(self._by_hand)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("specialist-subsets")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.map)
        self.splitter.addWidget(self.cards)
        self.splitter.setSizes([440, 560])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.addLayout(top)
        layout.addWidget(self.share)
        layout.addWidget(self.error)
        layout.addWidget(self.splitter, 1)
        self._show()

    @property
    def settled(self) -> bool:
        """Whether what stands on the screen is what was asked for."""
        return not self._settle.isActive()

    def begin(self, config: SpecialistsConfig) -> None:
        """Take the settings of another generalist, whose subsets are on their way."""
        self._config, self.found = config, None
        self._quiet = True
        for name, editor in self.editors.items():
            editor.set_value(getattr(config, name))
        self._quiet = False
        self._settle.stop()
        self._show()

    def show_found(self, found: SubsetsFound) -> None:
        """Show the subsets of a generalist."""
        self.found = found
        self._config = found.config
        pictures = {number: scaled(to_pixmap(image), SIDE) for number, image in found.images.items()}
        self.cards.show_subsets(found.subsets, found.classes, pictures)
        self._show()

    def show_error(self, sentence: str) -> None:
        """Say why there are no subsets."""
        self.found = None
        self._show()
        self.share.setText("")
        self.error.setText(sentence)
        self.error.show()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.map.dress()

    def problem(self) -> str:
        """Why these subsets cannot be set up, empty where they can."""
        if self.found is None:
            return "no subsets are found yet"
        if not self.cards.subsets:
            return "there is no subset"
        classes = len(self.found.classes)
        for place, subset in enumerate(self.cards.subsets, start=1):
            if len(subset) < 2:
                return f"subset {place} has {'one class' if subset else 'no class'}; a specialist tells at least two apart"
            if len(subset) == classes:
                return f"subset {place} has all classes, which leaves nothing for the dustbin class"
            if (first := self.cards.subsets.index(subset) + 1) < place:
                return f"subsets {first} and {place} have the same classes; one specialist is enough for them"
        names = (self.found.classes[number] for subset in self.cards.subsets for number in subset)
        odd = next((name for name in names if "," in name or ";" in name or name != name.strip()), None)
        return f"the class {odd!r} cannot be named in a recipe, for its commas" if odd is not None else ""

    def _changed(self) -> None:
        if not self._quiet:
            self._settle.start()

    def _ask(self) -> None:
        """Ask for other subsets, once nothing is wrong with a field by itself."""
        if not all([editor.check() for editor in self.editors.values()]):
            return
        values: dict[str, Any] = {name: editor.value() for name, editor in self.editors.items()}
        try:
            config = dataclasses.replace(self._config, by_hand=(), **values)
        except ConfigError as error:
            self.editors[error.path].set_error(error.reason)
            return
        self.share.setText("Finding subsets…")
        self.wanted.emit(config)

    def _by_hand(self) -> None:
        self._show()

    def _show(self) -> None:
        found = self.found
        self.error.hide()
        self.cards.setVisible(found is not None)
        if found is None:
            self.map.clear()
            self.share.setText("Finding subsets…")
        else:
            what = WHAT[found.config.by]
            self.map.show_matrix(found.matrix, found.classes, self.cards.subsets, what)
            total = int(found.errors.sum())
            share = share_inside(self.cards.subsets, found.errors)
            self.share.setText(
                f"{share:.0%} of the generalist's {total:,} errors on validation are between two classes of a subset: those a "
                "specialist can put right."
                if share is not None
                else "The generalist has no error on validation cases, or none were kept: how much is inside cannot be told."
            )
        problem = self.problem()
        self.set_up.setEnabled(not problem)
        self.set_up.setToolTip(
            f"Not yet: {problem}." if problem else "Open Set up with this generalist as it is, and a specialist for each subset."
        )
        if problem and found is not None:
            self.error.setText(sentence(problem))
            self.error.show()

    def _choose(self) -> None:
        if self.found is not None and not self.problem():
            names = [", ".join(self.found.classes[number] for number in subset) for subset in self.cards.subsets]
            self.chosen.emit(names, self.found.config)


def scaled(pixmap: QPixmap, side: int) -> QPixmap:
    """A picture as large as that, its pixels kept sharp where it grows."""
    smooth = pixmap.width() >= side
    mode = Qt.TransformationMode.SmoothTransformation if smooth else Qt.TransformationMode.FastTransformation
    return pixmap.scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio, mode)
