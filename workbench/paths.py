"""Where things are: the resources, the log."""

from __future__ import annotations

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
