"""Which part may import what: the core runs without Qt, the window without torch."""

from __future__ import annotations

import ast
import functools
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "workbench"
TORCH = {"torch", "torchvision", "safetensors"}
QT = {"PySide6", "shiboken6", "pyqtgraph", "superqt"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PURE = [
    name
    for name in MODULES
    if name.removeprefix("workbench.").split(".")[0]
    in {
        "config",
        "plan",
        "events",
        "settings",
        "zoo",
        "errors",
        "paths",
        "progress",
        "cli",
        "history",
        "analysis",
        "sweep",
        "recipes",
        "files",
        "words",
    }
]
GUI = [name for name in MODULES if name.startswith("workbench.gui")]
CORE = [name for name in MODULES if name not in GUI]


def imports(name: str, *, nested: bool) -> set[str]:
    """The modules that a module imports when it runs: on its own level, or inside functions too."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return {found for node in statements(tree, nested) for found in imported(node, name)}


def statements(node: ast.AST, nested: bool) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from statements(other, nested)
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not nested:
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements(child, nested)


def imported(node: ast.stmt, name: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)


@functools.cache
def loaded(name: str) -> frozenset[str]:
    """Everything that importing a module of the package imports, directly or not."""
    found: set[str] = set()
    todo = [name]
    while todo:
        for other in imports(todo.pop(), nested=False):
            parts = other.split(".")
            parents = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            todo += [one for one in parents - found if one in MODULES]
            found |= parents
    return frozenset(found)


def roots(names: set[str] | frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def reached(name: str) -> set[str]:
    """The roots of what a module imports on any level, with what those imports import in turn."""
    direct = imports(name, nested=True)
    return roots(direct) | {root for other in direct if other in MODULES for root in roots(loaded(other))}


def test_that_the_scan_finds_what_is_imported_on_each_level() -> None:
    assert "torch" in roots(imports("workbench.zoo", nested=True))
    assert "torch" not in roots(imports("workbench.zoo", nested=False))
    assert "torch" in roots(loaded("workbench.distill.training"))
    assert "torch" in roots(loaded("workbench.running.driver"))
    assert "workbench.running.engine" not in imports("workbench.running.runner", nested=False)
    assert "workbench.running.engine" in imports("workbench.running.runner", nested=True)


@pytest.mark.parametrize("name", PURE)
def test_that_configs_plans_events_and_history_load_neither_torch_nor_qt(name: str) -> None:
    assert not roots(loaded(name)) & (TORCH | QT)


@pytest.mark.parametrize("name", [name for name in PURE if name not in ("workbench.zoo", "workbench.cli")])
def test_that_they_do_not_import_them_in_functions_either(name: str) -> None:
    assert not roots(imports(name, nested=True)) & (TORCH | QT)


@pytest.mark.parametrize("name", CORE)
def test_that_nothing_but_the_window_imports_qt(name: str) -> None:
    direct = imports(name, nested=True)
    assert not roots(direct) & QT
    if name not in ("workbench.cli", "workbench.__main__"):
        assert not any(other.startswith("workbench.gui") for other in direct)


@pytest.mark.parametrize("name", CORE)
def test_that_the_core_loads_no_part_of_the_window(name: str) -> None:
    assert not any(other.startswith("workbench.gui") for other in loaded(name))


@pytest.mark.parametrize("name", GUI)
def test_that_the_window_imports_no_torch_on_any_level_nor_what_loads_it(name: str) -> None:
    assert not reached(name) & TORCH


LOADS = """
import sys, importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_that_importing_them_loads_neither_torch_nor_qt() -> None:
    names = [name for name in PURE if not name.endswith("__main__")] + ["workbench.running.runner", "workbench.questions.plans"]
    process = subprocess.run(
        [sys.executable, "-c", LOADS, *names], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=100, check=False
    )
    assert process.returncode == 0, process.stderr
    there = set(process.stdout.split())
    assert "sqlite_utils" in there
    assert not there & (TORCH | QT | {"sklearn"})


def test_that_the_engine_loads_without_qt() -> None:
    names = [name for name in CORE if not name.endswith("__main__")]
    process = subprocess.run(
        [sys.executable, "-c", LOADS, *names], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=100, check=False
    )
    assert process.returncode == 0, process.stderr
    there = set(process.stdout.split())
    assert "torch" in there
    assert not there & QT
