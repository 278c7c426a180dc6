"""Takes a run away in a process of its own, so that neither a training nor a window waits for it.

Its news are a ``step`` each and one at the end: ``taken``, ``otherwise`` (the file answers otherwise than the run) or ``error``.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from workbench.exchange.child_process import say, serve
from workbench.exchange.takeaway import AnswersOtherwise


def take(given: dict[str, Any]) -> None:
    """As the window's dialog wishes."""
    from workbench.exchange.taking import Wanted, cpu_engine, take_away
    from workbench.history.database import open_for_reading

    history = Path(given["history"])
    wanted = Wanted(**given["wanted"] | {"target": Path(given["wanted"]["target"])})
    try:
        with contextlib.closing(open_for_reading(history)) as database:
            engine = cpu_engine(tuple(map(Path, given["folders"])), given["threads"])
            taken = take_away(engine, database, history, wanted, lambda text, *_: say("step", text))
        say("taken", json.loads(taken.to_json()))
    except AnswersOtherwise as error:
        say("otherwise", str(error))


if __name__ == "__main__":
    serve(take)
