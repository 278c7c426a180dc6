"""A person's ONNX file as a teacher: checked, made one piece, and run by ONNX Runtime."""

from __future__ import annotations

import ast
import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.distill.onnx_files import LARGEST, needing_onnx, session
from workbench.errors import CheckpointError, WorkbenchError
from workbench.exchange.takeaway import OUTPUTS

if TYPE_CHECKING:
    import onnx
    import onnxruntime

KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}
"""The kinds of numbers that images may come in."""
SHOWN = 5


class OnnxNet(nn.Module):
    """The ``output`` of an ONNX file for images (N, C, H, W), as float32 on their device; opened when first asked, with as many
    threads as torch has then. Errors are :class:`CheckpointError`, in which the file is called ``source``."""

    def __init__(self, content: bytes, output: str, source: str) -> None:
        super().__init__()
        self.content, self.output, self.source = content, output, source
        self._opened: onnxruntime.InferenceSession | None = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_opened": None}  # type: ignore[no-untyped-call, no-any-return]

    def check(self) -> None:
        """See that it can be opened, without keeping it open, and that its weights are in it: beside it anything may lie."""
        self._open(1)
        with needing_onnx():
            import onnx
            from google.protobuf.message import DecodeError
        try:
            parts = list(_parts(onnx.load_model_from_string(self.content)))
        except DecodeError:
            raise CheckpointError(f"{self.source} is not a sound ONNX file") from None
        if any(isinstance(one, onnx.TensorProto) and one.data_location == onnx.TensorProto.EXTERNAL for one in parts):
            raise CheckpointError(f"{self.source} keeps weights in another file than the history's, and is refused")

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, outputs); a file that takes a fixed number of images is asked for so many at a time."""
        if self._opened is None:
            self._opened = self._open(torch.get_num_threads())
        (given,) = self._opened.get_inputs()
        pixels = images.detach().cpu().numpy().astype(KINDS[given.type])
        each = given.shape[0] if isinstance(given.shape[0], int) and given.shape[0] > 0 else len(pixels)
        parts = []
        try:
            for start in range(0, len(pixels), each):
                part = pixels[start : start + each]
                full = np.concatenate([part, np.zeros((each - len(part), *part.shape[1:]), part.dtype)])
                parts.append(self._opened.run([self.output], {given.name: full})[0][: len(part)])
            said = np.concatenate(parts).astype(np.float32)
        except Exception as error:  # ONNX Runtime's own, which have no common kind but this
            shown = "×".join(map(str, images.shape[1:]))
            raise CheckpointError(
                f"ONNX Runtime cannot run {self.source} on images of {shown} ({_first_line(error)}); say which it takes "
                "(elsewhere.size, elsewhere.channels)"
            ) from None
        if said.ndim > 2 and np.prod(said.shape[2:]) == 1:  # as networks give it that end in a pooling
            said = said.reshape(said.shape[:2])
        return torch.from_numpy(said).to(images.device)

    def _open(self, threads: int) -> onnxruntime.InferenceSession:
        try:
            opened = session(self.content, threads)
        except WorkbenchError:
            raise
        except Exception as error:  # as above
            raise CheckpointError(f"ONNX Runtime cannot open {self.source}: {_first_line(error)}") from None
        takes = [(one.type in KINDS, len(one.shape)) for one in opened.get_inputs()]
        if takes != [(True, 4)] or self.output not in [one.name for one in opened.get_outputs()]:
            raise CheckpointError(f"{self.source} takes no images, or has no output {self.output!r}")
        return opened


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnnxFile:
    """A file that can teach: its bytes in one piece, the output that is meant, how many weights it has, the names of its
    outputs where it tells them, and what it says or shows of the images it takes, as settings of ``ElsewhereConfig``."""

    content: bytes
    output: str
    weights: int
    names: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_onnx(path: Path, output: str, shape: tuple[int, int, int]) -> OnnxFile:
    """Open an ONNX file for images of a ``shape`` and look for the ``output`` called so, or its only one, or its ``logits``.

    Raises :class:`CheckpointError` of one sentence where the file is none, keeps weights outside its folder, has operators
    that ONNX Runtime does not know, or takes or gives something else than a teacher does.
    """
    model = _in_one_piece(path)
    content = model.SerializeToString()
    opened = _opened(path, model, content)
    (height, width), settings = _taken(path, opened, shape)
    about = _told(opened)
    prepared = about.get("preprocessing")
    if isinstance(prepared, dict):
        settings |= {key: bool(prepared.get(key, False)) for key in ("transpose", "invert")}
    across, down = (shape[2], shape[1]) if settings.get("transpose") else (shape[1], shape[2])
    if (height or across, width or down) != (across, down):
        if height != width:
            raise CheckpointError(f"{path} takes images of {height}×{width}; a teacher takes square ones, or such as the data's")
        settings["size"] = height
    return OnnxFile(
        content=content,
        output=_output(path, opened, output),
        weights=sum(int(np.prod(one.dims)) for one in model.graph.initializer),
        names=_names(about),
        settings=settings,
    )


def _in_one_piece(path: Path) -> onnx.ModelProto:
    """The model with the weights that it keeps in files of its own folder."""
    with needing_onnx():
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.external_data_helper import load_external_data_for_tensor
    try:
        if path.stat().st_size > LARGEST:
            raise CheckpointError(f"{path} is too large: ONNX files hold less than 2.1 GB")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node or not all(map(_is_text, _parts(model))):
        raise CheckpointError(f"{path} is not a sound ONNX file; export it anew")
    folder, held = path.parent.resolve(), 0
    for tensor in [one for one in _parts(model) if isinstance(one, onnx.TensorProto)]:
        if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        try:
            file = (folder / where).resolve()
            if not file.is_relative_to(folder):
                raise CheckpointError(
                    f"{path} keeps weights outside its folder ({_first_words(where)}) and is refused; save it as one file, "
                    "with onnx.save(model, file, save_as_external_data=False)"
                )
            if not file.is_file():
                raise CheckpointError(
                    f"{path} keeps weights in {_first_words(where)}, which is not there; put it beside the ONNX file"
                )
            if file.stat().st_size > LARGEST or held > LARGEST:
                raise CheckpointError(f"{path} with its weights is too large: ONNX files hold less than 2.1 GB")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of entries that nobody knows
                load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise CheckpointError(f"the weights of {path} in another file cannot be read: {_first_line(error)}") from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
        held += len(tensor.raw_data)
    if model.ByteSize() > LARGEST:
        raise CheckpointError(f"{path} with its weights is too large: ONNX files hold less than 2.1 GB")
    return model


def _parts(message: Any) -> Iterator[Any]:
    """A message with all that are in it, however deep."""
    yield message
    for about, value in message.ListFields():
        if about.type == about.TYPE_MESSAGE:
            for one in value if hasattr(value, "__len__") else (value,):
                yield from _parts(one)


def _is_text(message: Any) -> bool:
    """Whether its names are text: Protocol Buffers give bytes where they are not, which ONNX Runtime stumbles over."""
    texts = [value for about, value in message.ListFields() if about.type == about.TYPE_STRING]
    return not any(isinstance(one, bytes) for text in texts for one in ([text] if isinstance(text, (str, bytes)) else text))


def _opened(path: Path, model: onnx.ModelProto, content: bytes) -> onnxruntime.InferenceSession:
    try:
        return session(content, 1)
    except Exception as error:  # ONNX Runtime's own, which have no common kind but this
        unknown = _unknown(model)
        if unknown:
            more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            named = f"has operators that it does not know: {', '.join(unknown[:SHOWN])}{more}; export it with standard ones"
            raise CheckpointError(f"{path} cannot be run by ONNX Runtime: it {named}") from None
        raise CheckpointError(f"{path} cannot be run by ONNX Runtime: {_first_line(error)}") from None


def _unknown(model: onnx.ModelProto) -> list[str]:
    """The operators that no standard has, nor ONNX Runtime's makers, nor the model itself."""
    import onnx

    own = {(one.domain, one.name) for one in model.functions}
    used = {(node.domain, node.op_type) for node in model.graph.node if not node.domain.startswith("com.microsoft")} - own
    return sorted(f"{domain}::{kind}" if domain else kind for domain, kind in used if not onnx.defs.has(kind, domain))


def _taken(
    path: Path, opened: onnxruntime.InferenceSession, shape: tuple[int, int, int]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Height and width of the images it takes, 0 where it takes any, and the settings that follow from its input."""
    inputs = opened.get_inputs()
    if len(inputs) != 1:
        raise CheckpointError(f"{path} takes {len(inputs)} inputs; a teacher takes one, the images")
    (given,) = inputs
    sizes = [size if isinstance(size, int) and size > 0 else 0 for size in given.shape]
    shown = "×".join(str(size or "any") for size in sizes) or "one number"
    if given.type not in KINDS or len(sizes) != 4 or sizes[1] not in (0, 1, 3):
        raise CheckpointError(
            f"{path} takes {given.type} of {shown}; a teacher takes images as number × channels (1 or 3) × height × width"
        )
    settings: dict[str, Any] = {"pixels": "0..255"} if given.type == "tensor(uint8)" else {}
    if sizes[1] not in (0, shape[0]):
        settings["channels"] = sizes[1]
    return (sizes[2], sizes[3]), settings


def _output(path: Path, opened: onnxruntime.InferenceSession, wanted: str) -> str:
    kinds = {one.name: one.type for one in opened.get_outputs()}
    names = list(kinds)
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    if wanted and wanted not in kinds:
        raise CheckpointError(f"{path} has no output {wanted!r}; it has {listed}")
    chosen = wanted or (names[0] if len(names) == 1 else OUTPUTS[0])
    if chosen not in kinds:
        raise CheckpointError(
            f"{path} has {len(names)} outputs ({listed}); say which of them gives the classes (elsewhere.output)"
        )
    if kinds[chosen] not in KINDS:
        raise CheckpointError(f"{path} gives {kinds[chosen]} as {chosen}; a teacher gives a tensor of numbers")
    return chosen


def _told(opened: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What the file says about itself that can be read."""
    found = {}
    for key, text in opened.get_modelmeta().custom_metadata_map.items():
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):  # then it is no such table
            found[key] = json.loads(text) if key != "names" else ast.literal_eval(text)
    return found


def _names(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs' names as `workbench take` and Ultralytics write them: a list, or a table by their numbers."""
    found = about.get("classes", about.get("names"))
    if isinstance(found, dict):
        by_number = {str(key): name for key, name in found.items()}
        numbers = list(map(str, range(len(found))))
        found = [by_number[number] for number in numbers] if set(by_number) == set(numbers) else None
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text.rpartition(" : ")[2][:200] if text.startswith("[ONNXRuntimeError]") else text[:200]


def _first_words(text: str) -> str:
    return " ".join(text.split())[:100]
