"""A teacher from elsewhere in plain values: what is wanted, and what was found in it. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.config import DataConfig, ElsewhereConfig, ModelConfig
from workbench.errors import ConfigError
from workbench.exchange.class_names import Outputs, some
from workbench.settings import options_of

BEST = "DEFAULT"
"""torchvision's name for the best weights it has."""

CHOICES = tuple(option for option in options_of(ElsewhereConfig) if option.name not in ("source", "logits", "outputs"))
CHOSEN = tuple(option.name for option in CHOICES)
"""What a person can say of how a teacher is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A teacher to be brought in for some data: the ``file`` of an ONNX network or of weights for ``model``, or the weights
    that torchvision has for an architecture (``torchvision``), downloaded or from their ``file``.

    ``settings`` are those of ``ElsewhereConfig`` that a person has chosen, ``mapping`` the outputs they chose for classes, by
    name, and ``names`` a file with the names of the outputs, one a line. What is left open is found in the teacher.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    file: Path | None = None
    torchvision: str = ""
    weights: str = BEST
    settings: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    names: Path | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not self.torchvision and self.file is None:
            raise ConfigError("file", "name the teacher's file, or torchvision's architecture")

    @property
    def asked(self) -> bool:
        """Whether a person has said how the teacher is to be asked, and it is not simply one of the models trained here."""
        return bool(self.settings or self.mapping or self.names)

    def to_json(self) -> str:
        """What :meth:`from_json` reads."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Wanted:
        """What :meth:`to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        data, model = DataConfig(**given.pop("data")), ModelConfig(**given.pop("model"))
        files = {key: Path(given[key]) if given[key] else None for key in ("file", "names")}
        return cls(data=data, model=model, **given | files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a teacher from elsewhere turned out to be.

    ``names`` are those of its outputs, ``classes`` the data's, and ``chosen`` what stands for each of these, nothing where
    no output is called like it. ``settings`` say how it is asked; there are none where it is a model as they are trained here.
    ``figures`` are those on validation; there are none while a class is without output, or where no cases are kept for it.
    """

    title: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    chosen: tuple[str, ...]
    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes that no output stands for."""
        return tuple(one for one, chosen in zip(self.classes, self.chosen, strict=True) if not chosen)

    def words(self) -> str:
        """How good it is, or what is lacking, in a sentence."""
        if self.missing:
            count, shown = len(self.missing), some(self.missing)
            are, each = ("class has", "it") if count == 1 else ("classes have", "each")
            return f"{count} of {len(self.classes)} {are} no output of that name in {self.title} ({shown}): choose for {each}."
        if not self.figures:
            return f"No cases are kept for validation, so how good {self.title} is here is not known."
        size = f"{self.figures['val_size']:,.0f}"
        return (
            f"On validation {self.title} is right in {self.figures['val_accuracy']:.2%} of {size} cases "
            f"({self.figures['val_errors']:,.0f} errors)."
        )

    def to_json(self) -> str:
        """What :meth:`from_json` reads."""
        return json.dumps(asdict(self) | {"words": self.words(), "missing": self.missing})

    @classmethod
    def from_json(cls, text: str) -> Found:
        """What :meth:`to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        lists = {key: tuple(given[key]) for key in ("names", "classes", "chosen", "notes")}
        return cls(title=given["title"], settings=given["settings"], figures=given["figures"], **lists)


def chosen_numbers(chosen: Sequence[str], classes: Sequence[str], names: Sequence[str]) -> tuple[int | str, ...]:
    """What stands for each class as ``ElsewhereConfig.outputs`` has it: the outputs' numbers with plus signs between."""
    outputs = Outputs(tuple(names))
    return tuple("+".join(map(str, outputs.numbers(one, text))) for one, text in zip(classes, chosen, strict=True))
