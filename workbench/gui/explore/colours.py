"""The colours of groups of runs: apart for names, from orange over grey to blue for what has an order."""

from __future__ import annotations

from PySide6.QtGui import QColor

from workbench.analysis.explore import Groups
from workbench.gui import theme


def colours_of(groups: Groups) -> list[QColor]:
    """A colour for each group."""
    now = theme.current()
    if groups.ordered:
        return [_ramp(place / max(1, len(groups.names) - 1)) for place in range(len(groups.names))]
    apart = [QColor(now.curves[place % (len(now.curves) - 1)]) for place in range(len(groups.names))]
    return [*apart[:-1], QColor(now.faint)] if groups.rest else apart


def no_value(groups: Groups | None) -> QColor:
    """The colour of a run without a value, apart from those of the groups."""
    now = theme.current()
    return QColor(now.curves[3] if groups is not None and groups.ordered else now.line)


def faded() -> QColor:
    """The colour of what is not chosen: between the background and a line."""
    return _mixed(QColor(theme.current().base), QColor(theme.current().line), 0.75)


def _ramp(place: float) -> QColor:
    now = theme.current()
    low, middle, high = QColor(now.curves[1]), QColor(now.line), QColor(now.curves[0])
    middle = _mixed(middle, QColor(now.faint), 0.6)
    return _mixed(low, middle, 2 * place) if place < 0.5 else _mixed(middle, high, 2 * place - 1)


def _mixed(one: QColor, other: QColor, share: float) -> QColor:
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)  # type: ignore[index]
    return QColor(*(round(a + (b - a) * share) for a, b in parts))
