"""Real digits on the device, and jobs on a tenth of them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from workbench.config import DataConfig, DistillationConfig, ModelConfig, RunConfig, TrainingConfig, TransferConfig
from workbench.distill import sources
from workbench.distill.data import ResidentData, resident, transfer_cases
from workbench.distill.ensembles import Ensemble, targets_for
from workbench.distill.evaluation import logits_on
from workbench.distill.models import build
from workbench.distill.training import Job

SMALL = ModelConfig(model="mlp", options={"layers": 1, "units": 12})


@functools.cache
def raw() -> sources.RawData:
    """scikit-learn's digits as arrays."""
    return sources.load(DataConfig(), (), download=False)


@functools.cache
def digits(config: DataConfig = DataConfig()) -> ResidentData:  # noqa: B008
    """scikit-learn's digits on the CPU."""
    return resident(raw(), config, "cpu")


@functools.cache
def ensemble(mean: str = "arithmetic") -> Ensemble:
    """Two teachers that have learned nothing yet."""
    members: list[nn.Module] = []
    for seed in (101, 102):
        torch.manual_seed(seed)
        members.append(build(ModelConfig(options={"units": 16}), digits().shape, 10).eval().requires_grad_(False))
    return Ensemble(tuple(members), ("a", "b"), mean)


def job(
    *,
    model: ModelConfig = SMALL,
    training: TrainingConfig | None = None,
    distillation: DistillationConfig | None = None,
    fraction: float = 0.1,
    labelled: bool = True,
    seed: int = 0,
    run: int = 1,
    **settings: Any,
) -> Job:
    """A run on a tenth of the digits; further ``settings`` are those of training."""
    training = training or TrainingConfig(**({"epochs": 3, "batch_size": 40} | settings))
    config = RunConfig(
        data=DataConfig(),
        model=model,
        training=training,
        transfer=TransferConfig(fraction=fraction, labelled=labelled),
        distillation=distillation,
        seed=seed,
    )
    data = digits()
    cases = transfer_cases(data.train.labels, data.classes, config.transfer, seed)
    teachers, targets = None, None
    if distillation is not None:
        teachers = ensemble(distillation.mean)
        if not (training.jitter or training.flip):
            logits = torch.stack([logits_on(one, data, data.train.images, cases) for one in teachers.members])
            targets = targets_for(logits, distillation)
    return Job(run=run, config=config, data=data, cases=cases, ensemble=teachers, soft_targets=targets)
