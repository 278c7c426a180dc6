"""Which outputs of a teacher from elsewhere stand for which class of the data, by their names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from workbench.errors import ConfigError

BETWEEN = ";"
"""Between the outputs that stand for one class together."""
SHOWN = 8


class _Plainly(dict[int, int | None]):
    """What becomes of each letter in a plain name, by code point: spaces and punctuation between words go."""

    def __missing__(self, code: int) -> int | None:
        letter = chr(code)
        left_out = unicodedata.category(letter)[0] in "CPZ" and letter not in "#%&*@"
        return self.setdefault(code, None if left_out else code)


_PLAINLY = _Plainly()


def plain(name: str) -> str:
    """A name without case, spaces and such punctuation as between words; C, C# and C++ are told apart."""
    return name.casefold().translate(_PLAINLY)


def some(names: Sequence[str]) -> str:
    """The first of some names, for a sentence."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names of outputs, with their numbers where several are called the same (ImageNet has two cranes)."""
    names = [name.strip() for name in names]
    count = Counter(names)
    return tuple(name if count[name] == 1 and name else f"{name} #{at}".strip() for at, name in enumerate(names))


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a teacher, each of a name of its own."""

    names: tuple[str, ...]

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.names)}

    @cached_property
    def _near(self) -> dict[str, int]:
        """By plain names that one output alone has."""
        found = [plain(name) for name in self.names]
        count = Counter(found)
        return {name: at for at, name in enumerate(found) if name and count[name] == 1}

    def matched(self, classes: Sequence[str]) -> tuple[str, ...]:
        """For each class the output that is called like it, or nothing where none is.

        One whose name is only nearly the same must be the only such one, for the only such class, and be no other's.
        """
        every, count = set(classes), Counter(map(plain, classes))

        def like(one: str) -> str:
            if one in self._exact:
                return one
            at = self._near.get(plain(one), -1)
            return self.names[at] if at >= 0 and count[plain(one)] == 1 and self.names[at] not in every else ""

        return tuple(map(like, classes))

    def numbers(self, one: str, chosen: str) -> tuple[int, ...]:
        """The numbers of the outputs that are to stand for class ``one``: a name, or names and numbers with semicolons between.

        A :class:`ConfigError` names what is no output.
        """
        parts = [chosen.strip()] if chosen.strip() in self._exact else [part.strip() for part in chosen.split(BETWEEN)]
        found = [self._number(one, part) for part in parts if part]
        return tuple(dict.fromkeys(found))

    def _number(self, one: str, part: str) -> int:
        if part in self._exact:
            return self._exact[part]
        number = self._near.get(plain(part), int(part) if part.isdecimal() and len(part) < 8 else -1)
        if not 0 <= number < len(self.names):
            raise ConfigError(
                "classes", f"the teacher has no output {part!r} to stand for {one}; its {len(self.names)} are {some(self.names)}"
            )
        return number

    def words(self, numbers: Sequence[int]) -> str:
        """What :meth:`numbers` reads back."""
        if len(numbers) == 1:
            return self.names[numbers[0]]
        return f"{BETWEEN} ".join(str(at) if BETWEEN in self.names[at] else self.names[at] for at in numbers)

    def shared(self, classes: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
        """The outputs that stand for more than one class, each with these."""
        stands: dict[int, list[str]] = {}
        for one, text in zip(classes, chosen, strict=True):
            for number in self.numbers(one, text):
                stands.setdefault(number, []).append(one)
        return tuple(f"{self.names[at]} ({some(several)})" for at, several in stands.items() if len(several) > 1)
