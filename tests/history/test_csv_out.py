"""Tables that a spreadsheet opens, and of which it runs nothing."""

from __future__ import annotations

import csv
import io
import math
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments import add_run, tiny
from workbench.errors import CannotWrite, HistoryError
from workbench.events import Metrics
from workbench.history.csv_out import CURVE_COLUMNS, FORMULA, RUN_COLUMNS, curve_rows, run_rows, safe, write_csv, write_rows
from workbench.history.database import open_for_reading
from workbench.history.writing import History


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_that_a_formula_is_text(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, -1.5, 0, 1e-9, math.inf, "plain", "1=1", "–", "'quoted"])
def test_that_numbers_and_other_text_stay(value: object) -> None:
    assert safe(value) == value


def test_that_nothing_is_an_empty_cell_and_a_truth_is_text() -> None:
    assert (safe(None), safe(True)) == ("", "True")


CELLS = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.none())


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_that_any_table_reads_back_and_no_cell_begins_as_a_formula(table: list[list[object]]) -> None:
    file = io.StringIO(newline="")
    write_rows(file, ["a", "=b"], table)
    read = list(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert read[0] == ["a", "'=b"]
    assert read[1:] == [[str(safe(value)) for value in row] for row in table]
    for row, back in zip(table, read[1:], strict=True):
        for value, cell in zip(row, back, strict=True):
            assert isinstance(value, (int, float)) or not cell.startswith(FORMULA)


def test_that_a_file_is_utf_8_with_a_mark_and_lines_end_as_the_rfc_has_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", ["name", "n"], [('2×30, "a"\nb', 1)])
    assert (tmp_path / "x.csv").read_bytes() == '\ufeffname,n\r\n"2×30, ""a""\nb",1\r\n'.encode()


def test_that_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_csv(tmp_path / "none" / "x.csv", ["a"], [])


def test_that_every_point_comes_out_those_that_were_not_finite_too(history: History) -> None:
    run = add_run(history, history.enqueue(tiny()), "teacher")
    history.write_metrics(
        [
            Metrics(run, step, step / 10, step / 5, (("loss", math.nan if step == 2 else 1 / step), ("a", 0.5)))
            for step in (1, 2, 3)
        ]
    )
    with closing(open_for_reading(history.path)) as database:
        rows = list(curve_rows(database, [run], ["loss"]))
        assert [row[5:] for row in rows[::2]] == [(1, 0.1, 0.2, 1.0), (3, 0.3, 0.6, 1 / 3)]
        assert rows[1][5:8] == (2, 0.2, 0.4)
        assert math.isnan(rows[1][8])
        assert rows[0][:5] == (1, 1, "teacher", "teacher 1", "loss")
        assert len(list(curve_rows(database, [run]))) == 6
        assert len(rows[0]) == len(CURVE_COLUMNS)
        with pytest.raises(HistoryError, match="there is no run 9"):
            list(curve_rows(database, [9]))
        with pytest.raises(HistoryError, match="none of these runs has a metric 'los'; they have a, loss"):
            list(curve_rows(database, [run], ["los"]))


def test_that_the_columns_of_runs_are_those_of_the_documented_view(history: History) -> None:
    add_run(history, history.enqueue(tiny(name="=evil()")), "teacher")
    with closing(open_for_reading(history.path)) as database:
        cursor = database.execute("SELECT * FROM run_overview")
        assert [column[0] for column in cursor.description] == RUN_COLUMNS
        (row,) = run_rows(database)
    assert row[:4] == (1, "=evil()", 1, "teacher")
