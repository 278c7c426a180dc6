"""Where things are: built-in recipes and other resources, the log."""

from __future__ import annotations

from pathlib import Path

import platformdirs

APP = "distillation-workbench"


def resources_folder() -> Path:
    """The resources: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "resources"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "resources"


def recipe_paths() -> dict[str, Path]:
    """The built-in recipes by name."""
    return {path.stem: path for path in sorted((resources_folder() / "recipes").glob("*.toml"))}


def log_path() -> Path:
    """The rotating log file."""
    return platformdirs.user_log_path(APP) / "workbench.log"
