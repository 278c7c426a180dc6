"""Weights with a model card: a zip of model.safetensors, README.md and model.py, which needs torch and nothing of this."""

from __future__ import annotations

import inspect
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from workbench.config import ModelConfig
from workbench.distill import deployed, resnet, torchvision_models
from workbench.errors import WorkbenchError
from workbench.zoo import Shape

WEIGHTS, CARD, CODE = "model.safetensors", "README.md", "model.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a card tells. ``figures`` are those of the run's report, ``teachers`` a line each."""

    run: int
    name: str
    role: str
    model: str
    data: str
    digest: str
    input: str
    recipe: str
    figures: Mapping[str, float]
    parameters: int
    multiply_adds: int
    teachers: Sequence[str]
    correction: str
    versions: str
    script: str


def write_card(target: Path, name: str, net: nn.Module, code: str, about: About) -> None:
    """Write the zip, in it a folder of that ``name``."""
    weights = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in net.state_dict().items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/{WEIGHTS}", safetensors.torch.save(weights), zipfile.ZIP_STORED)
        archive.writestr(f"{name}/{CARD}", card(about))
        archive.writestr(f"{name}/{CODE}", code)


def code_for(
    config: ModelConfig,
    net: nn.Module,
    shape: Shape,
    prepared: Mapping[str, Any],
    classes: Sequence[str],
    shift: Sequence[float] | None,
) -> str:
    """The text of model.py: :mod:`workbench.distill.deployed`, the network's own source, and ``load``."""
    modules, expression = _network(config, net, shape, len(classes))
    sources = "\n\n".join(_body(inspect.getsource(module)) for module in (deployed, *modules))
    return f'''"""A network taken away from the distillation workbench, in plain torch: ``load`` gives it with its weights."""

from __future__ import annotations

{sources}

PREPARED = {dict(prepared)!r}
CLASSES = {list(classes)!r}
SHIFT = {None if shift is None else list(shift)!r}


def network():
    """The network without its weights: the normalised batch (N, C, H, W) to logits."""
    return {expression}


def load(weights="{WEIGHTS}"):
    """uint8 images (N, C, H, W), pixels from 0 to 255, to logits and probabilities, (N, classes) each."""
    from safetensors.torch import load_file

    net = network()
    net.load_state_dict(load_file(weights))
    return Deployed(Prepared(**PREPARED), net, CLASSES, SHIFT).eval().requires_grad_(False)
'''


def _network(config: ModelConfig, net: nn.Module, shape: Shape, classes: int) -> tuple[tuple[Any, ...], str]:
    """The modules whose source the network needs, and the expression that makes it."""
    options = config.options
    if isinstance(net, resnet.ResNet):
        return (resnet,), f"ResNet({shape[0]}, {classes}, {(options['depth'] - 2) // 6}, {options['width']})"
    if config.model == "torchvision":
        return (torchvision_models,), f"adapted({options['architecture']!r}, {tuple(shape)!r}, {classes}, {options['resize']})"
    layers = list(net) if isinstance(net, nn.Sequential) else []
    if not layers or any(list(layer.children()) or not type(layer).__module__.startswith("torch.nn.") for layer in layers):
        raise WorkbenchError(f"{config.describe()} cannot be written as plain torch; take it as onnx or torch-export")
    return (), "nn.Sequential(\n" + "".join(f"        nn.{layer!r},\n" for layer in layers) + "    )"


def _body(source: str) -> str:
    """A module's source without its docstring and what must stand first in a file."""
    return source.partition("from __future__ import annotations\n")[2].strip()


def card(about: About) -> str:
    """The text of README.md."""
    teachers = "\n".join(f"- {_plain(line)}" for line in about.teachers)
    how = "distilled ([Hinton, Vinyals and Dean 2015](https://arxiv.org/abs/1503.02531))" if about.teachers else "trained"
    return f"""---
license:  # yours to choose, such as mit, apache-2.0 or cc-by-4.0; until you do, nobody else may use the weights
library_name: pytorch
pipeline_tag: image-classification
---

# {_plain(about.name)}: {about.role}, run {about.run}

{_plain(about.model)}, {how} with the distillation workbench.

| | |
|---|---|
{chr(10).join(f"| {what} | {_plain(value)} |" for what, value in _facts(about))}

{"Learned from:" if teachers else "Learned from labels alone."}
{teachers}

## Use

`{CODE}` beside the weights is plain torch: it prepares the pixels as in training and adds the classes' names.

```python
{about.script.strip()}
```

## Recipe

{_fenced(about.recipe, "toml")}

{about.versions}
"""


def _facts(about: About) -> list[tuple[str, str]]:
    figures = about.figures

    def said(name: str, form: str) -> str:
        return format(figures[name], form) if name in figures else "not known"

    found = [
        ("Data", f"{about.data}, digest (SHA-256) {about.digest}"),
        ("Input", about.input),
        ("Test errors", f"{said('test_errors', ',.0f')} of {said('test_size', ',.0f')} ({said('test_accuracy', '.2%')} right)"),
        ("Calibration on test", f"ECE {said('test_ece', '.4f')}, NLL {said('test_nll', '.4f')} nats, at T = 1"),
    ]
    if "teacher_agreement" in figures:
        kl = said("teacher_kl", ".4f")
        agreement = said("teacher_agreement", ".2%")
        found.append(("Fidelity to its teachers", f"top-1 agreement {agreement}, KL(teachers ‖ student) {kl} nats, at T = 1"))
    found += [
        ("Parameters", f"{about.parameters:,}"),
        ("Multiply-adds", f"{about.multiply_adds:,} for one image"),
    ]
    return found + ([("Bias correction", about.correction)] if about.correction else [])


def _plain(text: str) -> str:
    """A person's text in a line of Markdown, as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _fenced(text: str, language: str) -> str:
    """A block of code that nothing in the text can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"
