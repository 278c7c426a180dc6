"""ONNX files of a :class:`Deployed` network: written, made smaller, run and timed in ONNX Runtime."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from workbench.distill.ensembles import combined_logits
from workbench.distill.timing import times
from workbench.errors import WorkbenchError
from workbench.exchange.takeaway import INPUT, OPSET, OUTPUTS

if TYPE_CHECKING:
    import onnx
    import onnxruntime

LARGEST = 2**31 - 2**20
"""Bytes that a file of one piece may have: Protocol Buffers hold less than 2 GiB."""
VIEWS = 16
WITHOUT_ONNX = "ONNX files need onnx, onnxscript and onnxruntime: pip install onnx onnxscript onnxruntime"


class AsOne(nn.Module):
    """Several networks that see the same images, as one that gives the logits and probabilities of their mean (section 1)."""

    def __init__(self, prepared: nn.Module, members: Sequence[nn.Module], mean: str) -> None:
        super().__init__()
        self.prepared, self.members, self.mean = prepared, nn.ModuleList(members), mean

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, C, H, W) to (N, classes) each."""
        view = self.prepared(images)
        logits = combined_logits(torch.stack([member(view) for member in self.members]), self.mean)
        return logits, logits.softmax(dim=1)


def exported_program(net: nn.Module, shape: tuple[int, int, int]) -> torch.export.ExportedProgram:
    """The network, for any number of uint8 images of that shape, as a torch.export program."""
    example = torch.zeros((2, *shape), dtype=torch.uint8)
    try:
        with torch.no_grad():
            program = torch.export.export(net.eval(), (example,), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}})
    except (RuntimeError, ValueError, TypeError) as error:
        raise WorkbenchError(f"torch cannot trace this network ({_first_line(error)}); take it away as safetensors") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where the source stands on this machine is nobody's business
    return program


def onnx_model(program: torch.export.ExportedProgram, about: Mapping[str, str]) -> onnx.ModelProto:
    """The program as an ONNX model, with what is ``about`` it as its metadata."""
    held = sum(tensor.nbytes for tensor in program.state_dict.values())
    if held > LARGEST:
        raise WorkbenchError(
            f"weights of {held / 1e9:.1f} GB do not fit into an ONNX file, which holds less than 2.1 GB; choose another form"
        )
    with needing_onnx(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own libraries, which a person can do nothing about
        import onnx

        try:
            made = torch.onnx.export(
                program,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: "batch"},),
            )
        except RuntimeError as error:
            raise WorkbenchError(f"ONNX has no words for this network ({_first_line(error)}); choose another form") from error
        assert made is not None
        model = made.model_proto
        for node in model.graph.node:
            del node.metadata_props[:]  # how the exporter came to it: as large as a small student
        onnx.helper.set_model_props(model, {key: value.encode("utf-8", "replace").decode() for key, value in about.items()})
        onnx.checker.check_model(model)
    return model


def small_model(model: onnx.ModelProto) -> bytes:
    """The same with its layers' weights in 8 bits (dynamic quantisation), as the bytes of a file."""
    with needing_onnx():
        from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet_logging():
        path = Path(folder) / "small.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QUInt8)
        return path.read_bytes()


def session(content: bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """An ONNX file in ONNX Runtime on the CPU, by default on all of its cores."""
    with needing_onnx():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised as well
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def answers(opened: onnxruntime.InferenceSession) -> Callable[[np.ndarray], np.ndarray]:
    """Images to logits (N, classes)."""

    def answer(images: np.ndarray) -> np.ndarray:
        logits: np.ndarray = opened.run([OUTPUTS[0]], {INPUT: images})[0]
        return logits

    return answer


def latencies(models: Sequence[bytes], images: np.ndarray, batch: int, threads: int, seconds: float) -> np.ndarray:
    """Milliseconds that each model takes for ``batch`` images, one model after the other, (goes, models)."""
    places = np.arange(VIEWS * batch) % len(images)
    views = [np.ascontiguousarray(images[places[at * batch : (at + 1) * batch]]) for at in range(VIEWS)]
    return times([answers(session(model, threads)) for model in models], views, seconds)


@contextlib.contextmanager
def needing_onnx() -> Iterator[None]:
    """Where ONNX's libraries are not installed: a sentence that says which."""
    try:
        yield
    except ImportError as error:
        raise WorkbenchError(f"{WITHOUT_ONNX} ({error})") from None


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """Without what ONNX Runtime advises about models that are to be quantised, on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
