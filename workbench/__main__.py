"""The window; the command line when given a subcommand."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``workbench``."""
    if any(argument in COMMANDS for argument in sys.argv[1:]) or {"--help", "--version"} & set(sys.argv[1:]):
        from workbench.cli import main as command_line

        command_line()
        return
    try:
        import PySide6  # noqa: F401
    except ImportError:
        sys.stderr.write("workbench: the window needs PySide6 (pip install pyside6); `workbench run RECIPE` works without it\n")
        sys.exit(2)
    from workbench.gui.app import main as window

    window()


COMMANDS = {"run", "recipes", "datasets", "runs", "show", "compare"}

if __name__ == "__main__":
    main()
