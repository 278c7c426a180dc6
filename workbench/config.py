"""An experiment and a run as frozen, checked values; TOML and JSON both ways.

``ExperimentConfig`` is what one Launch does. ``RunConfig`` is one model trained once, with everything that decides
its weights. Each part raises :class:`ConfigError` with the dotted path of what is wrong.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import tomli_w

from workbench import zoo
from workbench.errors import ConfigError
from workbench.settings import checked, closest, options_of, setting

Role = Literal["teacher", "student", "baseline", "generalist", "specialist"]


class _Checked:
    """Checks every field that carries a setting, by that setting, when a config is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for option in options_of(type(self)):
            value = checked(option, getattr(self, option.name), option.name)
            object.__setattr__(self, option.name, value)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(_Checked):
    """Which data, how its pixels are read, and how it is split."""

    dataset: str = setting(
        "digits", label="Data set", help="A built-in name, or a folder of MNIST-style IDX files or of class/image.png."
    )
    validation_fraction: float = setting(
        0.1,
        label="Validation share",
        help="Share of the training cases kept aside to choose epochs by; the test split never chooses anything. 0 keeps none.",
        low=0.0,
        high=0.5,
    )
    split_seed: int = setting(
        0, label="Split seed", help="Picks the validation cases; its own seed, so that reused teachers never trained on them.",
        low=0, high=2**31 - 1, advanced=True,
    )  # fmt: skip
    image_size: int = setting(
        0, label="Image size",
        help="Side to which an image folder's pictures are scaled; 0 keeps IDX sizes and means 32 for folders.",
        unit="px", low=0, high=512, advanced=True,
    )  # fmt: skip
    channels: int = setting(0, label="Channels", help="1 for grey, 3 for colour, 0 for as stored.", low=0, high=3, advanced=True)
    transpose: bool = setting(False, label="Transpose", help="Swap rows and columns: EMNIST files are stored so.", advanced=True)
    invert: bool = setting(False, label="Invert", help="Dark on light becomes light on dark.", advanced=True)
    standardise: bool = setting(
        True,
        label="Standardise",
        help="Subtract the mean and divide by the deviation measured on the training cases.",
        advanced=True,
    )

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.channels == 2:
            raise ConfigError("channels", "must be 0, 1 or 3, not 2")
        if not self.dataset.strip():
            raise ConfigError("dataset", "must name a data set or a folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferConfig(_Checked):
    """The cases the student sees (the paper's transfer set, sections 1, 3 and 6)."""

    fraction: float = setting(
        1.0, label="Fraction",
        help="Share of the training cases, stratified by class, that the student and its baseline see; 0 with own images alone.",
        low=0.0, high=1.0,
    )  # fmt: skip
    leave_out: tuple[int | str, ...] = setting(
        (), label="Leave out", help="Classes (names or numbers) of which the student sees no case, such as 3."
    )
    keep: tuple[int | str, ...] = setting(
        (), label="Keep only", help="The only classes of which the student sees cases, such as 7, 8; empty keeps all."
    )
    labelled: bool = setting(
        True, label="With labels", help="Without labels the student learns from soft targets alone (hard weight 0)."
    )
    images: str = setting(
        "", label="Own images", folder=True,
        help="A folder of unlabelled images, at any depth, of which the student learns the soft targets alone.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if not self.fraction and not self.images:
            raise ConfigError("fraction", "must be above 0 where there are no own images (transfer.images)")
        if self.leave_out and self.keep:
            raise ConfigError("keep", "say either which classes to keep or which to leave out, not both")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A model of the zoo with all its options; in TOML the options stand beside ``model``."""

    model: str = "mlp"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", zoo.checked_options(self.model, self.options))

    def describe(self) -> str:
        """In a few words: ``mlp 2×300``, ``cnn 32×128``, ``resnet18``, ``mlp 2×300 linear``."""
        given = self.options
        if self.model == "torchvision":
            return str(given["architecture"])
        if self.model == zoo.ONNX.name:
            return zoo.ONNX.name
        short = [f"{value}" for key, value in given.items() if isinstance(value, int) and not isinstance(value, bool)]
        if self.model == "cnn":
            *short, convolutions = short
            short[0] = f"{convolutions}·{short[0]}" if convolutions != "1" else short[0]
        without = {"activation": " linear", "bias": " without bias", "batch_norm": " without norm"}
        changed = [said for key, said in without.items() if given.get(key) in ("none", False)]
        return f"{self.model} {'×'.join(short)}{''.join(changed)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherConfig:
    """``count`` members of the ensemble alike but for their seeds, or one past run of the history (``run``)."""

    model: ModelConfig = field(default_factory=ModelConfig)
    count: int = setting(1, label="Count", help="How many members of this kind, each with a seed of its own.", low=1, high=100)
    run: int = setting(
        0,
        label="Past run",
        help="Number of a finished run of the history to use as it is; 0 trains.",
        low=0,
        high=2**62,
        advanced=True,
    )

    def __post_init__(self) -> None:
        for option in options_of(TeacherConfig):
            object.__setattr__(self, option.name, checked(option, getattr(self, option.name), option.name))
        if self.run and self.count != 1:
            raise ConfigError("count", "must be 1 where a past run is picked")


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig(_Checked):
    """What the student learns from (sections 1 and 2)."""

    temperature: float = setting(
        4.0, label="Temperature",
        help="T in both softmaxes while training, 1 afterwards. Higher shows more of what the teachers think of wrong classes.",
        above=0.0, high=1000.0, log=True,
    )  # fmt: skip
    hard_weight: float = setting(
        0.1,
        label="Hard weight",
        help="Weight w of the true labels: (1 − w)·T²·KL(soft) + w·cross-entropy(labels).",
        low=0.0,
        high=1.0,
    )
    match: str = setting(
        "targets", label="Match", help="Soft targets at T, or the teachers' logits themselves (T is not used then), to which "
        "high temperatures tend (section 2.1).", choices=("targets", "logits"), advanced=True,
    )  # fmt: skip
    mean: str = setting(
        "arithmetic", label="Ensemble mean", help="How the members' predictive distributions are combined.",
        choices=("arithmetic", "geometric"),
    )  # fmt: skip
    teacher_view: str = setting(
        "same", label="Teachers see",
        help="The view that the student sees, or the clean image though the student's is jittered or flipped.",
        choices=("same", "clean"), advanced=True,
    )  # fmt: skip
    baseline: bool = setting(
        True, label="Train the baseline", help="The same student with the same seed on hard targets alone, for comparison."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecialistConfig(_Checked):
    """What one specialist knows apart (section 5): the numbers of its classes, and how it sees all others."""

    classes: tuple[int, ...] = setting((), label="Classes", help="The numbers of its classes.")
    softmax: str = setting(
        "dustbin", label="Other classes", help="As of the experiment's specialists.", choices=("dustbin", "full")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CombinationConfig(_Checked):
    """How a generalist and its specialists are combined (section 5.4)."""

    top: int = setting(
        1, label="Ask by top", help="Specialists are asked that have one of so many classes the generalist names first.",
        unit="classes", low=1, high=1000,
    )  # fmt: skip
    divergence: str = setting(
        "p-q", label="Combine by", help="Minimise KL(p, q) as in the paper, towards the arithmetic mean of what the models say, "
        "or KL(q, p), towards the geometric one.", choices=("p-q", "q-p"), advanced=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ElsewhereConfig(_Checked):
    """How a teacher from elsewhere is asked: how it sees the data's images, and which outputs stand for which class."""

    source: str = setting("", label="From", help="The file or the name of the weights it came from.")
    logits: int = setting(0, label="Its outputs", help="How many outputs it has.", low=0, high=1_000_000)
    outputs: tuple[int | str, ...] = setting(
        (), label="Classes",
        help="For each class of the data the number of the output that stands for it; of several, such as 281+282, the "
        "probabilities are added.",
    )  # fmt: skip
    size: int = setting(
        0, label="Image side", help="Side of the images it takes; 0: as the data's are.", unit="px", low=0, high=2048
    )
    channels: int = setting(0, label="Channels", help="1 for grey, 3 for colour, 0 for as the data's are.", low=0, high=3)
    pixels: str = setting(
        "0..1", label="Pixels", help="How pixels come to it: from 0 to 1, 0 to 255 or -1 to 1; imagenet: less ImageNet's mean "
        "and by its deviation; standardised: as models that are trained here get this data.",
        choices=("0..1", "0..255", "-1..1", "imagenet", "standardised"),
    )  # fmt: skip
    gives: str = setting(
        "logits", label="It gives", help="Logits, or probabilities that sum to 1.", choices=("logits", "probabilities")
    )
    output: str = setting("", label="Output", help="The name of the output that is meant, of an ONNX file with several.")
    resize: int = setting(
        0, label="First scaled to", help="Side to which images are scaled before the middle is cut out; 0: nothing is cut off.",
        unit="px", low=0, high=2048, advanced=True,
    )  # fmt: skip
    interpolation: str = setting(
        "bilinear", label="Scaled by", help="How images are scaled.", choices=("bilinear", "bicubic"), advanced=True
    )
    transpose: bool = setting(False, label="Transposed", help="It takes rows for columns.", advanced=True)
    invert: bool = setting(False, label="Inverted", help="It takes dark on light for light on dark.", advanced=True)

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.channels == 2:
            raise ConfigError("channels", "must be 0, 1 or 3, not 2")
        if self.resize and self.resize < self.size:
            raise ConfigError("resize", f"must be 0 or at least the side of {self.size} that is cut out")
        for item in map(str, self.outputs):
            if item and not all(part.isdecimal() and len(part) < 8 and int(part) < self.logits for part in item.split("+")):
                raise ConfigError("outputs", f"{item!r} is not the number of one of {self.logits} outputs, nor such as 1+2")

    def numbers(self) -> tuple[tuple[int, ...], ...]:
        """The outputs that stand for each class; none for a class that nothing stands for."""
        return tuple(tuple(int(part) for part in str(item).split("+") if part) for item in self.outputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecialistsConfig(CombinationConfig):
    """Specialists beside a generalist, which is the one teacher: which classes each has, and how all are combined."""

    count: int = setting(8, label="Specialists", help="How many subsets of classes, each with a specialist.", low=1, high=500)
    size: int = setting(
        0, label="Classes each", help="Classes nearest to each subset's centre, so that subsets may overlap; 0 gives each class "
        "to one subset.", unit="classes", low=0, high=1000,
    )  # fmt: skip
    by: str = setting(
        "correlation", label="Subsets by",
        help="How the generalist's predictions of two classes on training cases vary together, without labels: the paper's "
        "covariance, or their correlation; or how often one is taken for the other on validation.",
        choices=("correlation", "covariance", "confusion"),
    )  # fmt: skip
    temperature: float = setting(
        1.0, label="Softened by", help="Temperature of those predictions; higher gives subsets of more even sizes.",
        above=0.0, high=100.0, log=True, advanced=True,
    )  # fmt: skip
    by_hand: tuple[int | str, ...] = setting(
        (), label="By hand", help='Subsets chosen by hand instead, each as its classes with commas between, such as "4, 9"; '
        "in a form with semicolons between subsets: 4, 9; 3, 5, 8.", between=";", advanced=True,
    )  # fmt: skip
    softmax: str = setting(
        "dustbin", label="Other classes", help="One dustbin class for all classes that are not a specialist's own, or a full "
        "softmax that learns the generalist's soft targets on them (section 6).", choices=("dustbin", "full"), advanced=True,
    )  # fmt: skip
    students: bool = setting(
        True, label="Distil back",
        help="Train the student on what generalist and specialists say together, and beside it on the generalist alone.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.size == 1:
            raise ConfigError("size", "must be 0 or at least 2: a specialist tells its classes apart")

    @property
    def combination(self) -> CombinationConfig:
        """How they are combined, alone."""
        return CombinationConfig(top=self.top, divergence=self.divergence)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(_Checked):
    """How a model is optimised."""

    epochs: int = setting(20, label="Epochs", help="Passes over the cases.", unit="epochs", low=1, high=100_000)
    batch_size: int = setting(128, label="Batch size", help="Cases in each step.", unit="cases", low=1, high=65_536)
    optimizer: str = setting("adamw", label="Optimiser", help="SGD with momentum, or AdamW.", choices=("sgd", "adamw"))
    learning_rate: float = setting(
        1e-3, label="Learning rate", help="At the top of the schedule.", above=0.0, high=100.0, log=True
    )
    schedule: str = setting(
        "cosine",
        label="Schedule",
        help="How the learning rate falls over the run.",
        choices=("constant", "cosine", "linear", "step"),
    )
    warmup: float = setting(
        0.0,
        label="Warm-up",
        help="Epochs over which the learning rate rises from zero.",
        unit="epochs",
        low=0.0,
        high=10_000,
        advanced=True,
    )
    step_epochs: int = setting(
        10,
        label="Step every",
        help="With the step schedule: epochs between two falls.",
        unit="epochs",
        low=1,
        high=100_000,
        advanced=True,
    )
    step_factor: float = setting(
        0.1,
        label="Step factor",
        help="With the step schedule: what the rate is multiplied by.",
        above=0.0,
        high=1.0,
        advanced=True,
    )
    momentum: float = setting(0.9, label="Momentum", help="Of SGD; AdamW does not use it.", low=0.0, high=0.9999, advanced=True)
    weight_decay: float = setting(
        0.0, label="Weight decay", help="Strength of the pull of weights to zero.", low=0.0, high=10.0, advanced=True
    )
    label_smoothing: float = setting(
        0.0, label="Label smoothing", help="Share of each hard target spread over all classes.", low=0.0, high=0.9, advanced=True
    )
    jitter: int = setting(
        0, label="Jitter", help="Largest shift of an image in x and y, drawn anew each epoch.", unit="px", low=0, high=64
    )
    flip: bool = setting(False, label="Flip", help="Mirror half of the images left to right, drawn anew each epoch.")
    patience: int = setting(
        0, label="Patience", help="Stop after so many epochs that were no better on validation; 0 never stops early.",
        unit="epochs", low=0, high=100_000, advanced=True,
    )  # fmt: skip
    keep: str = setting(
        "best",
        label="Keep weights",
        help="Of the epoch best on validation, or of the last.",
        choices=("best", "last"),
        advanced=True,
    )
    precision: str = setting(
        "float32", label="Precision", help="bfloat16 where the device has it.", choices=("float32", "bf16"), advanced=True
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig:
    """What one Launch does. ``seed`` decides the student's start, its order and its fraction of cases."""

    name: str = setting("experiment", label="Name", help="How the history calls this experiment.")
    description: str = setting("", label="Description", help="What the experiment is about, in a sentence or two.")
    seed: int = setting(
        0, label="Seed", help="Decides the student's initial weights, its order of cases and which cases a fraction picks.",
        low=0, high=2**31 - 1,
    )  # fmt: skip
    teacher_seed: int = setting(
        0, label="Teacher seed", help="Seed of the first teacher; the next have the next numbers.", low=0, high=2**31 - 1
    )
    refit: bool = setting(
        False, label="Refit on all cases",
        help="Train on all training cases and keep the last weights, as in the paper, for as many epochs as were best on "
        "validation in a training before; where the last weights are kept anyway, nothing has to be chosen first.", advanced=True,
    )  # fmt: skip
    data: DataConfig = field(default_factory=DataConfig)
    teachers: tuple[TeacherConfig, ...] = field(default_factory=lambda: (TeacherConfig(),))
    teacher_training: TrainingConfig = field(default_factory=TrainingConfig)
    student: ModelConfig = field(default_factory=ModelConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    specialists: SpecialistsConfig | None = None
    specialist_training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for option in options_of(ExperimentConfig):
            object.__setattr__(self, option.name, checked(option, getattr(self, option.name), option.name))
        if not self.teachers:
            raise ConfigError("teachers", "name at least one teacher: a student needs somebody to learn from")
        if sum(group.count for group in self.teachers) > 100:
            raise ConfigError("teachers", "an ensemble has at most 100 members")
        if self.specialists:
            self._check_generalist()
        if not self.data.validation_fraction:
            self._check_nothing_is_chosen()
        if not self.transfer.labelled and self.distillation.hard_weight > 0:
            raise ConfigError("distillation.hard_weight", "must be 0 where the transfer set has no labels")
        if not self.transfer.fraction and self.distillation.baseline:
            raise ConfigError(
                "distillation.baseline", "switch it off: with a transfer fraction of 0 it has no case to learn from"
            )

    @property
    def chooses(self) -> bool:
        """Whether student and baseline choose their epochs on validation."""
        return self.training.keep == "best" or self.training.patience > 0

    def _check_generalist(self) -> None:
        """Specialists stand beside one generalist."""
        if len(self.teachers) != 1 or self.teachers[0].count != 1:
            raise ConfigError("teachers", "name one teacher alone beside specialists: it is their generalist")
        if self.refit:
            raise ConfigError("refit", "leave it out beside specialists: their classes come from the generalist's validation")
        if self.distillation.match == "logits":
            raise ConfigError("distillation.match", 'must be "targets" beside specialists: together they give probabilities')

    def _check_nothing_is_chosen(self) -> None:
        """Without validation cases no epoch can be chosen."""
        if self.refit:
            raise ConfigError("data.validation_fraction", "must be above 0: refit first chooses the epochs on validation")
        every = {"teacher_training": self.teacher_training, "training": self.training}
        if self.specialists:
            every["specialist_training"] = self.specialist_training
            if self.specialists.by == "confusion":
                raise ConfigError("specialists.by", "must be correlation or covariance where no cases are kept for validation")
        for path, training in every.items():
            if training.keep != "last":
                raise ConfigError(f"{path}.keep", 'must be "last" where no cases are kept for validation')
            if training.patience:
                raise ConfigError(f"{path}.patience", "must be 0 where no cases are kept for validation")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The config written as nested tables; anything unknown or wrong is a :class:`ConfigError` with its path."""
        made: Self = _made(cls, given, "")
        return made

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, defaults left out."""
        return _plain(self)

    def to_toml(self) -> str:
        """The experiment as a recipe."""
        return tomli_w.dumps(self.to_dict())


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """One model trained once. ``distillation`` is None for whoever learns from hard targets alone.

    ``specialist`` is set for a specialist, whose parent is its generalist; ``combination`` for whoever learns from a
    generalist and its specialists, its parents in that order, and for these themselves, together as one model; ``elsewhere``
    for a teacher that was trained elsewhere on other classes or images.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    distillation: DistillationConfig | None = None
    specialist: SpecialistConfig | None = None
    combination: CombinationConfig | None = None
    elsewhere: ElsewhereConfig | None = None
    seed: int = setting(0, label="Seed", help="Initial weights, order, jitter and the fraction's cases.", low=0, high=2**31 - 1)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The run as :meth:`to_dict` wrote it."""
        made: Self = _made(cls, given, "")
        return made

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, defaults left out."""
        return _plain(self)


def sameness(experiment: Mapping[str, Any]) -> str:
    """An experiment's nested tables as one text, its name and description left out: what two Launches have in common."""
    return json.dumps({key: value for key, value in experiment.items() if key not in ("name", "description")}, sort_keys=True)


ENGINE_VERSION = 2
"""Raised when the same config no longer gives the same weights; part of every fingerprint."""


def fingerprint(config: RunConfig, data_digest: str, parents: Sequence[str]) -> str:
    """SHA-256 of what decides a run's weights: its config, its data's content, its parents' weights, the engine's version."""
    about = {"config": config.to_dict(), "data": data_digest, "parents": list(parents), "engine": ENGINE_VERSION}
    return hashlib.sha256(json.dumps(about, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _made(cls: type, given: Any, path: str) -> Any:
    """An instance of a config dataclass from nested tables."""
    if not isinstance(given, Mapping):
        raise ConfigError(path, "must be a table of settings")
    if cls is ModelConfig:
        return _model(given, path)
    if cls is TeacherConfig:
        own = {key: value for key, value in given.items() if key in ("count", "run")}
        return _at(path, TeacherConfig, model=_model({key: given[key] for key in given if key not in own}, path), **own)
    fields = {item.name: item for item in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        where = f"{path}.{key}".lstrip(".")
        if key not in fields:
            raise ConfigError(where, f"there is no such setting{closest(key, fields)}; known here: {', '.join(fields)}")
        if "setting" in fields[key].metadata:
            values[key] = value
        elif key == "teachers":
            if not isinstance(value, (list, tuple)):
                raise ConfigError(where, "must be a list of tables, written [[teachers]]")
            values[key] = tuple(_made(TeacherConfig, item, f"{where}.{index}") for index, item in enumerate(value))
        else:
            values[key] = _made(_PARTS[key], value, where)
    return _at(path, cls, **values)


def _model(given: Mapping[str, Any], path: str) -> ModelConfig:
    options = {key: value for key, value in given.items() if key != "model"}
    made: ModelConfig = _at(path, ModelConfig, model=given.get("model", "mlp"), options=options)
    return made


def _at(path: str, cls: type, **values: Any) -> Any:
    """``cls(**values)``, with ``path`` put before the path of whatever is wrong."""
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(".".join(part for part in (path, error.path) if part), error.reason) from None


_PARTS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "student": ModelConfig,
    "teacher_training": TrainingConfig,
    "training": TrainingConfig,
    "distillation": DistillationConfig,
    "transfer": TransferConfig,
    "specialists": SpecialistsConfig,
    "specialist_training": TrainingConfig,
    "specialist": SpecialistConfig,
    "combination": CombinationConfig,
    "elsewhere": ElsewhereConfig,
}


def _plain(config: Any) -> dict[str, Any]:
    if isinstance(config, ModelConfig):
        defaults = {option.name: option.default for option in zoo.spec(config.model).options}
        return {"model": config.model} | {key: value for key, value in config.options.items() if value != defaults[key]}
    result: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if isinstance(value, ModelConfig) and isinstance(config, TeacherConfig):
            result |= _plain(value)
        elif item.name == "teachers":
            result[item.name] = [_plain(teacher) for teacher in value]
        elif dataclasses.is_dataclass(value):
            part = _plain(value)
            if part or item.default is None:
                result[item.name] = part
        elif value is not None and value != item.default:
            result[item.name] = list(value) if isinstance(value, tuple) else value
    return result


def flat(config: RunConfig) -> dict[str, Any]:
    """Every setting of a run, defaults too, by dotted path: what the history filters and compares by."""
    result: dict[str, Any] = {}

    def visit(part: Any, path: str) -> None:
        if isinstance(part, ModelConfig):
            result[path] = part.model
            for key, value in part.options.items():
                result[f"{path}.{key}"] = written(value)
        elif dataclasses.is_dataclass(part):
            for item in dataclasses.fields(part):
                visit(getattr(part, item.name), f"{path}.{item.name}".lstrip("."))
        elif part is not None:
            result[path] = written(part)

    visit(config, "")
    return result


def written(value: Any) -> Any:
    """A setting's value as one cell of a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
