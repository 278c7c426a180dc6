"""Filters of the history: free text, or expressions such as ``student.units <= 300 and T >= 8 and tag = "paper"``.

``or``, ``and`` (or nothing) and ``not`` join comparisons (``=  !=  <  <=  >  >=  ~`` contains, ``in (…)``, ``is none``), fields
of the kind yes or no, and words, which any text of a run may contain. A number may end in ``%``, and ``2 <= T <= 8`` is a
range. What a run does not have satisfies no comparison: one that diverged has no loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workbench.errors import WorkbenchError
from workbench.history.fields import Field, Vocabulary
from workbench.settings import closest

OPERATORS = ("<=", ">=", "!=", "<>", "==", "=", "<", ">", "~")
WORDS = ("and", "or", "not", "in", "is")
MOST_TOKENS = 500
"""SQLite takes expressions of a certain depth only."""
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

_TOKEN = re.compile(r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|<>|==|=|<|>|~)"""
                    r"""|(?P<mark>[(),])|(?P<word>[^\s()",'<>=!~]+))""")  # fmt: skip
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?%?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?)?)?")


class FilterError(WorkbenchError):
    """What is wrong in an expression, and at which characters, from ``start`` up to ``end``."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter as SQL over ``r`` and ``e``, with the values of its marks."""

    sql: str = "1"
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        """A quoted text without its quotes."""
        return re.sub(r"\\(.)", r"\1", self.text[1:-1]) if self.kind == "text" else self.text

    def says(self, *words: str) -> bool:
        return self.kind in ("word", "operator", "mark") and self.text.lower() in words


def condition(text: str, known: Vocabulary) -> Condition:
    """The condition that an expression or free text stands for; a :class:`FilterError` where it cannot be understood."""
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text to SQLite
    tokens = list(_tokens(text))
    if not tokens:
        return Condition()
    if len(tokens) > MOST_TOKENS:
        raise FilterError("this filter is too long", tokens[MOST_TOKENS].start, len(text))
    parser = _Parser(tokens, known, len(text))
    found = parser.either()
    if parser.here.kind != "end":
        raise parser.error(f"“{parser.here.text}” is not expected here")
    return found


def unfinished(text: str) -> bool:
    """Whether an expression ends in a word that may yet become a field, such as ``T >= 8 and acc``; free text does not."""
    tokens = list(_tokens(text, strict=False))
    if len(tokens) < 2 or tokens[-1].kind != "word" or tokens[-1].end != len(text):
        return False
    compared = any(token.kind == "operator" for token in tokens)
    return compared and (tokens[-2].says("and", "or", "not", "(") or tokens[-2].kind in ("word", "text"))


def completions(text: str, cursor: int, known: Vocabulary) -> tuple[int, list[str]]:
    """What could stand at the cursor, and where the word begins that it would replace."""
    before = list(_tokens(text[:cursor], strict=False))
    inside = before.pop() if before and before[-1].end == cursor and before[-1].kind in ("word", "text", "open") else None
    start, typed = (inside.start, inside.text) if inside else (cursor, "")
    last = before[-1] if before else None
    if last and last.kind == "operator" and len(before) > 1 and (one := known.get(before[-2].text)):
        offered = [f'"{value}"' for value in known.values.get(one.name, ())]
        return start, [value for value in offered if value.lower().strip('"').startswith(typed.lower().strip("\"'"))]
    if last and known.get(last.text) and last.kind == "word" and not last.says(*WORDS):
        return start, [word for word in (*OPERATORS[:3], "=", "<", ">", "~", "in", "is") if word.startswith(typed)]
    names = [name for name in (*known.fields, "accuracy", "errors") if typed.lower() in name.lower()]
    names.sort(key=lambda name: (not name.lower().startswith(typed.lower()), name.count("."), name.lower()))
    joined = [word for word in ("and", "or", "not") if typed and word.startswith(typed.lower())] if last else []
    return start, joined + names


def _tokens(text: str, *, strict: bool = True) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            if strict:
                what = "this quote has no end" if text[start] in "\"'" else f"“{text[start]}” means nothing here"
                raise FilterError(what, start, len(text) if text[start] in "\"'" else start + 1)
            yield _Token("open", text[start:], start, len(text))
            return
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind), match.end(kind))
        place = match.end()


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]
    known: Vocabulary
    length: int
    place: int = 0
    depth: int = field(default=0)

    @property
    def here(self) -> _Token:
        return self._ahead(0)

    def _ahead(self, by: int) -> _Token:
        place = self.place + by
        return self.tokens[place] if place < len(self.tokens) else _Token("end", "", self.length, self.length)

    def _next(self) -> _Token:
        token = self.here
        self.place += 1
        return token

    def error(self, message: str, token: _Token | None = None) -> FilterError:
        at = token or self.here
        return FilterError(message, at.start, max(at.end, at.start + 1))

    def either(self) -> Condition:
        found = [self._all()]
        while self.here.says("or"):
            self._next()
            found.append(self._all())
        return _joined(found, " OR ")

    def _all(self) -> Condition:
        found = [self._one()]
        while self.here.kind != "end" and not self.here.says("or", ")"):
            if self.here.says("and"):
                self._next()
            found.append(self._one())
        return _joined(found, " AND ")

    def _one(self) -> Condition:
        token = self.here
        if token.says("not"):
            self._next()
            inner = self._one()
            return Condition(f"NOT ({inner.sql})", inner.values)
        if token.says("("):
            return self._bracket(token)
        if token.kind == "end":
            raise self.error("the expression ends too early: a field, a word or a bracket is missing")
        if token.kind in ("operator", "mark") or token.says("and", "or", "in", "is"):
            raise self.error(f"before “{token.text}” a field is missing, such as T or accuracy")
        if self._ahead(1).kind == "operator" or self._ahead(1).says("in", "is"):
            return self._comparison()
        self._next()
        one = self.known.get(token.text) if token.kind == "word" else None
        return Condition(_truth(one)) if one and one.kind == "truth" else _free(token.plain)

    def _bracket(self, token: _Token) -> Condition:
        if self.depth > 50:
            raise self.error("there are more than 50 brackets within each other")
        self._next()
        self.depth += 1
        inner = self.either()
        self.depth -= 1
        if not self.here.says(")"):
            raise self.error("this bracket has no end", token)
        self._next()
        return Condition(f"({inner.sql})", inner.values)

    def _comparison(self) -> Condition:
        left = self._next()
        if _NUMBER.fullmatch(left.text) and left.kind == "word" and self.here.text in TURNED:
            operator = self._next()
            name = self._next()
            one = self._field(name)
            found = [self._compared(one, TURNED[operator.text], left)]
            if self.here.text in TURNED:
                found.append(self._compared(one, self._next().text, self._next()))
            return _joined(found, " AND ")
        one = self._field(left)
        if self.here.says("in"):
            return self._listed(one)
        if self.here.says("is"):
            self._next()
            negated = self.here.says("not") and bool(self._next())
            if not self.here.says("none", "empty"):
                raise self.error("after “is” stands none, or not none")
            self._next()
            return Condition(f"nullif({one.sql}, '') IS {'NOT ' * negated}NULL")
        return self._compared(one, self._next().text, self._next())

    def _listed(self, one: Field) -> Condition:
        self._next()
        if not self.here.says("("):
            raise self.error("after “in” stands a list in brackets, such as (2, 4, 8)")
        opened, found = self._next(), []
        while not self.here.says(")"):
            if self.here.kind == "end":
                raise self.error("this list has no end", opened)
            found.append(self._compared(one, "=", self._next()))
            if self.here.says(","):
                self._next()
        self._next()
        if not found:
            raise self.error("this list is empty", opened)
        return _joined(found, " OR ")

    def _field(self, token: _Token) -> Field:
        one = self.known.get(token.text) if token.kind == "word" else None
        if one is None:
            near = closest(token.text, [*self.known.fields, "accuracy", "errors"])
            raise self.error(f"there is no field “{token.text}”{near}" if token.text else "a field is missing here", token)
        return one

    def _compared(self, one: Field, operator: str, token: _Token) -> Condition:
        operator = {"==": "=", "<>": "!="}.get(operator, operator)
        if token.kind not in ("word", "text"):
            raise self.error(f"after “{operator}” a value is missing", token)
        if one.kind == "tags":
            return self._tagged(operator, token)
        if operator == "~":
            return Condition(f"coalesce({one.sql} LIKE ? ESCAPE '\\', 0)", (_pattern(token.plain),))
        other = self.known.get(token.text) if token.kind == "word" else None
        if other is not None and other.kind == one.kind and not (one.kind == "text" and operator in ("=", "!=")):
            return Condition(f"coalesce({one.sql} {operator} {other.sql}, 0)")
        return self._valued(one, operator, token)

    def _valued(self, one: Field, operator: str, token: _Token) -> Condition:
        if one.kind == "number":
            if not _NUMBER.fullmatch(token.plain):
                raise self.error(f"{one.name} is a number, and “{token.plain}” is none", token)
            share = token.plain.endswith("%")
            number = float(token.plain.rstrip("%")) / (100 if share else 1)
            return Condition(f"coalesce({one.sql} {operator} ?, 0)", (number,))
        if one.kind == "truth":
            said = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}.get(token.plain.lower())
            if said is None or operator not in ("=", "!="):
                raise self.error(f"{one.name} is yes or no: write {one.name}, or {one.name} = no", token)
            return Condition(f"coalesce({one.sql} {operator} {said}, 0)")
        if one.kind == "date":
            return Condition(f"coalesce({_dated(one, operator, token.plain, self, token)}, 0)", ())
        return Condition(f"coalesce({one.sql} {operator} ? COLLATE NOCASE, 0)", (token.plain,))

    def _tagged(self, operator: str, token: _Token) -> Condition:
        if operator not in ("=", "!=", "~"):
            raise self.error("a tag is compared by =, != or ~", token)
        how = "tag LIKE ? ESCAPE '\\'" if operator == "~" else "tag = ? COLLATE NOCASE"
        value = _pattern(token.plain) if operator == "~" else token.plain
        there = f"r.id IN (SELECT run FROM tags WHERE {how})"
        return Condition(f"NOT {there}" if operator == "!=" else there, (value,))


def _dated(one: Field, operator: str, text: str, parser: _Parser, token: _Token) -> str:
    """A comparison with a day, month or year of this machine's time zone; the history keeps UTC."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        first, after = _span(text)
    except (ValueError, OverflowError):
        raise parser.error(f"“{text}” is no date; write a day as 2026-11-26, a month as 2026-11", token) from None
    low, high = (f"julianday('{moment.isoformat()}')" for moment in (first, after))
    day = f"julianday({one.sql})"
    return {
        "=": f"({day} >= {low} AND {day} < {high})", "!=": f"NOT ({day} >= {low} AND {day} < {high})",
        "<": f"{day} < {low}", "<=": f"{day} < {high}", ">": f"{day} >= {high}", ">=": f"{day} >= {low}",
    }[operator]  # fmt: skip


def _span(text: str) -> tuple[datetime, datetime]:
    """Where a year, month, day or minute begins and ends."""
    first = datetime.fromisoformat({4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)).astimezone()
    if len(text) <= 4:
        return first, first.replace(year=first.year + 1)
    if len(text) <= 7:
        return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first, first + (timedelta(days=1) if len(text) <= 10 else timedelta(minutes=1))


def _truth(one: Field) -> str:
    return f"coalesce({one.sql}, 0)"


def _joined(found: list[Condition], word: str) -> Condition:
    if len(found) == 1:
        return found[0]
    return Condition("(" + word.join(one.sql for one in found) + ")", tuple(value for one in found for value in one.values))


def _pattern(text: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", text) + "%"


def _free(word: str) -> Condition:
    """Runs of which any text contains the word."""
    sql = (
        "((r.name || ' ' || r.role || ' ' || r.status || ' ' || r.dataset || ' ' || r.model || ' ' || r.message || ' ' || e.name"
        " || ' #' || e.id) LIKE ? ESCAPE '\\'"
        " OR r.id IN (SELECT run FROM tags WHERE tag LIKE ? ESCAPE '\\')"
        " OR r.id IN (SELECT run FROM run_notes WHERE author = 'person' AND text LIKE ? ESCAPE '\\'))"
    )
    return Condition(sql, (_pattern(word),) * 3)
