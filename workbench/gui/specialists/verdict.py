"""What a generalist thought of an image, which specialists were asked, what each said, and the verdict, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from workbench.gui import theme
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.subsets_page import scaled
from workbench.questions.specialists import Opinion, Verdict
from workbench.words import capital

MOST_BARS = 5
SIDE = 112
PANEL = 180
ROW = 20
HEAD = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """A class and its probability; ``right`` marks the image's own class."""

    name: str
    share: float
    right: bool = False


def bars_of(probabilities: np.ndarray, classes: Sequence[int], names: Sequence[str], label: int | None) -> list[Bar]:
    """The likeliest of these classes, and the right one wherever it comes."""
    order = sorted(range(len(classes)), key=lambda place: -float(probabilities[place]))
    shown = order[:MOST_BARS]
    shown += [place for place in order[MOST_BARS:] if classes[place] == label]
    return [Bar(names[classes[place]], float(probabilities[place]), classes[place] == label) for place in shown]


class Bars(QWidget):
    """Bars with a title, and a line below it that says whose they are."""

    def __init__(self, title: str, about: str, bars: Sequence[Bar]) -> None:
        super().__init__()
        self.title, self.about, self.bars = title, about, list(bars)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        told = ", ".join(f"{bar.name} {bar.share:.1%}{' (right)' if bar.right else ''}" for bar in self.bars)
        self.setToolTip(plain_tooltip(about) or "")
        self.setAccessibleDescription(f"{about}: {told}")
        self.setFixedHeight(HEAD + ROW * len(self.bars) + 8)

    def sizeHint(self) -> QSize:
        """As wide as a panel."""
        return QSize(PANEL, self.height())

    def paintEvent(self, _: QPaintEvent) -> None:
        """Title, a line, and a bar for each class."""
        painter = QPainter(self)
        colours = theme.current()
        metrics = painter.fontMetrics()
        painter.setPen(QColor(colours.faint))
        about = metrics.elidedText(self.about, Qt.TextElideMode.ElideRight, self.width() - 4)
        painter.drawText(QRectF(0, 18, self.width(), 18), Qt.AlignmentFlag.AlignVCenter, about)
        bold = painter.font()
        bold.setBold(True)
        painter.setFont(bold)
        painter.setPen(QColor(colours.text))
        painter.drawText(QRectF(0, 0, self.width(), 18), Qt.AlignmentFlag.AlignVCenter, self.title)
        bold.setBold(False)
        painter.setFont(bold)
        names = [f"{'✓ ' if bar.right else ''}{bar.name}" for bar in self.bars]
        wide = min(self.width() // 2 - 20, max((metrics.horizontalAdvance(name) for name in names), default=0) + 8)
        room = max(20, self.width() - wide - metrics.horizontalAdvance("100.0%") - 10)
        for row, (bar, name) in enumerate(zip(self.bars, names, strict=True)):
            y = HEAD + row * ROW
            painter.setPen(QColor(colours.text))
            elided = metrics.elidedText(name, Qt.TextElideMode.ElideRight, wide - 4)
            painter.drawText(QRectF(0, y, wide, ROW), Qt.AlignmentFlag.AlignVCenter, elided)
            drawn = QRectF(wide, y + 3, max(1.0, bar.share * room), ROW - 6)
            painter.fillRect(drawn, QColor(colours.good if bar.right else colours.curves[0]))
            share = QRectF(drawn.right() + 4, y, 70, ROW)
            painter.drawText(share, Qt.AlignmentFlag.AlignVCenter, f"{bar.share:.1%}")
        painter.end()


class VerdictPanel(QScrollArea):
    """The image and a sentence above, the opinions below: generalist, those specialists that were asked, all together."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Opinions")
        self.verdict: Verdict | None = None
        self.image, self.sentence, self.idle = label(), label("", wrap=True), label("", "faint", wrap=True)
        self.image.setFixedSize(SIDE, SIDE)
        self.image.setAccessibleName("The image")
        top = QHBoxLayout()
        top.addWidget(self.image, 0, Qt.AlignmentFlag.AlignTop)
        top.addSpacing(8)
        words = QVBoxLayout()
        words.addWidget(self.sentence)
        words.addWidget(self.idle)
        words.addStretch(1)
        top.addLayout(words, 1)
        self.bars: list[Bars] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(14)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addLayout(top)
        column.addSpacing(6)
        column.addLayout(self._grid)
        column.addStretch(1)
        self.setWidget(inside)
        self.clear("Choose an image at the left.")

    def clear(self, hint: str) -> None:
        """Show nothing but a hint."""
        self.verdict = None
        self.image.clear()
        self.sentence.setText(hint)
        self.idle.setText("")
        self.idle.setToolTip("")
        self._replace([])

    def show_verdict(self, verdict: Verdict) -> None:
        """Show what everybody said of an image."""
        self.verdict = verdict
        self.image.setPixmap(scaled(to_pixmap(verdict.image), SIDE))
        self.sentence.setText(sentence_of(verdict))
        idle = [f"{name}: {_listed(subset, verdict.classes)}" for name, subset in verdict.idle]
        numbers = ", ".join(name.removeprefix("specialist ") for name, _ in verdict.idle)
        what = "specialist" if len(idle) == 1 else "specialists"
        self.idle.setText(f"Not asked, and not run: {what} {numbers}." if idle else "All specialists were asked.")
        self.idle.setToolTip(plain_tooltip("\n".join(idle)) or "")
        everything = range(len(verdict.classes))
        about = "all classes"
        made = [Bars("The generalist", about, bars_of(verdict.generalist, everything, verdict.classes, verdict.label))]
        made += [_opinion_bars(opinion, verdict) for opinion in verdict.opinions]
        ending = "the geometric mean: the descent did not end" if verdict.unfinished else "the verdict"
        made.append(Bars("All together", ending, bars_of(verdict.combined, everything, verdict.classes, verdict.label)))
        self._replace(made)

    def resizeEvent(self, event: object) -> None:
        """As many columns as there is room for."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._arrange()

    def _replace(self, bars: list[Bars]) -> None:
        for old in self.bars:
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.bars = bars
        self._arrange()

    def _arrange(self) -> None:
        columns = max(1, min(len(self.bars), (self.viewport().width() - 20) // (PANEL + 18)))
        for bars in self.bars:
            self._grid.removeWidget(bars)
        for at, bars in enumerate(self.bars):
            self._grid.addWidget(bars, at // columns, at % columns, Qt.AlignmentFlag.AlignTop)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, int(column < columns))


def sentence_of(verdict: Verdict) -> str:
    """What was thought, who was asked, and what came of it."""
    said, together = int(verdict.generalist.argmax()), int(verdict.combined.argmax())
    names = verdict.classes

    def mark(number: int) -> str:
        return "" if verdict.label is None else " ✓" if number == verdict.label else " ✗"

    right = "" if verdict.label is None else f"Right class: {names[verdict.label]}.\n"
    asked = ", ".join(opinion.name for opinion in verdict.opinions) or "no specialist: none has this class"
    return (
        f"{right}The generalist says {names[said]} ({verdict.generalist[said]:.1%}){mark(said)}.\n"
        f"So it asks {asked}.\n"
        f"All together say {names[together]} ({verdict.combined[together]:.1%}){mark(together)}."
    )


def _opinion_bars(opinion: Opinion, verdict: Verdict) -> Bars:
    bars = bars_of(opinion.probabilities, opinion.classes, verdict.classes, verdict.label)
    if opinion.other is not None:
        right = verdict.label is not None and verdict.label not in opinion.subset
        bars.append(Bar("any other", opinion.other, right))
    title = capital(opinion.name)
    return Bars(title, f"run {opinion.run}, knows {_listed(opinion.subset, verdict.classes)}", bars)


def _listed(subset: Sequence[int], names: Sequence[str]) -> str:
    return ", ".join(names[number] for number in subset)
