"""The engine between experiments: its settings, and data sets whose files change."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distill import digits
from tests.distill.data_files import digit_pictures, picture_folder, write_picture
from tests.experiments import engine as shared_engine
from tests.experiments import tiny
from workbench.config import DataConfig, DistillationConfig, RunConfig, TrainingConfig, TransferConfig
from workbench.distill import training
from workbench.distill.ensembles import soft_targets
from workbench.distill.losses import matching_loss
from workbench.distill.training import Trainer
from workbench.errors import Cancelled, ConfigError, WorkbenchError
from workbench.events import EpochEnded
from workbench.history.reading import PastRun
from workbench.running.engine import Engine, EngineSettings


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
    positions, shifts, flips = trainer.views.batches(0, trainer.job.steps_per_epoch)[0]
    return trainer.views.batch(positions, shifts, flips), digits.digits().view(
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
    positions = trainer.views.batches(0, trainer.job.steps_per_epoch)[0][0]
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
    positions = trainer.views.batches(0, trainer.job.steps_per_epoch)[0][0]
    loss = trainer._loss(trainer.model(seen), positions, seen)
    targets = soft_targets(job.ensemble.member_logits(seen), 4.0, "arithmetic")
    wanted = torch.nn.functional.kl_div(torch.log_softmax(trainer.model(seen) / 4.0, dim=1), targets, reduction="batchmean")
    assert loss.soft is not None
    torch.testing.assert_close(loss.soft, wanted)


def matching(**settings: bool | int) -> RunConfig:
    return dataclasses.replace(student("same", **settings), distillation=DistillationConfig(match="logits", hard_weight=0.0))


def test_that_the_logits_to_match_are_computed_once_where_the_teachers_see_the_cases_as_they_are() -> None:
    teachers = digits.ensemble()
    job = shared_engine().job(1, matching(), teachers)
    assert job.soft_targets is not None
    clean = job.data.view(job.data.train.images[job.cases])
    torch.testing.assert_close(job.soft_targets, teachers.member_logits(clean).mean(dim=0))


@pytest.mark.parametrize("settings", [{"jitter": 2}, {"flip": True}], ids=["jitter", "flip"])
def test_that_the_logits_to_match_are_those_of_the_view_that_the_student_sees(settings: dict[str, int]) -> None:
    job = shared_engine().job(1, matching(**settings), digits.ensemble())
    assert job.soft_targets is None
    assert job.ensemble is not None
    trainer = Trainer(job)
    seen, clean = seen_by(trainer)
    assert not torch.equal(seen, clean)
    positions = trainer.views.batches(0, trainer.job.steps_per_epoch)[0][0]
    logits = trainer.model(seen).detach()
    wanted = matching_loss(logits, job.ensemble.member_logits(seen).mean(dim=0), None, hard_weight=0.0)
    torch.testing.assert_close(trainer._loss(logits, positions, seen).total, wanted.total)


def test_that_soft_targets_are_matched_by_default_and_in_no_fingerprint() -> None:
    assert DistillationConfig() == DistillationConfig(match="targets")
    assert "match" not in student("clean").to_dict()["distillation"]
    assert matching().to_dict()["distillation"] == {"match": "logits", "hard_weight": 0.0}


def test_that_the_default_view_is_in_no_fingerprint() -> None:
    assert student("same").to_dict()["distillation"] == {}
    assert student("clean").to_dict()["distillation"] == {"teacher_view": "clean"}


def with_images(folder: Path, **settings: Any) -> RunConfig:
    base = student("same")
    return dataclasses.replace(base, transfer=TransferConfig(images=str(folder), **({"fraction": 0.1} | settings)))


class TestOwnImages:
    def test_that_they_stand_behind_the_cases_without_labels_and_have_soft_targets(self, tmp_path: Path) -> None:
        engine = shared_engine()
        plain = engine.job(1, student("same"), digits.ensemble())
        job = engine.job(1, with_images(digit_pictures(tmp_path, 7)), digits.ensemble())
        count = len(plain.cases)
        assert torch.equal(job.cases[:count], plain.cases)
        labels = job.data.train.labels[job.cases]
        assert torch.equal(labels[:count], plain.data.train.labels[plain.cases])
        assert labels[count:].tolist() == [-1] * 7
        assert job.soft_targets is not None
        assert plain.soft_targets is not None
        torch.testing.assert_close(job.soft_targets[:count], plain.soft_targets)
        own = job.data.view(job.data.train.images[-7:])
        torch.testing.assert_close(
            job.soft_targets[count:], soft_targets(digits.ensemble().member_logits(own), 4.0, "arithmetic")
        )
        assert torch.equal(job.data.mean, plain.data.mean)

    def test_that_a_student_with_jitter_sees_them_jittered(self, tmp_path: Path) -> None:
        config = with_images(digit_pictures(tmp_path, 40), fraction=0)
        config = dataclasses.replace(config, training=TrainingConfig(epochs=1, batch_size=40, jitter=2))
        trainer = Trainer(shared_engine().job(1, config, digits.ensemble()))
        seen, clean = seen_by(trainer)
        assert len(seen) == 40
        assert not torch.equal(seen, clean)
        assert [event for event in trainer if isinstance(event, EpochEnded)]

    def test_that_only_the_run_that_sees_them_has_their_digest_and_it_follows_their_content(self, tmp_path: Path) -> None:
        engine = Engine(EngineSettings(device="cpu", threads=1))
        config = with_images(digit_pictures(tmp_path, 3))

        def mark() -> str:
            return engine.fingerprint(config, engine.run_data(config))

        first, plain = mark(), engine.data(config.data)
        assert engine.run_data(student("same")) is plain
        assert engine.run_data(config) is engine.run_data(config)
        assert engine.run_data(config).digest.startswith(f"{plain.digest}:")
        digit_pictures(tmp_path, 4)
        second = mark()
        write_picture(tmp_path / "0003.png", 9, mode="L")
        third = mark()
        assert len({first, second, third}) == 3
        (tmp_path / "0003.png").unlink()
        assert mark() == first

    def test_that_a_folder_that_changes_in_an_experiment_is_read_again_after_it(self, tmp_path: Path) -> None:
        engine = Engine(EngineSettings(device="cpu", threads=1))
        config = with_images(digit_pictures(tmp_path, 3))
        before = engine.run_data(config)
        engine.begin()
        digit_pictures(tmp_path, 4)
        assert engine.run_data(config) is before
        engine.end()
        engine.begin()
        assert engine.run_data(config).digest != before.digest

    @pytest.mark.parametrize("name", ["nowhere", "no\0where", "n" * 5000], ids=["absent", "zero", "long"])
    def test_that_a_folder_that_is_not_there_is_refused_before_launch(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigError, match="is not there: name a folder of images") as caught:
            shared_engine().check(tiny(transfer__images=str(tmp_path / name)), no_past)
        assert caught.value.path == "transfer.images"

    def test_that_classes_are_still_checked_where_no_case_of_the_data_set_is_seen(self, tmp_path: Path) -> None:
        folder = str(digit_pictures(tmp_path, 3))
        changes: dict[str, Any] = {"transfer__images": folder, "transfer__fraction": 0, "distillation__baseline": False}
        shared_engine().check(tiny(**changes), no_past)
        with pytest.raises(ConfigError, match="there is no class 'cow'"):
            shared_engine().check(tiny(**changes, transfer__leave_out=["cow"]), no_past)
