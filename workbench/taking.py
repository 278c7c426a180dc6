"""A finished run becomes a file that gives the same answers elsewhere: written, read back, compared and measured."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import runpy
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sqlite_utils import Database
from torch import Tensor, nn

from workbench import __version__
from workbench.bias import Correction
from workbench.config import ExperimentConfig
from workbench.distill import card, onnx_files, sources
from workbench.distill.data import ResidentData
from workbench.distill.deployed import Deployed, Prepared
from workbench.distill.evaluation import BATCH, BATCH_PIXELS, logits_on
from workbench.engine import Engine, EngineSettings
from workbench.errors import CannotWrite, CheckpointError, ConfigError, DataError, WorkbenchError
from workbench.history import reading
from workbench.history.bundle import whole_file
from workbench.history.reading import PastRun, RunDetails, RunRow
from workbench.report import BATCHES, Latency
from workbench.report_questions import SECONDS, device_alone, summed_up
from workbench.takeaway import FORMS, OPSET, TOLERANCE, AnswersOtherwise, Compared, Line, Taken, script_for

if TYPE_CHECKING:
    import onnx

Answer = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N, C, H, W) to logits (N, classes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run as a file: ``small`` wants one with 8-bit weights beside, ``overwrite`` takes the place of a file that is there,
    ``force`` keeps one that answers otherwise than the run."""

    run: int
    target: Path
    form: str = "onnx"
    small: bool = False
    overwrite: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """A run with its network on the CPU, the test images as files have them, and its own logits of these (N, classes)."""

    details: RunDetails
    past: PastRun
    data: ResidentData
    net: nn.Module
    images: np.ndarray
    prepared: dict[str, Any]
    shift: list[float] | None
    logits: np.ndarray
    teachers: list[str]

    @property
    def labels(self) -> np.ndarray:
        labels: np.ndarray = self.data.test.labels.numpy()
        return labels

    def deployed(self) -> Deployed:
        return Deployed(Prepared(**self.prepared), self.net, list(self.data.classes), self.shift).eval().requires_grad_(False)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def cpu_engine(folders: tuple[Path, ...], threads: int) -> Engine:
    """An engine as :func:`take_away` wants it; with ``threads`` torch has no more."""
    if threads:
        torch.set_num_threads(threads)
    return Engine(EngineSettings(device="cpu", folders=folders, threads=threads))


def take_away(engine: Engine, database: Database, history: Path, wanted: Wanted, tell: sources.Tell = sources.quiet) -> Taken:
    """Write a finished run to a file and read it back; an engine on the CPU is wanted, with whose own arithmetic is compared.

    Raises :class:`AnswersOtherwise` where the file does not give the run's answers and ``force`` is not said, and a
    :class:`WorkbenchError` where the run cannot be taken away or the file not be written: then there is none.
    """
    _check(wanted)
    source = _source(engine, database, history, wanted.run, tell)
    tell("tracing the network", 0, 0, "")
    program = onnx_files.exported_program(source.deployed(), source.shape)
    notes: list[str] = []
    model = None
    if wanted.form == "onnx":
        tell("writing it as ONNX", 0, 0, "")
        model = onnx_files.onnx_model(program, _metadata(source))
    small = wanted.target.with_name(f"{wanted.target.stem}.int8{wanted.target.suffix}") if wanted.small else None
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(whole_file(wanted.target, overwrite=wanted.overwrite))
        _write(temporary, wanted, source, program, model)
        tell("reading it back", 0, 0, "")
        compared = _compared(source, _read_back(wanted.form, temporary), tell)
        if not compared.same and not wanted.force:
            raise AnswersOtherwise(
                f"the file {wanted.target.name} answers otherwise than run {wanted.run} and is not kept: {compared.words()}"
            )
        size = source.details.row.multiply_adds
        lines = [Line(name=source.details.row.name, errors=compared.errors, size=temporary.stat().st_size, multiply_adds=size)]
        smaller = b""
        if small is not None and model is not None:
            tell("making its weights 8 bits", 0, 0, "")
            beside = stack.enter_context(whole_file(small, overwrite=wanted.overwrite))
            beside.write_bytes(onnx_files.small_model(model))
            other = _compared(source, _read_back("onnx", beside), tell)
            lines.append(Line(name=f"{lines[0].name}, int8", errors=other.errors, size=beside.stat().st_size, multiply_adds=size))
            notes.append(f"With 8-bit weights {other.words()}.")
            smaller = beside.read_bytes()
        tell("measuring latency", 0, 0, "")
        try:
            timed = [(model or onnx_files.onnx_model(program, {})).SerializeToString(), *([smaller] if smaller else [])]
            together, said = _ensemble(engine, database, history, source)
            notes += said
            lines += [line for line, _ in together]
            lines = _timed(engine, lines, [*timed, *(content for _, content in together)], source.images)
        except WorkbenchError as error:
            notes.append(f"Latency was not measured: {error}.")
    return Taken(
        run=wanted.run,
        form=wanted.form,
        path=wanted.target,
        compared=compared,
        lines=tuple(lines),
        script=script_for(wanted.form, wanted.target.name, source.shape),
        small=small,
        notes=tuple(notes),
    )


def _check(wanted: Wanted) -> None:
    """What can be told before anything is done."""
    if wanted.form not in FORMS:
        raise ConfigError("--form", f"there is no form {wanted.form!r}; the forms are {', '.join(FORMS)}")
    if wanted.target.suffix != (suffix := FORMS[wanted.form].suffix):
        raise CannotWrite(f"a file of {FORMS[wanted.form].label} ends in {suffix}: name it {wanted.target.stem}{suffix}")
    if wanted.small and wanted.form != "onnx":
        raise ConfigError("--int8", f"8-bit weights are for onnx, not for {wanted.form}")
    if not wanted.target.parent.is_dir():
        raise CannotWrite(f"the folder {wanted.target.parent} does not exist; make it first")
    if wanted.target.is_dir():
        raise CannotWrite(f"{wanted.target} is a folder; name a file in it, such as {wanted.target / 'student'}.onnx")
    if wanted.target.exists() and not wanted.overwrite:
        raise CannotWrite(f"{wanted.target} is there already; remove it or name another file")


# What is taken away


def _source(engine: Engine, database: Database, history: Path, run: int, tell: sources.Tell) -> _Source:
    details, past = reading.run_details(database, run), reading.past_run(database, history, run)
    _takeable(past)
    assert past.weights is not None
    config = past.config.data
    tell(f"reading {config.dataset}", 0, 0, "")
    data = engine.data(config, tell, download=False)
    if past.dataset_digest != data.digest:
        raise DataError(f"{config.dataset} is no longer what run {run} was trained on; put the files back as they were")
    net = engine.ensemble([past.weights], "arithmetic", data).members[0]
    images, left = sources.stored_test(config, sources.data_folders(engine.settings.folders))
    shift = _shift(details.correction, len(data.classes))
    logits = logits_on(net, data, data.test.images).numpy()
    prepared = {
        "shape": tuple(images.shape[1:]),
        "transpose": left.transpose,
        "out": left.channels or images.shape[1],
        "invert": left.invert,
        "side": left.image_size,
        "mean": data.mean.flatten().tolist(),
        "deviation": data.deviation.flatten().tolist(),
    }
    return _Source(
        details=details,
        past=past,
        data=data,
        net=net,
        images=images,
        prepared=prepared,
        shift=shift,
        logits=logits if shift is None else logits + np.array(shift, np.float32),
        teachers=[_teacher(row) for row in reading.list_runs(database, details.parents)],
    )


def _takeable(past: PastRun) -> None:
    """A sentence on what has no weights, or none that mean something alone."""
    if past.config.combination is not None and past.config.distillation is None:
        raise CheckpointError(
            f"run {past.run} has no weights of its own: it is a generalist with its specialists; take the student of it away"
        )
    if past.config.specialist is not None:
        raise CheckpointError(f"run {past.run} is a specialist, which answers beside its generalist alone; take a student away")
    if past.status != "done":
        raise CheckpointError(f"run {past.run} is {past.status}; only a finished run can be taken away")
    if past.weights is None:
        raise CheckpointError(f"the weights of run {past.run} are no longer kept; train it again to take it away")


def _teacher(row: RunRow) -> str:
    errors = row.figures.get("test_errors")
    return f"run {row.id}: {row.model}" + (f", {errors:,.0f} test errors" if errors is not None else "")


def _shift(correction: Correction | None, classes: int) -> list[float] | None:
    if correction is None:
        return None
    return [float(np.float32(correction.shift)) if number in correction.classes else 0.0 for number in range(classes)]


def _input_words(source: _Source) -> str:
    shape = " × ".join(map(str, source.shape))
    done = [
        "rows and columns exchanged" * source.prepared["transpose"],
        "made grey" * (source.prepared["out"] == 1 < source.shape[0]),
        "given three channels" * (source.prepared["out"] == 3 > source.shape[0]),
        "inverted" * source.prepared["invert"],
        f"scaled to {source.prepared['side']} × {source.prepared['side']}" * bool(source.prepared["side"]),
        "standardised",
    ]
    return (
        f"uint8 N × {shape} (channels, height, width) as the data set's files have them; inside {', '.join(filter(None, done))}"
    )


def _metadata(source: _Source) -> dict[str, str]:
    """What an ONNX file tells of itself."""
    return {
        "classes": json.dumps(source.data.classes, ensure_ascii=False),
        "input": _input_words(source),
        "outputs": "logits, and probabilities: their softmax at temperature 1, both N × classes",
        "preprocessing": json.dumps(source.prepared),
        "bias_correction": _correction_words(source),
        "opset": str(OPSET),
        "recipe": _recipe(source),
        "data": source.data.name,
        "data_digest": source.data.digest,
        "run": f"{source.details.row.role}, run {source.details.row.id} of {source.details.row.experiment_name}",
        "workbench": __version__,
    }


def _recipe(source: _Source) -> str:
    return ExperimentConfig.from_dict(source.details.experiment_config).to_toml()


def _correction_words(source: _Source) -> str:
    correction = source.details.correction
    if correction is None:
        return ""
    names = ", ".join(source.data.classes[number] for number in correction.classes)
    return f"the logits of {names} are shifted by {correction.shift:+.4g} inside"


# Files, written and read back


def _write(
    path: Path, wanted: Wanted, source: _Source, program: torch.export.ExportedProgram, model: onnx.ModelProto | None
) -> None:
    if model is not None:
        path.write_bytes(model.SerializeToString())
    elif wanted.form == "torch-export":
        kept = io.BytesIO()
        torch.export.save(program, kept, extra_files={"classes.json": json.dumps(source.data.classes)})
        path.write_bytes(kept.getvalue())
    else:
        classes, config = source.data.classes, source.past.config.model
        code = card.code_for(config, source.net, source.data.shape, source.prepared, classes, source.shift)
        card.write_card(path, wanted.target.stem, source.net, code, _about(source, wanted.target.name))


def _about(source: _Source, file: str) -> card.About:
    row = source.details.row
    return card.About(
        run=row.id,
        name=row.experiment_name,
        role=row.role,
        model=source.past.config.model.describe(),
        data=source.data.name,
        digest=source.data.digest,
        input=_input_words(source),
        recipe=_recipe(source),
        figures=row.figures,
        parameters=row.parameters or 0,
        multiply_adds=row.multiply_adds or 0,
        teachers=source.teachers,
        correction=_correction_words(source),
        versions=f"Made with workbench {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        script=script_for("safetensors", file, source.shape),
    )


def _read_back(form: str, path: Path) -> Answer:
    """A file in its own runtime."""
    if form == "onnx":
        return onnx_files.answers(onnx_files.session(path.read_bytes(), torch.get_num_threads()))
    if form == "torch-export":
        return _by_torch(torch.export.load(io.BytesIO(path.read_bytes())).module())
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        (code,) = Path(folder).glob(f"*/{card.CODE}")
        return _by_torch(runpy.run_path(str(code))["load"](code.with_name(card.WEIGHTS)))


def _by_torch(model: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Answer:
    def answer(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = model(torch.from_numpy(np.ascontiguousarray(images)))[0].numpy()
        return logits

    return answer


def _compared(source: _Source, answer: Answer, tell: sources.Tell) -> Compared:
    """A file's answers on the whole test split beside the run's own."""
    size = max(1, min(BATCH, BATCH_PIXELS // source.images[0].size))
    parts = []
    for start in range(0, len(source.images), size):
        tell("comparing on the test split", start, len(source.images), "images")
        parts.append(answer(source.images[start : start + size]))
    logits, labels = np.concatenate(parts), source.labels
    predicted, own = logits.argmax(axis=1), source.logits.argmax(axis=1)
    return Compared(
        cases=len(labels),
        largest=float(np.abs(logits - source.logits).max()),
        allowed=max(TOLERANCE, TOLERANCE / 10 * float(np.abs(source.logits).max())),
        differing=int((predicted != own).sum()),
        errors=int((predicted != labels).sum()),
        run_errors=int((own != labels).sum()),
    )


# Measured in ONNX Runtime


def _ensemble(engine: Engine, database: Database, history: Path, source: _Source) -> tuple[list[tuple[Line, bytes]], list[str]]:
    """What a student learned from as one line and one ONNX file, or why there is none, and nothing where it had no teachers."""
    parents, config = source.details.parents, source.past.config
    if not parents or config.distillation is None:
        return [], []
    if config.combination is not None:
        return [], ["A generalist that asks its specialists is no single network, so its latency is not beside."]
    stored = [reading.past_run(database, history, parent).weights for parent in parents]
    rows = reading.list_runs(database, parents)
    try:
        found = engine.ensemble([one for one in stored if one is not None], config.distillation.mean, source.data)
    except CheckpointError as error:
        return [], [f"The latency of the ensemble is not beside: {error}."]
    if len(found.members) < len(parents):
        return [], ["The latency of the ensemble is not beside: not all of its weights are kept."]
    whole = onnx_files.AsOne(Prepared(**source.prepared), found.members, found.mean).requires_grad_(False)
    content = onnx_files.onnx_model(onnx_files.exported_program(whole, source.shape), {}).SerializeToString()
    errors = source.details.row.figures.get("ensemble_test_errors", rows[0].figures.get("test_errors"))
    line = Line(
        name=f"ensemble of {len(parents)}" if len(parents) > 1 else "teacher",
        errors=None if errors is None else round(errors),
        size=len(content),
        multiply_adds=sum(row.multiply_adds or 0 for row in rows),
    )
    return [(line, content)], []


def _timed(engine: Engine, lines: Sequence[Line], models: Sequence[bytes], images: np.ndarray) -> list[Line]:
    """The lines with the latency of their models, measured in turn on the same images; an error while anybody trains here."""
    threads = engine.settings.threads or 1
    of: list[dict[int, Latency]] = [{} for _ in models]
    with device_alone(engine):
        for batch in BATCHES:
            taken = onnx_files.latencies(models, images, batch, threads, SECONDS * len(models))
            for place in range(len(models)):
                of[place][batch] = summed_up(taken[:, place])
    return [replace(line, latency=latency) for line, latency in zip(lines, of, strict=True)]
