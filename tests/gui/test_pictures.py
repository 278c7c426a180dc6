"""Plots as pictures: white at print size whatever the window wears, with every curve and its name, and the plot unharmed."""

from __future__ import annotations

import csv
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
import shiboken6
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QTableWidget, QTableWidgetItem
from pytestqt.qtbot import QtBot

from workbench.gui import theme
from workbench.gui.curve_plot import CurvePlot, Line, Reference
from workbench.gui.pictures import Plotted, SaveButton, curves_of, legend_of, offer_saving, painting, save_table, svg, table_of
from workbench.gui.rasterising import picture

WAIT = 20_000
SVG = "{http://www.w3.org/2000/svg}"


def png(plotted: Plotted) -> QImage:
    return picture(svg(plotted, 300 / 96), 300)


@pytest.fixture(params=["light", "dark"])
def plot(qtbot: QtBot, themed: None, request: pytest.FixtureRequest) -> CurvePlot:
    """A plot with a logarithmic axis, a band, a dashed curve, one behind, a reference, and names with markup and formulas."""
    theme.apply(request.param)
    made = CurvePlot("Loss <b>&", "nats", listed=False)
    qtbot.addWidget(made)
    x = np.linspace(1, 20, 500)
    made.set_log(True)
    made.set_lines(
        [
            Line("a", "student <i>&", x, np.exp(-x / 9), 0),
            Line("b", "=baseline", x, np.exp(-x / 5), 1, dashed=True),
            Line("c", "means", x, np.exp(-x / 3), 3, low=0.9 * np.exp(-x / 3), high=1.1 * np.exp(-x / 3)),
            Line("d", "behind", x, np.exp(-x / 2), 4, front=False, legend=""),
        ]
    )
    made.set_references([Reference("r", "ensemble", 0.2, 2)])
    made.resize(900, 500)
    made.show()
    qtbot.waitExposed(made)
    return made


def colours(image: QImage) -> set[str]:
    """The colours of an image, but those that few of its points have."""
    points = np.frombuffer(image.convertToFormat(QImage.Format.Format_RGB32).constBits(), np.uint32).reshape(image.height(), -1)
    found, counts = np.unique(points[:, : image.width()] & 0xFFFFFF, return_counts=True)
    return {f"#{value:06x}" for value, count in zip(found.tolist(), counts.tolist(), strict=True) if count > 20}


def test_that_a_picture_is_sixteen_centimetres_on_white_in_the_light_themes_colours(plot: CurvePlot) -> None:
    image = png(curves_of(plot))
    assert abs(image.width() / image.dotsPerMeterX() - 0.16) < 0.0002
    assert round(image.dotsPerMeterX() * 0.0254) == 300
    assert image.pixelColor(image.width() - 2, 2) == QColor("white")
    found = colours(image)
    assert {theme.LIGHT.curves[number] for number in (0, 1, 2, 3)} <= found
    assert theme.DARK.base not in found
    assert theme.LIGHT.text in found


def test_that_text_and_lines_are_as_thick_as_on_the_screen(plot: CurvePlot) -> None:
    image = png(curves_of(plot))
    column = [image.pixelColor(image.width() // 2, row).name() for row in range(image.height())]
    thickness = column.count(theme.LIGHT.curves[0])
    assert 4 <= thickness <= 9  # two pixels of a screen, 3.1 times as fine


def test_that_the_drawing_parses_and_has_the_curves_clipped_and_all_of_their_names(plot: CurvePlot) -> None:
    tree = ET.fromstring(svg(curves_of(plot)))
    assert tree.tag == f"{SVG}svg"
    assert tree.attrib["width"] in ("160.073mm", "160mm")
    texts = {"".join(node.itertext()).strip() for node in tree.iter(f"{SVG}text")}
    assert {"student <i>&", "=baseline", "means", "ensemble 0.2", "Loss <b>&", "nats", "step"} <= texts
    assert not any("behind" in text for text in texts)
    parents = {child: node for node in tree.iter() for child in node}

    def stroke(node: ET.Element) -> str:
        while "stroke" not in node.attrib:
            node = parents[node]
        return node.attrib["stroke"]

    lines = [node for node in tree.iter(f"{SVG}polyline") if len(node.attrib["points"].split()) > 100]
    wanted = {theme.LIGHT.curves[number] for number in (0, 1, 3, 4)}
    assert {stroke(node) for node in lines} == wanted
    assert all(any("clip-path" in above.attrib for above in ancestors(node, parents)) for node in lines)


def ancestors(node: ET.Element, parents: dict[ET.Element, ET.Element]) -> list[ET.Element]:
    found = []
    while node in parents:
        node = parents[node]
        found.append(node)
    return found


def test_that_the_plot_is_afterwards_as_it_was(plot: CurvePlot, qtbot: QtBot) -> None:
    plot.plot.setXRange(3, 7, padding=0)
    for _ in range(5):  # axes find their width while they are drawn
        QApplication.processEvents()
        before = plot.grab().toImage()
    view = plot.plot.viewRange()
    for make in (png, svg):
        make(curves_of(plot))
        assert plot.plot.viewRange() == view
    assert theme.current().name in ("light", "dark")
    assert plot.plot.size().height() > 0
    qtbot.waitUntil(lambda: plot.grab().toImage() == before, timeout=5000)


def test_that_many_curves_have_their_names_in_rows(qtbot: QtBot, themed: None) -> None:
    made = CurvePlot("Many", "accuracy", listed=True)
    qtbot.addWidget(made)
    x = np.arange(10.0)
    made.set_lines(
        [Line(number, f"student {number} of a long name " * (1 + 9 * (number == 3)), x, x, number) for number in range(30)]
    )
    made.resize(600, 300)
    made.show()
    tree = ET.fromstring(svg(curves_of(made)))
    texts = ["".join(node.itertext()) for node in tree.iter(f"{SVG}text")]
    assert sum(text.startswith("student ") for text in texts) == 30
    height = float(tree.attrib["viewBox"].split()[3])
    assert all(float(node.attrib["y"]) < height for node in tree.iter(f"{SVG}text"))


def test_that_a_plot_of_points_with_intervals_is_drawn_with_its_legend(qtbot: QtBot, themed: None) -> None:
    widget = pg.PlotWidget()
    qtbot.addWidget(widget)
    widget.addLegend()
    x = np.arange(4.0)
    theme.apply("dark")

    def dress() -> None:
        widget.clear()
        widget.setBackground(theme.current().base)
        colour = theme.current().curves[1]
        widget.addItem(pg.ErrorBarItem(x=x, y=x, height=0.5 * x, beam=0.0, pen=pg.mkPen(colour)))
        widget.plot(x, x, pen=None, name="student", symbol="o", symbolSize=6, symbolBrush=colour, symbolPen=colour)

    dress()
    widget.show()
    plotted = Plotted(widget, dress, lambda: "", lambda: legend_of(widget), lambda: (["x"], []))
    found = colours(png(plotted))
    assert theme.LIGHT.curves[1] in found
    assert theme.DARK.curves[1] not in found
    texts = {"".join(node.itertext()).strip() for node in ET.fromstring(svg(plotted)).iter(f"{SVG}text")}
    assert "student" in texts


def chosen(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_that_the_button_saves_each_kind(
    qtbot: QtBot, plot: CurvePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    said: list[str] = []
    button = offer_saving(plot, said.append)
    chosen(monkeypatch, tmp_path / "loss")
    button.kinds[kind].trigger()
    path = tmp_path / f"loss.{kind}"
    qtbot.waitUntil(lambda: said == [f"Saved {path}."], timeout=WAIT)
    assert button.isEnabled()
    if kind == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["curve", "step", "nats"]
        assert len(rows) == 1 + 4 * 500
        assert rows[501][0] == "'=baseline"
        assert float(rows[501][2]) == pytest.approx(np.exp(-1 / 5))
    elif kind == "png":
        assert QImage(str(path)).width() > 1800
    else:
        ET.parse(path)


def test_that_no_file_chosen_says_nothing_and_a_folder_that_is_not_there_is_a_sentence(
    qtbot: QtBot, plot: CurvePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    button = SaveButton(curves_of(plot))
    button.said.connect(said.append)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    button.save("png")
    assert said == []
    chosen(monkeypatch, tmp_path / "none" / "x.png")
    button.save("png")
    qtbot.waitUntil(lambda: bool(said), timeout=WAIT)
    assert said[0].startswith(f"{tmp_path / 'none' / 'x.png'} cannot be written (No such file or directory")
    button.deleteLater()


def test_that_a_painter_that_does_not_start_or_breaks_off_is_a_sentence(
    qtbot: QtBot, plot: CurvePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    button = offer_saving(plot, said.append)
    chosen(monkeypatch, tmp_path / "x.png")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    button.save("png")
    qtbot.waitUntil(lambda: bool(said), timeout=WAIT)
    assert said[0].startswith("The picture cannot be painted (")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    button.save("png")
    qtbot.waitUntil(lambda: len(said) == 2, timeout=WAIT)
    assert said[1].startswith(f"{tmp_path / 'x.png'} was not painted (the process that does it ended)")
    assert button.isEnabled()
    assert list(tmp_path.iterdir()) == []


def test_that_a_picture_is_saved_though_its_plot_is_gone_and_runs_nothing_of_the_folder_it_is_asked_in(
    qtbot: QtBot, plot: CurvePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tempfile.py").write_text("raise SystemExit('a file of the folder was run')")
    button = SaveButton(curves_of(plot))
    chosen(monkeypatch, tmp_path / "x.png")
    button.save("png")
    assert painting()
    shiboken6.delete(button)
    qtbot.waitUntil(lambda: not painting(), timeout=WAIT)
    assert QImage(str(tmp_path / "x.png")).width() > 1800


def test_that_a_table_is_saved_as_it_is_shown(
    qtbot: QtBot, themed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = QTableWidget(1, 2)
    qtbot.addWidget(table)
    table.setHorizontalHeaderLabels(["Name", "@n"])
    table.setItem(0, 0, QTableWidgetItem("+49 30"))
    chosen(monkeypatch, tmp_path / "t.csv")
    assert save_table(lambda: table_of(table), "t", table) == f"Saved {tmp_path / 't.csv'}."
    assert (tmp_path / "t.csv").read_text("utf-8-sig") == "Name,'@n\n'+49 30,\n"
