"""torchdistill's half of against_torchdistill.py, run by the Python of an environment of its own.

Usage: ``python torchdistill_side.py ROOT``, where ROOT is torchvision's folder of Fashion-MNIST. Each line on standard
input is one JSON request ``{"units", "workers", "threads", "batch", "temperature", "alpha", "seconds"}``; each is answered
by one JSON line with ``samples_per_second`` and ``cpu_seconds``, the processor's seconds that it and its workers took.

It measures torchdistill as its documentation has it used: a DistillationBox of a frozen teacher (an ``nn.Module`` around the
ten MLPs, the mean of their logits), a student, KDLoss, SGD with momentum and a DataLoader over torchvision's data set with
ToTensor and Normalize; the loop is the one of its image classification example. What that example does besides (a metric
logger, ``loss.item()``, validation) is left out here, in torchdistill's favour.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, RandomSampler, random_split
from torchdistill.core.distillation import DistillationBox, get_distillation_box  # type: ignore[import-not-found]
from torchvision import datasets, transforms

TEACHERS, TEACHER_UNITS, PIXELS, CLASSES = 10, 1200, 784, 10
WARM_UP_STEPS = 3


def mlp(units: int) -> nn.Module:
    """Two hidden ReLU layers of that many units: the shape that the workbench's ``mlp`` has."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, CLASSES)
    )


class MeanOfTeachers(nn.Module):
    """The ensemble as one teacher: the mean of its members' logits (the geometric mean of their distributions)."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(mlp(TEACHER_UNITS) for _ in range(TEACHERS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes)."""
        return torch.stack([member(images) for member in self.members]).mean(dim=0)


def fashion_mnist(root: str) -> Dataset[Any]:
    """The nine tenths of torchvision's training split that are trained on, as many as in the workbench."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])
    whole = datasets.FashionMNIST(root, train=True, transform=transform)
    return random_split(whole, [0.9, 0.1], torch.Generator().manual_seed(0))[0]


def train_config(workers: int, batch: int, temperature: float, alpha: float) -> dict[str, Any]:
    """What torchdistill's sample configurations for KD write in YAML."""
    return {
        "num_epochs": 40,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler, "kwargs": {}},
            "kwargs": {"batch_size": batch, "num_workers": workers},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
        "optimizer": {"key": "SGD", "kwargs": {"lr": 0.05, "momentum": 0.9}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": kd_loss(temperature, alpha), "weight": 1.0}}},
        },
    }


def kd_loss(temperature: float, alpha: float) -> dict[str, Any]:
    """torchdistill's loss of section 2 of the paper: alpha is the weight of the true labels."""
    student = {"student_module_path": ".", "student_module_io": "output"}
    teacher = {"teacher_module_path": ".", "teacher_module_io": "output"}
    return {"key": "KDLoss", "kwargs": student | teacher | {"temperature": temperature, "alpha": alpha, "reduction": "batchmean"}}


def steps(box: DistillationBox) -> Generator[int, None, None]:
    """Train on and on; after each step its number of cases."""
    for epoch in itertools.count():
        box.pre_epoch_process(epoch=epoch)
        for images, targets, supplement in box.train_data_loader:
            loss = box.forward_process(images, targets, supplement)
            box.post_forward_process(loss=loss)
            yield len(targets)
        box.post_epoch_process()


def rate(box: DistillationBox, seconds: float) -> float:
    """Cases a second over at least ``seconds``, the first steps and the start of the workers apart."""
    training = steps(box)
    for _ in range(WARM_UP_STEPS):
        next(training)
    seen, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        seen += next(training)
    taken = time.perf_counter() - start
    training.close()  # ends the loader's workers before another side is measured
    return seen / taken


def cpu_seconds() -> float:
    """The processor's seconds of this process and of the workers that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    """Answer requests until standard input ends."""
    data, teacher = fashion_mnist(sys.argv[1]), MeanOfTeachers().eval()
    for line in sys.stdin:
        wanted, start = json.loads(line), cpu_seconds()
        torch.set_num_threads(wanted["threads"])
        config = train_config(wanted["workers"], wanted["batch"], wanted["temperature"], wanted["alpha"])
        box = get_distillation_box(
            teacher, mlp(wanted["units"]), {"train": data}, config, torch.device("cpu"), None, distributed=False, lr_factor=1
        )
        figure = rate(box, wanted["seconds"])
        print(json.dumps({"samples_per_second": figure, "cpu_seconds": cpu_seconds() - start}), flush=True)


if __name__ == "__main__":
    main()
