"""A small history for filters, lists and tables: two seeds at two temperatures, their teachers, and a run that diverged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.experiments import add_run, tiny
from workbench.config import DistillationConfig, ModelConfig, RunConfig
from workbench.history.database import open_database
from workbench.history.writing import History


def student(temperature: float, seed: int, units: int = 8) -> RunConfig:
    """A student's config."""
    model = ModelConfig(model="mlp", options={"layers": 1, "units": units})
    return RunConfig(model=model, distillation=DistillationConfig(temperature=temperature), seed=seed)


def make(path: Path) -> dict[str, int]:
    """Make it; the runs by what they are."""
    runs = {}
    with History(path) as history:
        first = history.enqueue(tiny(name="first"))
        runs["teacher"] = add_run(history, first, "teacher", RunConfig(model=ModelConfig(model="mlp", options={"units": 64})))
        for temperature, seed in ((2.0, 0), (2.0, 1), (8.0, 0), (8.0, 1)):
            experiment = history.enqueue(tiny(name=f"at {temperature:g}, {seed}"))
            runs[f"T{temperature:g} s{seed}"] = add_run(
                history, experiment, "student", student(temperature, seed), [runs["teacher"]]
            )
        experiment = history.enqueue(tiny(name="50% of_it"))
        runs["diverged"] = add_run(history, experiment, "baseline", RunConfig(seed=7))
        history.enqueue(tiny(name="waits"))
    accuracies = {"teacher": 0.99, "T2 s0": 0.90, "T2 s1": 0.92, "T8 s0": 0.96, "T8 s1": 0.98}
    with closing(open_database(path)) as database:
        database.execute("UPDATE experiments SET status = 'done' WHERE name <> 'waits'")
        database.execute("DELETE FROM queue")
        for name, accuracy in accuracies.items():
            database.execute("UPDATE runs SET status = 'done' WHERE id = ?", [runs[name]])
            database.execute("INSERT INTO results VALUES (?, 'test_accuracy', ?)", [runs[name], accuracy])
            loss = round(1 - accuracy, 4)
            database.execute("INSERT INTO summary VALUES (?, 'loss', ?, ?, 2.0, 2, 0)", [runs[name], loss, loss])
        database.execute("UPDATE runs SET status = 'failed', message = 'diverged' WHERE id = ?", [runs["diverged"]])
        database.execute("INSERT INTO summary VALUES (?, 'loss', 0.01, 0.01, 2.0, 2, 0)", [runs["diverged"]])
        database.execute("INSERT INTO nonfinite VALUES (?, 'loss', 9, 'nan')", [runs["diverged"]])
        database.execute("INSERT INTO tags VALUES (?, 'paper'), (?, 'good'), (?, 'paper')",
                         [runs["T8 s0"], runs["T8 s0"], runs["T8 s1"]])  # fmt: skip
        database.execute(
            "INSERT INTO run_notes (run, author, text, created) VALUES (?, 'person', 'wide *minimum*', '')", [runs["T2 s1"]]
        )
        database.execute("INSERT INTO marks VALUES (?, 0, 1, 'green')", [runs["T2 s0"]])
        database.execute("UPDATE runs SET created = '2026-01-31T23:30:00.000+00:00' WHERE id = ?", [runs["teacher"]])
    return runs
