"""How fast a folder of pictures is predicted, beside decoding it alone.

    uv run python -m tests.benchmarks.own_images [--pictures 10000] [--rounds 3] [--json]

Ten thousand pictures, either photographs (500 × 375 pixels, JPEG) or digits (28 × 28 pixels, PNG), are predicted by five
teachers of 2×300, a student and its baseline, as the Look screen does it. Decoding alone is Pillow's: each file opened,
converted and taken as an array, by two threads, and by two processes with the time that these take to start. The three are
taken in turn, and ratios round by round; how many cores others kept busy meanwhile is printed too. A thousand files are
made, and each is named as often as is needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks.machine import Elsewhere

FILES = 1000
PART = 100


def photographs(folder: Path) -> list[Path]:
    """Pictures with as much in them as a photograph has, so that they take as long to decode."""
    random, paths = np.random.default_rng(0), []
    for number in range(FILES):
        coarse = Image.fromarray(random.integers(0, 256, (47, 63, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        paths.append(folder / f"{number:04}.jpg")
        coarse.save(paths[-1], quality=90)
    return paths


def digits(folder: Path) -> list[Path]:
    """Digits of scikit-learn, made as large as MNIST's."""
    from workbench.distill.builtin import read_digits

    paths = []
    for number, image in enumerate(read_digits()[0].images[:FILES]):
        paths.append(folder / f"{number:04}.png")
        Image.fromarray(image[0]).resize((28, 28), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


KINDS: dict[str, tuple[Callable[[Path], list[Path]], str]] = {"photographs": (photographs, "RGB"), "digits": (digits, "L")}


def decode(paths: Sequence[Path], mode: str) -> int:
    """Decode some, and keep none."""
    for path in paths:
        with Image.open(path) as opened:
            np.asarray(opened.convert(mode))
    return len(paths)


def decoded_by(pool: type[ThreadPoolExecutor] | type[ProcessPoolExecutor], paths: Sequence[Path], mode: str) -> float:
    """Pictures a second, decoded by two at once."""
    parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
    about: dict[str, Any] = {} if pool is ThreadPoolExecutor else {"mp_context": multiprocessing.get_context("spawn")}
    start = time.perf_counter()
    with pool(2, **about) as workers:
        assert sum(workers.map(decode, parts, [mode] * len(parts))) == len(paths)
    return len(paths) / (time.perf_counter() - start)


def trained(folder: Path, shape: tuple[int, int, int]) -> Any:
    """The models of an experiment on pictures of that shape."""
    from workbench.config import ExperimentConfig
    from workbench.history.database import open_for_reading
    from workbench.history.looked import kept
    from workbench.history.writing import History
    from workbench.questions.look import models
    from workbench.running.driver import Control
    from workbench.running.engine import Engine, EngineSettings
    from workbench.running.experiment import run_experiment

    channels, side, _ = shape
    config = ExperimentConfig.from_dict(
        {
            "name": "own",
            "data": {"dataset": "digits", "image_size": side, "channels": channels},
            "teachers": [{"model": "mlp", "units": 300, "count": 5}],
            "teacher_training": {"epochs": 1},
            "student": {"model": "mlp", "units": 30},
            "training": {"epochs": 1},
        }
    )
    engine = Engine(EngineSettings(device="cpu", threads=1))
    with History(folder / "h.db") as history:
        number = history.enqueue(config)
        assert run_experiment(engine, history, number, Control(), lambda event: None) == "done"
        with closing(open_for_reading(history.path)) as database:
            there = kept(database, number)
        return models(there)(engine, history)


def predicted(paths: Sequence[Path], models: Any) -> float:
    """Pictures a second, decoded and predicted by everybody."""
    from workbench.questions.own_pictures import OwnPictures

    pictures = OwnPictures(paths, models, invert=False)
    start = time.perf_counter()
    pictures.work()
    seconds = time.perf_counter() - start
    assert sum(int((batch.named[0] >= 0).sum()) for batch in pictures.take()) == len(paths)
    return len(paths) / seconds


def measure(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """All three in turn: rates, and what others took meanwhile."""
    make, mode = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        files = make(folder / "pictures")
        paths = [files[number % FILES] for number in range(count)]
        models = trained(folder, (3, 32, 32) if mode == "RGB" else (1, 28, 28))
        predicted(paths[:500], models)
        others, found = Elsewhere(), []
        for _ in range(rounds):
            pair = {"threads": decoded_by(ThreadPoolExecutor, paths, mode), "predicted": predicted(paths, models)}
            found.append(pair | {"processes": decoded_by(ProcessPoolExecutor, paths, mode)})
        return {"rounds": found, "elsewhere": others.cores()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {kind: measure(kind, arguments.pictures, arguments.rounds) for kind in KINDS}
    if arguments.json:
        print(json.dumps(found))
        return
    for kind, about in found.items():
        rates = {name: statistics.median(one[name] for one in about["rounds"]) for name in ("predicted", "threads", "processes")}
        print(f"{arguments.pictures:,} {kind}: {rates['predicted']:,.0f} a second predicted")
        for name in ("threads", "processes"):
            share = statistics.median(one["predicted"] / one[name] for one in about["rounds"])
            print(f"  {share:.2f} of the {rates[name]:,.0f} that two {name} decode alone")
        print(f"  others (and the processes) kept {about['elsewhere']:.1f} cores busy meanwhile")


if __name__ == "__main__":
    main()
