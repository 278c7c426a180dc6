"""The bars of what everybody says of an image."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QGraphicsRectItem, QGraphicsSimpleTextItem
from pytestqt.qtbot import QtBot

from workbench.analysis.looking import Party
from workbench.gui import theme
from workbench.gui.look.opinions import GAP, LIKELIEST, Opinions

PARTIES = tuple(Party(key=f"{number}", name=f"teacher {number}", about=f"run {number}") for number in range(3))


@pytest.fixture
def opinions(qtbot: QtBot) -> Opinions:
    made = Opinions()
    qtbot.addWidget(made)
    made.resize(800, 600)
    made.show()
    return made


def said(classes: int, likeliest: int = 0) -> np.ndarray:
    logits = np.linspace(1.0, 0.0, classes)[None].repeat(len(PARTIES), axis=0)
    logits[:, likeliest] += 3
    shares: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares


def texts(opinions: Opinions) -> list[str]:
    return [item.text() for item in opinions.items() if isinstance(item, QGraphicsSimpleTextItem)]


def bars(opinions: Opinions) -> list[QGraphicsRectItem]:
    return [item for item in opinions.items() if isinstance(item, QGraphicsRectItem)]


def test_that_the_likeliest_class_has_the_longest_bar_and_all_are_longer_by_logarithms(opinions: Opinions) -> None:
    opinions.begin(PARTIES, tuple("0123456789"))
    opinions.show_opinions(said(10, likeliest=7), None)
    lengths = sorted(bar.rect().width() for bar in bars(opinions))
    assert len(lengths) == 30
    assert lengths[-4] * 5 < lengths[-3] == lengths[-1]
    opinions.set_logarithmic(True)
    assert all(now > before for now, before in zip(sorted(bar.rect().width() for bar in bars(opinions)), lengths, strict=True))


def test_that_of_many_classes_the_likeliest_stand_there_and_the_right_one(opinions: Opinions) -> None:
    names = tuple(f"class {number}" for number in range(47))
    opinions.begin(PARTIES, names)
    opinions.show_opinions(said(47, likeliest=20), 40)
    assert len(bars(opinions)) == len(PARTIES) * (LIKELIEST + 1)
    assert texts(opinions).count("✓ class 40") == texts(opinions).count("class 20") == len(PARTIES)
    opinions.show_opinions(said(47, likeliest=30), 30)
    assert "class 20" not in texts(opinions)
    assert texts(opinions).count("teacher 1: class 30 ✓") == 1


def test_that_panels_stand_below_each_other_where_there_is_no_room_beside(opinions: Opinions) -> None:
    opinions.begin(PARTIES, tuple("0123456789"))
    opinions.show_opinions(said(10), None)
    high = opinions.sceneRect().height()
    opinions.resize(220, 600)
    assert opinions.sceneRect().height() == 3 * high
    opinions.clear()
    assert opinions.sceneRect().height() == 0


def test_that_the_right_class_has_the_colour_of_the_theme(opinions: Opinions) -> None:
    opinions.begin(PARTIES, tuple("0123456789"))
    opinions.show_opinions(said(10), 4)
    before = theme.current().name
    try:
        for look in ("dark", "light"):
            theme.apply(look)
            opinions.dress()
            colours = {bar.brush().color().name() for bar in bars(opinions)}
            assert colours == {theme.current().good.lower(), theme.current().curves[0].lower()}
    finally:
        theme.apply(before)


def test_that_a_long_name_ends_where_the_next_panel_begins(opinions: Opinions) -> None:
    opinions.begin(PARTIES, tuple(f"a class with a name that is far longer than a panel {number}" for number in range(10)))
    opinions.show_opinions(said(10, likeliest=3), 3)
    heads = [item for item in opinions.items() if isinstance(item, QGraphicsSimpleTextItem) and item.text().startswith("teacher")]
    assert len(heads) == len(PARTIES)
    assert len({item.pos().x() for item in heads}) > 1
    columns = sorted({item.pos().x() for item in heads})
    assert max(item.boundingRect().width() for item in heads) <= columns[1] - columns[0] - GAP
    assert all(item.text().endswith("…") for item in heads)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("logarithmic", [True, False])
def test_that_who_says_no_numbers_has_the_shortest_bars(opinions: Opinions, logarithmic: bool) -> None:
    shares = said(10)
    shares[1] = np.nan
    opinions.begin(PARTIES, tuple("0123456789"))
    opinions.set_logarithmic(logarithmic)
    opinions.show_opinions(shares, None)
    assert [bar.rect().width() for bar in bars(opinions)].count(1) >= 10
    assert all(1 <= bar.rect().width() <= 800 for bar in bars(opinions))
