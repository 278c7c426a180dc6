"""Teachers from elsewhere, for tests: networks of digits as ONNX files, sound and otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workbench.config import DataConfig
from workbench.distill.sources import load

CLASSES = 10


def centroids() -> tuple[np.ndarray, np.ndarray]:
    """A linear classifier of digits, (64, 10) weights and (10,) biases for pixels from 0 to 1: the nearest class mean."""
    train = load(DataConfig(), (), download=False).train
    pixels = train.images.reshape(len(train.images), -1) / 255
    means = np.stack([pixels[train.labels == number].mean(axis=0) for number in range(CLASSES)])
    return (20 * means.T).astype(np.float32), (-10 * (means**2).sum(axis=1)).astype(np.float32)


def linear(
    *,
    shape: Sequence[int | str] = ("n", 1, 8, 8),
    order: Sequence[int] = range(CLASSES),
    softmax: bool = False,
    outputs: Sequence[str] = ("scores",),
    operator: tuple[str, str] = ("", "Gemm"),
    kind: int = TensorProto.FLOAT,
    metadata: dict[str, str] | None = None,
) -> onnx.ModelProto:
    """That classifier, its outputs in an ``order`` of the classes, as a test wants it; further ``outputs`` are copies."""
    weights, biases = centroids()
    last = "logits_" if softmax else outputs[0]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
        helper.make_node(operator[1], ["flat", "w", "b"], [last], domain=operator[0]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", [last], [outputs[0]], axis=1))
    nodes += [helper.make_node("Identity", [outputs[0]], [other]) for other in outputs[1:]]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", kind, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], len(order)]) for name in outputs],
        [
            numpy_helper.from_array(np.ascontiguousarray(weights[:, list(order)]), "w"),
            numpy_helper.from_array(np.ascontiguousarray(biases[list(order)]), "b"),
        ],
    )
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(operator[0], 1)] if operator[0] else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    helper.set_model_props(model, metadata or {})
    return model


def endless() -> onnx.ModelProto:
    """A network that never answers."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_"]), helper.make_node("Identity", ["x"], ["x_"])],
        "body",
        [
            helper.make_tensor_value_info("at", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on_", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_", TensorProto.FLOAT, None),
        ],
    )
    model = linear()
    graph = model.graph
    graph.node.append(helper.make_node("Loop", ["count", "yes", "scores"], ["never"], body=body))
    graph.initializer.append(numpy_helper.from_array(np.array(2**62), "count"))
    graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    graph.output[0].name = "never"
    return model


def written(path: Path, **about: Any) -> Path:
    """The same as a file."""
    path.write_bytes(linear(**about).SerializeToString())
    return path


def with_weights_in(path: Path, location: str, **about: Any) -> Path:
    """The same with its weights in another file, which ``location`` names as seen from the folder of ``path``."""
    model = linear(**about)
    tensor = model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    (path.parent / location).write_bytes(content)
    path.write_bytes(model.SerializeToString())
    return path
