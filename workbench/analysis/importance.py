"""What mattered: which settings a figure went along with, by rank correlation and by a forest's permutation importance.

scikit-learn and scipy are imported when asked, since the window starts without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.analysis.explore import Column, Table

MOST_RUNS = 2000
"""Of more runs a sample is taken."""

FEWEST_RUNS = 10
FOLDS = 4
TREES = 30
REPEATS = 3
LEAF_SHARE = 400
"""A leaf of a tree has at least one run in so many."""

TOGETHER = 0.8
"""Settings whose ranks correlate more than that share their importance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mattered:
    """A setting: how much worse the forest guesses without it, in shares of the figure's variance, and that over the folds.

    ``correlation`` is Spearman's with the figure, None for texts and where a run in two has no value. ``values`` counts its
    values, none among them, and ``alike`` are settings that vary exactly as this one does.
    """

    name: str
    title: str
    importance: float
    spread: float
    correlation: float | None
    values: int
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What mattered most first, or in ``trouble`` why that cannot be said. ``explained`` is the share of the figure's variance
    that the forest guesses on runs it was not fitted to; ``together`` are pairs of settings that went together; ``better`` is
    that of the figure's column."""

    figure: str
    runs: int
    rows: tuple[Mattered, ...] = ()
    explained: float = 0.0
    better: int = 0
    together: tuple[tuple[str, str, float], ...] = ()
    trouble: str = ""

    def words(self) -> str:
        """The answer in a sentence or two."""
        if self.trouble:
            return self.trouble
        said = f"A forest of trees explains {max(0.0, self.explained):.0%} of what differs in {self.figure} among runs it has"
        said += f" not seen ({self.runs:,} runs, {FOLDS} folds)."
        if self.explained < 0.1:
            said += " That is next to nothing: do not read much into the bars."
        if self.together:
            pairs = "; ".join(f"{one} and {other} (ρ = {rho:.2f})" for one, other, rho in self.together[:3])
            said += f" Settings that went together share their importance, and each then looks smaller: {pairs}."
        return said


def sample(runs: Sequence[int], most: int = MOST_RUNS) -> list[int]:
    """At most so many of the runs, always the same ones, in their order."""
    if len(runs) <= most:
        return list(runs)
    chosen = np.random.default_rng(0).choice(len(runs), most, replace=False)
    return [runs[place] for place in sorted(chosen)]


def mattered(table: Table, figure: str, settings: Sequence[str]) -> Answer:
    """Which of the settings mattered for a figure, over the runs that have it; settings that do not vary are left out.

    The forest's importance is measured on folds that it was not fitted to: the drop of the explained share of variance when
    a setting's values are shuffled, mean over folds, with its standard error.
    """
    goal = table.columns[figure]
    there = np.isfinite(goal.values)
    y = goal.values[there]
    columns = _distinct([table.columns[name] for name in settings if name != figure], there)
    trouble = _trouble(goal, y, len(columns))
    if trouble:
        return Answer(figure=goal.title, runs=len(y), trouble=trouble)
    x = np.stack([one.values[there] for one, _ in columns], axis=1)
    importances, explained = _forest(x, y)
    rows = [
        Mattered(
            name=one.name,
            title=one.title,
            importance=float(importances[:, place].mean()),
            spread=float(importances[:, place].std(ddof=1) / np.sqrt(FOLDS)),
            correlation=None if one.names else _spearman(x[:, place], y),
            values=_values(x[:, place]),
            alike=alike,
        )
        for place, (one, alike) in enumerate(columns)
    ]
    rows.sort(key=lambda row: -row.importance)
    return Answer(
        figure=goal.title,
        runs=len(y),
        rows=tuple(rows),
        explained=explained,
        better=goal.better,
        together=_together([one for one, _ in columns], x),
    )


def _trouble(goal: Column, y: np.ndarray, varying: int) -> str:
    if len(y) < FEWEST_RUNS:
        return (
            f"{len(y)} of these runs {'has' if len(y) == 1 else 'have'} {goal.title}; at least {FEWEST_RUNS} are needed"
            " to say what mattered. Do a sweep, or show more runs above."
        )
    if y.min() == y.max():
        return f"All {len(y)} runs have the same {goal.title}: there is nothing to explain."
    if not varying:
        return "No setting varies among these runs: show more of them above, or do a sweep."
    return ""


def _distinct(columns: Sequence[Column], there: np.ndarray) -> list[tuple[Column, tuple[str, ...]]]:
    """Columns that vary where ``there``, and of those that group the runs alike the first with the names of the others."""
    found: dict[bytes, tuple[Column, list[str]]] = {}
    for one in columns:
        values = one.values[there]
        if _values(values) < 2:
            continue
        _, first, groups = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(np.argsort(first))  # groups numbered as they come, so that 1, 2 and "b", "a" count as alike
        key = order[groups].tobytes()
        if key in found:
            found[key][1].append(one.name)
        else:
            found[key] = (one, [])
    return [(one, tuple(alike)) for one, alike in found.values()]


def _values(values: np.ndarray) -> int:
    """How many different values, none among them."""
    return len(np.unique(values))


def _forest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Importances of shape (folds, settings), and the explained share of variance over all folds together."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    importances, guessed = [], np.empty_like(y)
    for fit, held in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        forest = RandomForestRegressor(TREES, min_samples_leaf=max(1, len(fit) // LEAF_SHARE), n_jobs=1, random_state=0)
        forest.fit(x[fit], y[fit])
        guessed[held] = forest.predict(x[held])
        found = permutation_importance(
            forest, x[held], y[held], n_repeats=REPEATS, random_state=0, scoring="neg_mean_squared_error", n_jobs=1
        )
        importances.append(found.importances_mean / y.var())
    return np.array(importances), float(1 - ((y - guessed) ** 2).mean() / y.var())


def _spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    both = np.isfinite(x) & np.isfinite(y)
    if 2 * both.sum() < len(x) or len(np.unique(x[both])) < 2 or len(np.unique(y[both])) < 2:
        return None
    return float(spearmanr(x[both], y[both]).statistic)


def _together(columns: Sequence[Column], x: np.ndarray) -> tuple[tuple[str, str, float], ...]:
    """Pairs of numeric settings that went together, closest first."""
    numeric = [place for place, one in enumerate(columns) if not one.names]
    found = []
    for at, one in enumerate(numeric):
        for other in numeric[at + 1 :]:
            rho = _spearman(x[:, one], x[:, other])
            if rho is not None and abs(rho) > TOGETHER:
                found.append((columns[one].title, columns[other].title, rho))
    return tuple(sorted(found, key=lambda pair: -abs(pair[2])))
