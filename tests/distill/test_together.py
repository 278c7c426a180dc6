"""Several students trained as one batched model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distill.digits import digits, job
from tests.experiments import DIVERGING, tiny
from workbench.config import DistillationConfig, ModelConfig
from workbench.distill import checkpoints, training
from workbench.distill.evaluation import logits_on
from workbench.distill.together import Together, company
from workbench.distill.training import Job, Trainer, TrainerState
from workbench.events import Event, Metrics
from workbench.plan import company_of

PERCEPTRON = ModelConfig(options={"layers": 2, "units": 30})


def students(count: int = 5, *, model: ModelConfig = PERCEPTRON, **settings: Any) -> list[Job]:
    """Students that differ in all that those trained together may differ in, as many steps apart."""
    return [
        job(
            model=model,
            distillation=DistillationConfig(temperature=(1.0, 4.0, 20.0)[number % 3], hard_weight=(0.0, 0.1, 0.5)[number % 3]),
            seed=number,
            run=number + 1,
            fraction=(0.5, 0.505)[number % 2],
            learning_rate=(0.001, 0.003)[number % 2],
            **{"epochs": 6} | settings,
        )
        for number in range(count)
    ]


def hard(of: Job) -> Job:
    """The same student on hard targets alone."""
    return dataclasses.replace(of, config=dataclasses.replace(of.config, distillation=None), soft_targets=None, ensemble=None)


def alone(jobs: list[Job]) -> tuple[list[Trainer], list[Event]]:
    trainers = [Trainer(of) for of in jobs]
    return trainers, [event for trainer in trainers for event in trainer]


def together(jobs: list[Job]) -> tuple[list[Trainer], list[Event]]:
    trainers = [Trainer(of) for of in jobs]
    assert len({company(trainer) for trainer in trainers}) == 1
    assert company(trainers[0]) is not None
    return trainers, list(Together(trainers))


def same_predictions(one: Trainer, other: Trainer) -> float:
    """The share of test cases for which two runs say the same."""
    found = []
    for trainer in (one, other):
        trainer.model.load_state_dict(trainer.weights())
        found.append(logits_on(trainer.model, digits(), digits().test.images).argmax(dim=1))
    return float((found[0] == found[1]).float().mean())


def told(events: list[Event], run: int) -> list[tuple[int, float, tuple[tuple[str, float], ...]]]:
    return [(event.step, event.epoch, event.values) for event in events if isinstance(event, Metrics) and event.run == run]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("kind", ["distilled", "hard", "one layer, limited norm", "no hidden layer"])
def test_that_each_ends_like_the_same_run_trained_alone(kind: str, optimizer: str) -> None:
    options = {"one layer, limited norm": {"layers": 1, "units": 12, "max_norm": 0.5}, "no hidden layer": {"layers": 0}}
    model = ModelConfig(options=options[kind]) if kind in options else PERCEPTRON
    jobs = students(model=model, optimizer=optimizer, weight_decay=0.01)
    if kind == "hard":
        jobs = [hard(of) for of in jobs]
    (singles, expected), (members, events) = alone(jobs), together(jobs)
    steps = singles[0].step
    assert 80 < steps < 120
    for single, member in zip(singles, members, strict=True):
        assert (member.step, member.epochs_done) == (single.step, single.epochs_done)
        assert member.samples_per_second > 0
        for name, weights in single.model.state_dict().items():
            torch.testing.assert_close(member.model.state_dict()[name], weights, rtol=1e-3, atol=1e-4)
        assert same_predictions(single, member) >= 0.99
        ours, theirs = told(events, member.job.run), told(expected, member.job.run)
        assert [(step, epoch, [name for name, _ in values]) for step, epoch, values in ours] == [
            (step, epoch, [name for name, _ in values]) for step, epoch, values in theirs
        ]
        for (_, _, values), (_, _, others) in zip(ours, theirs, strict=True):
            assert [value for _, value in values] == pytest.approx([value for _, value in others], rel=0.01, abs=0.01)


def test_that_they_really_differ() -> None:
    members, _ = together(students())
    first = members[0].weights()["1.weight"]
    assert all(not torch.allclose(first, member.weights()["1.weight"]) for member in members[1:])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_that_resumed_together_after_any_event_they_end_bit_for_bit_as_if_they_had_not_been(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(training, "METRIC_POINTS", 5)
    jobs = students(4, epochs=2, optimizer=optimizer, schedule="linear")
    whole = [Trainer(of) for of in jobs]
    states, events = [], list[Event]()
    for moment in Together(whole).moments():
        events += moment
        states.append((len(events), [trainer.state() for trainer in whole]))
    for place, taken in states[::3]:
        resumed = []
        for of, state in zip(jobs, taken, strict=True):
            path = tmp_path / f"{place}-{of.run}.safetensors"
            _, sha256 = checkpoints.write(path, state.tensors, state.values)
            resumed.append(Trainer.resume(of, TrainerState(*checkpoints.read(path, sha256))))
        rest = list(Together(resumed))
        for trainer, other in zip(resumed, whole, strict=True):
            weights, expected = trainer.model.state_dict(), other.model.state_dict()
            assert all(torch.equal(weights[name], expected[name]) for name in expected), f"resumed after {events[place - 1]}"
            assert trainer.best.epoch == other.best.epoch
            assert told(rest, trainer.job.run) == told(events[place:], trainer.job.run)


def test_that_one_of_them_goes_on_alone_from_its_own_state() -> None:
    jobs = students(3)
    whole = [Trainer(of) for of in jobs]
    moments = Together(whole).moments()
    while whole[1].epochs_done < 2:
        next(moments)
    alone_again = Trainer.resume(jobs[1], whole[1].state())
    list(alone_again)
    list(moments)
    for name, weights in whole[1].model.state_dict().items():
        torch.testing.assert_close(alone_again.model.state_dict()[name], weights, rtol=1e-3, atol=1e-4)


def test_that_one_that_diverges_leaves_the_others_as_they_would_have_been() -> None:
    settings = {key: value for key, value in DIVERGING.items() if key != "learning_rate"}
    jobs = [hard(of) for of in students(3, model=ModelConfig(options={"units": 16}), **settings | {"batch_size": 128})]
    config = jobs[1].config
    wild = dataclasses.replace(config, training=dataclasses.replace(config.training, learning_rate=100.0))
    members, events = together([jobs[0], dataclasses.replace(jobs[1], config=wild), jobs[2]])
    assert "lower the learning rate (100)" in str(members[1].failure)
    assert members[1].step < members[0].step
    assert told(events, 2)[-1][0] == members[1].step
    for single, member in zip(alone([jobs[0], jobs[2]])[0], [members[0], members[2]], strict=True):
        assert member.failure is None
        assert same_predictions(single, member) >= 0.99


def test_that_one_that_stops_early_leaves_and_the_others_go_on() -> None:
    jobs = students(4, epochs=40, patience=3)
    (singles, _), (members, _) = alone(jobs), together(jobs)
    ends = [member.epochs_done for member in members]
    assert len(set(ends)) > 1
    assert all(member.stopped_early or member.epochs_done == 40 for member in members)
    assert ends == [single.epochs_done for single in singles]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ModelConfig(options={"units": 12, "dropout": 0.1})},
        {"model": ModelConfig(model="cnn", options={"channels": 2, "units": 4})},
        {"model": ModelConfig(options={"units": 12, "activation": "none"})},
        {"model": ModelConfig(options={"units": 12, "bias": False})},
        {"jitter": 1},
        {"precision": "bf16"},
    ],
    ids=["dropout", "convolution", "no activation", "no bias", "jitter", "bf16"],
)
def test_that_what_cannot_be_stacked_is_trained_alone(settings: dict[str, Any]) -> None:
    assert company(Trainer(students(1, **settings)[0])) is None


@pytest.mark.parametrize(
    "settings", [{"epochs": 5}, {"batch_size": 20}, {"model": ModelConfig(options={"units": 31})}, {"optimizer": "sgd"}]
)
def test_that_only_what_goes_in_step_is_one_company(settings: dict[str, Any]) -> None:
    assert company(Trainer(students(1, **settings)[0])) != company(Trainer(students(1)[0]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_norm": 1.0},
        {"dropout": 0.1},
        {"input_dropout": 0.1},
        {"bias": False},
        {"activation": "none"},
        {"activation": "none", "layers": 0},
    ],
    ids=str,
)
def test_that_the_plan_foresees_which_perceptrons_can_be_stacked(options: dict[str, Any]) -> None:
    alone = company(Trainer(students(1, model=ModelConfig(options={"units": 12} | options))[0])) is None
    assert (company_of(tiny(student={"model": "mlp", "units": 12} | options)) is None) == alone


def test_that_one_that_matches_logits_is_trained_alone() -> None:
    of = students(1)[0]
    assert company(Trainer(of)) is not None
    config = dataclasses.replace(of.config, distillation=DistillationConfig(match="logits"))
    assert company(Trainer(dataclasses.replace(of, config=config))) is None


def test_that_cases_of_other_steps_are_another_company() -> None:
    first, other = job(model=PERCEPTRON, fraction=0.5), job(model=PERCEPTRON, fraction=0.9)
    assert company(Trainer(first)) != company(Trainer(other))
