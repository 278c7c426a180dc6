"""What expressions find, what they say where they are wrong, and what is offered while one is typed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from tests.history import lists
from workbench.history.database import open_for_reading
from workbench.history.fields import Vocabulary, vocabulary
from workbench.history.filters import FilterError, completions, condition, unfinished
from workbench.history.listing import values


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    path = tmp_path_factory.mktemp("filters") / "experiments.db"
    return path, lists.make(path)


@pytest.fixture(scope="module")
def database(made: tuple[Path, dict[str, int]]) -> Iterator[Database]:
    with closing(open_for_reading(made[0])) as found:
        yield found


@pytest.fixture(scope="module")
def known(database: Database) -> Vocabulary:
    return vocabulary(database)


STUDENTS = {"T2 s0", "T2 s1", "T8 s0", "T8 s1"}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('student.units <= 300 and T >= 8 and accuracy > 0.97 and tag = "paper"', {"T8 s1"}),
        ("T >= 8", {"T8 s0", "T8 s1"}),
        ("temperature = 8 seed = 1", {"T8 s1"}),
        ("accuracy >= 96% and role != teacher", {"T8 s0", "T8 s1"}),
        ("0.9 < test_accuracy <= .96", {"T2 s1", "T8 s0"}),
        ("8 = T", None),
        ("T in (2, 4) or role = Teacher", {"T2 s0", "T2 s1", "teacher"}),
        ("not (T = 2)", {"teacher", "T8 s0", "T8 s1", "diverged"}),
        ("T is none", {"teacher", "diverged"}),
        ("note is not none", {"T2 s1"}),
        ("loss < 0.1", {"teacher", "T2 s1", "T8 s0", "T8 s1"}),
        ("loss.lowest < 0.05", {"teacher", "T8 s0", "T8 s1"}),
        ("tag = PAPER", {"T8 s0", "T8 s1"}),
        ("tag = paper and tag = good", {"T8 s0"}),
        ("tag != paper and T > 0", {"T2 s0", "T2 s1"}),
        ("tag ~ goo", {"T8 s0"}),
        ("starred", {"T2 s0"}),
        ("not starred and T = 2", {"T2 s1"}),
        ("starred = yes or colour = green", {"T2 s0"}),
        ("model.units = 64", {"teacher"}),
        ("student.units = 8", STUDENTS),
        ("teacher.units > 0", {"teacher"}),
        ("transfer.labelled = yes and role = baseline", {"diverged"}),
        ("minimum", {"T2 s1"}),
        ("at 8,", None),
        ("baseline", {"diverged"}),
        ("50%", {"diverged"}),
        ("of_it", {"diverged"}),
        ("oXit", set()),
        ("experiment ~ 'at 2'", {"T2 s0", "T2 s1"}),
        ("message ~ DIVERGED", {"diverged"}),
        ("accuracy = test_accuracy", {*STUDENTS, "teacher"}),
        ("((((T=2))))", {"T2 s0", "T2 s1"}),
        ("", {*STUDENTS, "teacher", "diverged"}),
    ],
)
def test_that_an_expression_finds(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary, expression: str, found: set[str] | None
) -> None:
    if found is None:
        with pytest.raises(FilterError):
            condition(expression, known)
        return
    names = {run: name for name, run in made[1].items()}
    assert {names[run] for run in values(database, known, [], filter=expression).runs} == found


@pytest.mark.parametrize(
    ("text", "open_ended"),
    [("T >= 8 and acc", True), ("T >= 8 acc", True), ("T >= 8 and (acc", True), ("T >= 8 and acc ", False), ("T >= 8", False),
     ("T >= 8 and acc = 1", False), ("mnist stu", False), ("stu", False), ("", False), ("role in (stu", False)],
)  # fmt: skip
def test_that_a_word_at_the_end_of_an_expression_may_become_a_field(text: str, open_ended: bool) -> None:
    assert unfinished(text) is open_ended


def test_that_the_readmes_filters_can_be_understood(database: Database, known: Vocabulary) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = text.split("## A history to live in")[1].split("```")[1]
    expressions = [line.split("   #")[0].strip() for line in block.splitlines() if line.strip()]
    assert len(expressions) == 4
    for expression in expressions:
        values(database, known, [], filter=expression)


def test_that_a_month_is_that_of_this_machine_and_not_of_greenwich(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for zone, month in (("UTC", "2026-01"), ("Europe/Berlin", "2026-02")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert values(database, known, [], filter=f"date = {month}").runs == (made[1]["teacher"],)
        assert made[1]["teacher"] in values(database, known, [], filter=f"2026 <= date and date <= {month}").runs
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("expression", "message", "marked"),
    [
        ("acuracy > 0.9", "there is no field “acuracy” (did you mean 'accuracy'?)", "acuracy"),
        ("T >= warm", "T is a number, and “warm” is none", "warm"),
        ("T >=", "after “>=” a value is missing", ""),
        ("T > 2 and", "the expression ends too early", ""),
        ("and T > 2", "before “and” a field is missing", "and"),
        ("(T > 2", "this bracket has no end", "("),
        ("T > 2)", "“)” is not expected here", ")"),
        ("tag = 'paper", "this quote has no end", "'paper"),
        ("tag > paper", "a tag is compared by =, != or ~", "paper"),
        ("T in 2", "after “in” stands a list", "2"),
        ("T in (2", "this list has no end", "("),
        ("T in ()", "this list is empty", "("),
        ("T is 2", "after “is” stands none", "2"),
        ("starred = blue", "starred is yes or no", "blue"),
        ("date > soon", "“soon” is no date", "soon"),
        ("date > 2026-13", "“2026-13” is no date", "2026-13"),
        ("date < 9999", "“9999” is no date", "9999"),
        ("date > 9999-12-31", "“9999-12-31” is no date", "9999-12-31"),
        ("not " * 400 + "starred " * 101, "this filter is too long", "starred "),
        ("T ! 2", "“!” means nothing here", "!"),
        ("(" * 60 + "T=2" + ")" * 60, "more than 50 brackets", "("),
    ],
)
def test_that_an_error_says_what_and_where(known: Vocabulary, expression: str, message: str, marked: str) -> None:
    with pytest.raises(FilterError) as raised:
        condition(expression, known)
    assert message in str(raised.value)
    assert expression[raised.value.start : raised.value.end] == marked


PIECES = """T tag accuracy date note starred ( ) <= = ~ in is not none and or 2 8% , ' "x" wörd \x00 % 2026-02-30 ;-- T.x 0x"""


@given(st.lists(st.sampled_from(PIECES.split()), max_size=9).map(" ".join) | st.text(max_size=30))
def test_that_any_text_is_a_filter_or_an_error_with_a_place(database: Database, known: Vocabulary, text: str) -> None:
    wrong = None
    try:
        condition(text, known)
    except FilterError as error:
        wrong = error
    if wrong is None:
        values(database, known, [], filter=text)
    else:
        assert 0 <= wrong.start < wrong.end <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "first", "among"),
    [
        ("acc", "accuracy", {"accuracy", "test_accuracy"}),
        ("T >= 2 and stu", "student.layers", {"student.units"}),
        ("T ", "<=", {"=", "in", "is"}),
        ("role = ", '"teacher"', {'"student"', '"baseline"'}),
        ("role = stu", '"student"', {'"student"'}),
        ('tag = "pa', '"paper"', {'"paper"'}),
    ],
)
def test_that_what_may_follow_is_offered(known: Vocabulary, text: str, first: str, among: set[str]) -> None:
    start, offered = completions(text, len(text), known)
    assert first in offered[: len(offered) if text.startswith("role = ") else 12]
    assert among <= set(offered)
    condition(text[:start] + (offered[0] + (" 2" if text.endswith("T ") else "")), known) if "=" in text[:-1] else None
