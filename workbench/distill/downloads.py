"""Downloads of the built-in data sets and of weights, from where torchvision says and checked against its hashes."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from workbench.distill.builtin import BUILT_IN
from workbench.distill.raw_data import Tell, stop_if
from workbench.errors import DataError

CHUNK = 64 * 1024
TIMEOUT = 20
"""Seconds without an answer after which a server counts as silent."""
ABANDONED_SECONDS = 3600
"""A download in whose folder nothing has changed for so long was killed."""


def download(name: str, into: Path, tell: Tell, cancelled: Callable[[], bool]) -> Path:
    """Fetch a built-in data set into a folder under ``into`` and return that folder.

    Files appear there only when all of them have arrived and have torchvision's MD5. After a failure (:class:`DataError`
    with the reason) and after a cancel (:class:`Cancelled`) nothing is left.
    """
    from torchvision import datasets

    about = BUILT_IN[name]
    source = getattr(datasets, about.torchvision)
    place = into / (name if about.is_idx else about.layout)
    try:
        with _room(into, name) as temporary:
            parts = temporary / "parts"
            parts.mkdir()
            if name == "emnist-balanced":
                archive = temporary / "archive"
                _fetch([source.url], archive, "EMNIST", source.md5, tell, cancelled)
                _unzip(archive, parts, cancelled)
            elif about.is_idx:
                for file, md5 in source.resources:
                    _fetch([f"{mirror}{file}" for mirror in source.mirrors], parts / file, file, md5, tell, cancelled)
            else:
                archive = temporary / source.filename
                _fetch([source.url], archive, source.filename, source.tgz_md5, tell, cancelled)
                _untar(archive, parts, about.files, cancelled)
            place.mkdir(exist_ok=True)
            for path in parts.iterdir():
                os.replace(path, place / path.name)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError(_reason(error)) from None
    return place


def fetch_file(url: str, path: Path, sha256: str, tell: Tell, cancelled: Callable[[], bool]) -> None:
    """Fetch one file, whose SHA-256 (hex) begins with ``sha256``, to where none is yet, whole or not at all.

    A :class:`DataError` has the reason where it fails, :class:`Cancelled` is a person's.
    """
    try:
        with _room(path.parent, path.name) as temporary:
            part = temporary / path.name
            _fetch([url], part, path.name, sha256, tell, cancelled, "sha256")
            os.replace(part, path)
    except OSError as error:
        raise DataError(_reason(error)) from None


def sha256_of(path: Path) -> str:
    """The SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _room(into: Path, name: str) -> Iterator[Path]:
    """A folder in ``into`` for a download, which goes with it; so do those of downloads that were killed."""
    into.mkdir(parents=True, exist_ok=True)
    for left in into.glob(f".{glob.escape(name)}-*"):
        with contextlib.suppress(FileNotFoundError):  # of one that ends just now
            newest = max(one.stat().st_mtime for one in (left, *left.rglob("*")))
            if time.time() - newest > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=into) as temporary:
        yield Path(temporary)


def _fetch(
    urls: Sequence[str],
    target: Path,
    text: str,
    digest: str,
    tell: Tell,
    cancelled: Callable[[], bool],
    kind: str = "md5",
) -> None:
    """The file from the first of ``urls`` that gives it with this hash of a kind, or one that begins so."""
    reasons = []
    for url in urls:
        counting = hashlib.new(kind, usedforsecurity=False)
        try:
            _fetch_one(url, target, f"Downloading {text}", tell, cancelled, counting)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {_reason(error)}")
            continue
        if counting.hexdigest().startswith(digest):
            return
        reasons.append(f"{url}: what arrived is damaged or another file, by its {kind.upper()}")
    raise DataError("; ".join(reasons))


def _fetch_one(url: str, target: Path, text: str, tell: Tell, cancelled: Callable[[], bool], counting: hashlib._Hash) -> None:
    """Write what ``url`` gives to ``target``, and hash it."""
    stop_if(cancelled, text)
    tell(text, 0, 0, "bytes")
    request = urllib.request.Request(url, headers={"User-Agent": "distillation-workbench"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, open(target, "wb") as file:
        length = answer.headers.get("Content-Length", "")
        total, done = int(length) if length.isdecimal() else 0, 0
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            counting.update(chunk)
            done += len(chunk)
            tell(text, done, total, "bytes")
            stop_if(cancelled, text)
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")


def _unzip(archive: Path, into: Path, cancelled: Callable[[], bool]) -> None:
    """The four files of EMNIST's balanced split out of the archive of all splits."""
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            stop_if(cancelled, "Unpacking EMNIST")
            file = Path(member.filename).name
            if file.startswith("emnist-balanced-") and file.endswith("-ubyte.gz"):
                with zipped.open(member) as packed, open(into / file, "wb") as unpacked:
                    while chunk := packed.read(1 << 20):
                        unpacked.write(chunk)


def _untar(archive: Path, into: Path, files: Sequence[str], cancelled: Callable[[], bool]) -> None:
    """The batches out of CIFAR's archive, laid flat into ``into``."""
    with tarfile.open(archive) as tar:
        for member in tar:
            stop_if(cancelled, f"Unpacking {archive.name}")
            if member.isfile() and Path(member.name).name in files:
                member.name = Path(member.name).name
                tar.extract(member, into, filter="data")


def _reason(error: Exception) -> str:
    """What went wrong, in the system's few words."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return (getattr(inner, "strerror", None) or str(inner) or type(inner).__name__).rstrip(".")
