"""What a setting is: its label, help, unit and range, said once for the form, the command line and the TOML."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one setting is shown and what it may be.

    ``low`` and ``high`` are inclusive unless ``above`` (exclusive lower bound) is given. ``choices`` lists the only
    allowed texts; ``step`` allows only ``low``, ``low + step`` and so on. ``log`` asks the form for a
    logarithmic slider. ``advanced`` folds it away in the form. ``folder`` says that a text names a folder. ``between`` stands
    between the items of a list where a form shows it as one text.
    """

    label: str
    help: str
    unit: str = ""
    low: float | None = None
    above: float | None = None
    high: float | None = None
    step: int = 0
    choices: tuple[str, ...] = ()
    log: bool = False
    advanced: bool = False
    folder: bool = False
    between: str = ","


@dataclass(frozen=True, slots=True)
class Option:
    """A setting together with its name, type and default."""

    name: str
    kind: type
    default: Any
    setting: Setting


def setting(default: Any, **about: Any) -> Any:
    """A dataclass field that carries a :class:`Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(**about)})


def options_of(cls: type) -> tuple[Option, ...]:
    """The settings of a config dataclass, in the order they are declared."""
    found = []
    for field in dataclasses.fields(cls):
        about = field.metadata.get("setting")
        if about is not None:
            found.append(Option(field.name, type(field.default), field.default, about))
    return tuple(found)


def checked(option: Option, value: Any, path: str) -> Any:
    """``value`` as the option's type, or :class:`ConfigError` with what would be right."""
    value = _typed(option, value, path)
    about = option.setting
    if about.choices and value not in about.choices:
        near = closest(str(value), about.choices)
        raise ConfigError(path, f"{value!r} is not one of {', '.join(about.choices)}{near}")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not _inside(about, value):
        shown = f"{value:g}" if isinstance(value, float) else _short(value)
        raise ConfigError(path, f"must be {range_words(about)}, not {shown}")
    if about.step and (value - (about.low or 0)) % about.step:
        first = int(about.low or 0)
        raise ConfigError(path, f"must be {first}, {first + about.step}, {first + 2 * about.step} and so on, not {value}")
    return value


def closest(word: str, known: Iterable[str]) -> str:
    """A hint, ``" (did you mean 'units'?)"``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def range_words(about: Setting) -> str:
    """The allowed range in words, as a tooltip and an error say it."""
    low = f"above {about.above:g}" if about.above is not None else f"at least {about.low:g}" if about.low is not None else ""
    high = f"at most {about.high:g}" if about.high is not None else ""
    return " and ".join(part for part in (low, high) if part) or "a finite number"


def _inside(about: Setting, value: float) -> bool:
    return (
        (isinstance(value, int) or math.isfinite(value))
        and (about.low is None or value >= about.low)
        and (about.above is None or value > about.above)
        and (about.high is None or value <= about.high)
    )


def _typed(option: Option, value: Any, path: str) -> Any:
    kind = option.kind
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or not all(_is_class(item) for item in value):
            raise ConfigError(path, f"must be a list of class names or numbers, not {value!r}")
        return tuple(value)
    if kind is bool:
        wanted, fits = "true or false", isinstance(value, bool)
    elif kind is int:
        wanted, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    elif kind is float:
        wanted, fits = "a number", isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        wanted, fits = "a text", isinstance(value, str)
    if not fits:
        raise ConfigError(path, f"must be {wanted}, not {_shown(value)}")
    if kind is float:
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(path, "is too large a number") from None
    return value


def _short(value: int) -> str:
    return str(value) if abs(value) < 10**15 else "so large a number"


def _is_class(item: object) -> bool:
    return isinstance(item, (int, str)) and not isinstance(item, bool)


def _shown(value: object) -> str:
    return "a table" if isinstance(value, Mapping) else repr(value)[:60]
