"""Subsets of classes, what specialists learn from, and how their opinions are combined."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from tests.distill.digits import digits, job
from workbench.config import ModelConfig, SpecialistConfig
from workbench.distill import specialists
from workbench.distill.data import Split, views
from workbench.distill.models import build
from workbench.distill.specialists import Opinions, closed_forms, combined, find_subsets, lesson
from workbench.distill.training import Trainer
from workbench.errors import ConfigError


def opinions(seed: int, *, cases: int = 4, classes: int = 6, full: bool = False, everybody: bool = False) -> Opinions:
    """What a generalist and three specialists might say."""
    random = np.random.default_rng(seed)
    subsets = [tuple(sorted(random.choice(classes, size=int(random.integers(2, classes)), replace=False))) for _ in range(3)]

    def dirichlet(width: int) -> np.ndarray:
        return random.dirichlet(np.full(width, 0.5), cases)

    single = np.zeros((3, cases, classes))
    dustbin, outside = np.zeros((3, cases)), np.zeros((3, classes), bool)
    for place, subset in enumerate(subsets):
        if full:
            single[place] = dirichlet(classes)
            continue
        said = dirichlet(len(subset) + 1)
        single[place][:, list(subset)] = said[:, :-1]
        dustbin[place] = said[:, -1]
        outside[place] = ~np.isin(np.arange(classes), subset)
    active = np.ones((3, cases), bool) if everybody or full else random.random((3, cases)) < 0.7
    return Opinions(
        torch.tensor(dirichlet(classes)),
        torch.tensor(single),
        torch.tensor(dustbin),
        torch.tensor(outside),
        torch.tensor(active),
    )


def divergence(of: Opinions, case: int, q: np.ndarray, direction: str) -> float:
    """The sum of equation 5 for one image, by its definition."""

    def apart(p: np.ndarray, q: np.ndarray) -> float:
        p, q = (p, q) if direction == "p-q" else (q, p)
        return float(np.sum(np.where(p > 0, p * (np.log(np.clip(p, 1e-300, None)) - np.log(np.clip(q, 1e-300, None))), 0.0)))

    total = apart(of.generalist[case].numpy(), q)
    for place in range(len(of.specialists)):
        if not of.active[place, case]:
            continue
        outside = of.outside[place].numpy()
        said = of.specialists[place, case].numpy()[~outside]
        given = q[~outside]
        if outside.any():
            said, given = np.append(said, float(of.dustbin[place, case])), np.append(given, q[outside].sum())
        total += apart(said, given)
    return total


def reference(of: Opinions, case: int, direction: str) -> np.ndarray:
    """The minimiser that SciPy finds."""

    def soft(logits: np.ndarray) -> np.ndarray:
        shifted = np.exp(logits - logits.max())
        return np.asarray(shifted / shifted.sum())

    start = np.log(of.generalist[case].numpy().clip(1e-6))
    options = {"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-10, "maxfun": 1_000_000}
    found = minimize(lambda logits: divergence(of, case, soft(logits), direction), start, method="L-BFGS-B", options=options)
    return soft(found.x)


@pytest.mark.parametrize("direction", ["p-q", "q-p"])
def test_that_the_combined_distribution_is_the_minimiser_that_scipy_finds(direction: str) -> None:
    for seed in range(25):
        of = opinions(seed)
        q, unfinished = combined(of, direction)
        assert not unfinished.any()
        for case in range(4):
            expected = reference(of, case, direction)
            better = divergence(of, case, q[case].numpy(), direction) <= divergence(of, case, expected, direction) + 1e-9
            assert np.abs(q[case].numpy() - expected).max() < 1e-4 or better


@pytest.mark.parametrize(("direction", "mean"), [("p-q", "arithmetic"), ("q-p", "geometric")])
def test_that_models_of_all_classes_are_combined_by_their_mean(direction: str, mean: str) -> None:
    of = opinions(3, cases=50, full=True)
    every = torch.cat([of.generalist[None], of.specialists])
    expected = every.mean(dim=0) if mean == "arithmetic" else every.log().mean(dim=0).softmax(dim=1)
    q, _ = combined(of, direction)
    assert torch.allclose(q, expected, atol=1e-6)
    assert torch.allclose(closed_forms(of)[0 if mean == "arithmetic" else 1], expected)


def test_that_an_image_for_which_nobody_is_asked_keeps_what_the_generalist_says() -> None:
    of = opinions(4)
    alone = Opinions(of.generalist, of.specialists, of.dustbin, of.outside, torch.zeros_like(of.active))
    for direction in ("p-q", "q-p"):
        assert torch.equal(combined(alone, direction)[0], of.generalist)


def test_that_a_descent_that_does_not_end_says_so_and_gives_the_geometric_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specialists, "MOST_STEPS", 1)
    of = opinions(5, everybody=True)
    q, unfinished = combined(of, "p-q")
    assert unfinished.any()
    assert torch.equal(q[unfinished], closed_forms(of)[1][unfinished])


def blocks() -> np.ndarray:
    """Six classes of which 0, 1, 2 and 3, 4 go together and 5 is nearest to the latter."""
    matrix = np.eye(6)
    for group in ((0, 1, 2), (3, 4)):
        for one in group:
            for other in group:
                matrix[one, other] = 1.0 if one == other else 0.8
    matrix[5, 3:5] = matrix[3:5, 5] = 0.1
    return matrix


def test_that_classes_that_go_together_make_a_subset_and_one_alone_joins_the_nearest() -> None:
    assert set(find_subsets(blocks(), 3, 0, 0)) == {(0, 1, 2), (3, 4, 5)}


def test_that_subsets_of_a_given_size_may_overlap() -> None:
    found = find_subsets(blocks(), 2, 4, 0)
    assert all(len(subset) == 4 for subset in found)
    assert {0, 1, 2} <= set(found[0]) or {0, 1, 2} <= set(found[1])


def test_that_confusions_are_shares_of_the_cases_of_either_class() -> None:
    labels, predicted = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 0, 2])
    matrix = specialists.confusions(predicted, labels, 3)
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert matrix[0, 2] == 0


def test_that_the_share_of_errors_inside_counts_those_between_two_classes_of_a_subset() -> None:
    labels, predicted = torch.tensor([0, 1, 2, 3]), torch.tensor([1, 1, 3, 0])
    assert specialists.inside([(0, 1), (1, 2)], predicted, labels) == pytest.approx(1 / 3)


def test_that_half_of_every_batch_is_of_the_specialists_classes() -> None:
    data = digits()
    learned = lesson(data, SpecialistConfig(classes=(3, 8)))
    shown = views(learned.data, learned.cases, jitter=0, flip=False, seed=5, own=learned.own)
    batches = shown.batches(0, 10)
    seen = torch.cat([positions for positions, _, _ in batches])
    assert sorted(seen[seen < learned.own].tolist()) == list(range(learned.own))
    for positions, _, _ in batches:
        labels = learned.data.train.labels[learned.cases[positions]]
        assert abs(int((labels < 2).sum()) - int((labels == 2).sum())) <= 1
        assert torch.equal(labels < 2, torch.isin(data.train.labels[learned.cases[positions]], torch.tensor([3, 8])))
    others = seen[seen >= learned.own]
    assert len(others.unique()) == len(others)


@pytest.mark.parametrize("subset", [(3, 5), tuple(range(1, 10))])  # the latter with a dustbin has ten classes as well
def test_that_a_dustbin_has_the_probability_that_the_generalist_gives_its_classes_about(subset: tuple[int, ...]) -> None:
    model = build(job().config.model, digits().shape, 10)
    about = SpecialistConfig(classes=subset)
    other = build(job().config.model, digits().shape, 11)
    narrow = build(job().config.model, digits().shape, len(subset) + 1)
    begun = specialists.start_from(model.state_dict(), other.state_dict(), about, 10)
    narrow.load_state_dict(begun)
    view = digits().view(digits().test.images[:64])
    for parameter in (*model.parameters(), *narrow.parameters()):
        parameter.requires_grad_(False)
    whole, part = model(view).softmax(dim=1), narrow(view).softmax(dim=1)
    apart = part[:, -1] - (1 - whole[:, list(subset)].sum(dim=1))
    assert float(apart.abs().mean()) < 0.1
    assert torch.allclose(part[:, 0] / part[:, 1], whole[:, subset[0]] / whole[:, subset[1]], rtol=1e-4)


def trained(offset: Tensor | None) -> tuple[Tensor, Tensor]:
    """A specialist for 3 and 8, and its mean probability of each class on validation with the share that each has there."""
    learned = lesson(digits(), SpecialistConfig(classes=(3, 8)))
    about = SpecialistConfig(classes=(3, 8))
    small = job(model=ModelConfig(options={"layers": 1, "units": 2}), epochs=30)
    made = dataclasses.replace(
        small,
        config=dataclasses.replace(small.config, specialist=about),
        data=learned.data,
        cases=learned.cases,
        own=learned.own,
        offset=learned.offset if offset is None else offset,
    )
    trainer = Trainer(made)
    for _ in trainer:
        pass
    split = learned.data.validation
    said = trainer.model(learned.data.view(split.images)).detach().softmax(dim=1).mean(dim=0)
    return said, torch.bincount(split.labels, minlength=3) / len(split)


def test_that_the_offset_undoes_what_half_and_half_batches_do_to_the_dustbin() -> None:
    learned = lesson(digits(), SpecialistConfig(classes=(3, 8)))
    share = learned.own / len(digits().train)
    assert float(learned.offset[-1]) == pytest.approx(math.log((1 - share) / share))
    corrected, frequency = trained(None)
    raw, _ = trained(torch.zeros(3))
    assert abs(float(corrected[-1] - frequency[-1])) < 0.03
    assert float(raw[-1]) < float(corrected[-1]) - 0.03


@pytest.mark.parametrize(
    ("subset", "words"),
    [((4,), "at least two classes, not 4"), (tuple(range(10)), "all classes"), ((), "at least two classes, not none")],
)
def test_that_a_subset_of_one_class_or_of_all_is_refused(subset: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        specialists.check_subset(subset, digits(), "specialists.by_hand.0")


def test_that_a_subset_that_leaves_no_training_case_for_the_others_is_refused() -> None:
    train = digits().train
    some = (train.labels < 9).nonzero()[:, 0]
    without_9 = dataclasses.replace(digits(), train=Split(train.images[some], train.labels[some]))
    with pytest.raises(ConfigError, match="all training cases"):
        specialists.check_subset(tuple(range(9)), without_9, "specialists.by_hand.0")
