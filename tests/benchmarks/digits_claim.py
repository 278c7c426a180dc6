"""Does distillation help on the default recipe? Test errors of students and baselines over seeds, with their difference.

uv run python tests/benchmarks/digits_claim.py [--seeds 10] [--set KEY=VALUE]… [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path

from workbench.history.database import open_for_reading
from workbench.history.reading import experiment_rows
from workbench.history.writing import History
from workbench.recipes import experiment_of
from workbench.running.driver import Control
from workbench.running.engine import Engine, EngineSettings
from workbench.running.experiment import run_experiment


def errors(seeds: int, changes: list[str]) -> dict[str, list[float]]:
    """Test errors by role, a seed each; the five teachers are trained once and reused."""
    found: dict[str, list[float]] = {"baseline": [], "student": []}
    engine = Engine(EngineSettings(device="cpu"))
    with tempfile.TemporaryDirectory() as folder, History(Path(folder) / "experiments.db") as history:
        reader = open_for_reading(history.path)
        for seed in range(seeds):
            number = history.enqueue(experiment_of("digits", [*changes, f"seed={seed}"]))
            run_experiment(engine, history, number, Control(), lambda event: None)
            for row in experiment_rows(reader, number):
                if row.role in found:
                    found[row.role].append(row.figures["test_errors"])
        reader.close()
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", dest="changes", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = errors(arguments.seeds, arguments.changes)
    differences = [hard - soft for hard, soft in zip(found["baseline"], found["student"], strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    if arguments.json:
        print(json.dumps(found | {"difference": mean, "standard_error": error}))
        return
    for role, values in found.items():
        print(f"{role:9} {statistics.mean(values):5.1f} errors of 500   {[int(value) for value in values]}")
    print(f"difference {mean:.1f} ± {error:.1f} (standard error): {mean / error:.1f} standard errors")


if __name__ == "__main__":
    main()
