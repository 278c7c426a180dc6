"""Files that a person asked for, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from workbench.errors import CannotWrite
from workbench.paths import free_space


def write_whole(path: Path, content: bytes) -> None:
    """Write a file through one beside it, so that an error (:class:`CannotWrite`) leaves what was there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CannotWrite(f"{path} cannot be written ({error.strerror}; {free_space(path)}); choose another place") from None
