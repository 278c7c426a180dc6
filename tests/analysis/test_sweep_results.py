"""What a sweep found, as a table."""

from __future__ import annotations

from workbench.analysis.sweep_results import Estimate, Result, estimates


def test_that_every_estimate_is_a_row_with_its_combination() -> None:
    one = Estimate(mean=2.5, half=None, count=1)
    two = Estimate(mean=1.5, half=0.25, count=3)
    found = [
        Result(point={"a": 1}, experiments=(1,), runs=(1,), figures={"student": {"x": one}}),
        Result(
            point={"a": [3, 4], "b": "t"}, experiments=(2,), runs=(2,), figures={"student": {"x": two}, "baseline": {"x": one}}
        ),
    ]
    header, rows = estimates(found)
    assert header == ["a", "b", "role", "figure", "mean", "half of the 95% interval", "seeds"]
    assert rows == [
        [1, None, "student", "x", 2.5, None, 1],
        ["3, 4", "t", "student", "x", 1.5, 0.25, 3],
        ["3, 4", "t", "baseline", "x", 2.5, None, 1],
    ]
