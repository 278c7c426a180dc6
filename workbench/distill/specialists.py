"""Specialists beside a generalist (section 5): which classes belong together, what a specialist learns from, and how their
opinions are combined."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config import CombinationConfig, SpecialistConfig
from workbench.distill.data import ResidentData, Split
from workbench.errors import ConfigError

DUSTBIN = "any other"
MOST_STEPS = 2000
"""Steps of descent after which an image's distribution is taken in closed form instead."""
TOLERANCE = 1e-6
"""The descent of an image ends when no class's probability changes by more in a step."""

Subset = tuple[int, ...]


def similarity(probabilities: Tensor, by: str) -> np.ndarray:
    """How classes go together, (classes, classes) float64, by the covariance or the correlation of their predicted
    probabilities (N, classes) over cases; no labels are needed."""
    covariance = np.atleast_2d(np.cov(probabilities.double().cpu().numpy().T))
    if by == "covariance":
        return covariance
    deviation = np.sqrt(np.clip(np.diag(covariance), 1e-30, None))
    return covariance / np.outer(deviation, deviation)


def confusions(predicted: Tensor, labels: Tensor, classes: int) -> np.ndarray:
    """How often each of two classes is taken for the other, as shares of the first's cases, (classes, classes) float64."""
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    shares = counts.double() / counts.sum(dim=1, keepdim=True).clamp_min(1)
    shares.fill_diagonal_(1.0)
    return ((shares + shares.T) / 2).cpu().numpy()


def find_subsets(matrix: np.ndarray, count: int, size: int, seed: int) -> tuple[Subset, ...]:
    """``count`` subsets of classes by k-means over the columns of ``matrix``, each of length 1.

    With ``size`` 0 they do not overlap, and a class alone joins its most similar subset; otherwise each has the ``size``
    classes nearest to its centroid, of which several may share some, and some classes may be in none.
    """
    from sklearn.cluster import KMeans  # takes seconds to import, which the engine's start is not to wait for

    columns = matrix.T / np.clip(np.linalg.norm(matrix.T, axis=1, keepdims=True), 1e-30, None)
    found = KMeans(n_clusters=count, n_init=10, random_state=seed).fit(columns)
    if size:
        apart = ((columns[:, None] - found.cluster_centers_) ** 2).sum(axis=2)
        near = [tuple(sorted(np.argsort(apart[:, place], kind="stable")[:size].tolist())) for place in range(count)]
        return tuple(dict.fromkeys(near))
    clusters = [np.flatnonzero(found.labels_ == place).tolist() for place in range(count)]
    large = [cluster for cluster in clusters if len(cluster) > 1]
    for (alone,) in [cluster for cluster in clusters if len(cluster) == 1] if large else ():
        max(large, key=lambda cluster: float(matrix[cluster, alone].mean())).append(alone)
    return tuple(tuple(sorted(cluster)) for cluster in large)


def inside(subsets: Sequence[Subset], predicted: Tensor, labels: Tensor) -> float:
    """The share of the wrong predictions whose right and predicted class are in one subset; 0 where none is wrong."""
    wrong = predicted != labels
    together = torch.zeros_like(wrong)
    for subset in subsets:
        members = torch.tensor(subset, device=labels.device)
        together |= torch.isin(predicted, members) & torch.isin(labels, members)
    return float((together & wrong).sum()) / max(1, int(wrong.sum()))


def check_subset(subset: Subset, data: ResidentData, path: str) -> None:
    """A :class:`ConfigError` at ``path`` for a subset of one class, of all, or of no training cases or all of them."""
    names = ", ".join(data.classes[number] for number in subset[:8])
    if len(set(subset)) < 2:
        raise ConfigError(path, f"a subset needs at least two classes, not {names or 'none'}")
    if len(set(subset)) >= len(data.classes):
        raise ConfigError(path, "a subset of all classes leaves nothing for the dustbin class; leave some out")
    mine = torch.isin(data.train.labels, torch.tensor(subset, device=data.device))
    if not bool(mine.any()):
        raise ConfigError(path, f"there is no training case of {names}: a specialist has nothing to learn from")
    if bool(mine.all()):
        raise ConfigError(path, "a subset of all training cases leaves nothing for the dustbin class; leave some classes out")


def classes_of(config: SpecialistConfig, classes: Sequence[str]) -> tuple[str, ...]:
    """The names of a specialist's classes, among those of its data set."""
    return tuple(classes) if config.softmax == "full" else (*(classes[number] for number in config.classes), DUSTBIN)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a specialist learns from: its classes' cases first, ``own`` of them, and those of all others after them.

    ``data`` has the specialist's classes. ``offset`` (classes,) is taken from the logits while it learns: half of each batch
    is of its own classes, which would else raise these by the log of their oversampling.
    """

    data: ResidentData
    cases: Tensor
    own: int
    offset: Tensor


def lesson(data: ResidentData, config: SpecialistConfig) -> Lesson:
    """The cases and classes of a specialist, whose classes are the subset's and, with a dustbin, one for all others.

    With a share π of the cases in the subset, what undoes half and half exactly is log((1 − π)/π) on the others.
    """
    device, labels = data.device, data.train.labels
    subset = torch.tensor(config.classes, device=device)
    mine = torch.isin(labels, subset)
    cases = torch.cat([mine.nonzero()[:, 0], (~mine).nonzero()[:, 0]])
    own = int(mine.sum())
    share = own / len(labels)
    if config.softmax == "full":
        others = torch.ones(len(data.classes), dtype=torch.bool, device=device)
        others[subset] = False
        return Lesson(data, cases, own, others * math.log((1 - share) / share))
    place = torch.full((len(data.classes),), len(subset), device=device)
    place[subset] = torch.arange(len(subset), device=device)

    def of(split: Split) -> Split:
        return Split(split.images, place[split.labels])

    narrow = dataclasses.replace(
        data,
        classes=classes_of(config, data.classes),
        train=of(data.train),
        validation=of(data.validation),
        test=of(data.test),
    )
    offset = torch.zeros(len(subset) + 1, device=device)
    offset[-1] = math.log((1 - share) / share)
    return Lesson(narrow, cases, own, offset)


def start_from(weights: dict[str, Tensor], other: dict[str, Tensor], config: SpecialistConfig, classes: int) -> dict[str, Tensor]:
    """A generalist's weights as those its specialist begins with; ``other`` are those of a model that is like the generalist
    but for its number of classes, which tells what leads to the logits.

    There a specialist has the rows of its classes, and for the dustbin the mean of the others' rows, with the log of their
    number added to the bias: about the sum of their probabilities.
    """
    if config.softmax == "full":
        return dict(weights)
    others = [number for number in range(classes) if number not in config.classes]
    begun = {}
    for name, given in weights.items():
        if given.shape == other[name].shape:
            begun[name] = given
            continue
        rest = given[others].mean(dim=0, keepdim=True)
        begun[name] = torch.cat([given[list(config.classes)], rest + math.log(len(others)) if given.dim() == 1 else rest])
    return begun


@dataclass(frozen=True, slots=True, eq=False)
class Opinions:
    """What a generalist and its specialists say of some images.

    ``generalist`` is (N, classes), ``specialists`` (M, N, classes) probabilities of single classes, 0 for those in a
    specialist's dustbin, whose probability is ``dustbin`` (M, N), 0 for one without. ``outside`` (M, classes) are the classes of
    each dustbin, ``active`` (M, N) says which specialists are asked.
    """

    generalist: Tensor
    specialists: Tensor
    dustbin: Tensor
    outside: Tensor
    active: Tensor


def combined(opinions: Opinions, divergence: str) -> tuple[Tensor, Tensor]:
    """The distribution q, (N, classes), that minimises KL(g, q) + Σ KL(m, q) over the active specialists m (equation 5), or
    with ``divergence`` "q-p" KL(q, g) + Σ KL(q, m); and which images' descent did not end, (N,).

    Gradient descent on the logits of q, for each image preconditioned by q and with the step 1/(1 + number of specialists),
    with which neither sum can rise. Where it does not end, the geometric mean in closed form stands in.
    """
    chosen = opinions.active.any(dim=0)
    q = opinions.generalist.clone()
    left = chosen.nonzero()[:, 0]
    step = _towards_mean if divergence == "p-q" else _towards_product
    part = _part(opinions, left)
    now = _spread(part).mean if divergence == "p-q" else _spread(part).product
    for _ in range(MOST_STEPS):
        if not len(left):
            break
        after = step(part, now)
        moving = (after - now).abs().amax(dim=1) > TOLERANCE
        q[left[~moving]] = after[~moving]
        left, now = left[moving], after[moving]
        part = _part(part, moving.nonzero()[:, 0])
    unfinished = torch.zeros(len(q), dtype=torch.bool, device=q.device)
    if len(left):
        unfinished[left] = True
        q[left] = _spread(part).product
    return q, unfinished


def closed_forms(opinions: Opinions) -> tuple[Tensor, Tensor]:
    """Arithmetic and geometric mean of the opinions, (N, classes) each, where a dustbin's probability is spread over its
    classes as the generalist would."""
    spread = _spread(opinions)
    return spread.mean, spread.product


def asked(generalist: Tensor, members: Tensor, top: int) -> Tensor:
    """Which specialists, (M, N), have one of the ``top`` classes that the generalist's probabilities (N, classes) name
    first; ``members`` (M, classes) are their classes."""
    first = generalist.topk(min(top, generalist.shape[1]), dim=1).indices
    return members[:, first].any(dim=2)


class Combination(nn.Module):
    """A generalist with its specialists as one model: its logits are the log of the combined distribution.

    Of the specialists only those that are asked are run on an image.
    """

    def __init__(
        self, generalist: nn.Module, specialists: Sequence[tuple[nn.Module, SpecialistConfig]], config: CombinationConfig
    ) -> None:
        super().__init__()
        self.generalist = generalist
        self.specialists = nn.ModuleList([model for model, _ in specialists])
        self.config = config
        self.subsets = [about.classes for _, about in specialists]
        self._full = [about.softmax == "full" for _, about in specialists]
        self.unfinished = 0

    def opinions(self, view: Tensor, *, everybody: bool = False) -> Opinions:
        """What each says of a normalised batch (N, C, H, W); all specialists are asked where ``everybody`` is."""
        said = self.generalist(view).float().softmax(dim=1)
        count, classes = said.shape
        members = torch.zeros(len(self.subsets), classes, dtype=torch.bool, device=said.device)
        for place, subset in enumerate(self.subsets):
            members[place, list(subset)] = True
        active = asked(said, members, self.config.top)
        single = said.new_zeros(len(self.subsets), count, classes)
        dustbin = said.new_zeros(len(self.subsets), count)
        for place, (model, subset, full) in enumerate(zip(self.specialists, self.subsets, self._full, strict=True)):
            rows = (active[place] | everybody).nonzero()[:, 0]
            if not len(rows):
                continue
            theirs = model(view[rows]).float().softmax(dim=1)
            if full:
                single[place, rows] = theirs
            else:
                single[place, rows[:, None], torch.tensor(subset, device=rows.device)] = theirs[:, :-1]
                dustbin[place, rows] = theirs[:, -1]
        outside = ~members & ~torch.tensor(self._full, device=said.device)[:, None]
        return Opinions(said, single, dustbin, outside, active)

    def forward(self, view: Tensor) -> Tensor:
        """(N, classes); ``unfinished`` counts the images whose descent did not end."""
        q, unfinished = combined(self.opinions(view), self.config.divergence)
        self.unfinished += int(unfinished.sum())
        return q.clamp_min(1e-30).log()


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    mean: Tensor
    product: Tensor


def _spread(opinions: Opinions) -> _Spread:
    """Means of opinions whose dustbins are spread over their classes in the generalist's proportions."""
    said = opinions.generalist
    outside = opinions.outside.to(said.dtype)
    share = said / (said @ outside.T).T[:, :, None].clamp_min(1e-30)
    whole = opinions.specialists + opinions.dustbin[:, :, None] * share * outside[:, None]
    active = opinions.active[:, :, None]
    count = 1 + opinions.active.sum(dim=0)[:, None]
    mean = (said + (whole * active).sum(dim=0)) / count
    logs = (said.clamp_min(1e-30).log() + (whole.clamp_min(1e-30).log() * active).sum(dim=0)) / count
    return _Spread(mean, logs.softmax(dim=1))


def _towards_mean(opinions: Opinions, q: Tensor) -> Tensor:
    """A step on KL(p, q): each opinion as it would be with its dustbin spread in q's proportions, averaged."""
    outside = opinions.outside.to(q.dtype)
    mass = (q @ outside.T).clamp_min(1e-30)
    active = opinions.active.T
    ratio = opinions.dustbin.T * active / mass
    target = opinions.generalist + (opinions.specialists * opinions.active[:, :, None]).sum(dim=0) + q * (ratio @ outside)
    return target / target.sum(dim=1, keepdim=True)


def _towards_product(opinions: Opinions, q: Tensor) -> Tensor:
    """A step on KL(q, p): by the difference of the logs of q and of each opinion, in a dustbin those of its whole mass."""
    outside = opinions.outside.to(q.dtype)
    active = opinions.active.to(q.dtype)
    logs = q.clamp_min(1e-30).log()
    away = logs - opinions.generalist.clamp_min(1e-30).log()
    single = logs - opinions.specialists.clamp_min(1e-30).log()
    away = away + (single * (active[:, :, None] * (1 - outside[:, None]))).sum(dim=0)
    whole = (q @ outside.T).clamp_min(1e-30).log() - opinions.dustbin.T.clamp_min(1e-30).log()
    away = away + (whole * active.T) @ outside
    return (logs - away / (1 + active.sum(dim=0)[:, None])).softmax(dim=1)


def _part(opinions: Opinions, rows: Tensor) -> Opinions:
    return dataclasses.replace(
        opinions,
        generalist=opinions.generalist[rows],
        specialists=opinions.specialists[:, rows],
        dustbin=opinions.dustbin[:, rows],
        active=opinions.active[:, rows],
    )
