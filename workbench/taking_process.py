"""Takes a run away in a process of its own, so that neither a training nor a window waits for it.

It is given its wishes as JSON, and prints a line of JSON for each step and one at the end: ``taken``, ``otherwise`` (the file
answers otherwise than the run) or ``error``. It gives up, and leaves nothing behind, when its standard input is closed.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.takeaway import AnswersOtherwise


def main() -> None:
    """The wishes are the one argument."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    threading.Thread(target=_give_up_with_whoever_asked, daemon=True).start()
    try:
        from workbench.history.database import SqliteError, open_for_reading
        from workbench.taking import Wanted, cpu_engine, take_away

        history = Path(given["history"])
        wanted = Wanted(**given["wanted"] | {"target": Path(given["wanted"]["target"])})
        folders = tuple(map(Path, given["folders"]))
        try:
            with contextlib.closing(open_for_reading(history)) as database:
                engine = cpu_engine(folders, given["threads"])
                taken = take_away(engine, database, history, wanted, lambda text, *_: _say("step", text))
            _say("taken", json.loads(taken.to_json()))
        except AnswersOtherwise as error:
            _say("otherwise", str(error))
        except WorkbenchError as error:
            _say("error", str(error))
        except SqliteError as error:
            _say("error", f"the history cannot be read ({error})")
    except KeyboardInterrupt:
        sys.exit(130)


def _say(kind: str, what: Any) -> None:
    print(json.dumps({kind: what}), flush=True)


def _give_up_with_whoever_asked() -> None:
    sys.stdin.read()
    _thread.interrupt_main()


if __name__ == "__main__":
    main()
