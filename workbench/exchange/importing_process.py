"""Looks at a teacher from elsewhere, or brings it in, in a process of its own, so that neither a training nor a window waits.

Its news are a ``step`` each, with how much of how many of what is done, and one at the end: ``found``, ``brought`` or ``error``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from workbench.exchange.bringing import Wanted
from workbench.exchange.child_process import say, serve

EVERY = 0.1
"""Seconds between two pieces of news about the same step."""


def look_or_bring(given: dict[str, Any]) -> None:
    """As the window's dialog wishes; with ``enter`` the teacher becomes a run."""
    from workbench.exchange.importing import enter, look, measured
    from workbench.exchange.taking import cpu_engine
    from workbench.history.writing import History

    wanted = Wanted.from_json(json.dumps(given["wanted"]))
    engine = cpu_engine(tuple(map(Path, given["folders"])), given["threads"])
    if given["enter"]:
        ready = measured(engine, wanted, _Teller())
        with History(Path(given["history"])) as history:
            say("brought", enter(history, ready))
    else:
        say("found", json.loads(look(engine, wanted, _Teller()).to_json()))


class _Teller:
    """Tells of each step, and of where it is not too often."""

    def __init__(self) -> None:
        self._text, self._told = "", 0.0

    def __call__(self, text: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if text != self._text or now - self._told >= EVERY or done == total:
            self._text, self._told = text, now
            say("step", [text, done, total, unit])


if __name__ == "__main__":
    serve(look_or_bring)
