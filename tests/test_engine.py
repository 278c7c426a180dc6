"""The engine between experiments: its settings, and data sets whose files change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.distill import digits
from tests.distill.data_files import picture_folder, write_picture
from tests.experiments import engine as shared_engine
from tests.experiments import tiny
from workbench.config import DataConfig, DistillationConfig, RunConfig, TrainingConfig, TransferConfig
from workbench.distill import training
from workbench.distill.training import Trainer
from workbench.engine import Engine, EngineSettings
from workbench.errors import Cancelled, ConfigError, WorkbenchError
from workbench.history.reading import PastRun


def no_past(run: int) -> PastRun:
    raise AssertionError(run)


def test_that_settings_of_another_time_hold_once_the_experiment_is_over() -> None:
    engine = Engine(EngineSettings(device="cpu", threads=1))
    engine.begin()
    engine.configure(device="cpu", threads=2, folders=())
    assert engine.settings.threads == 1
    engine.end()
    assert engine.settings.threads == 2


def test_that_a_device_that_is_absent_is_refused_and_the_old_settings_stay() -> None:
    engine = Engine(EngineSettings(device="cpu", threads=1))
    with pytest.raises(WorkbenchError, match="there is no device 'tpu'"):
        engine.configure(device="tpu", threads=2, folders=())
    engine.begin()
    engine.end()
    assert engine.settings.threads == 1


def test_that_files_added_to_a_folder_are_seen_between_experiments_and_not_in_one(tmp_path: Path) -> None:
    engine = Engine(EngineSettings(device="cpu"))
    config = DataConfig(dataset=str(picture_folder(tmp_path / "pictures", cat=10, dog=10)), image_size=8)
    before = engine.data(config)
    assert engine.data(config) is before
    write_picture(tmp_path / "pictures" / "cat" / "new.png", (9, 9, 9))
    engine.busy = True
    assert engine.data(config) is before
    engine.busy = False
    engine.begin()
    after = engine.data(config)
    assert after.digest != before.digest


def test_that_reading_ends_when_the_program_does(tmp_path: Path) -> None:
    engine = Engine(EngineSettings(device="cpu"))
    engine.closing = lambda: True
    with pytest.raises(Cancelled):
        engine.data(DataConfig(dataset=str(picture_folder(tmp_path / "pictures", cat=3, dog=3)), image_size=8))


@pytest.mark.parametrize("part", ["training", "teacher_training"])
def test_that_bfloat16_is_refused_before_launch_where_the_device_lacks_it(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_has_bf16", lambda device: False)
    with pytest.raises(ConfigError, match="this cpu device has no bfloat16; choose float32") as caught:
        Engine(EngineSettings(device="cpu")).check(tiny(**{f"{part}__precision": "bf16"}), no_past)
    assert caught.value.path == f"{part}.precision"


def test_that_random_state_is_kept() -> None:
    engine = Engine(EngineSettings(device="cpu"))
    torch.manual_seed(3)
    with engine.random_state_kept():
        torch.rand(5)
    first = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(first, torch.rand(2))


def student(view: str, **settings: bool | int) -> RunConfig:
    return RunConfig(
        model=digits.SMALL,
        training=TrainingConfig(epochs=1, batch_size=40, **settings),  # type: ignore[arg-type]
        transfer=TransferConfig(fraction=0.1),
        distillation=DistillationConfig(teacher_view=view),
    )


def seen_by(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """The first batch of the first epoch: as the student sees it, and the same cases as they are."""
    positions, shifts, flips = trainer._epoch_batches(0)[0]
    return trainer._views.batch(positions, shifts, flips), digits.digits().view(
        trainer.job.data.train.images[trainer.job.cases[positions]]
    )


@pytest.mark.parametrize("settings", [{"jitter": 2}, {"flip": True}], ids=["jitter", "flip"])
def test_that_teachers_may_see_the_clean_images_of_a_student_that_sees_others(settings: dict[str, int]) -> None:
    job = shared_engine().job(1, student("clean", **settings), digits.ensemble())
    plain = shared_engine().job(1, student("same"), digits.ensemble())
    assert job.soft_targets is not None
    assert plain.soft_targets is not None
    assert torch.equal(job.soft_targets, plain.soft_targets)
    trainer = Trainer(job)
    seen, clean = seen_by(trainer)
    assert not torch.equal(seen, clean)
    positions = trainer._epoch_batches(0)[0][0]
    loss = trainer._loss(trainer.model(seen), positions, seen)
    wanted = torch.nn.functional.kl_div(
        torch.log_softmax(trainer.model(seen) / 4.0, dim=1), plain.soft_targets[positions], reduction="batchmean"
    )
    assert loss.soft is not None
    torch.testing.assert_close(loss.soft, wanted)


@pytest.mark.parametrize("settings", [{"jitter": 2}, {"flip": True}], ids=["jitter", "flip"])
def test_that_teachers_see_by_default_what_the_student_sees(settings: dict[str, int]) -> None:
    job = shared_engine().job(1, student("same", **settings), digits.ensemble())
    assert job.soft_targets is None
    assert job.ensemble is not None
    trainer = Trainer(job)
    seen, _ = seen_by(trainer)
    positions = trainer._epoch_batches(0)[0][0]
    loss = trainer._loss(trainer.model(seen), positions, seen)
    targets = job.ensemble.soft_targets(seen, 4.0)
    wanted = torch.nn.functional.kl_div(torch.log_softmax(trainer.model(seen) / 4.0, dim=1), targets, reduction="batchmean")
    assert loss.soft is not None
    torch.testing.assert_close(loss.soft, wanted)


def test_that_the_default_view_is_in_no_fingerprint() -> None:
    assert student("same").to_dict()["distillation"] == {}
    assert student("clean").to_dict()["distillation"] == {"teacher_view": "clean"}
