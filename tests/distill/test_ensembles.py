"""Arithmetic and geometric means of predictive distributions, and the logits that are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from workbench.distill.ensembles import Ensemble, LogitCache, combined_logits, soft_targets

LOGITS = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(2, 12)).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=st.floats(-30, 30))
)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def arithmetic(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(probabilities.mean(axis=0))


def geometric(probabilities: np.ndarray) -> np.ndarray:
    product = np.prod(probabilities ** (1 / len(probabilities)), axis=0)
    return np.asarray(product / product.sum(axis=-1, keepdims=True))


DEFINITIONS = {"arithmetic": arithmetic, "geometric": geometric}


@pytest.mark.parametrize("mean", DEFINITIONS)
@settings(max_examples=60)
@given(logits=LOGITS, temperature=st.floats(0.5, 100))
def test_that_the_mean_of_distributions_equals_its_definition(mean: str, logits: np.ndarray, temperature: float) -> None:
    wanted = DEFINITIONS[mean](softmax(logits / temperature))
    found = soft_targets(torch.from_numpy(logits.astype(np.float32)), temperature, mean)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-3, atol=2e-6)
    np.testing.assert_allclose(found.sum(dim=1).numpy(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("mean", DEFINITIONS)
@settings(max_examples=60)
@given(logits=LOGITS)
def test_that_the_combined_logits_give_the_ensemble_at_temperature_1(mean: str, logits: np.ndarray) -> None:
    found = combined_logits(torch.from_numpy(logits), mean).softmax(dim=1)
    np.testing.assert_allclose(found.numpy(), DEFINITIONS[mean](softmax(logits)), rtol=1e-6, atol=1e-9)


def test_that_the_two_means_differ_where_members_disagree() -> None:
    logits = torch.tensor([[[4.0, 0.0, 0.0]], [[0.0, 4.0, 2.0]]])
    assert not torch.allclose(soft_targets(logits, 1.0, "arithmetic"), soft_targets(logits, 1.0, "geometric"), atol=0.01)


def member(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).eval()


def test_that_an_ensemble_asks_every_member_in_order() -> None:
    members = (member(1), member(2))
    view = torch.randn(5, 4)
    logits = Ensemble(members, ("a", "b"), "arithmetic").member_logits(view)
    assert not logits.requires_grad
    torch.testing.assert_close(logits, torch.stack([one(view) for one in members]).detach())
    targets = soft_targets(Ensemble(members, ("a", "b"), "arithmetic").member_logits(view), 2.0, "arithmetic")
    torch.testing.assert_close(targets, soft_targets(logits, 2.0, "arithmetic"))


class Counted:
    """Logits on demand, and for whom they were computed."""

    def __init__(self, rows: int = 3) -> None:
        self.asked: list[nn.Module] = []
        self.rows = rows

    def __call__(self, net: nn.Module) -> Tensor:
        self.asked.append(net)
        return torch.full((self.rows, 3), float(len(self.asked)))


def test_that_logits_are_computed_once_for_each_member_and_place() -> None:
    cache, compute = LogitCache(), Counted()
    first, second, third = member(1), member(2), member(3)
    one = cache.members(Ensemble((first, second), ("a", "b"), "arithmetic"), "train", compute)
    again = cache.members(Ensemble((first, second), ("a", "b"), "geometric"), "train", compute)
    assert torch.equal(one, again)
    cache.members(Ensemble((first, third), ("a", "c"), "arithmetic"), "train", compute)
    cache.members(Ensemble((first,), ("a",), "arithmetic"), "test", compute)
    assert compute.asked == [first, second, third, first]


def test_that_the_least_recently_used_logits_are_dropped_beyond_the_limit() -> None:
    cache, compute = LogitCache(limit=2 * 3 * 3 * 4), Counted()
    nets = {key: member(index) for index, key in enumerate("abc")}
    for key in "abacab":
        cache.members(Ensemble((nets[key],), (key,), "arithmetic"), "train", compute)
    assert compute.asked == [nets["a"], nets["b"], nets["c"], nets["b"]]


def test_that_logits_larger_than_the_limit_are_still_given() -> None:
    logits = LogitCache(limit=1).members(Ensemble((member(1), member(2)), ("a", "b"), "arithmetic"), "train", Counted(5))
    assert logits.shape == (2, 5, 3)
