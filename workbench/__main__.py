"""``python -m workbench``: the window, or the command line when given a subcommand."""

from workbench.cli import main

if __name__ == "__main__":
    main()
