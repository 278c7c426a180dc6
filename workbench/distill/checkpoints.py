"""Checkpoints: safetensors, written whole or not at all, and verified before they are loaded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from workbench.errors import CannotWrite, CheckpointError
from workbench.paths import free_space


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> tuple[int, str]:
    """Write tensors and what is ``about`` them; (bytes, SHA-256) once the file is on the disk.

    A temporary file beside is synced and takes the place of the old one, which an error (:class:`CannotWrite`) leaves as
    it was.
    """
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = safetensors.torch.save(contiguous, {"workbench": json.dumps(about)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CannotWrite(f"the checkpoint {path} cannot be written ({error.strerror}; {free_space(path)})") from None
    _sync_folder(path.parent)
    return len(content), hashlib.sha256(content).hexdigest()


def read(path: Path, sha256: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and what is about them; a :class:`CheckpointError` where the file is absent or not the one recorded."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointError(f"the checkpoint {path} is damaged: its SHA-256 is not the one recorded in the history")
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return safetensors.torch.load(content), json.loads(header["__metadata__"]["workbench"])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {path} is not one of this workbench: {error}") from None


def verifies(path: Path, sha256: str) -> bool:
    """Whether the file is there and is the one recorded."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def has_size(path: Path, size: int) -> bool:
    """Whether the file is there and is as long as the one recorded: a quick look, no proof."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
