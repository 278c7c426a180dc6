"""How long a generalist and its specialists take for all 4,700 test images of the 47 classes, with both divergences.

    uv run python tests/benchmarks/specialists_combined.py --data FOLDER [--threads N] [--json]

FOLDER holds IDX files of EMNIST's 47 classes. The models are those of ``specialists-letters``, trained for a moment only, so that
they disagree more than trained ones do; the ratio to the generalist alone stands beside the seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from workbench.config import CombinationConfig
from workbench.distill.evaluation import logits_on
from workbench.distill.specialists import Combination
from workbench.history.writing import History
from workbench.recipes import experiment_of
from workbench.running.driver import Control
from workbench.running.engine import Engine, EngineSettings
from workbench.running.experiment import run_experiment

SHORT = ("teacher_training.epochs=1", "specialist_training.epochs=1", "specialists.students=false")


def measured(folder: Path, threads: int) -> dict[str, float]:
    """Seconds by what is done, and images."""
    engine = Engine(EngineSettings(device="cpu", folders=(folder,), threads=threads))
    config = experiment_of("specialists-letters", SHORT)
    with tempfile.TemporaryDirectory() as place, History(Path(place) / "experiments.db") as history:
        number = history.enqueue(config)
        assert run_experiment(engine, history, number, Control(), lambda event: None) == "done"
        stored = [history.weights_of(member.run) for member in history.members(number)[:-1]]
        data = engine.data(config.data)
        found = {"images": float(len(data.test))}
        for divergence in ("p-q", "q-p"):
            (whole,) = engine.combination(stored, CombinationConfig(divergence=divergence), data).members
            assert isinstance(whole, Combination)
            for name, model in (("generalist", whole.generalist), (divergence, whole)):
                start = time.perf_counter()
                logits_on(model, data, data.test.images)
                found[name] = time.perf_counter() - start
            found[f"{divergence} unfinished"] = float(whole.unfinished)
    return found


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0, help="as of `workbench run`; 1 beside other work")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measured(given.data, given.threads)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['images']:,.0f} images: the generalist alone {found['generalist']:.2f} s")
    for name in ("p-q", "q-p"):
        times, unfinished = found[name] / found["generalist"], found[f"{name} unfinished"]
        print(f"  combined by {name}: {found[name]:.2f} s (target 3), {times:.1f} times; {unfinished:.0f} unfinished")


if __name__ == "__main__":
    main()
