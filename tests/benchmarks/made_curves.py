"""Curves and figures of runs that never were, for :mod:`tests.benchmarks.big_history`: shaped as those of real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.config import RunConfig
from workbench.distill.models import ModelSize, model_size

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "kmnist": (1, 28, 28)}
CLASSES = 10
CASES = {"digits": (130, 500), "mnist": (6_000, 10_000), "fashion-mnist": (6_000, 10_000), "kmnist": (6_000, 10_000)}
"""Of validation and test."""
HARDNESS = {"digits": 0.04, "mnist": 0.015, "fashion-mnist": 0.10, "kmnist": 0.06}
"""About the share of errors of a wide student."""
STEPS_BETWEEN = {"digits": 1, "mnist": 10, "fashion-mnist": 10, "kmnist": 8}
"""Steps of training from one point to the next."""
CASES_A_SECOND = 40_000.0


@dataclass(frozen=True, slots=True)
class Curves:
    """All points of a run: ``step``, ``epoch`` and ``elapsed`` of each, and by metric its steps and values."""

    step: np.ndarray
    epoch: np.ndarray
    elapsed: np.ndarray
    metrics: dict[str, tuple[np.ndarray, np.ndarray]]


def size_of(config: RunConfig) -> ModelSize:
    """Parameters and multiply-adds of its model."""
    return model_size(config.model, SHAPES[config.data.dataset], CLASSES)


def error_rate(role: str, config: RunConfig, random: np.random.Generator) -> float:
    """A share of test errors: fewer with width, cases and a temperature about 4, more without a teacher."""
    rate = HARDNESS[config.data.dataset] * float(random.lognormal(0.0, 0.06))
    if role == "teacher":
        return 0.6 * rate
    rate *= (800 / config.model.options["units"]) ** 0.2 * (0.1 / config.transfer.fraction) ** 0.3
    about = config.distillation
    if about is None:
        return min(0.85, 1.35 * rate)
    return min(0.85, rate * (1 + 0.02 * math.log2(about.temperature / 4) ** 2) * (1 + 0.3 * abs(about.hard_weight - 0.1)))


def figures_of(role: str, config: RunConfig, rate: float, random: np.random.Generator) -> dict[str, float]:
    """What a finished run that errs at this rate reaches, by the names that the driver gives."""
    found: dict[str, float] = {}
    for split, cases in zip(("val", "test"), CASES[config.data.dataset], strict=True):
        found |= _on_split(split, cases, rate, random)
    found |= {"best_epoch": float(random.integers(1, config.training.epochs + 1)), "latency_ms": float(random.uniform(0.03, 0.3))}
    if role == "student":
        better = 0.8 * rate
        for split, cases in zip(("ensemble_val", "ensemble_test"), CASES[config.data.dataset], strict=True):
            found |= _on_split(split, cases, better, random)
        found |= {"teacher_agreement": 1 - 0.9 * rate, "teacher_kl": 1.2 * rate * float(random.lognormal(0, 0.1))}
    return found


def _on_split(split: str, cases: int, rate: float, random: np.random.Generator) -> dict[str, float]:
    errors = int(random.binomial(cases, rate))
    return {
        f"{split}_accuracy": (cases - errors) / cases,
        f"{split}_errors": float(errors),
        f"{split}_size": float(cases),
        f"{split}_nll": 3.5 * rate * float(random.lognormal(0, 0.08)),
        f"{split}_ece": 0.4 * rate * float(random.lognormal(0, 0.2)),
    }


def curves_of(
    config: RunConfig, rate: float, points: int, before: int, epochs: int, *, diverges: bool, random: np.random.Generator
) -> Curves:
    """The curves of ``epochs`` epochs with so many ``points`` each, after those ``before``; a run that diverges ends with
    ``nan`` in every loss."""
    count, between = points * epochs, STEPS_BETWEEN[config.data.dataset]
    place = points * before + np.arange(1, count + 1)
    step, epoch = between * place, place / points
    elapsed = np.cumsum(between * config.training.batch_size / CASES_A_SECOND * random.uniform(0.8, 1.3, count))
    share = epoch / config.training.epochs
    hard = _falling(share, 2.3, 2.5 * rate, random)
    losses = {"hard_loss": hard}
    about = config.distillation
    if about is None:
        losses["loss"] = hard
    else:
        soft = _falling(share, 2.3 / (1 + about.temperature), 0.3 * rate / about.temperature, random)
        losses["soft_loss"] = soft
        losses["loss"] = (1 - about.hard_weight) * about.temperature**2 * soft + about.hard_weight * hard
    if diverges:
        blow = np.exp(40 * np.clip((share - 0.9 * share[-1]) / share[-1], 0, None) ** 1.2)
        losses = {name: np.concatenate([(value * blow)[:-1], [np.nan]]) for name, value in losses.items()}
    training = losses | {"learning_rate": config.training.learning_rate * 0.5 * (1 + np.cos(np.pi * share)) + 1e-8}
    at = points * np.arange(1, epochs + 1) - 1
    cases = CASES[config.data.dataset][0]
    errors = np.clip(_falling(share[at], 0.9, rate, random), 0, 1)
    validation = {"val_accuracy": np.round((1 - errors) * cases) / cases, "val_loss": 3.5 * errors}
    metrics = {name: (step, value) for name, value in training.items()} | {
        name: (step[at], value) for name, value in validation.items()
    }
    return Curves(step, epoch, elapsed, metrics)


def _falling(share: np.ndarray, high: float, low: float, random: np.random.Generator) -> np.ndarray:
    """A noisy curve that falls from ``high`` to about ``low`` while ``share`` goes from 0 to 1."""
    values: np.ndarray = low + (high - low) * np.exp(-random.uniform(5, 9) * share)
    return values * np.exp(0.08 * random.standard_normal(len(share)))
