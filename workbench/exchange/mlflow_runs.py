"""MLflow's runs: experiments out to a tracking store, and runs in from one, through MLflow's own client, which is an extra."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.history.foreign import FIGURE, ForeignExperiment, ForeignRun, Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

WITHOUT_MLFLOW = "MLflow's runs need MLflow: pip install 'distillation-workbench[mlflow]'"
UID, TAGS = "workbench.uid", "workbench.tags"
STATUSES = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "interrupted": "KILLED", "skipped": "KILLED"}
ENDED = {"FINISHED": "done", "FAILED": "failed", "KILLED": "stopped"}
METRICS_AT_ONCE, PARAMS_AT_ONCE, PAGE = 1000, 100, 1000
"""What MLflow takes in one batch, and gives in one answer."""
MOST_TEXT, MOST_SAID = 5000, 300

logger = logging.getLogger(__name__)


def needed() -> None:
    """Raise a :class:`WorkbenchError` where the extra is not installed."""
    if importlib.util.find_spec("mlflow") is None:
        raise WorkbenchError(WITHOUT_MLFLOW)


def write_runs(uri: str, experiments: Sequence[ForeignExperiment]) -> tuple[int, int]:
    """Write runs to the tracking store at ``uri``, such as ``sqlite:///mlflow.db`` or ``http://HOST:PORT``: how many, and how
    many were there already."""
    needed()
    written = there = 0
    with _told(uri):
        client = _client(uri)
        for one in experiments:
            known = client.get_experiment_by_name(one.name)
            number = known.experiment_id if known else client.create_experiment(one.name)
            for run in one.runs:
                uid = str(run.params.get(UID, ""))
                if uid and client.search_runs([number], f"tags.`{UID}` = '{uid}'", max_results=1):
                    there += 1
                else:
                    _write_run(client, number, run, uid)
                    written += 1
    return written, there


def _write_run(client: MlflowClient, experiment: str, run: ForeignRun, uid: str) -> None:
    from mlflow.entities import Metric, Param

    points = [(name, point) for name, of in run.curves.items() for point in of]
    last = max((point for _, point in points), key=lambda point: point.step, default=Point(0, run.started, 0.0))
    figures = [(f"{FIGURE}{name}", Point(last.step, last.time, value)) for name, value in run.figures.items()]
    metrics = [Metric(name, point.value, round(1000 * point.time), point.step) for name, point in (*points, *figures)]
    params = [Param(key, str(value)[:MOST_TEXT]) for key, value in run.params.items()]
    tags = {TAGS: json.dumps(run.tags)}
    made = client.create_run(experiment, start_time=round(1000 * run.started), tags=tags, run_name=run.name).info.run_id
    for batch in _batches(metrics, METRICS_AT_ONCE):
        client.log_batch(made, metrics=batch)
    for batch in _batches(params, PARAMS_AT_ONCE):
        client.log_batch(made, params=batch)
    client.set_tag(made, UID, uid)  # last of all: what was broken off before is written anew
    end = max((point.time for _, point in points), default=run.started)
    client.set_terminated(made, STATUSES.get(run.status, "KILLED"), end_time=round(1000 * end))


def read_runs(uri: str) -> list[ForeignExperiment]:
    """All experiments of the tracking store at ``uri`` that have runs, without what was deleted there."""
    needed()
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.exists():
        raise WorkbenchError(f"there is no file {path} to import from; name MLflow's tracking store, such as sqlite:///mlflow.db")
    with _told(uri):
        client = _client(uri)
        found = []
        for experiment in _pages(client.search_experiments):
            numbers = [experiment.experiment_id]
            runs = [_read_run(client, run) for run in _pages(client.search_runs, numbers)]
            if runs:
                found.append(ForeignExperiment(name=experiment.name, runs=runs))
    if not found:
        raise WorkbenchError(f"{uri} has no runs of MLflow")
    return found


def _read_run(client: MlflowClient, run: Run) -> ForeignRun:
    curves = {
        name: [Point(one.step, one.timestamp / 1000, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    own = json.loads(run.data.tags.get(TAGS, "[]"))
    others = [f"{key}={value}" for key, value in run.data.tags.items() if not key.startswith(("mlflow.", "workbench."))]
    return ForeignRun(
        uid=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        params={key: _number(value) for key, value in run.data.params.items()},
        curves={name: points for name, points in curves.items() if not name.startswith(FIGURE)},
        figures={name.removeprefix(FIGURE): points[-1].value for name, points in curves.items() if name.startswith(FIGURE)},
        tags=tuple(str(tag) for tag in (*own, *(tag for tag in others if len(tag) <= MOST_TEXT))),
        status=ENDED.get(run.info.status, "interrupted"),
        started=run.info.start_time / 1000 if run.info.start_time else 0.0,
    )


def _number(text: str) -> Any:
    """MLflow keeps settings as text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _pages(search: Any, *arguments: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(*arguments, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _client(uri: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """What MLflow and the database below it raise, as a sentence."""
    try:
        yield
    except Exception as error:
        logger.warning("MLflow at %s", uri, exc_info=error)
        what = " ".join(str(error).split())[:MOST_SAID]
        raise WorkbenchError(f"MLflow's tracking store {uri} cannot be used: {what}") from None
