"""What the processes have in common that do the long work of the window's dialogs, beside a training and not in its way.

Such a process reads its wishes as a line of JSON, and prints a line of JSON for each piece of news, among them ``error``. It
gives up, and leaves nothing behind, when its standard input is closed.
"""

from __future__ import annotations

import _thread
import json
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from workbench.errors import WorkbenchError


def serve(work: Callable[[dict[str, Any]], None]) -> None:
    """Do the work that is wished for; what can go wrong for a person is said as an ``error``."""
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_give_up_with_whoever_asked, daemon=True).start()
    try:
        from workbench.history.database import SqliteError

        try:
            work(given)
        except WorkbenchError as error:
            say("error", str(error))
        except SqliteError as error:
            say("error", f"the history cannot be read ({error})")
    except KeyboardInterrupt:
        sys.exit(130)


def say(kind: str, what: Any) -> None:
    """Tell whoever asked."""
    print(json.dumps({kind: what}), flush=True)


def _give_up_with_whoever_asked() -> None:
    sys.stdin.read()
    if hasattr(signal, "pthread_kill"):  # which also wakes one that waits for a server
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
