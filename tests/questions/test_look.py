"""The models of an experiment, and what they say of the test images, as kept and worked out anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import torch

from tests.experiments import engine, launch, rows, specialised, tiny
from workbench.errors import DataError
from workbench.history.database import open_for_reading
from workbench.history.looked import Kept, kept
from workbench.history.writing import History
from workbench.questions.look import calibrated, look, models


@pytest.fixture
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with History(tmp_path_factory.mktemp("look") / "experiments.db") as made:
        yield made


def read(history: History, experiment: int = 1) -> Kept:
    with closing(open_for_reading(history.path)) as database:
        return kept(database, experiment)


def test_that_an_experiment_is_looked_at_by_its_kept_predictions_and_by_its_weights_alike(history: History) -> None:
    assert launch(history, tiny())[0] == "done"
    there = read(history)
    assert [one.key for one in there.line_up.speakers] == ["member 1", "member 2", "student", "baseline"]
    assert set(there.logits) == {"member 1", "member 2", "student", "baseline"}
    loaded = models(there)(engine(), history)
    assert loaded.missing == ()
    found = look(loaded, there)
    assert found.images.shape == (500, 1, 8, 8)
    by_role = {row.role: row.figures["test_errors"] for row in rows(history)}
    for key in ("student", "baseline"):
        assert (found.said(key) != found.labels).sum() == pytest.approx(by_role[key], abs=1)
    state = torch.get_rng_state()
    anew = look(loaded, Kept(line_up=there.line_up, anchor=there.anchor, logits={}))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_allclose(anew.logits, found.logits, atol=2e-2)
    assert anew.notes == ()


def test_that_asking_on_another_thread_takes_one_core_and_leaves_this_ones_alone(history: History) -> None:
    assert launch(history, tiny())[0] == "done"
    loaded = models(read(history))(engine(), history)
    image = loaded.data.test.images[:1].cpu().numpy()
    here, there = loaded.logits(image), list[object]()
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    def ask() -> None:
        there.extend([loaded.logits(image), torch.get_num_threads()])

    try:
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(there[0], here, atol=1e-5)
    assert there[1] == 1


def test_that_calibration_is_fitted_on_validation_and_told_of_all(history: History) -> None:
    assert launch(history, tiny())[0] == "done"
    there = read(history)
    loaded = models(there)(engine(), history)
    found = calibrated(loaded, look(loaded, there))
    assert list(found) == ["ensemble", "student", "baseline"]
    figures = {row.role: row.figures for row in rows(history)}
    for key, one in found.items():
        assert one.temperature > 0
        if key != "ensemble":
            assert one.before.reliability.error == pytest.approx(figures[key]["test_ece"], abs=2e-3)
            assert one.before.nll == pytest.approx(figures[key]["test_nll"], abs=2e-3)


def test_that_without_validation_no_temperature_is_fitted(history: History) -> None:
    assert launch(history, tiny(data__validation_fraction=0.0, training__keep="last", teacher_training__keep="last"))[0] == "done"
    there = read(history)
    loaded = models(there)(engine(), history)
    with pytest.raises(DataError, match="none were kept for validation"):
        calibrated(loaded, look(loaded, there))


def test_that_models_whose_weights_are_gone_are_named_and_their_kept_predictions_still_shown(history: History) -> None:
    assert launch(history, tiny())[0] == "done"
    student = next(row.id for row in rows(history) if row.role == "student")
    history.weights_of(student).path.unlink()
    there = read(history)
    loaded = models(there)(engine(), history)
    assert [one.key for one in loaded.line_up.speakers] == ["member 1", "member 2", "baseline"]
    assert len(loaded.missing) == 1
    assert f"run {student}" in loaded.missing[0]
    assert look(loaded, there).said("student") is not None
    history.weights_of(1).path.unlink()
    loaded = models(there)(engine(), history)
    assert [one.key for one in loaded.line_up.speakers] == ["baseline"]


def test_that_a_generalist_with_specialists_is_one_who_answers(history: History) -> None:
    assert launch(history, specialised())[0] == "done"
    there = read(history)
    keys = [one.key for one in there.line_up.speakers]
    assert keys[0].startswith("member ")
    assert keys[1:] == ["whole", "student", "alone", "baseline"]
    loaded = models(there)(engine(), history)
    assert loaded.missing == ()
    found = look(loaded, there)
    anew = look(loaded, Kept(line_up=there.line_up, anchor=there.anchor, logits={}, combined=there.combined))
    agreement = (found.said("ensemble") == anew.said("ensemble")).mean()
    assert agreement > 0.99


def test_that_an_experiment_in_which_nobody_is_done_has_no_anchor(history: History) -> None:
    history.enqueue(tiny())
    there = read(history)
    assert there.anchor == 0
    assert there.line_up.speakers == ()
    assert read(history, 99).anchor == 0
