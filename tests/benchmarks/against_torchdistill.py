"""Training rate of a student of ten teachers (MLP 2×1200, Fashion-MNIST, batch 128, SGD with momentum), in samples a second:
the workbench against torchdistill 1.1.5 and against the floor set by the student's matrix products.

    uv run python tests/benchmarks/against_torchdistill.py [--rounds N] [--seconds S] [--quiet CORES] [--json]

The three are measured in turn, round after round, and the figures are medians of each round's ratios, since a shared
machine's speed changes from minute to minute; how busy other programs kept it stands beside them. Teachers and students
start from random weights on both sides: that takes the same time as trained ones. torchdistill has an environment of its
own, made at first use in the user's cache folder, with the torch and torchvision that the project has; it gets the number of
workers and of threads with which it is fastest.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import platformdirs
import torch

from tests.benchmarks.machine import Elsewhere, available_cores
from workbench.config import DataConfig, DistillationConfig, ModelConfig, RunConfig, TrainingConfig
from workbench.distill import builtin, idx, sources
from workbench.distill.data import ResidentData
from workbench.distill.ensembles import Ensemble
from workbench.distill.models import build
from workbench.distill.training import Job, Trainer
from workbench.errors import WorkbenchError
from workbench.events import EpochEnded, Metrics
from workbench.paths import APP
from workbench.running.engine import Engine, EngineSettings

TORCHDISTILL = "1.1.5"
TEACHERS, TEACHER_UNITS, BATCH, EPOCHS = 10, 1200, 128, 40
STUDENTS = (800, 30)
SLICE = 0.5
RATES = ("torchdistill", "ours", "ours_with_validation", "floor")
TARGETS = {"to_torchdistill": {800: 10.0, 30: 50.0}, "to_floor": {800: 0.75}, "whole": {800: 8.0}}
DATA = DataConfig(dataset="fashion-mnist")
DISTILLATION = DistillationConfig(temperature=4.0, hard_weight=0.1, mean="geometric")


@dataclass(frozen=True, slots=True)
class Round:
    """One student measured on every side, one right after the other, in samples a second.

    ``elsewhere`` is the number of cores that other programs kept busy meanwhile, nan where the system does not tell.
    """

    torchdistill: float
    ours: float
    ours_with_validation: float
    floor: float
    elsewhere: float


@dataclass(frozen=True, slots=True)
class Setting:
    """How torchdistill is run: DataLoader workers and torch threads."""

    workers: int
    threads: int


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


# --- torchdistill ----------------------------------------------------------------------------------------------------------


def environment() -> Path:
    """The Python of torchdistill's own environment, made where it is not there yet."""
    torch_version, torchvision_version = (version(name).split("+")[0] for name in ("torch", "torchvision"))
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"torchdistill-{TORCHDISTILL}-torch-{torch_version}-python-{python_version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        tell(f"making an environment for torchdistill {TORCHDISTILL} in {folder}")
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise SystemExit("uv is needed to make torchdistill's environment: pip install uv")
        shutil.rmtree(folder, ignore_errors=True)
        wanted = [f"torchdistill=={TORCHDISTILL}", f"torch=={torch_version}", f"torchvision=={torchvision_version}"]
        for command in (["venv", "--python", sys.executable, str(folder)], ["pip", "install", "--python", str(python), *wanted]):
            subprocess.run([uv, *command], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return python


def cache() -> Path:
    """Where the benchmark keeps what it made."""
    return Path(platformdirs.user_cache_path(APP)) / "benchmarks"


def unpacked() -> Path:
    """Fashion-MNIST as torchvision wants it, unpacked in ROOT/FashionMNIST/raw; the ROOT."""
    raw = cache() / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    place = builtin.locate(DATA.dataset, sources.data_folders(()))
    assert place is not None, "the workbench has just loaded it"
    for name, path in idx.found_files(place).items():
        if not (raw / name).exists():
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as packed:
                part = raw / f"{name}.part"
                part.write_bytes(packed.read())
                part.replace(raw / name)
    return cache()


class Torchdistill:
    """A process that measures torchdistill whenever it is asked to, and waits meanwhile."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def rate(self, units: int, setting: Setting, seconds: float) -> tuple[float, float]:
        """Samples a second of a student with two layers of so many units; and the processor's seconds that it took."""
        loss = {"batch": BATCH, "temperature": DISTILLATION.temperature, "alpha": DISTILLATION.hard_weight}
        request = asdict(setting) | loss | {"units": units, "seconds": seconds}
        writing, reading = self._process.stdin, self._process.stdout
        assert writing is not None
        assert reading is not None
        print(json.dumps(request), file=writing, flush=True)
        answer = reading.readline()
        if not answer:
            raise SystemExit("torchdistill's side ended early; what it said stands above")
        found = json.loads(answer)
        return found["samples_per_second"], found["cpu_seconds"]

    def fastest(self, units: int, rounds: int, seconds: float, quiet: float) -> tuple[Setting, dict[str, float]]:
        """The setting that suits torchdistill best, and each one's median rate; all are tried in turn, in quiet rounds."""
        cores = available_cores()
        settings = [Setting(workers, threads) for workers in (0, 2) for threads in sorted({1, min(2, cores), cores})]
        found: dict[Setting, list[float]] = {setting: [] for setting in settings}
        for _ in range(5 * rounds):
            for setting in (one for one in settings if len(found[one]) < rounds):
                elsewhere = Elsewhere()
                rate, cpu_seconds = self.rate(units, setting, seconds)
                if not elsewhere.cores(cpu_seconds) > quiet:
                    found[setting].append(rate)
        if not all(found.values()):
            raise SystemExit(f"never were fewer than {quiet:g} cores busy elsewhere for long enough; wait, or raise --quiet")
        rates = {setting: statistics.median(tried) for setting, tried in found.items()}
        shown = {f"{setting.workers} workers, {setting.threads} threads": rate for setting, rate in rates.items()}
        return max(rates, key=lambda setting: rates[setting]), shown


@contextlib.contextmanager
def torchdistill_side() -> Iterator[Torchdistill]:
    """torchdistill's process, ended at the end."""
    script = Path(__file__).with_name("torchdistill_side.py")
    command = [str(environment()), str(script), str(unpacked())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Torchdistill(process)
        except BaseException:
            process.kill()
            raise


# --- the workbench ---------------------------------------------------------------------------------------------------------


def run_config(units: int) -> RunConfig:
    """The student's run, as an experiment's plan would have it."""
    return RunConfig(
        data=DATA,
        model=ModelConfig(model="mlp", options={"layers": 2, "units": units}),
        training=TrainingConfig(epochs=EPOCHS, batch_size=BATCH, optimizer="sgd", learning_rate=0.05, momentum=0.9),
        distillation=DISTILLATION,
    )


def random_teachers(data: ResidentData, key: str) -> Ensemble:
    """Ten untrained teachers; ``key`` keeps the engine from taking another measurement's logits for theirs."""
    teacher = ModelConfig(model="mlp", options={"layers": 2, "units": TEACHER_UNITS})
    members = tuple(build(teacher, data.shape, len(data.classes)).eval().requires_grad_(False) for _ in range(TEACHERS))
    return Ensemble(members, tuple(f"{key}-{number}" for number in range(TEACHERS)), DISTILLATION.mean)


def prepared(engine: Engine, units: int) -> tuple[Job, int, float]:
    """The student's job, its threads, and the seconds that it took to compute the soft targets: as the driver prepares a run."""
    config, data = run_config(units), engine.data(DATA)
    threads = engine.use_threads(engine.size(config.model, data), BATCH)
    ensemble = random_teachers(data, str(units))
    start = time.perf_counter()
    job = engine.job(0, config, ensemble)
    return job, threads, time.perf_counter() - start


def ours_and_floor(job: Job, floor: Floor, seconds: float) -> tuple[float, float]:
    """Samples a second over whole epochs of at least ``seconds``: of training alone, and with the validation at their ends.

    Both hold all that the training loop does: the order of each epoch, metrics, progress events. The run up to its first
    event is warm-up. The floor is measured in slices between two events, in neither figure, so that both meet the same machine.
    """
    trainer = Trainer(job)
    events = iter(trainer)
    next(events)
    steps = ending_steps = 0
    training = ending = 0.0
    last_step, last, floor_next = trainer.step, time.perf_counter(), 0.0
    for event in events:
        taken, more = time.perf_counter() - last, trainer.step - last_step
        if isinstance(event, EpochEnded) or (isinstance(event, Metrics) and event.values[0][0] == "val_accuracy"):
            ending, ending_steps = ending + taken, ending_steps + more
        else:
            training, steps = training + taken, steps + more
        if isinstance(event, EpochEnded) and training + ending >= seconds:
            break
        if training >= floor_next:
            floor.run(SLICE / 2)
            trainer.exclude(SLICE / 2)
            floor_next = training + SLICE
        last_step, last = trainer.step, time.perf_counter()
    size = len(job.cases) / job.steps_per_epoch
    return size * steps / training, size * (steps + ending_steps) / (training + ending)


# --- the floor -------------------------------------------------------------------------------------------------------------


def matrix_products(units: int) -> Callable[[], None]:
    """One step's matrix products and nothing else: forward, gradients of all weights, and of all inputs but the first."""
    widths = [784, units, units, 10]
    weights = [torch.randn(out, into) for into, out in itertools.pairwise(widths)]
    weight_gradients = [torch.empty_like(weight) for weight in weights]
    values = [torch.randn(BATCH, width) for width in widths]
    gradients = [torch.randn(BATCH, width) for width in widths]

    def step() -> None:
        for layer, weight in enumerate(weights):
            torch.mm(values[layer], weight.t(), out=values[layer + 1])
        for layer in reversed(range(len(weights))):
            torch.mm(gradients[layer + 1].t(), values[layer], out=weight_gradients[layer])
            if layer:
                torch.mm(gradients[layer + 1], weights[layer], out=gradients[layer])

    return step


class Floor:
    """The rate that the student's matrix products alone would allow, measured in slices."""

    def __init__(self, units: int) -> None:
        self._step = matrix_products(units)
        self._steps, self._seconds = 0, 0.0

    @torch.no_grad()
    def run(self, seconds: float) -> None:
        """One slice, after a few steps that bring its matrices into the cache."""
        for _ in range(5):
            self._step()
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            self._step()
            self._steps += 1
        self._seconds += time.perf_counter() - start

    @property
    def rate(self) -> float:
        """Samples a second over all slices."""
        return self._steps * BATCH / self._seconds


# --- all of it -------------------------------------------------------------------------------------------------------------


def one_round(side: Torchdistill, setting: Setting, units: int, job: Job, threads: int, seconds: float) -> Round:
    """Every side once."""
    elsewhere = Elsewhere()
    theirs, their_seconds = side.rate(units, setting, seconds)
    torch.set_num_threads(threads)
    floor = Floor(units)
    ours, with_validation = ours_and_floor(job, floor, seconds)
    return Round(theirs, ours, with_validation, floor.rate, elsewhere.cores(their_seconds))


def measure(engine: Engine, rounds: int, seconds: float, quiet: float) -> dict[str, Any]:
    """Every figure of the benchmark, by student; a round with more than ``quiet`` cores busy elsewhere is measured again."""
    tell("computing soft targets")
    jobs = {units: prepared(engine, units) for units in STUDENTS}
    figures = {}
    with torchdistill_side() as side:
        for units, (job, threads, setup) in jobs.items():
            tell(f"looking for torchdistill's best setting for 2×{units}")
            setting, tried = side.fastest(units, rounds, seconds, quiet)
            tell(", ".join(f"{name}: {rate:,.0f}" for name, rate in tried.items()))
            measured: list[Round] = []
            for number in range(5 * rounds):
                one = one_round(side, setting, units, job, threads, seconds)
                kept = not one.elsewhere > quiet
                shown = ", ".join(f"{name} {getattr(one, name):,.0f}" for name in RATES)
                busy = f"{one.elsewhere:.2f} cores busy elsewhere{'' if kept else ', left out'}"
                tell(f"2×{units}, round {number + 1}: {shown}; {busy}")
                measured += [one] if kept else []
                if len(measured) == rounds:
                    break
            if not measured:
                raise SystemExit(f"in no round were fewer than {quiet:g} cores busy elsewhere; wait, or raise --quiet")
            about = {"threads": threads, "torchdistill_setting": asdict(setting), "torchdistill_tried": tried}
            figures[str(units)] = summary(measured, setup, len(job.cases)) | about
    return figures


def summary(rounds: list[Round], setup: float, cases: int) -> dict[str, Any]:
    """Medians over the rounds: rates, and each round's ratios."""

    def median(figure: Callable[[Round], float]) -> float:
        return statistics.median(figure(one) for one in rounds)

    def whole(one: Round) -> float:
        return (EPOCHS * cases / one.torchdistill) / (setup + EPOCHS * cases / one.ours_with_validation)

    return {
        "samples_per_second": {name: median(lambda one, name=name: getattr(one, name)) for name in RATES},  # type: ignore[misc]
        "setup_seconds": setup,
        "to_torchdistill": median(lambda one: one.ours / one.torchdistill),
        "to_torchdistill_with_validation": median(lambda one: one.ours_with_validation / one.torchdistill),
        "to_floor": median(lambda one: one.ours / one.floor),
        "to_floor_with_validation": median(lambda one: one.ours_with_validation / one.floor),
        "whole": median(whole),
        "rounds": [asdict(one) for one in rounds],
    }


ROWS = (
    ("to_torchdistill", "ours / torchdistill"),
    ("to_torchdistill_with_validation", "  with validation"),
    ("to_floor", "ours / floor of matrix products"),
    ("to_floor_with_validation", "  with validation"),
    ("whole", f"whole, set-up and {EPOCHS} epochs with validation"),
)


def table(figures: dict[str, Any], to: IO[str]) -> None:
    """Rates and ratios, with the targets and the spread over the rounds' rates."""
    for units, about in figures.items():
        rates, setting = about["samples_per_second"], about["torchdistill_setting"]
        best = f"{setting['workers']} workers, {setting['threads']} threads"
        threads = "1 thread" if about["threads"] == 1 else f"{about['threads']} threads"
        print(f"\nstudent 2×{units}, {threads}; set-up (soft targets) {about['setup_seconds']:.1f} s", file=to)
        busy = [one["elsewhere"] for one in about["rounds"]]
        print(f"  {len(busy)} rounds, with {min(busy):.2f} to {max(busy):.2f} cores busy elsewhere", file=to)
        titles = (f"torchdistill ({best})", "workbench", "  with validation", "floor")
        for name, title in zip(RATES, titles, strict=True):
            each = [one[name] for one in about["rounds"]]
            print(f"  {title:<46}{rates[name]:>10,.0f} samples/s   ({min(each):,.0f} to {max(each):,.0f})", file=to)
        for key, title in ROWS:
            target = TARGETS.get(key, {}).get(int(units))
            wanted = "" if target is None else f"   target {target:g}: {'met' if about[key] >= target else 'missed'}"
            print(f"  {title:<46}{about[key]:>10.2f} times{wanted}", file=to)


def main() -> None:
    """Measure and print; the JSON object alone stands on standard output where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="times that every side is measured")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement; ours goes on to an epoch's end")
    parser.add_argument("--quiet", type=float, default=math.inf, help="leave out rounds with more cores busy elsewhere")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, the table on standard error")
    given = parser.parse_args()
    engine = Engine(EngineSettings(device="cpu"))
    try:
        engine.data(DATA, download=False)
    except WorkbenchError as error:
        sys.exit(f"{error}\nOn Debian: apt-get install dataset-fashion-mnist")
    figures = measure(engine, given.rounds, given.seconds, given.quiet)
    table(figures, sys.stderr if given.json else sys.stdout)
    if given.json:
        about = {"torch": torch.__version__, "torchdistill": TORCHDISTILL, "cores": available_cores()}
        print(json.dumps(about | {"seconds": given.seconds, "students": figures}, indent=2))


if __name__ == "__main__":
    main()
