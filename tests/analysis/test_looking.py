"""What models say of images at any temperature, and which images a gallery shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.analysis.looking import (
    SIEVES,
    Cell,
    LineUp,
    Looked,
    Speaker,
    best_temperature,
    entropy,
    looked,
    mean_soft_targets,
    scaled,
    sifted,
)
from workbench.analysis.report import log_softmax
from workbench.distill.ensembles import soft_targets

CLASSES = ("a", "b", "c")


def line_up(members: int = 2, mean: str = "arithmetic", *, singles: bool = True) -> LineUp:
    return LineUp(
        experiment=1,
        name="some",
        members=tuple(Speaker(key=f"member {run}", name=f"teacher {run}", run=run) for run in range(1, members + 1)),
        singles=(Speaker(key="student", name="student", run=8), Speaker(key="baseline", name="baseline", run=9))
        if singles
        else (),
        temperature=4.0,
        mean=mean,
    )


def a_looked(seed: int = 0, cases: int = 60) -> Looked:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (4, cases, 3)).astype(np.float32)
    labels = random.integers(0, 3, cases)
    return looked(line_up(), "data", CLASSES, np.zeros((cases, 1, 2, 2), np.uint8), labels, logits)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0, 50.0])
def test_that_the_ensemble_at_a_temperature_is_what_students_are_trained_on(mean: str, temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 5, (4, 7, 3)).astype(np.float32)
    said = line_up(mean=mean).at(logits, temperature)
    wanted = soft_targets(torch.from_numpy(logits[:2]), temperature, mean).numpy()
    np.testing.assert_allclose(said[0], wanted, atol=1e-6)
    np.testing.assert_allclose(said.sum(axis=-1), 1, atol=1e-5)


def test_that_parties_stand_where_their_distributions_do() -> None:
    there = line_up()
    assert [one.key for one in there.parties] == ["ensemble", "student", "baseline", "member 1", "member 2"]
    logits = np.random.default_rng(2).normal(0, 3, (4, 3)).astype(np.float32)
    said = there.at(logits, 1.0)
    order = [there.place(key) for key in ("member 1", "member 2", "student", "baseline")]
    np.testing.assert_allclose(said[order], torch.from_numpy(logits).softmax(-1).numpy(), atol=1e-6)


def test_that_a_single_teacher_is_the_ensemble_and_is_shown_once() -> None:
    there = line_up(1)
    assert [one.key for one in there.parties] == ["ensemble", "student", "baseline"]
    assert there.parties[0].name == "teacher"
    logits = np.random.default_rng(2).normal(0, 3, (3, 5, 3)).astype(np.float32)
    assert there.at(logits, 2.0).shape == (3, 5, 3)


def test_that_a_generalist_with_specialists_answers_as_a_whole() -> None:
    whole = Speaker(key="whole", name="all together", run=5)
    there = LineUp(experiment=1, name="", members=(Speaker(key="member 1", name="generalist", run=1),), whole=whole)
    logits = np.random.default_rng(2).normal(0, 3, (2, 3)).astype(np.float32)
    assert [one.key for one in there.parties] == ["ensemble", "member 1"]
    np.testing.assert_allclose(there.at(logits, 1.0), torch.from_numpy(logits[::-1].copy()).softmax(-1).numpy(), atol=1e-6)


def test_that_an_ensemble_without_one_of_its_members_is_none() -> None:
    there = line_up().only(["member 1", "student"])
    assert [one.key for one in there.parties] == ["student"]
    logits = np.random.default_rng(2).normal(0, 3, (1, 6, 3)).astype(np.float32)
    found = looked(there, "", CLASSES, np.zeros((6, 1, 2, 2), np.uint8), np.zeros(6, int), logits)
    assert found.bits.size == 0
    assert found.said("ensemble") is None


def test_that_sieves_let_through_what_they_say() -> None:
    found = a_looked()
    said, labels = {key: found.said(key) for key in ("ensemble", "student", "baseline")}, found.labels
    for case in sifted(found, "student wrong"):
        assert said["student"][case] != labels[case]
    assert len(sifted(found, "student wrong")) == (said["student"] != labels).sum()
    assert set(sifted(found, "disagree")) == set(np.flatnonzero(said["ensemble"] != said["student"]))
    gained, lost = sifted(found, "gained"), sifted(found, "lost")
    errors = [(said[key] != labels).sum() for key in ("baseline", "student")]
    assert len(gained) - len(lost) == errors[0] - errors[1]
    assert (labels[sifted(found, "all", 2)] == 2).all()
    assert len(sifted(found, "all")) == len(labels)
    assert all(set(one.needs) <= {"ensemble", "student", "baseline"} for one in SIEVES.values())


def test_that_dark_knowledge_is_the_entropy_of_right_soft_targets_highest_first() -> None:
    found = a_looked()
    cases = sifted(found, "dark")
    assert (found.said("ensemble")[cases] == found.labels[cases]).all()
    soft = found.line_up.ensemble_at(found.logits, 4.0)
    bits = entropy(soft[cases])
    assert (np.diff(bits) <= 0).all()
    assert 0 < bits[0] <= np.log2(3) + 1e-6


def test_that_a_cell_has_the_images_that_it_counts() -> None:
    found = a_looked()
    cases = sifted(found, "dark", None, Cell(0, 1, by="student"))
    assert len(cases)
    assert set(cases) == {at for at, label in enumerate(found.labels) if label == 0 and found.said("student")[at] == 1}
    near = sifted(found, "all", None, Cell(0, 1, temperature=4.0))
    assert set(near) == set(np.flatnonzero(found.labels == 0))
    assert (np.diff(found.line_up.ensemble_at(found.logits[:, near], 4.0)[:, 1]) <= 0).all()
    assert Cell(0, 1, by="student").words(found) == "a, taken for b by the student"
    assert Cell(0, 1, temperature=4.0).words(found) == "a, the likest to b at T = 4 first"


def test_that_mean_soft_targets_are_distributions_of_the_classes_that_have_cases() -> None:
    found = a_looked()
    means = mean_soft_targets(found, 4.0)
    np.testing.assert_allclose(means.sum(axis=1), 1, atol=1e-5)
    soft = found.line_up.ensemble_at(found.logits, 4.0)
    np.testing.assert_allclose(means[1], soft[found.labels == 1].mean(axis=0), atol=1e-6)
    alone = looked(found.line_up, "", CLASSES, found.images[:1], np.zeros(1, int), found.logits[:, :1])
    assert np.isnan(mean_soft_targets(alone, 4.0)[1:]).all()


def test_that_temperature_scaling_finds_the_temperature_that_logits_were_multiplied_by() -> None:
    random = np.random.default_rng(3)
    true = random.normal(0, 2, (20_000, 3))
    labels = (log_softmax(true) + random.gumbel(size=true.shape)).argmax(axis=1)  # drawn from softmax(true)
    assert best_temperature(5 * true, labels) == pytest.approx(5, rel=0.05)
    half = len(true) // 2
    found = scaled("one", (log_softmax(5 * true[:half]), labels[:half]), (log_softmax(5 * true[half:]), labels[half:]))
    assert found.temperature == pytest.approx(5, rel=0.07)
    assert found.after.reliability.error < 0.25 * found.before.reliability.error
    assert found.after.nll < found.before.nll
    assert found.after.errors == found.before.errors


def test_that_entropy_is_in_bits() -> None:
    np.testing.assert_allclose(entropy(np.array([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])), [2, 0, 1], atol=1e-9)
