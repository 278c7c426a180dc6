"""Where things are: the resources, the log."""

from __future__ import annotations

import shutil
from pathlib import Path

import platformdirs

APP = "distillation-workbench"


def resources_folder() -> Path:
    """The resources: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "resources"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "resources"


def log_path() -> Path:
    """The rotating log file."""
    return platformdirs.user_log_path(APP) / "workbench.log"


def free_space(path: Path) -> str:
    """How much room the disk of ``path`` has, in words for an error about it."""
    folder = next((place for place in (path, *path.absolute().parents) if place.is_dir()), Path.cwd())
    free = shutil.disk_usage(folder).free
    return f"{free:,} bytes free" if free < 1_000_000 else f"{free / 1e6:,.0f} MB free"
