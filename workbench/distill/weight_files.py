"""Weights from a person's file, for a model whose tensors are known: safetensors, or a ``.pt`` read in a process of its own.

Nothing is unpickled here. A ``.pt`` is read by torch with ``weights_only=True`` in a child with little memory and time,
which hands the tensors back as safetensors; whatever happens to the child, the file is refused in a sentence.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from workbench.errors import CheckpointError

SECONDS = 120
LARGEST = 8 * 1024**3
"""Bytes of a file beyond which it is refused unread."""
PICKLES = (".pt", ".pth", ".bin", ".ckpt")
TAKEN = {
    ".zip": "is an archive: unpack it and name the model.safetensors in it with the model's settings, or take the run as ONNX",
    ".pt2": "is a torch.export program, which is not run here: take or export the network as ONNX",
}
"""Files that `workbench take` writes, and why they do not come back."""
SHOWN = 5


def read_weights(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a weight file, :func:`fitting` a model's ``state_dict()``."""
    return fitting(path, read_tensors(path), wanted)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file; a :class:`CheckpointError` of one sentence where it is none or holds more than tensors."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if not path.is_file() or not 0 < size <= LARGEST:
        raise CheckpointError(f"{path} is no weight file: it is {'a folder' if path.is_dir() else 'empty or too large'}")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in PICKLES:
        return _in_a_child(path)
    if path.suffix in TAKEN:
        raise CheckpointError(f"{path} {TAKEN[path.suffix]}")
    raise CheckpointError(f"{path} is no weight file: its name must end in .safetensors, {', '.join(PICKLES)}")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a sound safetensors file: {_first_line(error)}") from None


def _in_a_child(path: Path) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "weights.safetensors"
        command = [sys.executable, "-I", "-c", _CHILD, str(path.absolute()), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, cwd=folder, text=True)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read in a process of its own: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise CheckpointError(f"{path} was not read within {SECONDS} s and is refused") from None
        if done.returncode or not out.is_file():
            said = (done.stderr.strip().splitlines() or [f"the reader ended with status {done.returncode}"])[-1]
            raise CheckpointError(f"{path} is not a file of plain weights and is refused: {said[:200]}")
        return _safetensors(out)


_CHILD = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (32 * 1024**3,) * 2)
    resource.setrlimit(resource.RLIMIT_NPROC, (resource.getrlimit(resource.RLIMIT_NPROC)[0],) * 2)
except (ImportError, ValueError, OSError):
    pass
import torch
import safetensors.torch
try:
    found = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
except Exception as error:
    words = (str(error).strip().splitlines() or [""])[0][:200]
    sys.exit(words if " " in words else "torch cannot read it")
for key in ("state_dict", "model_state_dict", "model"):
    if isinstance(found, dict) and isinstance(found.get(key), dict):
        found = found[key]
if not isinstance(found, dict) or not found:
    sys.exit("it holds no table of tensors")
kept = {}
for name, tensor in found.items():
    if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
        sys.exit(f"{name!r} is not a tensor")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        sys.exit(f"{name!r} is not a plain tensor")
    kept[name] = tensor.detach().contiguous().clone()
safetensors.torch.save_file(kept, sys.argv[2])
"""


def fitting(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors in the names, shapes and types of ``wanted``; a :class:`CheckpointError` names the first five mismatches.

    Batch norm's count of batches, which old files lack and nothing here depends on, is then 0.
    """
    counts = [name for name in wanted if name.endswith("num_batches_tracked") and name not in found]
    found = {**found, **{name: torch.zeros((), dtype=torch.int64) for name in counts}}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is not known" for name in found if name not in wanted]
    for name in wanted:
        if name in found and found[name].shape != wanted[name].shape:
            theirs, ours = ("×".join(map(str, one.shape)) or "one number" for one in (found[name], wanted[name]))
            wrong.append(f"{name} is {theirs} and not {ours}")
        elif name in found and not bool(torch.isfinite(found[name].float()).all()):
            wrong.append(f"{name} has values that are no finite numbers")
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise CheckpointError(f"{path} does not fit the model: {'; '.join(wrong[:SHOWN])}{more}")
    return {name: found[name].to(wanted[name].dtype) for name in wanted}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
