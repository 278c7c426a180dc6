"""TensorBoard's event files: experiments out to a folder of them, and runs in from one. TensorBoard is an extra."""

from __future__ import annotations

import importlib.util
import logging
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import CannotWrite, WorkbenchError
from workbench.history.foreign import FIGURE, ForeignExperiment, ForeignRun, Point
from workbench.paths import free_space

WITHOUT_TENSORBOARD = "TensorBoard's event files need TensorBoard: pip install 'distillation-workbench[tensorboard]'"

logger = logging.getLogger(__name__)


def needed() -> None:
    """Raise a :class:`WorkbenchError` where the extra is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise WorkbenchError(WITHOUT_TENSORBOARD)


def write_event_files(folder: Path, experiments: Sequence[ForeignExperiment]) -> int:
    """Write a folder of event files for each run, below one for each experiment; how many runs.

    ``folder`` must not hold anything yet, and is there whole or not at all: :class:`CannotWrite`.
    """
    needed()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotWrite(f"{folder} is there already; name a folder that is new or empty")
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        for one in experiments:
            for run in one.runs:
                _write_run(temporary / _name(one.name) / _name(run.name), run)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise CannotWrite(f"{folder} cannot be written ({error.strerror}; {free_space(folder)})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum(len(one.runs) for one in experiments)


def _write_run(folder: Path, run: ForeignRun) -> None:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder.mkdir(parents=True)
    writer = EventFileWriter(str(folder))

    def scalar(name: str, point: Point) -> None:
        value = summary_pb2.Summary.Value(tag=name, simple_value=point.value)
        writer.add_event(event_pb2.Event(wall_time=point.time, step=point.step, summary=summary_pb2.Summary(value=[value])))

    settings = {key: value if isinstance(value, (int, float)) else str(value) for key, value in run.params.items()}
    given = summary_v2.hparams_pb(settings, trial_id=run.name, start_time_secs=run.started)
    writer.add_event(event_pb2.Event(wall_time=run.started, summary=given))
    for name, points in run.curves.items():
        for point in points:
            scalar(name, point)
    last = max((point for points in run.curves.values() for point in points), key=lambda point: point.step, default=None)
    for name, value in run.figures.items():
        scalar(f"{FIGURE}{name}", Point(last.step if last else 0, last.time if last else run.started, value))
    writer.close()


def _name(text: str) -> str:
    return re.sub(r"[^\w.#-]+", "-", text).strip("-.") or "run"


def read_event_files(folder: Path) -> ForeignExperiment:
    """The runs in a folder of event files: each folder that has some is a run. A :class:`WorkbenchError` where none has."""
    needed()
    if not folder.is_dir():
        raise WorkbenchError(f"{folder} is no folder; name one with TensorBoard's event files")
    places = sorted({path.parent for path in folder.rglob("*tfevents*") if path.is_file()})
    if not places:
        raise WorkbenchError(f"{folder} has no event files of TensorBoard in it")
    runs = [_read_run(place, "/".join(place.relative_to(folder).parts) or folder.name) for place in places]
    return ForeignExperiment(name=folder.name or str(folder), runs=runs)


def _read_run(folder: Path, name: str) -> ForeignRun:
    from tensorboard.backend.event_processing import event_accumulator as reader
    from tensorboard.util import tensor_util

    all_of_it = {reader.SCALARS: 0, reader.TENSORS: 0}
    accumulator = reader.EventAccumulator(str(folder), size_guidance=all_of_it, purge_orphaned_data=False)
    try:
        accumulator.Reload()
        tags = accumulator.Tags()
        curves = {tag: [Point(one.step, one.wall_time, one.value) for one in accumulator.Scalars(tag)] for tag in tags["scalars"]}
        for tag in tags["tensors"]:  # as TensorBoard's newer writers record scalars
            if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                found = [
                    (one.step, one.wall_time, tensor_util.make_ndarray(one.tensor_proto)) for one in accumulator.Tensors(tag)
                ]
                curves[tag] = [Point(step, time, float(value)) for step, time, value in found if value.size == 1]
        settings = _settings(accumulator)
    except Exception as error:
        logger.warning("event files in %s", folder, exc_info=error)
        raise WorkbenchError(f"{folder} cannot be read as TensorBoard's event files ({error})") from None
    figures = {tag.removeprefix(FIGURE): points[-1].value for tag, points in curves.items() if tag.startswith(FIGURE) and points}
    return ForeignRun(
        name=name,
        params=settings,
        curves={tag: points for tag, points in curves.items() if not tag.startswith(FIGURE)},
        figures=figures,
    )


def _settings(accumulator: Any) -> dict[str, Any]:
    """What the hparams plugin recorded of a run."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    found: dict[str, Any] = {}
    try:
        contents = accumulator.PluginTagToContent("hparams").values()
    except KeyError:
        return found
    for content in contents:
        given = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        for key, value in given.items():
            if kind := value.WhichOneof("kind"):
                found[key] = getattr(value, kind)
    return found
