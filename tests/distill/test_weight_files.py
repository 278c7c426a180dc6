"""Weights from a person's file: what fits is read, all else is refused in a sentence and nothing in it is run."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from workbench.config import ModelConfig
from workbench.distill.models import build
from workbench.distill.weight_files import read_weights
from workbench.errors import CheckpointError

MODEL = build(ModelConfig(model="mlp", options={"layers": 1, "units": 4}), (1, 3, 3), 2)
WANTED = MODEL.state_dict()


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def flipped(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 0xFF]) + content[len(content) // 2 + 1 :]


def saved(value: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **how)
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), file)  # type: ignore[no-untyped-call]
    return file.getvalue()


def sparse_out_of_bounds() -> Any:
    bad = torch.sparse_coo_tensor(torch.tensor([[10_000_000]]), torch.ones(1), (3,), check_invariants=False)
    return WANTED | {"1.weight": bad}


def zipped_pickle(mark: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Runs(mark)))
        archive.writestr("archive/version", "3")
    return file.getvalue()


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80" * 50_000_000)
    return file.getvalue()


MALICIOUS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "reduce payload": (".pt", lambda mark: saved(Runs(mark))),
    "reduce payload among weights": (".pt", lambda mark: saved(WANTED | {"x": Runs(mark)})),
    "reduce payload nested": (".pth", lambda mark: saved({"state_dict": {"a": [Runs(mark)]}})),
    "legacy pickle": (".pt", lambda mark: saved(Runs(mark), _use_new_zipfile_serialization=False)),
    "bare pickle": (".bin", lambda mark: pickle.dumps(Runs(mark))),
    "bare pickle, protocol 0": (".ckpt", lambda mark: pickle.dumps(Runs(mark), protocol=0)),
    "pickle named safetensors": (".safetensors", lambda mark: pickle.dumps(Runs(mark))),
    "pt named safetensors": (".safetensors", lambda mark: saved(Runs(mark))),
    "zip of a pickle": (".pt", zipped_pickle),
    "whole module": (".pt", lambda mark: saved(MODEL)),
    "TorchScript": (".pt", lambda mark: scripted()),
    "sparse out of bounds": (".pt", lambda mark: saved(sparse_out_of_bounds())),
    "truncated": (".pt", lambda mark: saved(WANTED)[:-200]),
    "half a file": (".pt", lambda mark: saved(WANTED)[: len(saved(WANTED)) // 2]),
    "zip bomb": (".pt", lambda mark: bomb()),
    "no table": (".pt", lambda mark: saved(torch.zeros(3))),
    "numbers": (".pt", lambda mark: saved({"a": 3})),
    "an empty table": (".pt", lambda mark: saved({})),
    "safetensors header too long": (".safetensors", lambda mark: (2**62).to_bytes(8, "little") + b"{}"),
    "safetensors cut short": (".safetensors", lambda mark: safetensors.torch.save(dict(WANTED))[:-5]),
    "safetensors with offsets outside": (
        ".safetensors",
        lambda mark: (lambda head: len(head).to_bytes(8, "little") + head)(
            b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36000]}}'
        ),
    ),
    "pt2": (".pt2", lambda mark: saved(WANTED)),
    "no extension": ("", lambda mark: saved(WANTED)),
    "empty": (".pt", lambda mark: b""),
    "nan": (".pt", lambda mark: saved(WANTED | {"1.weight": torch.full_like(WANTED["1.weight"], float("nan"))})),
}


@pytest.mark.parametrize(("suffix", "content"), MALICIOUS.values(), ids=MALICIOUS)
def test_that_a_hostile_file_is_refused_in_a_sentence_and_nothing_in_it_is_run(
    suffix: str, content: Callable[[Path], bytes], tmp_path: Path
) -> None:
    mark, path = tmp_path / "ran", tmp_path / f"weights{suffix}"
    path.write_bytes(content(mark))
    with pytest.raises(CheckpointError) as caught:
        read_weights(path, WANTED)
    assert str(path) in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_that_plain_weights_are_read(suffix: str, wrapped: bool, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": WANTED, "epoch": 3} if wrapped else WANTED, path)
    else:
        safetensors.torch.save_file(dict(WANTED), path)
    found = read_weights(path, WANTED)
    assert found.keys() == WANTED.keys()
    assert all(torch.equal(found[name], WANTED[name]) for name in WANTED)


def test_that_half_precision_is_widened(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({name: tensor.half() for name, tensor in WANTED.items()}, path)
    assert {tensor.dtype for tensor in read_weights(path, WANTED).values()} == {torch.float32}


def test_that_the_first_five_mismatches_are_named_before_anything_is_loaded(tmp_path: Path) -> None:
    other = build(ModelConfig(model="mlp", options={"layers": 3, "units": 5}), (1, 3, 3), 2)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(dict(other.state_dict()), path)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path, WANTED)
    words = str(caught.value)
    assert "5.weight is not known" in words
    assert words.endswith("and 3 more")
    assert words.count(";") == 4


@pytest.mark.parametrize("what", ["absent", "folder"])
def test_that_what_is_no_file_is_a_sentence(what: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    if what == "folder":
        path.mkdir()
    with pytest.raises(CheckpointError, match=r"cannot be read|is a folder"):
        read_weights(path, WANTED)
