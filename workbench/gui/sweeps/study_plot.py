"""What each part of a student is worth, drawn: its errors without the part on hard targets and distilled, a line a part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from workbench.analysis.study import ROLES, Part
from workbench.gui import theme
from workbench.sweep import NOTHING

ASIDE = 0.13
"""The two of a part stand so far above and below its line."""
ROOM = 0.42
"""Share of the errors' range that is left at the right, for what is given back."""
NAMES = {"baseline": "hard targets", "student": "distilled"}


def draw_study(plot: pg.PlotWidget, parts: Sequence[Part]) -> None:
    """Draw onto an empty plot; the dashed lines are the whole student's errors."""
    colours = theme.current()
    colour = dict(zip(ROLES, (colours.curves[1], colours.curves[0]), strict=True))
    ends: list[float] = []
    wholes = [one for one in parts if one.part == NOTHING]
    for role, aside in zip(ROLES, (ASIDE, -ASIDE), strict=True):
        there = [(place, one.errors[role]) for place, one in enumerate(parts) if role in one.errors]
        x = np.array([found.mean for _, found in there])
        y = np.array([aside - place for place, _ in there])
        half = np.array([found.half or 0.0 for _, found in there])
        ends += [*(x - half), *(x + half)]
        if half.any():
            plot.addItem(pg.ErrorBarItem(x=x, y=y, width=2 * half, beam=0.0, pen=pg.mkPen(colour[role])))
        plot.plot(x, y, pen=None, name=NAMES[role], symbol="o", symbolSize=8, symbolBrush=colour[role], symbolPen=colour[role])
        if len(wholes) == 1 and role in wholes[0].errors:
            whole = wholes[0].errors[role].mean
            plot.plot([whole, whole], [0.5, 0.5 - len(parts)], pen=pg.mkPen(colour[role], style=Qt.PenStyle.DashLine))
    for place, one in enumerate(parts):
        if one.given_back is not None:
            text = pg.TextItem(one.given_back.words(), color=colours.text, anchor=(0.0, 0.5))
            text.setPos(max(found.mean + (found.half or 0.0) for found in one.errors.values()), -place)
            plot.addItem(text)
    plot.getAxis("left").setTicks([[(-place, one.name) for place, one in enumerate(parts)]])
    plot.getAxis("bottom").setTicks(None)
    plot.setLabel("left", "")
    plot.setLabel("bottom", "Test errors")
    dashed = "dashed: whole student; " if len(wholes) == 1 else ""
    plot.setTitle(f"{dashed}%: given back by soft targets", color=colours.faint, size="9pt")
    plot.setYRange(0.5 - len(parts), 0.5, padding=0.02)
    if ends:
        span = max(ends) - min(ends) or 1.0
        plot.setXRange(min(ends) - 0.04 * span, max(ends) + ROOM * span, padding=0.0)
