"""One step of descent: from a batch to logits, and from the loss's gradient at the logits to better weights.

The losses give their gradient in closed form, so that nothing but the model itself is differentiated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer


class Descent(Protocol):
    """One model's forward passes and the steps of its optimiser; a step belongs to the forward pass before it."""

    def forward(self, view: Tensor) -> Tensor:
        """Logits in training mode, float32 (N, classes), without history, for a normalised batch (N, C, H, W)."""

    def step(self, gradient: Tensor) -> None:
        """Change the weights, given the loss's gradient at the logits, (N, classes)."""


def descent(model: nn.Module, optimizer: Optimizer, precision: AbstractContextManager[None] | None = None) -> Descent:
    """By hand for a plain perceptron in float32, where that is a sixth faster; else by autograd."""
    layers = perceptron(model)
    known = all(layer.weight.device.type in ("cpu", "cuda") for layer in layers)
    return ByHand(layers, optimizer) if layers and known and precision is None else ByAutograd(model, optimizer, precision)


class ByAutograd:
    """Any model, in the precision of a context where one is given."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, precision: AbstractContextManager[None] | None) -> None:
        self._model, self._optimizer, self._precision = model, optimizer, precision

    def forward(self, view: Tensor) -> Tensor:
        """See :class:`Descent`."""
        if self._precision is None:
            logits: Tensor = self._model(view)
        else:
            with self._precision:
                logits = self._model(view).float()
        self._logits = logits
        return logits.detach()

    def step(self, gradient: Tensor) -> None:
        """See :class:`Descent`."""
        self._optimizer.zero_grad(set_to_none=True)
        self._logits.backward(gradient)  # type: ignore[no-untyped-call]
        self._optimizer.step()


class ByHand:
    """Linear layers with ReLU between them: autograd's products, into outputs and gradients that are kept.

    For SGD each weight's gradient is added to its momentum by the product that makes it, which saves the memory's slowest
    trip: there the weights are torch's to float tolerance; otherwise they are the same bits.
    """

    def __init__(self, layers: list[nn.Linear], optimizer: Optimizer) -> None:
        self._layers, self._optimizer = layers, optimizer
        self._outputs: list[Tensor] = []
        self._deltas: list[Tensor] = []
        self._inputs: list[Tensor] = []

    @torch.no_grad()
    def forward(self, view: Tensor) -> Tensor:
        """See :class:`Descent`."""
        batch = view.flatten(1)
        if not self._outputs or len(self._outputs[0]) != len(batch):
            self._outputs = [batch.new_empty(len(batch), layer.out_features) for layer in self._layers]
            self._deltas = [torch.empty_like(output) for output in self._outputs]
        self._inputs = [batch, *self._outputs[:-1]]
        for layer, given, output in zip(self._layers, self._inputs, self._outputs, strict=True):
            torch.addmm(layer.bias, given, layer.weight.t(), out=output)
            if layer is not self._layers[-1]:
                output.relu_()
        return self._outputs[-1]

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """See :class:`Descent`."""
        descend = self._descend if isinstance(self._optimizer, SGD) else self._keep
        for place in reversed(range(len(self._layers))):
            layer, given, delta = self._layers[place], self._inputs[place], gradient
            if place:
                gradient = torch.mm(delta, layer.weight, out=self._deltas[place - 1])
                torch.ops.aten.threshold_backward.grad_input(gradient, given, 0, grad_input=gradient)
            descend(layer, delta, given)
        if not isinstance(self._optimizer, SGD):
            self._optimizer.step()

    def _descend(self, layer: nn.Linear, delta: Tensor, given: Tensor) -> None:
        """v ← m·v + gradient + decay·w, w ← w − rate·v, with the momentum where torch's optimiser keeps it."""
        group = self._optimizer.param_groups[0]
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        for weight in (layer.weight, layer.bias):
            kept = self._optimizer.state[weight]
            if kept.get("momentum_buffer") is None:
                kept["momentum_buffer"] = torch.zeros_like(weight)
            buffer = kept["momentum_buffer"]
            if weight is layer.weight:
                torch.addmm(buffer, delta.t(), given, beta=momentum, out=buffer)
            else:
                buffer.mul_(momentum).add_(delta.sum(0))
            if decay:
                buffer.add_(weight, alpha=decay)
            weight.sub_(buffer, alpha=rate)

    def _keep(self, layer: nn.Linear, delta: Tensor, given: Tensor) -> None:
        """Keep the gradients for the optimiser."""
        if layer.weight.grad is None or layer.bias.grad is None:
            layer.weight.grad, layer.bias.grad = torch.empty_like(layer.weight), torch.empty_like(layer.bias)
        torch.mm(delta.t(), given, out=layer.weight.grad)
        torch.sum(delta, 0, out=layer.bias.grad)


def perceptron(model: nn.Module) -> list[nn.Linear]:
    """The linear layers of a model that is nothing but them with ReLU between; none where it is another."""
    if not isinstance(model, nn.Sequential):
        return []
    kinds = [type(part) for part in model]
    hidden = (len(kinds) - 2) // 2
    layers = [part for part in model if isinstance(part, nn.Linear)]
    plain = kinds == [nn.Flatten, *(nn.Linear, nn.ReLU) * hidden, nn.Linear]
    return layers if plain and all(layer.bias is not None for layer in layers) else []
