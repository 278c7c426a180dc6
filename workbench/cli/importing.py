"""The command that takes experiments, runs and teachers from elsewhere into a history."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.doing import engine_settings
from workbench.cli.exchange import import_experiments, import_foreign
from workbench.cli.options import data_option, device_option, history_option, json_option
from workbench.cli.tables import run_object, table
from workbench.errors import ConfigError, WorkbenchError
from workbench.exchange.bringing import BEST, Found, Wanted
from workbench.history import reading
from workbench.history.bundle import is_bundle
from workbench.history.database import check_history, open_for_reading
from workbench.progress import ProgressPrinter
from workbench.recipes import key_values, with_values


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--tensorboard", "events", type=click.Path(path_type=Path), help="Instead the runs of a folder of event files.")
@click.option("--mlflow", "uri", default="", help="Instead the runs of a tracking store, such as sqlite:///mlflow.db.")
@click.option(
    "--torchvision", default="", metavar="NAME", help="The weights that torchvision has for resnet18, say; FILE: they are there."
)
@click.option("--weights", default="", show_default=BEST, help="Which of torchvision's weights, such as IMAGENET1K_V1.")
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="The model and the data: model.model=mlp, model.units=800, data.dataset=mnist…; how a teacher from elsewhere is "
    "asked: elsewhere.size=224, elsewhere.pixels=imagenet…",
)
@click.option(
    "--map",
    "mapped",
    metavar="CLASS=OUTPUT",
    multiple=True,
    help="Which output of the teacher stands for a class of the data, by name or number; several with semicolons between.",
)
@click.option("--names", type=click.Path(path_type=Path), help="A text file with the names of the teacher's outputs, one a line.")
@click.option("--look", "only_look", is_flag=True, help="Say what stands for each class and how good it is; enter nothing.")
@click.option("--name", default="", help="How the history calls it; else the file's name.")
@history_option
@data_option
@device_option
@json_option
def import_(
    file: Path | None,
    events: Path | None,
    uri: str,
    torchvision: str,
    weights: str,
    changes: tuple[str, ...],
    mapped: tuple[str, ...],
    names: Path | None,
    only_look: bool,
    name: str,
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    as_json: bool,
) -> None:
    """Enter the experiments of FILE (.distilled, written by `workbench export`), or a teacher as a finished run: the weights of
    FILE (.safetensors, or .pt of plain tensors), the network of FILE (.onnx), or torchvision's pretrained weights. Its
    outputs stand for the classes of the data that are called like them. With --tensorboard or --mlflow runs come without weights.
    """
    if [file is None and not torchvision, events is None, not uri].count(False) != 1:
        raise WorkbenchError("say what to import: a FILE, --torchvision NAME, --tensorboard FOLDER, or --mlflow URI")
    if weights and not torchvision:
        raise WorkbenchError("--weights says which of torchvision's are meant; name the architecture with --torchvision")
    others = bool(changes or mapped or names or only_look)
    if events is not None or uri:
        if others:
            raise WorkbenchError("these runs bring their own settings; leave --set, --map, --names and --look out")
        import_foreign(events, uri, name, history, as_json)
    elif file is not None and not torchvision and is_bundle(file):
        if others or name:
            raise WorkbenchError(f"{file} brings its own settings and names; leave --set, --map, --names, --look and --name out")
        import_experiments(file, history, as_json)
    else:
        wanted = _wanted(file, torchvision, weights, changes, mapped, names, name)
        _bring(wanted, only_look, history, {"device": device, "folders": folders}, as_json)


def _wanted(
    file: Path | None,
    torchvision: str,
    weights: str,
    changes: tuple[str, ...],
    mapped: tuple[str, ...],
    names: Path | None,
    name: str,
) -> Wanted:
    from workbench.config import RunConfig

    pairs = key_values(changes)
    for key, _ in pairs:
        head = key.partition(".")[0]
        if head not in ("data", "model", "elsewhere"):
            raise ConfigError(key, "a finished teacher has no such setting; --set takes data.…, model.… and elsewhere.…")
        if head == "model" and (torchvision or (file is not None and file.suffix == ".onnx")):
            raise ConfigError(key, f"{'torchvision' if torchvision else file} brings its model along; leave this out")
    tables = with_values({}, pairs)
    settings = tables.pop("elsewhere", {})
    if not isinstance(settings, Mapping):
        raise ConfigError("elsewhere", "must be a table of settings")
    config = RunConfig.from_dict(tables)
    mapping = {}
    for one in mapped:
        key, found, value = one.partition("=")
        if not found or not value.strip():
            raise WorkbenchError(f"--map takes CLASS=OUTPUT, such as cat=tabby, not {one!r}")
        mapping[key.strip()] = value.strip()
    return Wanted(
        data=config.data,
        model=config.model,
        file=file,
        torchvision=torchvision,
        weights=weights or BEST,
        settings=settings,
        mapping=mapping,
        names=names,
        name=name,
    )


def _bring(wanted: Wanted, only_look: bool, history: Path, settings: dict[str, Any], as_json: bool) -> None:
    from workbench.exchange.importing import enter, look, measured
    from workbench.history.writing import History
    from workbench.running.engine import Engine, EngineSettings

    check_history(history)
    engine = Engine(EngineSettings(**engine_settings(settings["device"], 0, settings["folders"], False)))
    printer = ProgressPrinter()
    if only_look:
        found = look(engine, wanted, printer.tell)
        click.echo(found.to_json() if as_json else shown(found))
        return
    ready = measured(engine, wanted, printer.tell)
    with History(history) as opened:
        run = enter(opened, ready)
        with contextlib.closing(open_for_reading(history)) as database:
            rows = reading.list_runs(database, [run])
            click.echo(json.dumps(run_object(database, rows[0])) if as_json else table(rows))


def shown(found: Found) -> str:
    """What stands for each class, and how good the teacher is."""
    wide = max(map(len, found.classes))
    lines = [f"{one:{wide}}  {chosen or '–'}" for one, chosen in zip(found.classes, found.chosen, strict=True)]
    return "\n".join([*lines, *found.notes, found.words()])
