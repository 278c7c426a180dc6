"""Recipes: experiments written as TOML, built in or a person's own, and single settings changed by dotted path."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.paths import resources_folder
from workbench.settings import closest


def recipe_paths() -> dict[str, Path]:
    """The built-in recipes by name."""
    return {path.stem: path for path in sorted((resources_folder() / "recipes").glob("*.toml"))}


def experiment_of(recipe: str, changes: Sequence[str] = ()) -> ExperimentConfig:
    """The experiment of a recipe by name or file, with ``KEY=VALUE`` changes; :class:`ConfigError` where something is wrong.

    Of a recipe with a ``[sweep]`` it is the experiment beside that table, see :mod:`workbench.sweep`.
    """
    tables = recipe_tables(recipe, changes)
    with naming(recipe, changes):
        return ExperimentConfig.from_dict({key: value for key, value in tables.items() if key != "sweep"})


def recipe_tables(recipe: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The tables of a recipe by name or file, unchecked, with ``KEY=VALUE`` changes; its ``[sweep]`` among them."""
    known = recipe_paths()
    path = known.get(recipe, Path(recipe))
    if not path.is_file():
        if recipe.endswith(".toml") or "/" in recipe:
            raise ConfigError("", f"there is no recipe file {recipe}")
        raise ConfigError(
            "", f"there is no recipe {recipe!r}; built in are {', '.join(known)}{closest(recipe, known)}, or name a TOML file"
        )
    tables = {"name": path.stem} | load_recipe(path)
    with naming(recipe, changes):
        return with_values(tables, key_values(changes))


@contextmanager
def naming(recipe: str, changes: Sequence[str]) -> Iterator[None]:
    """Puts the file's name before an error that can only be the file's."""
    try:
        yield
    except ConfigError as error:
        if changes or recipe in recipe_paths():
            raise
        raise ConfigError("", f"{recipe}: {error}") from None


def key_values(changes: Sequence[str]) -> list[tuple[str, Any]]:
    """``KEY=VALUE`` texts of the command line as pairs, the values read as TOML where they are that."""
    return [_change(text) for text in changes]


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError("", f"--set {text!r} is not KEY=VALUE, such as distillation.temperature=4")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except ValueError:
        return key.strip(), value.strip()


def load_recipe(path: Path) -> dict[str, Any]:
    """The tables of a recipe file; a :class:`ConfigError` names the file and the line of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ConfigError("", f"{path} is not a recipe: a recipe is a UTF-8 text in TOML") from None
    except ValueError as error:  # a syntax error, or a number of more digits than Python reads
        raise ConfigError("", f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError("", f"{path} cannot be read: {error.strerror}") from None


def with_values(tables: Mapping[str, Any], changes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """``tables`` with each dotted path set; a new ``model`` drops the options of the old one."""
    result = copy.deepcopy(dict(tables))
    for path, value in changes:
        _set(result, path, value)
    return result


def _set(tables: dict[str, Any], path: str, value: Any) -> None:
    if path.startswith("sweep.") and path.count(".") > 1:
        tables.setdefault("sweep", {})[path.removeprefix("sweep.")] = value  # its keys are dotted paths themselves
        return
    *parents, last = path.split(".")
    if not all((*parents, last)):
        raise ConfigError(path, "is not a dotted path such as distillation.temperature")
    here: Any = tables
    for depth, part in enumerate(parents):
        so_far = ".".join(parents[: depth + 1])
        if isinstance(here, list):
            here = _item(here, part, so_far)
        elif isinstance(here, dict):
            here = here.setdefault(part, [] if part == "teachers" else {})
        if not isinstance(here, (dict, list)):
            raise ConfigError(path, f"{so_far} is a single value and has no parts")
    if isinstance(here, list):
        raise ConfigError(path, "name a setting of the item too, such as teachers.0.count")
    if last == "model" and here.get("model", "mlp") != value:
        own = {"count", "run"} if parents[:1] == ["teachers"] else set()
        for key in [key for key in here if key not in own]:
            del here[key]
    here[last] = value


def _item(items: list[Any], part: str, path: str) -> Any:
    if not part.isdecimal() or int(part) > len(items):
        many = f"there are {len(items)} of them" if len(items) != 1 else "there is one of them"
        raise ConfigError(path, f"{many}, numbered from 0")
    if int(part) == len(items):
        items.append({})
    return items[int(part)]
