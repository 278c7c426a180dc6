"""The training loop: determinism, resuming, schedules, stopping, and what it does when the loss is no number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.distill.digits import SMALL, digits, job
from tests.experiments import DIVERGING
from workbench.config import DistillationConfig, ModelConfig, TrainingConfig
from workbench.distill import checkpoints, training
from workbench.distill.evaluation import logits_on, validate
from workbench.distill.together import measure_rate
from workbench.distill.training import Job, Trainer, TrainerState, schedule_factor
from workbench.errors import ConfigError, Diverged
from workbench.events import EpochEnded, Event, Metrics

UNSTEADY: dict[str, Any] = {"learning_rate": 1.5, "optimizer": "sgd", "schedule": "constant"}
"""Training that gets worse again after a good epoch."""

Told = list[tuple[int, float, tuple[tuple[str, float], ...]]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(of: Job) -> Trainer:
    trainer = Trainer(of)
    for _ in trainer:
        pass
    return trainer


def told(events: list[Event]) -> Told:
    return [(event.step, event.epoch, event.values) for event in events if isinstance(event, Metrics)]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def values(events: list[Event], name: str) -> list[float]:
    return [dict(values)[name] for _, _, values in told(events) if name in dict(values)]


def mlp(**options: Any) -> ModelConfig:
    return ModelConfig(model="mlp", options={"layers": 1, "units": 12} | options)


CNN = ModelConfig(model="cnn", options={"channels": 3, "units": 8, "dropout": 0.2})
JOBS = {
    "adamw cosine": {"optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.01},
    "sgd step dropout": {
        "optimizer": "sgd",
        "schedule": "step",
        "step_epochs": 1,
        "step_factor": 0.5,
        "learning_rate": 0.05,
        "model": mlp(dropout=0.3, input_dropout=0.1, max_norm=1.0),
    },
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "label_smoothing": 0.1},
    "adamw linear warm-up cnn jitter flip": {
        "schedule": "linear",
        "warmup": 1.5,
        "model": CNN,
        "jitter": 1,
        "flip": True,
    },
    "sgd cnn distilled on jittered views": {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "model": CNN,
        "jitter": 2,
        "distillation": DistillationConfig(temperature=3.0),
    },
    "adamw distilled geometric": {
        "distillation": DistillationConfig(mean="geometric", hard_weight=0.5),
        "model": mlp(dropout=0.5),
    },
    "adamw distilled unlabelled": {"distillation": DistillationConfig(hard_weight=0.0), "labelled": False},
    "early stopping": {"epochs": 30, "patience": 2, "learning_rate": 0.3, "optimizer": "sgd", "batch_size": 65},
    "last weights": {"keep": "last", "learning_rate": 0.05},
}


class TestDeterminism:
    @pytest.mark.parametrize("settings", JOBS.values(), ids=JOBS)
    def test_that_the_same_seed_gives_the_same_weights_and_another_seed_others(self, settings: dict[str, Any]) -> None:
        torch.manual_seed(9)
        first = trained(job(**settings)).weights()
        torch.manual_seed(10)
        assert same(trained(job(**settings)).weights(), first)
        assert not same(trained(job(**settings, seed=1)).weights(), first)

    def test_that_measuring_the_rate_leaves_random_state_and_results_alone(self) -> None:
        of = job(model=mlp(dropout=0.5))
        first = trained(of).weights()
        before = torch.get_rng_state()
        assert measure_rate(of, seconds=0.01) > 0
        assert torch.equal(torch.get_rng_state(), before)
        assert same(trained(of).weights(), first)


class TestResuming:
    @pytest.mark.parametrize("points", [2000, 5], ids=["metrics at each step", "metrics at some steps"])
    @pytest.mark.parametrize("settings", JOBS.values(), ids=JOBS)
    def test_that_a_run_resumed_after_any_event_ends_as_if_it_had_not_been(
        self, settings: dict[str, Any], points: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training, "PROGRESS_SECONDS", 0.0)
        monkeypatch.setattr(training, "METRIC_POINTS", points)
        of = job(**settings)
        whole = Trainer(of)
        events, states = list[Event](), list[TrainerState]()
        for event in whole:
            events.append(event)
            states.append(whole.state())
        assert same(trained(of).weights(), whole.weights()), "taking a state changed the run"
        assert whole.stopped_early == (settings.get("patience", 0) > 0)
        for place in range(len(events)) if points == 2000 else around_ends(events):
            path = tmp_path / f"{place}.safetensors"
            _, sha256 = checkpoints.write(path, states[place].tensors, states[place].values)
            torch.manual_seed(12345)
            resumed = Trainer.resume(of, TrainerState(*checkpoints.read(path, sha256)))
            rest = list(resumed)
            assert same(resumed.weights(), whole.weights()), f"resumed after {events[place]}"
            assert same(resumed.model.state_dict(), whole.model.state_dict())
            assert told(rest) == told(events[place + 1 :])
            assert (resumed.best.epoch, resumed.epochs_done, resumed.stopped_early) == (
                whole.best.epoch,
                whole.epochs_done,
                whole.stopped_early,
            )

    def test_that_resuming_a_finished_run_trains_nothing(self) -> None:
        of = job()
        done = trained(of)
        resumed = Trainer.resume(of, done.state())
        assert list(resumed) == []
        assert same(resumed.weights(), done.weights())

    def test_that_a_state_does_not_change_when_training_goes_on(self) -> None:
        trainer = Trainer(job())
        events = iter(trainer)
        next(events)
        state = trainer.state()
        before = {name: tensor.clone() for name, tensor in state.tensors.items()}
        for _ in events:
            pass
        assert same(state.tensors, before)

    def test_that_the_clock_goes_on_from_the_state_and_leaves_out_what_is_excluded(self) -> None:
        of = job()
        done = trained(of)
        assert 0 < done.elapsed < 60
        resumed = Trainer.resume(
            of, TrainerState(done.state().tensors, done.state().values | {"epochs_done": 2, "elapsed": 1000.0})
        )
        for event in resumed:
            if isinstance(event, Metrics):
                assert event.elapsed >= 1000.0
        waited = Trainer(of)
        for event in waited:
            if isinstance(event, EpochEnded):
                waited.exclude(500.0)
        assert waited.elapsed < -500.0


def around_ends(events: list[Event]) -> list[int]:
    """Places of the events about the ends of the first and the last epoch."""
    ends = [place for place, event in enumerate(events) if isinstance(event, EpochEnded)]
    near = {place + offset for place in (ends[0], ends[-1]) for offset in range(-4, 3)}
    return sorted(place for place in near if 0 <= place < len(events))


class TestEvents:
    def test_that_metrics_come_at_fixed_steps_and_epochs_end_with_validation(self) -> None:
        of = job(epochs=2, batch_size=40)
        trainer = Trainer(of)
        events = [event for event in trainer if isinstance(event, (Metrics, EpochEnded))]
        steps = math.ceil(len(of.cases) / 40)
        assert of.steps == 2 * steps
        losses = [event.step for event in events if isinstance(event, Metrics) and event.values[0][0] == "loss"]
        assert losses == list(range(1, 2 * steps + 1))
        validations = [event for event in events if isinstance(event, Metrics) and event.values[0][0] == "val_accuracy"]
        assert [(event.step, event.epoch) for event in validations] == [(steps, 1.0), (2 * steps, 2.0)]
        assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2]
        assert {event.run for event in events} == {1}

    def test_that_a_long_run_has_about_two_thousand_metric_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(training, "METRIC_POINTS", 7)
        of = job(epochs=5, batch_size=20)
        steps = [event.step for event in Trainer(of) if isinstance(event, Metrics) and event.values[0][0] == "loss"]
        every = of.steps // 7
        assert steps == list(range(every, of.steps + 1, every))

    def test_that_a_loss_is_the_mean_over_the_steps_since_the_last_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        each = values(list(Trainer(job(batch_size=20))), "loss")
        monkeypatch.setattr(training, "METRIC_POINTS", 7)
        some = values(list(Trainer(job(batch_size=20))), "loss")
        every = len(each) // len(some)
        assert every > 1
        groups = [each[start : start + every] for start in range(0, len(some) * every, every)]
        assert some == pytest.approx([sum(group) / every for group in groups], rel=1e-5)

    @pytest.mark.parametrize(
        ("settings", "names"),
        [
            ({}, {"loss", "hard_loss", "learning_rate"}),
            ({"distillation": DistillationConfig()}, {"loss", "soft_loss", "hard_loss", "learning_rate"}),
            ({"distillation": DistillationConfig(hard_weight=0), "labelled": False}, {"loss", "soft_loss", "learning_rate"}),
        ],
        ids=["hard", "distilled", "unlabelled"],
    )
    def test_that_each_part_of_the_loss_is_reported_where_there_is_one(self, settings: dict[str, Any], names: set[str]) -> None:
        first = next(event for event in Trainer(job(**settings)) if isinstance(event, Metrics))
        assert {name for name, _ in first.values} == names

    def test_that_the_total_is_the_weighted_sum_of_its_unscaled_parts(self) -> None:
        distillation = DistillationConfig(temperature=3.0, hard_weight=0.25)
        for event in Trainer(job(distillation=distillation)):
            if isinstance(event, Metrics) and event.values[0][0] == "loss":
                parts = dict(event.values)
                assert parts["loss"] == pytest.approx(0.75 * 9 * parts["soft_loss"] + 0.25 * parts["hard_loss"], rel=1e-4)


class TestBatches:
    def test_that_batches_are_nearly_equal_and_an_epoch_takes_each_case_once(self) -> None:
        of = job(batch_size=50)
        trainer = Trainer(of)
        for epoch in range(2):
            batches = [positions.tolist() for positions, _, _ in trainer.views.batches(epoch, of.steps_per_epoch)]
            sizes = [len(batch) for batch in batches]
            assert len(sizes) == of.steps_per_epoch == math.ceil(len(of.cases) / 50)
            assert max(sizes) <= 50
            assert max(sizes) - min(sizes) <= 1
            assert sorted(itertools.chain(*batches)) == list(range(len(of.cases)))

    def test_that_a_batch_larger_than_the_cases_is_all_of_them(self) -> None:
        of = job(batch_size=60_000)
        assert of.steps_per_epoch == 1
        assert trained(of).step == 3

    def test_that_the_rate_counts_every_case_of_every_epoch(self) -> None:
        trainer = trained(job(epochs=3))
        assert trainer.samples_per_second * trainer.elapsed == pytest.approx(3 * len(trainer.job.cases))


def test_that_a_student_at_a_very_high_temperature_and_one_that_matches_logits_say_the_same() -> None:
    model = mlp(layers=1, units=30)
    settings = {"epochs": 20, "model": model, "fraction": 0.5, "learning_rate": 0.01}
    said = []
    for distillation in (
        DistillationConfig(temperature=1000.0, hard_weight=0.0, mean="geometric"),
        DistillationConfig(match="logits", hard_weight=0.0),
    ):
        trainer = trained(job(distillation=distillation, **settings))
        said.append(logits_on(trainer.model, digits(), digits().test.images).argmax(dim=1))
    assert float((said[0] == said[1]).float().mean()) >= 0.98


class TestSchedules:
    def factors(self, epochs: int = 10, per_epoch: int = 4, **settings: Any) -> list[float]:
        config = TrainingConfig(epochs=epochs, **settings)
        return [schedule_factor(config, step, per_epoch) for step in range(epochs * per_epoch)]

    def test_that_a_constant_rate_is_constant(self) -> None:
        assert set(self.factors(schedule="constant")) == {1.0}

    def test_that_cosine_falls_from_1_to_0_along_half_a_wave(self) -> None:
        factors = self.factors(schedule="cosine")
        assert factors == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 40)) for step in range(40)])

    def test_that_linear_falls_evenly(self) -> None:
        assert self.factors(schedule="linear") == pytest.approx([1 - step / 40 for step in range(40)])

    def test_that_steps_fall_by_the_factor_after_so_many_epochs(self) -> None:
        factors = self.factors(schedule="step", step_epochs=4, step_factor=0.1)
        assert factors == pytest.approx([1.0] * 16 + [0.1] * 16 + [0.01] * 8)

    @pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
    def test_that_warm_up_rises_evenly_from_above_0_and_then_the_schedule_begins_at_1(self, schedule: str) -> None:
        factors = self.factors(schedule=schedule, warmup=2.5, step_epochs=100)
        assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
        assert factors[10] == pytest.approx(1.0)
        assert factors[10:] == sorted(factors[10:], reverse=True)

    @pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
    def test_that_a_warm_up_longer_than_the_run_only_rises(self, schedule: str) -> None:
        factors = self.factors(schedule=schedule, warmup=50.0)
        assert factors == sorted(factors)
        assert 0 < factors[0] < factors[-1] < 1

    def test_that_the_rate_of_each_step_is_the_learning_rate_times_the_factor(self) -> None:
        of = job(schedule="linear", warmup=1.0, learning_rate=0.02)
        rates = values(list(Trainer(of)), "learning_rate")
        config = of.config.training
        assert rates == pytest.approx([0.02 * schedule_factor(config, step, of.steps_per_epoch) for step in range(of.steps)])


class TestKeepingAndStopping:
    def test_that_the_weights_kept_are_of_the_epoch_best_on_validation(self) -> None:
        trainer = Trainer(job(epochs=8, **UNSTEADY))
        events = list(trainer)
        accuracies, losses = values(events, "val_accuracy"), values(events, "val_loss")
        best = max(range(8), key=lambda epoch: (accuracies[epoch], -losses[epoch]))
        assert trainer.best.epoch == best + 1 < 8, "the last epoch is best: the test shows nothing"
        trainer.model.load_state_dict(trainer.weights())
        assert validate(trainer.model, digits(), digits().validation) == (accuracies[best], losses[best])
        flags = [event.best for event in events if isinstance(event, EpochEnded)]
        assert max(epoch for epoch, flag in enumerate(flags) if flag) == best

    def test_that_the_last_weights_are_kept_where_asked_for(self) -> None:
        trainer = trained(job(epochs=8, keep="last", **UNSTEADY))
        assert trainer.best.epoch < 8, "the last epoch is best: the test shows nothing"
        assert same(trainer.weights(), trainer.model.state_dict())

    def test_that_a_run_stops_after_so_many_epochs_without_a_better_one(self) -> None:
        trainer = trained(job(epochs=60, patience=3, **UNSTEADY))
        assert trainer.stopped_early
        assert trainer.epochs_done == trainer.best.epoch + 3 < 60

    def test_that_without_patience_every_epoch_is_done(self) -> None:
        trainer = trained(job(epochs=12, **UNSTEADY))
        assert (trainer.epochs_done, trainer.stopped_early) == (12, False)

    def test_that_the_weight_constraint_holds_after_every_step(self) -> None:
        trainer = Trainer(job(model=mlp(layers=2, max_norm=0.5), learning_rate=0.05))
        layers = [layer for layer in trainer.model.modules() if isinstance(layer, nn.Linear)]
        for event in trainer:
            if isinstance(event, Metrics):
                for layer in layers[:-1]:
                    assert float(layer.weight.norm(dim=1).max().detach()) <= 0.5 * (1 + 1e-5)
        assert float(layers[-1].weight.norm(dim=1).max().detach()) > 0.5

    def test_that_a_student_learns_what_its_teachers_say(self) -> None:
        distillation = DistillationConfig(temperature=2.0, hard_weight=0.0)
        losses = values(list(Trainer(job(distillation=distillation, epochs=30, learning_rate=0.02))), "soft_loss")
        assert losses[-1] < 0.2 * losses[0]


def break_at(step: int) -> Callable[[torch.nn.Module], None]:
    """Stands in for what is done to the weights after a step, and makes them nan after one of them."""
    steps = itertools.count(1)

    def constrain(model: torch.nn.Module) -> None:
        if next(steps) == step:
            with torch.no_grad():
                next(iter(model.parameters())).fill_(float("nan"))

    return constrain


class TestDiverging:
    def test_that_a_loss_that_is_no_number_is_shown_and_then_raised_with_what_to_do(self) -> None:
        trainer = Trainer(job(**DIVERGING, batch_size=128, model=mlp(units=16)))
        events = list[Event]()
        with pytest.raises(Diverged, match=r"loss became (nan|inf) at step \d+; lower the learning rate \(100\)"):
            events.extend(trainer)
        assert not all(math.isfinite(value) for _, value in told(events)[-1][2])
        assert all(bool(torch.isfinite(tensor).all()) for tensor in trainer.best.weights.values())
        assert 0 < trainer.best.epoch < trainer.epochs_done + 1

    def test_that_a_run_whose_last_step_breaks_it_is_not_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(training, "constrain", break_at(1))
        trainer = Trainer(job(epochs=1, batch_size=60_000, optimizer="sgd", keep="last", model=SMALL))
        with pytest.raises(Diverged, match=r"the validation loss became nan at step 1; lower the learning rate \(0.001\)"):
            list(trainer)

    def test_that_steps_between_two_metrics_are_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(training, "METRIC_POINTS", 2)
        trainer = Trainer(job(epochs=1, batch_size=20, optimizer="sgd"))
        monkeypatch.setattr(training, "constrain", break_at(4))
        with pytest.raises(Diverged, match="the loss became nan at step 6"):
            list(trainer)


class TestPrecision:
    def test_that_bf16_is_used_where_the_cpu_has_it_and_refused_where_not(self) -> None:
        of = job(precision="bf16")
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            assert not same(trained(of).weights(), trained(job()).weights())
        else:
            with pytest.raises(ConfigError, match="this cpu device has no bfloat16; choose float32"):
                Trainer(of)


def test_that_a_model_too_deep_for_the_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not suit 8×8 images"):
        Trainer(job(model=ModelConfig(model="torchvision", options={"architecture": "vit_b_16"})))
