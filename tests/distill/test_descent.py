"""Steps by hand against autograd and torch's optimisers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from workbench.config import ModelConfig
from workbench.distill.descent import ByAutograd, ByHand, descent
from workbench.distill.models import build


def mlp(layers: int, units: int, **options: object) -> nn.Module:
    torch.manual_seed(layers * 1000 + units)
    return build(ModelConfig(model="mlp", options={"layers": layers, "units": units, **options}), (1, 6, 5), 10)


def optimizer(model: nn.Module, name: str, decay: float = 0.0) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=decay)
    return torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=decay)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("units", [1, 30, 257])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_that_steps_are_those_of_autograd_as_batch_sizes_change(layers: int, units: int, name: str, decay: float) -> None:
    first = mlp(layers, units)
    second = copy.deepcopy(first)
    by_hand, by_autograd = descent(first, optimizer(first, name, decay)), ByAutograd(second, optimizer(second, name, decay), None)
    assert isinstance(by_hand, ByHand)
    for cases in (128, 127, 128, 1, 1, 64):
        view, gradient = torch.randn(cases, 1, 6, 5), torch.randn(cases, 10) / cases
        torch.testing.assert_close(by_hand.forward(view), by_autograd.forward(view), rtol=1e-5, atol=1e-5)
        by_hand.step(gradient)
        by_autograd.step(gradient)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert name == "sgd" or torch.equal(one, other)


def test_that_momentum_is_where_torch_keeps_it() -> None:
    model = mlp(1, 8)
    sgd = optimizer(model, "sgd")
    by_hand = descent(model, sgd)
    by_hand.forward(torch.randn(5, 1, 6, 5))
    by_hand.step(torch.randn(5, 10))
    state = sgd.state_dict()["state"]
    assert [tuple(state[place]["momentum_buffer"].shape) for place in range(4)] == [(8, 30), (8,), (10, 8), (10,)]


@pytest.mark.parametrize(
    "model",
    [
        mlp(2, 8, dropout=0.5),
        mlp(2, 8, input_dropout=0.5),
        mlp(1, 8, activation="none"),
        mlp(2, 8, activation="none"),
        mlp(2, 8, bias=False),
        build(ModelConfig(model="cnn", options={"channels": 2}), (1, 8, 8), 10),
        nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.Tanh(), nn.Linear(8, 10)),
        nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 10, bias=False)),
        nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.Linear(8, 10)),
    ],
)
def test_that_any_other_model_goes_by_autograd(model: nn.Module) -> None:
    assert isinstance(descent(model, optimizer(model, "sgd")), ByAutograd)


def test_that_another_precision_goes_by_autograd_and_gives_float32_logits() -> None:
    model = mlp(1, 8)
    steps = descent(model, optimizer(model, "sgd"), torch.autocast("cpu", dtype=torch.bfloat16))
    assert isinstance(steps, ByAutograd)
    assert steps.forward(torch.randn(3, 1, 6, 5)).dtype == torch.float32
