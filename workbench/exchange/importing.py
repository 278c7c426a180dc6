"""A person's weights become a finished run that can teach: checked, measured, and kept as the history keeps weights."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config import ElsewhereConfig, ExperimentConfig, ModelConfig, RunConfig, TeacherConfig
from workbench.distill import checkpoints, onnx_teacher, sources
from workbench.distill.data import ResidentData, Split
from workbench.distill.elsewhere import Elsewhere, shape_seen
from workbench.distill.evaluation import figures, logits_on
from workbench.distill.models import build_on_meta
from workbench.distill.onnx_teacher import OnnxNet
from workbench.distill.pretrained import as_built, file_of, pretrained
from workbench.distill.weight_files import fitting, read_tensors
from workbench.errors import CheckpointError, ConfigError
from workbench.exchange.bringing import CHOSEN, Found, Wanted, chosen_numbers
from workbench.exchange.class_names import Outputs, some, told_apart
from workbench.history.writing import Entry, History, Imported
from workbench.running.driver import about_weights
from workbench.running.engine import Engine
from workbench.settings import closest
from workbench.zoo import ONNX

FEW = 8
"""Images by which is seen what a file gives."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """A teacher that has been read. ``elsewhere`` is None for a model as they are trained here, of this data's images and
    classes; its outputs are empty until what stands for each class (``chosen``) is known."""

    title: str
    data: ResidentData
    model: ModelConfig
    elsewhere: ElsewhereConfig | None
    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    chosen: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def config(self, wanted: Wanted) -> RunConfig:
        """What the run is in the history; a :class:`ConfigError` names the classes that no output stands for."""
        if self.elsewhere is None:
            return RunConfig(data=wanted.data, model=self.model)
        if missing := [one for one, chosen in zip(self.data.classes, self.chosen, strict=True) if not chosen]:
            raise ConfigError(
                "classes",
                f"nothing in {self.title} is called {some(missing)}; say which of its {len(self.names)} outputs stand for these, "
                f"by name or number ({some(self.names)})",
            )
        outputs = chosen_numbers(self.chosen, self.data.classes, self.names)
        return RunConfig(data=wanted.data, model=self.model, elsewhere=dataclasses.replace(self.elsewhere, outputs=outputs))


def look(
    engine: Engine, wanted: Wanted, tell: sources.Tell = sources.quiet, cancelled: Callable[[], bool] = sources.never
) -> Found:
    """What a teacher from elsewhere is and, where every class has an output, how good on validation; nothing is entered.

    Raises :class:`CheckpointError` where the file is refused or does not fit, :class:`DataError` where the data is absent
    or a download fails, :class:`ConfigError` at a setting that is wrong.
    """
    opened = _open(engine, wanted, tell, cancelled)
    measured: dict[str, float] = {}
    if opened.elsewhere is None or all(opened.chosen):
        config = opened.config(wanted)
        engine.run_size(config, opened.data)
        net = engine.network(config.model, config.elsewhere, opened.tensors, opened.data)
        if len(opened.data.validation):
            measured = figures(_logits(net, opened.data, opened.data.validation, tell), opened.data.validation.labels, "val")
    settings = {} if opened.elsewhere is None else {key: getattr(opened.elsewhere, key) for key in CHOSEN}
    return Found(
        title=opened.title,
        names=opened.names,
        classes=opened.data.classes,
        chosen=opened.chosen,
        settings=settings,
        figures=measured,
        notes=opened.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """A teacher from elsewhere that can be entered: the run, how good it is, and its weights."""

    around: ExperimentConfig
    entry: Entry
    data: ResidentData
    environment: Mapping[str, Any]
    title: str
    figures: Mapping[str, float]
    on_test: Tensor
    tensors: Mapping[str, Tensor]


def measured(
    engine: Engine, wanted: Wanted, tell: sources.Tell = sources.quiet, cancelled: Callable[[], bool] = sources.never
) -> Ready:
    """A teacher from elsewhere, measured as every run is: on validation and on test. Errors are those of :func:`look`, and a
    :class:`ConfigError` where a class has no output."""
    opened = _open(engine, wanted, tell, cancelled)
    config, data = opened.config(wanted), opened.data
    size = engine.run_size(config, data)
    net = engine.network(config.model, config.elsewhere, opened.tensors, data)
    on_test = _logits(net, data, data.test, tell)
    found = figures(on_test, data.test.labels, "test")
    if len(data.validation):
        found |= figures(_logits(net, data, data.validation, tell), data.validation.labels, "val")
    named = wanted.name or (wanted.file.stem if wanted.file and not wanted.torchvision else opened.title)
    entry = Entry(
        role="teacher",
        name="teacher 1",
        config=config,
        parameters=size.parameters,
        multiply_adds=size.multiply_adds or None,
    )
    return Ready(
        around=ExperimentConfig(name=named, data=config.data, teachers=(TeacherConfig(model=config.model),)),
        entry=entry,
        data=data,
        environment=engine.environment(0, config.training.precision),
        title=opened.title,
        figures=found,
        on_test=on_test,
        tensors=opened.tensors,
    )


def enter(history: History, ready: Ready) -> int:
    """Enter a teacher from elsewhere as a finished run, whole or not at all; its number."""
    config = ready.entry.config
    weights = history.new_folder() / "weights-0.safetensors"
    about = about_weights(ready.data, config.model, 0, elsewhere=config.elsewhere)
    try:
        size, sha256 = checkpoints.write(weights, ready.tensors, about)
        cases, classes = ready.on_test.shape
        imported = Imported(
            weights=weights,
            size=size,
            sha256=sha256,
            data_digest=ready.data.digest,
            environment=ready.environment,
            note=f"imported from {ready.title}; which cases it was trained on is not known",
            figures=ready.figures,
            cases=cases,
            classes=classes,
            logits=ready.on_test.half().cpu().numpy().tobytes(),
        )
        return history.import_run(ready.around, ready.entry, imported)
    except BaseException:
        if not history.has_folder(weights.parent):
            shutil.rmtree(weights.parent, ignore_errors=True)
        raise


# Reading the three kinds


def _open(engine: Engine, wanted: Wanted, tell: sources.Tell, cancelled: Callable[[], bool]) -> _Opened:
    data = engine.data(wanted.data, tell, cancelled)
    if wanted.torchvision:
        return _open_torchvision(wanted, data, tell, cancelled)
    assert wanted.file is not None
    tell(f"reading {wanted.file.name}", 0, 0, "")
    if wanted.file.suffix == ".onnx":
        return _open_onnx(wanted, wanted.file, data)
    return _open_weights(wanted, wanted.file, data)


def _open_torchvision(wanted: Wanted, data: ResidentData, tell: sources.Tell, cancelled: Callable[[], bool]) -> _Opened:
    """Weights that torchvision has: it knows all about them."""
    weights = pretrained(wanted.torchvision, wanted.weights)
    model = ModelConfig(model="torchvision", options={"architecture": weights.architecture})
    about = _elsewhere(wanted, weights.settings | {"source": weights.file, "logits": len(weights.classes)})
    path = file_of(weights, wanted.file, tell, cancelled)
    wanted_tensors = build_on_meta(model, shape_seen(about, data.shape), about.logits).state_dict()
    tensors = fitting(path, as_built(read_tensors(path)), wanted_tensors)
    title = f"{weights.architecture} {weights.name}"
    return _named(wanted, data, title, model, about, tensors, weights.classes)


def _open_onnx(wanted: Wanted, path: Path, data: ResidentData) -> _Opened:
    """An ONNX file: how many outputs it has, and of which kind, shows when it is asked about a few images."""
    file = onnx_teacher.read_onnx(path, str(wanted.settings.get("output", "")), data.shape)
    about = _elsewhere(wanted, dict(file.settings) | {"source": path.name, "output": file.output})
    about = dataclasses.replace(about, output=file.output)
    tensors = {ONNX.name: _bytes(file.content)}
    first = data.validation if len(data.validation) else data.train
    said = _asked(path, OnnxNet(file.content, file.output, str(path)), about, data, first.images[:FEW])
    sums_to_one = bool((said >= 0).all() and torch.allclose(said.sum(dim=1), torch.ones(len(said)), atol=1e-3))
    gives = "probabilities" if sums_to_one else "logits"
    about = dataclasses.replace(about, logits=said.shape[1], gives=wanted.settings.get("gives", gives))
    model = ModelConfig(model=ONNX.name, options={"weights": file.weights})
    return _named(wanted, data, path.name, model, about, tensors, file.names)


def _asked(path: Path, net: nn.Module, about: ElsewhereConfig, data: ResidentData, images: Tensor) -> Tensor:
    """What a network says of a few images, (N, outputs); a :class:`CheckpointError` where that is nothing to learn from."""
    said: Tensor = net(Elsewhere(net, about, data.mean, data.deviation).seen(data.view(images))).cpu()
    if said.dim() != 2 or len(said) != len(images) or said.shape[1] < 2:
        shown = "×".join(map(str, said.shape))
        raise CheckpointError(f"{path} gives {shown} for {len(images)} images; a teacher gives a number for each of its classes")
    if not bool(torch.isfinite(said).all()):
        raise CheckpointError(f"{path} gives values that are no finite numbers; say how it takes pixels (elsewhere.pixels)")
    return said


def _open_weights(wanted: Wanted, path: Path, data: ResidentData) -> _Opened:
    """Weights for a model of the zoo: as it is trained here on this data, unless its last layer or a person says otherwise."""
    found = read_tensors(path)
    about = _elsewhere(wanted, {"pixels": "standardised", "source": path.name, "logits": len(data.classes)})
    net = build_on_meta(wanted.model, shape_seen(about, data.shape), len(data.classes)).state_dict()
    last = [name for name, tensor in net.items() if tensor.dim()][-1]
    given = len(found[last]) if last in found and found[last].dim() else len(data.classes)
    if given != len(data.classes):
        net = build_on_meta(wanted.model, shape_seen(about, data.shape), given).state_dict()
    tensors = fitting(path, found, net)
    if not wanted.asked and given == len(data.classes):
        return _Opened(
            title=path.name,
            data=data,
            model=wanted.model,
            elsewhere=None,
            tensors=tensors,
            names=data.classes,
            chosen=data.classes,
            notes=("A model as they are trained here: its outputs are taken for the data's classes in their order.",),
        )
    return _named(wanted, data, path.name, wanted.model, dataclasses.replace(about, logits=given), tensors, ())


def _elsewhere(wanted: Wanted, found: Mapping[str, Any]) -> ElsewhereConfig:
    """How a teacher is asked: as a person says, else as was ``found``."""
    for key in wanted.settings:
        if key not in CHOSEN:
            raise ConfigError(
                f"elsewhere.{key}", f"there is no such setting{closest(key, CHOSEN)}; known here: {', '.join(CHOSEN)}"
            )
    named = {"output": str(wanted.settings["output"])} if "output" in wanted.settings else {}  # which may be called 495
    try:
        made = ElsewhereConfig(**dict(found) | dict(wanted.settings) | named)
    except ConfigError as error:
        raise ConfigError(f"elsewhere.{error.path}", error.reason) from None
    if made.output and "output" not in found:
        raise ConfigError("elsewhere.output", f"{made.source} is no ONNX file, of which outputs have names; leave this out")
    for key, plain in (("resize", 0), ("interpolation", "bilinear")):
        if getattr(made, key) != plain and not made.size:
            raise ConfigError(f"elsewhere.{key}", "images are scaled only to a side that is said: set elsewhere.size too")
    return made


def _named(
    wanted: Wanted,
    data: ResidentData,
    title: str,
    model: ModelConfig,
    about: ElsewhereConfig,
    tensors: dict[str, Tensor],
    known: Sequence[str],
) -> _Opened:
    """Match the outputs to the data's classes by name: those a person gives, else those that are ``known``.

    Outputs without names are called by their numbers; where they are as many as the classes they are taken in their order,
    and else stand for none.
    """
    notes: tuple[str, ...] = ()
    given = _names_in(wanted.names, about.logits) if wanted.names else known
    if given and len(given) != about.logits:
        notes = (f"{title} names {len(given)} classes and has {about.logits} outputs, which are called by their numbers.",)
        given = ()
    names = told_apart(given or [str(number) for number in range(about.logits)])
    outputs = Outputs(names)
    chosen = outputs.matched(data.classes)
    if not given:
        as_many = about.logits == len(data.classes)
        chosen = names if as_many else ("",) * len(data.classes)
        what = "they are taken for the data's classes in their order" if as_many else "say by number what stands for each class"
        notes += (f"{title} does not name its outputs: {what}.",)
    for one, text in wanted.mapping.items():
        if one not in data.classes:
            raise ConfigError("classes", f"{data.name} has no class {one!r}; it has {some(data.classes)}")
        text = outputs.words(outputs.numbers(one, text))
        chosen = tuple(text if name == one else old for name, old in zip(data.classes, chosen, strict=True))
    if shared := outputs.shared(data.classes, chosen):
        notes += (f"Some outputs stand for more than one class, which the teacher then cannot tell apart: {some(shared)}.",)
    return _Opened(title=title, data=data, model=model, elsewhere=about, tensors=tensors, names=names, chosen=chosen, notes=notes)


def _names_in(path: Path, count: int) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError("names", f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError("names", f"{path} is no text in UTF-8: write the name of an output on each line") from None
    if len(lines) != count:
        raise ConfigError("names", f"{path} has {len(lines)} names, one a line, and the teacher {count} outputs")
    return lines


def _bytes(content: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def _logits(net: nn.Module, data: ResidentData, split: Split, tell: sources.Tell) -> Tensor:
    done = 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        tell("asking the teacher", done, len(split), "cases")

    return logits_on(net, data, split.images, tick=tick)
