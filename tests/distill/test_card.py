"""model.py beside the weights of a model card makes the very network, in plain torch."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from workbench.config import ModelConfig
from workbench.distill import card
from workbench.distill.deployed import Deployed, Prepared
from workbench.distill.models import build
from workbench.errors import WorkbenchError

SHAPE = (1, 8, 8)
CLASSES = ["a", "it's", 'say "b"', "c\\", "{d}", "é\n"]
PREPARED: dict[str, Any] = {
    "shape": SHAPE, "transpose": True, "out": 1, "invert": True, "side": 0, "mean": [70.3], "deviation": [31.7],
}  # fmt: skip
MODELS: list[dict[str, Any]] = [
    {"model": "mlp", "layers": 0},
    {"model": "mlp", "units": 4, "dropout": 0.2, "input_dropout": 0.1, "max_norm": 1.5},
    {"model": "mlp", "units": 4, "activation": "none", "bias": False},
    {"model": "cnn", "channels": 2, "units": 4},
    {"model": "cnn", "channels": 2, "units": 4, "convolutions": 2, "batch_norm": False, "dropout": 0.1},
    {"model": "cnn", "channels": 2, "units": 4, "activation": "none", "bias": False},
    {"model": "resnet", "depth": 14, "width": 2},
    {"model": "torchvision", "architecture": "squeezenet1_1", "resize": 32},
    {"model": "torchvision", "architecture": "mobilenet_v3_small"},
    {"model": "torchvision", "architecture": "vit_b_16", "resize": 16},
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: " ".join(map(str, model.values())))
@pytest.mark.parametrize("shift", [None, [0.0, 0.1, 0.0, -2.5, 0.0, 0.0]], ids=["", "shifted"])
def test_that_it_makes_the_network_of_the_weights(tmp_path: Path, model: dict[str, Any], shift: list[float] | None) -> None:
    config = ModelConfig(model=model["model"], options={name: value for name, value in model.items() if name != "model"})
    torch.manual_seed(0)
    net = build(config, SHAPE, len(CLASSES)).eval()
    code = card.code_for(config, net, SHAPE, PREPARED, CLASSES, shift)
    assert "workbench." not in code.replace("distillation workbench.", "")
    (tmp_path / "model.py").write_text(code, encoding="utf-8")
    safetensors.torch.save_file({name: one.contiguous() for name, one in net.state_dict().items()}, tmp_path / "w.safetensors")
    made = runpy.run_path(str(tmp_path / "model.py"))["load"](tmp_path / "w.safetensors")
    images = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8)
    wanted = Deployed(Prepared(**PREPARED), net, CLASSES, shift).eval().requires_grad_(False)(images)
    for found, one in zip(made(images), wanted, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=0)
    assert made.classes == CLASSES


def test_that_a_network_it_has_no_words_for_is_a_sentence() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 6)))
    with pytest.raises(WorkbenchError, match="cannot be written as plain torch; take it as onnx or torch-export"):
        card.code_for(ModelConfig(), net, SHAPE, PREPARED, CLASSES, None)
