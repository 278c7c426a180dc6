"""Checkpoints are written whole, and verified before they are loaded."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from workbench.distill import checkpoints
from workbench.errors import CannotWrite, CheckpointError

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "scalar": torch.tensor(5),
    "bytes": torch.arange(4, dtype=torch.uint8),
    "not.a.number": torch.tensor([float("nan"), float("inf")]),
}


def test_that_tensors_and_what_is_about_them_come_back(tmp_path: Path) -> None:
    about = {"step": 3, "best": [0, -1.0, float("inf")], "name": "é", "shape": [1, 8, 8]}
    size, sha256 = checkpoints.write(tmp_path / "deep" / "x.safetensors", TENSORS, about)
    content = (tmp_path / "deep" / "x.safetensors").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256)
    tensors, told = checkpoints.read(tmp_path / "deep" / "x.safetensors", sha256)
    assert told == about
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, TENSORS[name].contiguous(), rtol=0, atol=0, equal_nan=True)
        assert tensor.dtype == TENSORS[name].dtype


def test_that_the_same_content_gives_the_same_hash(tmp_path: Path) -> None:
    first = checkpoints.write(tmp_path / "a.safetensors", TENSORS, {"x": 1})
    assert checkpoints.write(tmp_path / "b.safetensors", TENSORS, {"x": 1}) == first


def test_that_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    _, sha256 = checkpoints.write(tmp_path / "x.safetensors", {"a": shared, "b": shared[:2]}, {})
    tensors, _ = checkpoints.read(tmp_path / "x.safetensors", sha256)
    assert torch.equal(tensors["b"], shared[:2])


@pytest.mark.parametrize("place", [0, 9, 200, -1])
def test_that_one_flipped_bit_anywhere_is_found(tmp_path: Path, place: int) -> None:
    path = tmp_path / "x.safetensors"
    _, sha256 = checkpoints.write(path, TENSORS, {})
    assert checkpoints.verifies(path, sha256)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert not checkpoints.verifies(path, sha256)
    with pytest.raises(CheckpointError, match=r"x\.safetensors is damaged"):
        checkpoints.read(path, sha256)


def test_that_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    assert not checkpoints.verifies(tmp_path / "x.safetensors", "0")
    with pytest.raises(CheckpointError, match=r"x\.safetensors cannot be read: No such file"):
        checkpoints.read(tmp_path / "x.safetensors", "0")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", safetensors.torch.save({"a": torch.zeros(2)})])
def test_that_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not one of this workbench"):
        checkpoints.read(path, hashlib.sha256(content).hexdigest())


def test_that_a_new_checkpoint_takes_the_place_of_the_old_one_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoints.write(path, TENSORS, {"step": 1})
    _, sha256 = checkpoints.write(path, TENSORS, {"step": 2})
    assert checkpoints.read(path, sha256)[1] == {"step": 2}
    assert os.listdir(tmp_path) == ["x.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_that_a_full_disk_is_a_sentence_and_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    _, sha256 = checkpoints.write(path, TENSORS, {"step": 1})
    (tmp_path / f".x.safetensors.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match=r"cannot be written \(No space left on device; [0-9,]+ MB free\)"):
        checkpoints.write(path, TENSORS, {"step": 2})
    assert checkpoints.verifies(path, sha256)
    assert os.listdir(tmp_path) == ["x.safetensors"]
