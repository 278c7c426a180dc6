"""What can be asked of a run, by name: its own columns, figures, last values of metrics, and every setting.

One vocabulary for the filter, the table's columns, its order and groups, and the plots of many runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlite_utils import Database

from workbench import zoo
from workbench.config import ModelConfig, RunConfig
from workbench.history.database import tuples
from workbench.settings import Option, Setting, options_of

Kind = Literal["number", "text", "truth", "date", "tags"]
Form = Literal["", "percent", "count", "duration", "rate"]

VALUES = 40
"""So many values of a text field are offered for completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing known of a run. ``sql`` is an expression over ``r`` (its row in ``runs``) and ``e`` (its experiment's).

    ``form`` is how a number is written, ``better`` whether ``more`` or ``less`` of it is. Of the kind ``tags`` a run may have
    several, and ``sql`` joins them by commas.
    """

    name: str
    title: str
    help: str
    kind: Kind
    sql: str
    form: Form = ""
    better: Literal["", "more", "less"] = ""
    group: str = "Run"

    @property
    def measured(self) -> bool:
        """Whether it came out of a run, and was not set before it."""
        return self.group in ("Figures", "Curves") or self.name in ("epochs", "steps", "time", "rate")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields of a history by name, other names for some of them, and values that text fields have."""

    fields: Mapping[str, Field]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str) -> Field | None:
        """The field called so, in any case, or by another of its names."""
        return self.fields.get(name) or self.fields.get(OTHER_NAMES.get(name.lower(), "")) or self._lower().get(name.lower())

    def _lower(self) -> dict[str, Field]:
        return {known.lower(): one for known, one in self.fields.items()}


OTHER_NAMES = {
    "accuracy": "test_accuracy",
    "errors": "test_errors",
    "temperature": "T",
    "hard_weight": "w",
    "dataset": "data",
    "id": "run",
    "tags": "tag",
    "notes": "note",
    "created": "date",
}
"""Other names that a filter may use."""


def _own(name: str, title: str, help_: str, kind: Kind, sql: str, **more: Any) -> Field:
    return Field(name=name, title=title, help=help_, kind=kind, sql=sql, **more)


_MARK = "coalesce((SELECT {} FROM marks WHERE run = r.id), {})"

OWN = (
    _own("name", "Run", "What the run is called in its experiment.", "text", "r.name"),
    _own("run", "No.", "The run's number in this history.", "number", "r.id", form="count"),
    _own("experiment", "Experiment", "The experiment's name.", "text", "e.name"),
    _own("experiment_id", "Exp. no.", "The experiment's number in this history.", "number", "e.id", form="count"),
    _own("sweep", "Sweep", "The sweep that the experiment belongs to.", "text",
         "(SELECT s.name || ' #' || s.id FROM sweeps s WHERE s.id = e.sweep)"),
    _own("status", "Status", "How the run ended.", "text", "r.status"),
    _own("role", "Role", "Teacher, student, baseline, generalist or specialist.", "text", "r.role"),
    _own("data", "Data", "The data set.", "text", "r.dataset"),
    _own("model", "Model", "The model and its size.", "text", "r.model"),
    _own("seed", "Seed", "The run's seed.", "number", "r.seed"),
    _own("T", "T", "Temperature; none where nothing was distilled.", "number", "r.temperature"),
    _own("w", "w", "Hard weight; none where nothing was distilled.", "number", "r.hard_weight"),
    _own("parameters", "Parameters", "Trainable parameters.", "number", "r.parameters", form="count", better="less"),
    _own("multiply_adds", "Mult.-adds", "Multiply-adds of one image.", "number", "r.multiply_adds", form="count", better="less"),
    _own("epochs", "Epochs", "Epochs trained.", "number", "r.epochs"),
    _own("steps", "Steps", "Steps trained.", "number", "r.step", form="count"),
    _own("time", "Time", "Seconds spent training, pauses left out.", "number", "r.train_seconds", form="duration", better="less"),
    _own("rate", "Rate", "Training samples a second.", "number", "r.samples_per_second", form="rate", better="more"),
    _own("date", "Date", "When the run was made.", "date", "r.created"),
    _own("starred", "Star", "Whether you gave the run a star.", "truth", _MARK.format("starred", 0)),
    _own("pinned", "Pin", "Whether you pinned the run to the top.", "truth", _MARK.format("pinned", 0)),
    _own("colour", "Colour", "The colour you gave the run.", "text", _MARK.format("colour", "''")),
    _own("tag", "Tags", "The run's tags.", "tags", "(SELECT group_concat(tag, ', ') FROM tags WHERE run = r.id)"),
    _own("note", "Note", "What you noted about the run.", "text",
         "(SELECT group_concat(text, char(10)) FROM run_notes WHERE run = r.id AND author = 'person')"),
    _own("message", "Message", "Why the run failed, or what else is to be said of it.", "text", "nullif(r.message, '')"),
)  # fmt: skip
"""What stands in a run's own row, or a person gave it."""

FIGURES: dict[str, tuple[str, str, Form, Literal["", "more", "less"]]] = {
    "val_accuracy": ("Val.", "Accuracy on the validation split.", "percent", "more"),
    "val_loss": ("Val. loss", "Cross-entropy on the validation split, nats.", "", "less"),
    "val_errors": ("Val. errors", "Errors on the validation split.", "count", "less"),
    "val_nll": ("Val. NLL", "Negative log-likelihood on the validation split, nats.", "", "less"),
    "test_accuracy": ("Test", "Accuracy on the test split.", "percent", "more"),
    "test_errors": ("Errors", "Errors on the test split.", "count", "less"),
    "test_nll": ("Test NLL", "Negative log-likelihood on the test split, nats.", "", "less"),
    "test_ece": ("Calib. err.", "Expected calibration error on the test split.", "", "less"),
    "teacher_agreement": ("Agreement", "Share of test cases with the teachers' answer.", "percent", "more"),
    "teacher_kl": ("KL", "KL divergence from the teachers on the test split, nats.", "", "less"),
    "best_epoch": ("Best epoch", "The epoch whose weights were kept.", "", ""),
    "loss": ("Loss", "The last total training loss, nats; none where it diverged.", "", "less"),
    "soft_loss": ("Soft loss", "The last soft part of the loss, unscaled, nats.", "", "less"),
    "hard_loss": ("Hard loss", "The last hard part of the loss, unscaled, nats.", "", "less"),
    "learning_rate": ("Rate of learning", "The last learning rate.", "", ""),
}
"""Title, help, form and direction of what is known of figures and metrics."""


def vocabulary(database: Database) -> Vocabulary:
    """The fields that this history has, and values for completion."""

    def column(sql: str) -> list[str]:
        return [row[0] for row in tuples(database, sql)]

    results = column("SELECT DISTINCT name FROM results ORDER BY name")
    metrics = column("SELECT DISTINCT metric FROM summary ORDER BY metric")
    some = "SELECT max(id) AS run FROM runs GROUP BY role, model"  # of all runs it would be a second
    others = column(f"SELECT DISTINCT p.key FROM params p JOIN ({some}) USING (run)")
    values = {
        "experiment": column(f"SELECT DISTINCT name FROM experiments LIMIT {VALUES}"),
        "sweep": column(f"SELECT name || ' #' || id FROM sweeps LIMIT {VALUES}"),
        "tag": column("SELECT DISTINCT tag FROM tags ORDER BY tag"),
        "colour": column("SELECT DISTINCT colour FROM marks WHERE colour <> '' ORDER BY colour"),
    }
    texts = ("status", "role", "data", "model", "name")
    rows = tuples(database, "SELECT DISTINCT status, role, dataset, model, name FROM runs")
    values |= {name: sorted({row[place] for row in rows}) for place, name in enumerate(texts)}
    return _vocabulary(results, metrics, others, {name: tuple(found[:VALUES]) for name, found in values.items()})


def _vocabulary(
    results: Iterable[str], metrics: Iterable[str], others: Iterable[str], values: Mapping[str, tuple[str, ...]]
) -> Vocabulary:
    results = list(results)
    fields: dict[str, Field] = {}
    for one in (*OWN, *_figures(results), *_metrics(metrics, set(results)), *_settings(others)):
        fields.setdefault(one.name, one)
    return Vocabulary(fields, values)


def quoted(text: str) -> str:
    """A text as an SQL literal, which ends at a NUL: a name with one is that of nothing."""
    text = text.split("\0")[0]
    return "'" + text.replace("'", "''") + "'"


def _figures(names: Iterable[str]) -> Iterator[Field]:
    for name in names:
        title, help_, form, better = FIGURES.get(name, (name, f"The figure {name} of the finished run.", "", ""))
        sql = f"(SELECT value FROM results WHERE run = r.id AND name = {quoted(name)})"
        yield Field(name=name, title=title, help=help_, kind="number", sql=sql, form=form, better=better, group="Figures")


def _metrics(names: Iterable[str], figures: set[str]) -> Iterator[Field]:
    """Last, lowest and highest value of each curve; a run that diverged has none of them."""
    for name in names:
        title, help_, form, better = FIGURES.get(name, (name, f"The last value of the metric {name}.", "", ""))
        for part in ("last", "lowest", "highest"):
            if part == "last" and name in figures:
                continue
            sql = (
                f"(SELECT s.{part} FROM summary s WHERE s.run = r.id AND s.metric = {quoted(name)} AND NOT EXISTS"
                f" (SELECT 1 FROM nonfinite n WHERE n.run = r.id AND n.metric = {quoted(name)}))"
            )
            yield Field(
                name=name if part == "last" else f"{name}.{part}",
                title=title if part == "last" else f"{title}, {part}",
                help=help_ if part == "last" else f"The {part} value of the curve {name}; none where it diverged.",
                kind="number", sql=sql, form=form, better=better, group="Curves",
            )  # fmt: skip


def _settings(others: Iterable[str]) -> Iterator[Field]:
    known = dict(_options(RunConfig))
    for path in sorted({*known, *others}):
        option = known.get(path)
        yield _setting(path, path, option, "")
        if path.startswith("model."):
            for who, roles in (("student", "'student', 'baseline'"), ("teacher", "'teacher', 'generalist'")):
                yield _setting(who + path.removeprefix("model"), path, option, f" AND r.role IN ({roles})")


def _setting(name: str, path: str, option: Option | None, condition: str) -> Field:
    about = option.setting if option else Setting(label=path, help="A setting of the run.")
    kind: Kind = "text" if option is None or option.kind in (str, tuple) else "truth" if option.kind is bool else "number"
    value = {"truth": "value = 'true'", "number": "iif(typeof(value) IN ('integer', 'real'), value, NULL)"}.get(kind, "value")
    unit = f" In {about.unit}." if about.unit else ""
    whose = {"student": " Of students and baselines.", "teacher": " Of teachers."}.get(name.split(".")[0], "")
    return Field(
        name=name, title=about.label, help=f"{about.help}{unit}{whose}", kind=kind, group="Settings",
        sql=f"(SELECT {value} FROM params WHERE run = r.id AND key = {quoted(path)}{condition})",
    )  # fmt: skip


def _options(config: type, path: str = "") -> Iterator[tuple[str, Option]]:
    """Every setting of a run by dotted path, those of all models of the zoo among them."""
    for option in options_of(config):
        yield f"{path}{option.name}", option
    for item in dataclasses.fields(config):
        kind = str(item.type).removesuffix(" | None")
        part = _PARTS.get(kind)
        if part is ModelConfig:
            for spec in zoo.MODELS.values():
                for option in spec.options:
                    yield f"{path}{item.name}.{option.name}", option
        elif part is not None:
            yield from _options(part, f"{path}{item.name}.")


def _parts() -> dict[str, type]:
    from workbench import config

    return {name: value for name, value in vars(config).items() if isinstance(value, type) and dataclasses.is_dataclass(value)}


_PARTS = _parts()


BASE = _vocabulary([name for name in FIGURES if name.split("_")[0] in ("val", "test", "teacher")], ["loss"], [], {})
"""What every history has: enough to show one while the rest is looked up."""
