"""Files that a person asked for, written whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import CannotWrite
from workbench.paths import free_space

_calls = itertools.count()


@contextmanager
def whole_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path beside ``target`` whose file takes its place once the block has ended well; else nothing is left of it.

    Where there is a file already and ``overwrite`` is not said, it stays as it is: :class:`CannotWrite`, as for a full disk.
    """
    taken = CannotWrite(f"{target} is there already; remove it or name another file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{next(_calls)}.part")
    try:
        if not overwrite and target.exists():
            raise taken
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if not overwrite and target.exists():
            raise taken
        os.replace(temporary, target)
    except OSError as error:
        raise CannotWrite(f"{target} cannot be written ({error.strerror}; {free_space(target)}); choose another place") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, in the place of one that is there; an error (:class:`CannotWrite`) leaves what was there before."""
    with whole_file(path, overwrite=True) as temporary:
        temporary.write_bytes(content)
