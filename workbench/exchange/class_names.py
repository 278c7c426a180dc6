"""Which outputs of a teacher from elsewhere stand for which class of the data, by their names."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from workbench.errors import ConfigError

BETWEEN = ";"
"""Between the outputs that stand for one class together."""
SHOWN = 8


def plain(name: str) -> str:
    """A name without case and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def some(names: Sequence[str]) -> str:
    """The first of some names, for a sentence."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names of outputs, with their numbers where several are called the same (ImageNet has two cranes)."""
    count = Counter(names)
    return tuple(name if count[name] == 1 and name else f"{name} #{at}".strip() for at, name in enumerate(names))


def matched(classes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """For each class the output that is called like it, or nothing where none is, or several are."""
    exact, near = _places(tuple(names))
    return tuple(one if one in exact else names[near[plain(one)]] if plain(one) in near else "" for one in classes)


@functools.lru_cache(maxsize=4)
def _places(names: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """The numbers of outputs by their names, and by their plain ones where these are told apart."""
    count = Counter(map(plain, names))
    near = {plain(name): at for at, name in enumerate(names) if count[plain(name)] == 1 and plain(name)}
    return {name: at for at, name in enumerate(names)}, near


def numbers_of(one: str, chosen: str, names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the outputs that are to stand for class ``one``: names, else numbers, with semicolons between.

    A :class:`ConfigError` names what is no output.
    """
    exact, near = _places(tuple(names))
    found: list[int] = []
    for part in filter(None, (part.strip() for part in chosen.split(BETWEEN))):
        number = exact.get(part, near.get(plain(part), int(part) if part.isdecimal() else -1))
        if not 0 <= number < len(names):
            raise ConfigError(
                "classes", f"the teacher has no output {part!r} to stand for {one}; its {len(names)} are {some(names)}"
            )
        if number not in found:
            found.append(number)
    return tuple(found)


def words_of(numbers: Sequence[int], names: Sequence[str]) -> str:
    """What :func:`numbers_of` reads back."""
    return f"{BETWEEN} ".join(names[number] for number in numbers)
