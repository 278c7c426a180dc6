"""What a generalist and its specialists reach together on a split: the figures of the paper's tables 3 and 4."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from workbench.distill.data import ResidentData, Split
from workbench.distill.evaluation import BATCH
from workbench.distill.specialists import Combination, closed_forms, combined

OTHER = {"p-q": "q-p", "q-p": "p-q"}


@torch.no_grad()
def specialist_figures(whole: Combination, data: ResidentData, split: str) -> dict[str, float]:
    """Named after the split: errors of the generalist alone, of the other divergence and of the closed forms; accuracy among
    the classes of the specialists that have the right class, theirs and the generalist's; specialists run for an image; images
    whose descent did not end; and by the number of specialists that have the right class, cases and errors."""
    cases: Split = data.validation if split == "validation" else data.test
    short = "val" if split == "validation" else split
    count: Counter[str] = Counter()
    for images, labels in zip(torch.split(cases.images, BATCH), torch.split(cases.labels, BATCH), strict=True):
        count.update(_counted(whole, data.view(images), labels))
    found = {f"{short}_{name}": float(value) for name, value in count.items() if not name.startswith("sum_")}
    found[f"{short}_specialists_per_image"] = count["sum_asked"] / len(cases)
    covered = count["sum_covered"]
    if covered:
        found[f"{short}_conditional_generalist"] = count["sum_right_generalist"] / covered
        found[f"{short}_conditional_specialists"] = count["sum_right_specialists"] / covered
    return found


def _counted(whole: Combination, view: Tensor, labels: Tensor) -> dict[str, int]:
    opinions = whole.opinions(view, everybody=True)
    q, unfinished = combined(opinions, whole.config.divergence)
    other, _ = combined(opinions, OTHER[whole.config.divergence])
    arithmetic, geometric = closed_forms(opinions)
    wrong = {
        "errors_generalist": opinions.generalist,
        "errors_combined": q,
        f"errors_{OTHER[whole.config.divergence]}": other,
        "errors_arithmetic": arithmetic,
        "errors_geometric": geometric,
    }
    missed = {name: by.argmax(dim=1) != labels for name, by in wrong.items()}
    found = {name: int(miss.sum()) for name, miss in missed.items()}
    found |= {"sum_asked": int(opinions.active.sum()), "unfinished": int(unfinished.sum())}
    covering = torch.zeros_like(labels)
    sums = Counter[str]()
    for place, subset in enumerate(whole.subsets):
        mine = torch.tensor(subset, device=labels.device)
        rows = torch.isin(labels, mine).nonzero()[:, 0]
        covering[rows] += 1
        sums["sum_covered"] += len(rows)
        for name, said in (("generalist", opinions.generalist), ("specialists", opinions.specialists[place])):
            sums[f"sum_right_{name}"] += int((mine[said[rows][:, mine].argmax(dim=1)] == labels[rows]).sum())
    for number in sorted(set(covering.tolist())):
        there = covering == number
        found[f"covered_{number}_cases"] = int(there.sum())
        for name in ("generalist", "combined"):
            found[f"covered_{number}_errors_{name}"] = int((missed[f"errors_{name}"] & there).sum())
    return found | sums
