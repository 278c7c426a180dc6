"""A student taken away: the forms there are, what came of it in plain values and words, and the scripts that run the file.

Nothing here imports torch or ONNX Runtime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.analysis.report import BATCHES, Latency
from workbench.errors import ConfigError, WorkbenchError

TOLERANCE = 1e-4
"""Logits of up to 10 may differ by so much, larger ones by as many parts of ten."""
OPSET = 18
INPUT, OUTPUTS = "images", ("logits", "probabilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A kind of file: what it is called, its ending, what it is for, and the script that runs it, in which ``FILE`` stands
    for the file's name and ``SHAPE`` for that of an image."""

    label: str
    suffix: str
    help: str
    script: str


FORMS = {
    "onnx": Form(
        label="ONNX",
        suffix=".onnx",
        help="One file for ONNX Runtime on any machine: needs neither torch nor this workbench. Pixels in, probabilities out.",
        script="""import json, sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(FILE)
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
images = np.load(sys.argv[1])  # uint8 (N, SHAPE), pixels from 0 to 255
logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
for row in probabilities:
    print(classes[row.argmax()], f"{row.max():.4f}")
""",
    ),
    "safetensors": Form(
        label="safetensors with a model card",
        suffix=".zip",
        help="A zip of the weights, a README.md that says what they are, and model.py, which loads them with torch alone.",
        script="""import sys
import numpy as np
import torch
from model import load  # beside the weights in FILE

model = load("model.safetensors")
images = torch.from_numpy(np.load(sys.argv[1]))  # uint8 (N, SHAPE), pixels from 0 to 255
logits, probabilities = model(images)
for row in probabilities:
    print(model.classes[int(row.argmax())], f"{float(row.max()):.4f}")
""",
    ),
    "torch-export": Form(
        label="torch.export",
        suffix=".pt2",
        help="One file for torch, without this workbench or the network's source. Pixels in, probabilities out.",
        script="""import json, sys
import numpy as np
import torch

about = {"classes.json": ""}
model = torch.export.load(FILE, extra_files=about).module()
classes = json.loads(about["classes.json"])
images = torch.from_numpy(np.load(sys.argv[1]))  # uint8 (N, SHAPE), pixels from 0 to 255
logits, probabilities = model(images)
for row in probabilities:
    print(classes[int(row.argmax())], f"{float(row.max()):.4f}")
""",
    ),
}
"""The forms by the names that the command line gives them."""


class AnswersOtherwise(WorkbenchError):
    """A file that does not give the run's answers, and that nobody has said to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A file's answers for the whole test split beside the run's own: the ``largest`` difference of two logits, how many
    predictions are ``differing``, and the file's errors and the run's."""

    cases: int
    largest: float
    allowed: float
    differing: int
    errors: int
    run_errors: int

    @property
    def same(self) -> bool:
        """Whether every prediction is equal and every logit as good as equal."""
        return self.differing == 0 and self.largest <= self.allowed

    def words(self) -> str:
        """What came of it, in a sentence without its full stop."""
        if not self.differing:
            told = f"all {self.cases:,} test images get the same class as from the run"
        else:
            told = f"{self.differing:,} of {self.cases:,} test images get another class than from the run"
        return f"{told}; logits differ by at most {self.largest:.1e}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A model of the table: errors on the test split, bytes of its file, multiply-adds for an image, and its latency in ONNX
    Runtime by the number of images at once (:data:`BATCHES`); None or nothing where it is not known."""

    name: str
    errors: int | None = None
    size: int | None = None
    multiply_adds: int | None = None
    latency: Mapping[int, Latency] | None = None

    def cells(self) -> tuple[str, ...]:
        """What stands in the :data:`COLUMNS`."""
        times = [self.latency.get(batch) if self.latency else None for batch in BATCHES]
        return (
            self.name,
            "–" if self.errors is None else f"{self.errors:,}",
            "–" if self.size is None else f"{self.size / 1e3:,.1f} kB" if self.size < 1e6 else f"{self.size / 1e6:,.1f} MB",
            "–" if self.multiply_adds is None else f"{self.multiply_adds:,}",
            *("–" if one is None else f"{_short(one.median)} / {_short(one.p95)}" for one in times),
        )


COLUMNS = {
    "": "The model.",
    "errors": "On the test split.",
    "size": "The file's size on the disk.",
    "multiply-adds": "For one image.",
    "1 image (ms)": "Milliseconds in ONNX Runtime for one image at a time: the median, and the 95th percentile behind the slash.",
    "64 images (ms)": "Milliseconds in ONNX Runtime for 64 images at once: the median, and the 95th percentile behind the slash.",
}
"""The columns of the table, and what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A file that a run has become. ``small`` is the file of whole numbers beside it, where one was wanted."""

    run: int
    form: str
    path: Path
    compared: Compared
    lines: tuple[Line, ...]
    script: str
    small: Path | None = None
    notes: tuple[str, ...] = ()

    def words(self) -> str:
        """What came of it, in a sentence."""
        files = self.path.name if self.small is None else f"{self.path.name} and {self.small.name}"
        told = "" if self.compared.same else " It answers otherwise than the run and was kept because that was asked for."
        return f"Run {self.run} is written to {files}: read back, {self.compared.words()}.{told}"

    def to_json(self) -> str:
        """As the command line prints it, and the window reads it."""
        shown = asdict(self) | {"path": str(self.path), "small": str(self.small) if self.small else None}
        return json.dumps(shown | {"same": self.compared.same, "words": self.words()})

    @classmethod
    def from_json(cls, text: str) -> Taken:
        """What :meth:`to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        lines = []
        for one in given["lines"]:
            times = {int(batch): Latency(**each) for batch, each in (one["latency"] or {}).items()}
            lines.append(Line(**one | {"latency": times or None}))
        return cls(
            run=given["run"],
            form=given["form"],
            path=Path(given["path"]),
            compared=Compared(**given["compared"]),
            lines=tuple(lines),
            script=given["script"],
            small=Path(given["small"]) if given["small"] else None,
            notes=tuple(given["notes"]),
        )


def script_for(form: str, file: str, shape: tuple[int, int, int]) -> str:
    """The script that runs a file of that name, for images of a ``shape`` (channels, height, width)."""
    shown = " ".join(file.split()) if form == "safetensors" else repr(file)
    return FORMS[form].script.replace("SHAPE", ", ".join(map(str, shape))).replace("FILE", shown)


def form_of(file: Path) -> str:
    """The form that a file's ending asks for; a :class:`ConfigError` names the endings where it asks for none."""
    found = [form for form, about in FORMS.items() if about.suffix == file.suffix]
    if not found:
        known = ", ".join(f"{about.suffix} ({form})" for form, about in FORMS.items())
        raise ConfigError("--to", f"{file.name} does not say which form is wanted; its ending can be {known}")
    return found[0]


def _short(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
