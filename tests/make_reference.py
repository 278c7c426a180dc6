"""Makes ``resources/reference.zip`` out of a history in which the paper's claims were tried:

    uv run workbench paper --run --history tried.db          # a night; the short forms alone: --form short, a minute
    uv run python -m tests.make_reference tried.db

Kept are the experiments behind the scoreboard, their figures, thinned curves and corrections, and the weights of small
students; given up are training states, other weights, and the predictions on large test splits.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import zipfile
from pathlib import Path

from sqlite_utils import Database

from workbench.analysis.claims import scoreboard
from workbench.history.database import back_up, files_folder, open_database, open_for_reading, writing
from workbench.history.reference import DATABASE, FILES, TAG
from workbench.history.storing import extended
from workbench.paths import resources_folder

POINTS = 40
"""So many points of a curve are kept."""
SMALL = 20_000
"""Students with at most so many parameters keep their weights."""
TEST_CASES = 1_000
"""Predictions on larger test splits are given up."""


def main() -> None:
    """Make the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history", type=Path)
    history: Path = parser.parse_args().history
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(open_for_reading(history)) as database:
            copy = back_up(database, Path(folder) / "experiments.db", TAG)
        with contextlib.closing(open_database(copy)) as database:
            pack(database)
            kept = [row[0] for row in database.execute("SELECT path FROM artefacts").fetchall()]
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("VACUUM")
        target = resources_folder() / "reference.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.write(copy, DATABASE)
            for path in kept:
                archive.write(files_folder(history) / path, FILES + path)
    print(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB, {len(kept)} students with their weights")


def pack(database: Database) -> None:
    """Leave in a history what the reference needs."""
    tried = {one.experiment for score in scoreboard(database) for one in score.tried}
    marks = ", ".join(map(str, sorted(tried)))
    with writing(database):
        database.execute("DELETE FROM queue")
        database.execute(f"DELETE FROM members WHERE experiment NOT IN ({marks})")
        database.execute("DELETE FROM runs WHERE id NOT IN (SELECT run FROM members)")
        database.execute("DELETE FROM lineage WHERE child NOT IN (SELECT id FROM runs)")
        # teachers that an experiment outside made stay in it, which then has no members of its own
        database.execute("INSERT INTO members SELECT experiment, row_number() OVER (PARTITION BY experiment ORDER BY id) - 1, id,"
                         f" role, 0 FROM runs WHERE experiment NOT IN ({marks})")  # fmt: skip
        database.execute(f"UPDATE experiments SET status = 'done', message = '' WHERE id NOT IN ({marks})")
        database.execute("DELETE FROM experiments WHERE id NOT IN (SELECT experiment FROM runs)")
        database.execute("DELETE FROM sweeps WHERE id NOT IN (SELECT sweep FROM experiments WHERE sweep IS NOT NULL)")
        database.execute("UPDATE runs SET process = NULL")
        database.execute("DELETE FROM processes")
        small = f"SELECT id FROM runs WHERE role = 'student' AND parameters <= {SMALL}"
        database.execute(f"DELETE FROM artefacts WHERE kind <> 'weights' OR run NOT IN ({small})")
        database.execute(f"DELETE FROM predictions WHERE cases > {TEST_CASES} OR run NOT IN ({small})")
        database.execute(f"INSERT OR IGNORE INTO tags SELECT id, '{TAG}' FROM runs")
        for run, metric in database.execute("SELECT run, metric FROM summary").fetchall():
            thin(database, run, metric)
        database.execute("DELETE FROM nonfinite")
        database.execute("DELETE FROM curves")
        database.execute(
            "DELETE FROM points WHERE NOT EXISTS (SELECT 1 FROM metrics m WHERE m.run = points.run AND m.step = points.step)"
        )


def thin(database: Database, run: int, metric: str) -> None:
    """Keep some points of a curve, its last among them, with the summary that they have."""
    where = "FROM metrics WHERE run = ? AND metric = ?"
    rows = database.execute(f"SELECT step, value {where} ORDER BY step", [run, metric]).fetchall()
    every = -(-len(rows) // POINTS)
    kept = rows[::-1][::every][::-1]
    database.execute(f"DELETE {where}", [run, metric])
    summary = None
    for step, value in kept:
        database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?)", [run, metric, step, value])
        summary = extended(summary, step, value)
    assert summary is not None
    database.execute("INSERT OR REPLACE INTO summary VALUES (?, ?, ?, ?, ?, ?, ?)", [run, metric, *summary])


if __name__ == "__main__":
    main()
