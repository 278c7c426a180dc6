"""Light and dark: Fusion with palettes of our own, and curve colours that colour-blind people can tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a window. ``curves`` are after Okabe and Ito, lightened for the dark."""

    name: str
    window: str
    base: str
    raised: str
    text: str
    faint: str
    line: str
    accent: str
    on_accent: str
    error: str
    good: str
    curves: tuple[str, ...]


LIGHT = Theme(
    "light", "#f4f5f7", "#ffffff", "#e9ebef", "#1b1e24", "#6a7180", "#c9ced8", "#0067a8", "#ffffff", "#b3261e", "#00724f",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#56b4e9", "#6b4fa0", "#444444"),
)  # fmt: skip
DARK = Theme(
    "dark", "#202329", "#15171b", "#333842", "#e6e8ec", "#9aa2b1", "#4a515d", "#4aa8e0", "#0d1216", "#ff8a80", "#4cd6a4",
    ("#56b4e9", "#ff8c42", "#2fd6a5", "#e79bc6", "#f0c24b", "#9ad4ff", "#b79cf0", "#d0d0d0"),
)  # fmt: skip

COLOURS = ("blue", "orange", "green", "pink", "ochre", "sky", "violet", "grey")
"""The names of the curve colours, which a person may give to runs."""

_current = LIGHT


def current() -> Theme:
    """The theme in use."""
    return _current


def curve_colour(number: int) -> QColor:
    """The colour of a curve: those of the theme in turn, of more than sixteen curves in other shades."""
    colours = _current.curves
    towards, share = ((_current.text, 0.0), (_current.text, 0.45), (_current.base, 0.45), (_current.text, 0.7))[
        number // (2 * len(colours)) % 4
    ]
    one, other = QColor(colours[number % len(colours)]), QColor(towards)
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)  # type: ignore[index]
    return QColor(*(round(own + share * (end - own)) for own, end in parts))


def curve_numbers(wanted: Sequence[str]) -> list[int]:
    """The numbers of several curves' colours, no two alike: where a name is wanted one of that colour, else the next one free."""
    found = dict[int, int]()
    for place, name in enumerate(wanted):
        if name in COLOURS:
            alike = itertools.count(COLOURS.index(name), len(COLOURS))
            found[place] = next(number for number in alike if number not in found.values())
    free = (number for number in itertools.count() if number not in found.values())
    return [found[place] if place in found else next(free) for place in range(len(wanted))]


def curve_dashed(number: int) -> bool:
    """Whether a curve is dashed: every second round of the colours is."""
    return number // len(_current.curves) % 2 == 1


@contextmanager
def worn(theme: Theme) -> Iterator[None]:
    """What is painted meanwhile has these colours, such as a picture for a file; the window keeps its own."""
    global _current
    before, _current = _current, theme
    try:
        yield
    finally:
        _current = before


def apply(wanted: str) -> Theme:
    """Dress the application in ``light``, ``dark`` or, with ``system``, what the desktop says; the theme used."""
    global _current
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    dark = wanted == "dark" or (wanted == "system" and _desktop_is_dark())
    _current = DARK if dark else LIGHT
    application.setStyle("Fusion")
    application.setPalette(_palette(_current))
    application.setStyleSheet(_style(_current))
    pg.setConfigOptions(background=_current.base, foreground=_current.text, antialias=False)
    return _current


def _desktop_is_dark() -> bool:
    from PySide6.QtCore import Qt

    return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.window,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.base,
        QPalette.ColorRole.AlternateBase: theme.window,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.PlaceholderText: theme.faint,
        QPalette.ColorRole.Button: theme.raised,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.BrightText: theme.error,
        QPalette.ColorRole.Highlight: theme.accent,
        QPalette.ColorRole.HighlightedText: theme.on_accent,
        QPalette.ColorRole.ToolTipBase: theme.raised,
        QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.Light: theme.base,
        QPalette.ColorRole.Midlight: theme.raised,
        QPalette.ColorRole.Mid: theme.line,
        QPalette.ColorRole.Dark: theme.line,
        QPalette.ColorRole.Accent: theme.accent,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return palette


def _style(theme: Theme) -> str:
    return f"""
    QToolTip {{ color: {theme.text}; background: {theme.raised}; border: 1px solid {theme.line}; padding: 4px; }}
    QGroupBox {{ font-weight: bold; border: 1px solid {theme.line}; border-radius: 6px; margin-top: 10px; padding-top: 8px; }}
    QGroupBox::title {{ subcontrol-origin: margin; left: 10px; padding: 0 4px; }}
    QLabel[role="faint"] {{ color: {theme.faint}; }}
    QLabel[role="error"] {{ color: {theme.error}; }}
    QLabel[role="good"] {{ color: {theme.good}; }}
    QFrame[role="claim"] {{ background: {theme.base}; border: 1px solid {theme.line}; border-radius: 6px; }}
    QFrame[role="claim"]:focus {{ border-color: {theme.accent}; }}
    QLabel[role="title"] {{ font-size: 15pt; font-weight: bold; }}
    QPushButton[role="primary"] {{ background: {theme.accent}; color: {theme.on_accent}; border: none; border-radius: 5px;
        padding: 7px 22px; font-weight: bold; }}
    QPushButton[role="primary"]:disabled {{ background: {theme.raised}; color: {theme.faint}; }}
    QPushButton[role="primary"]:focus {{ border: 2px solid {theme.text}; }}
    QCheckBox::indicator:unchecked {{ width: 13px; height: 13px; border: 1px solid {theme.faint}; border-radius: 3px;
        background: {theme.base}; }}
    QLineEdit {{ border: 1px solid {theme.line}; border-radius: 3px; padding: 2px 3px; background: {theme.base}; }}
    QLineEdit:focus {{ border-color: {theme.accent}; }}
    QSpinBox QLineEdit, QComboBox QLineEdit {{ border: none; padding: 0; }}
    QTableView, QTreeView {{ gridline-color: {theme.line}; }}
    """
