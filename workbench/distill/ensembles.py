"""Ensembles of teachers and their soft targets (section 1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import DistillationConfig
from workbench.distill.losses import softened


def soft_targets(member_logits: Tensor, temperature: float, mean: str) -> Tensor:
    """The ensemble's distribution at T, (N, classes), from its members' logits (members, N, classes).

    ``arithmetic`` averages the members' distributions at T; ``geometric`` averages their logarithms and normalises.
    """
    if mean == "arithmetic":
        return softened(member_logits, temperature).mean(dim=0)
    return softened(member_logits.mean(dim=0), temperature)


def targets_for(member_logits: Tensor, config: DistillationConfig) -> Tensor:
    """What a student is to match, (N, classes): soft targets at T, or the members' mean logits, the limit of both means."""
    if config.match == "logits":
        return member_logits.mean(dim=0)
    return soft_targets(member_logits, config.temperature, config.mean)


def combined_logits(member_logits: Tensor, mean: str) -> Tensor:
    """Logits whose softmax is the ensemble's distribution at T = 1, (N, classes)."""
    if mean == "arithmetic":
        return torch.logsumexp(F.log_softmax(member_logits, dim=-1), dim=0)
    return member_logits.mean(dim=0)


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Trained teachers in evaluation mode, on one device; ``keys`` are the hashes of their weights."""

    members: tuple[nn.Module, ...]
    keys: tuple[str, ...]
    mean: str

    @torch.no_grad()
    def member_logits(self, view: Tensor) -> Tensor:
        """Every member's logits for a normalised batch: (members, N, classes)."""
        return torch.stack([member(view).float() for member in self.members])


class LogitCache:
    """Teachers' logits on views they were computed on, the least recently used dropped beyond ``limit`` bytes."""

    def __init__(self, limit: int = 2 * 1024**3) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """The logits kept under ``key``, computed where there are none."""
        if key not in self._kept:
            self._kept[key] = compute()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)
        return self._kept[key]

    def members(self, ensemble: Ensemble, where: Hashable, compute: Callable[[nn.Module], Tensor]) -> Tensor:
        """(members, N, classes) for the cases that ``where`` names, one member computed at a time."""
        logits: Sequence[Tensor] = [
            self.get((key, where), lambda member=member: compute(member))  # type: ignore[misc]
            for key, member in zip(ensemble.keys, ensemble.members, strict=True)
        ]
        return torch.stack(list(logits))
