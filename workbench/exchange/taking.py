"""A finished run becomes a file that gives the same answers elsewhere: written, read back, compared and measured."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import runpy
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sqlite_utils import Database
from torch import Tensor

from workbench.analysis.report import BATCHES, Latency
from workbench.distill import card, onnx_files, sources
from workbench.distill.deployed import Prepared
from workbench.distill.evaluation import BATCH, BATCH_PIXELS
from workbench.errors import CannotWrite, CheckpointError, ConfigError, WorkbenchError
from workbench.exchange.takeaway import FORMS, TOLERANCE, AnswersOtherwise, Compared, Line, Taken, script_for
from workbench.exchange.taking_source import Source, card_of, metadata, source_of
from workbench.files import whole_file
from workbench.history import reading
from workbench.questions.report import SECONDS, device_alone, summed_up
from workbench.running.engine import Engine, EngineSettings

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
    source = source_of(engine, database, history, wanted.run, tell)
    made = _Made(source, tell)
    row, notes = source.details.row, list[str]()
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(whole_file(wanted.target, overwrite=wanted.overwrite))
        _write(path, wanted, source, made)
        tell("reading it back", 0, 0, "")
        compared = _compared(source, _read_back(wanted.form, path), tell)
        if not compared.same and not wanted.force:
            raise AnswersOtherwise(
                f"the file {wanted.target.name} answers otherwise than run {row.id} and is not kept: {compared.words()}"
            )
        first = Line(name=row.name, errors=compared.errors, size=path.stat().st_size, multiply_adds=row.multiply_adds)
        lines = [first]
        if wanted.small:
            tell("making its weights 8 bits", 0, 0, "")
            beside = stack.enter_context(whole_file(_beside(wanted), overwrite=wanted.overwrite))
            beside.write_bytes(made.small)
            other = _compared(source, _read_back("onnx", beside), tell)
            notes.append(f"With 8-bit weights {other.words()}.")
            size = beside.stat().st_size
            lines.append(replace(first, name=f"{row.name}, int8", errors=other.errors, size=size))
        try:
            lines, more = _measured(engine, database, history, made, lines, small=wanted.small)
            notes += more
        except WorkbenchError as error:
            notes.append(f"Latency was not measured: {error}.")
    return Taken(
        run=wanted.run,
        form=wanted.form,
        path=wanted.target,
        compared=compared,
        lines=tuple(lines),
        script=script_for(wanted.form, wanted.target.name, source.shape),
        small=_beside(wanted) if wanted.small else None,
        notes=tuple(notes),
    )


class _Made:
    """What a network is traced into, each made when it is first asked for, and once."""

    def __init__(self, source: Source, tell: sources.Tell) -> None:
        self.source, self._tell = source, tell

    @functools.cached_property
    def program(self) -> torch.export.ExportedProgram:
        """For any number of images."""
        self._tell("tracing the network", 0, 0, "")
        return onnx_files.exported_program(self.source.deployed(), self.source.shape)

    @functools.cached_property
    def model(self) -> onnx.ModelProto:
        """The same as ONNX."""
        program = self.program
        self._tell("making it ONNX", 0, 0, "")
        return onnx_files.onnx_model(program, metadata(self.source))

    @functools.cached_property
    def small(self) -> bytes:
        """With 8-bit weights."""
        return onnx_files.small_model(self.model)


def _beside(wanted: Wanted) -> Path:
    return wanted.target.with_name(f"{wanted.target.stem}.int8{wanted.target.suffix}")


def _check(wanted: Wanted) -> None:
    """What can be told before anything is done."""
    if wanted.form not in FORMS:
        raise ConfigError("--form", f"there is no form {wanted.form!r}; the forms are {', '.join(FORMS)}")
    about = FORMS[wanted.form]
    if wanted.target.suffix != about.suffix:
        raise CannotWrite(f"a file of {about.label} ends in {about.suffix}: name it {wanted.target.stem}{about.suffix}")
    if wanted.small and wanted.form != "onnx":
        raise ConfigError("--int8", f"8-bit weights are for onnx, not for {wanted.form}")
    if not wanted.target.parent.is_dir():
        raise CannotWrite(f"the folder {wanted.target.parent} does not exist; make it first")
    for path in (wanted.target, *([_beside(wanted)] if wanted.small else [])):
        if path.is_dir():
            raise CannotWrite(f"{path} is a folder; name another file")
        if path.exists() and not wanted.overwrite:
            raise CannotWrite(f"{path} is there already; remove it or name another file")


# Files, written and read back


def _write(path: Path, wanted: Wanted, source: Source, made: _Made) -> None:
    if wanted.form == "onnx":
        path.write_bytes(made.model.SerializeToString())
    elif wanted.form == "torch-export":
        kept = io.BytesIO()
        torch.export.save(made.program, kept, extra_files={"classes.json": json.dumps(source.data.classes)})
        path.write_bytes(kept.getvalue())
    else:
        classes, config = source.data.classes, source.past.config.model
        code = card.code_for(config, source.net, source.data.shape, source.prepared, classes, source.shift)
        card.write_card(path, wanted.target.stem, source.net, code, card_of(source, wanted.target.name))


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


def _compared(source: Source, answer: Answer, tell: sources.Tell) -> Compared:
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


def _measured(
    engine: Engine, database: Database, history: Path, made: _Made, lines: list[Line], *, small: bool
) -> tuple[list[Line], list[str]]:
    """The lines with latencies, and that of what the run learned from; a :class:`WorkbenchError` while anybody trains here."""
    contents = [made.model.SerializeToString(), *([made.small] if small else [])]
    together, notes = _ensemble(engine, database, history, made.source)
    models, threads = [*contents, *(content for _, content in together)], engine.settings.threads or 1
    of: list[dict[int, Latency]] = [{} for _ in models]
    with device_alone(engine):
        for batch in BATCHES:
            taken = onnx_files.latencies(models, made.source.images, batch, threads, SECONDS * len(models))
            for place in range(len(models)):
                of[place][batch] = summed_up(taken[:, place])
    lines = [*lines, *(line for line, _ in together)]
    return [replace(line, latency=latency) for line, latency in zip(lines, of, strict=True)], notes


def _ensemble(engine: Engine, database: Database, history: Path, source: Source) -> tuple[list[tuple[Line, bytes]], list[str]]:
    """What a student learned from as one line and one ONNX file, or why there is none, and nothing where it had no teachers."""
    parents, config = source.details.parents, source.past.config
    if not parents or config.distillation is None:
        return [], []
    if config.combination is not None:
        return [], ["A generalist that asks its specialists is no single network, so its latency is not beside."]
    past = [reading.past_run(database, history, run) for run in parents]
    if others := [str(one.run) for one in past if one.config.elsewhere is not None]:
        return [], [f"The latency of the ensemble is not beside: run {', '.join(others)} came from elsewhere."]
    stored = [one.weights for one in past if one.weights]
    if len(stored) < len(parents):
        return [], ["The latency of the ensemble is not beside: not all of its weights are kept."]
    try:
        found = engine.ensemble(stored, config.distillation.mean, source.data)
    except CheckpointError as error:
        return [], [f"The latency of the ensemble is not beside: {error}."]
    whole = onnx_files.AsOne(Prepared(**source.prepared), found.members, found.mean).requires_grad_(False)
    content = onnx_files.onnx_model(onnx_files.exported_program(whole, source.shape), {}).SerializeToString()
    rows = reading.list_runs(database, parents)
    errors = source.details.row.figures.get("ensemble_test_errors", rows[0].figures.get("test_errors"))
    line = Line(
        name=f"ensemble of {len(parents)}" if len(parents) > 1 else "teacher",
        errors=None if errors is None else round(errors),
        size=len(content),
        multiply_adds=sum(row.multiply_adds or 0 for row in rows),
    )
    return [(line, content)], []
