"""A report as HTML: one page with its table and pictures."""

from __future__ import annotations

import html
from collections.abc import Callable

from PySide6.QtGui import QImage

from workbench.analysis.report import Latencies, Report
from workbench.analysis.report_words import COLUMNS, chance, latency_notes, lines, notes, summed_up

SHARPNESS = 2
"""Pixels of a picture for one of the page."""
NEW_PAGE = ' style="page-break-before: always"'
"""Where a page of paper begins, a row of pictures is not torn apart."""
STYLE = (
    "body { font-family: sans-serif; color: #1b1e24; background: #ffffff; } h1 { font-size: 15pt; } h2 { font-size: 12pt; }"
    " td, th { padding: 3px 9px; text-align: right; } .name { text-align: left; } .faint { color: #6a7180; }"
    " th { border-bottom: 1px solid #c9ced8; }"
)


def page(report: Report, latencies: Latencies | None, pictures: dict[str, QImage], source: Callable[[str], str]) -> str:
    """The report as HTML; ``source`` is where a picture is, by its name."""

    def said(text: str, kind: str = "") -> str:
        return f"<p{kind and f' class={kind}'}>{html.escape(text)}</p>" if text else ""

    def picture(name: str) -> str:
        image = pictures[name]
        return f'<p><img src="{source(name)}" width="{image.width() // SHARPNESS}" alt="{html.escape(name)}"></p>'

    about = f"{report.name} #{report.experiment}" + (f", on {report.dataset}" if report.dataset else "")
    parts = [
        '<!doctype html><html><head><meta charset="utf-8">',
        f"<title>{html.escape(about)}</title><style>{STYLE}</style></head><body>",
        said(about, "faint"),
        f"<h1>{html.escape(summed_up(report))}</h1>",
        said(chance(report), "faint"),
        *(said(note) for note in notes(report)),
        _table(report, latencies),
        *(said(words, "faint") for words in latency_notes(report, latencies)),
    ]
    for title, kind, across in (("Calibration", "reliability ", 3), ("Confusions", "confusion ", 2)):
        names = [name for name in pictures if name.startswith(kind)]
        for at in range(0, len(names), across):
            new_page = NEW_PAGE if kind == "confusion " else ""
            parts.append(f"<h2{new_page}>{title}</h2>" if not at else f"<p{new_page}></p>")
            cells = (f"<td>{_caption(name)}{picture(name)}</td>" for name in names[at : at + across])
            parts.append(f"<table><tr>{''.join(cells)}</tr></table>")
    if "classes" in pictures:
        parts.append(f"<h2{NEW_PAGE}>Accuracy by class</h2>{picture('classes')}")
    return "\n".join(filter(None, [*parts, "</body></html>"]))


def _caption(name: str) -> str:
    """What a picture is of, where that does not stand in it."""
    return f"<p class=name>{html.escape(name.removeprefix('confusion '))}</p>" if name.startswith("confusion ") else ""


def _table(report: Report, latencies: Latencies | None) -> str:
    def row(cells: tuple[str, ...], kind: str, indent: str = "") -> str:
        shown = (
            f"<{kind}{' class=name' * (not at)}>{indent * (not at)}{html.escape(cell)}</{kind}>" for at, cell in enumerate(cells)
        )
        return f"<tr>{''.join(shown)}</tr>"

    heads = tuple(name + (" (ms)" if "image" in name else "") for name in COLUMNS)
    rows = [row(line.cells, "td", "&nbsp;&nbsp;&nbsp;" if line.party.inside else "") for line in lines(report, latencies)]
    return f"<table cellspacing=0>{row(heads, 'th')}{''.join(rows)}</table>"
