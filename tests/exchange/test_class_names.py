"""Outputs of a teacher from elsewhere are found by their names."""

from __future__ import annotations

import pytest

from workbench.errors import ConfigError
from workbench.exchange.class_names import Outputs, told_apart


@pytest.mark.parametrize(
    ("classes", "names", "matched"),
    [
        (["A", "a", "b"], ["A", "B", "c"], ["A", "", "B"]),
        (["a"], ["A"], ["A"]),
        (["a", "A "], ["A"], ["", ""]),
        (["tiger cat"], ["Tiger_Cat", "tiger-cat"], [""]),
        (["tiger cat"], ["Tiger_Cat", "tiger"], ["Tiger_Cat"]),
        (["c", "f"], ["C++", "F#"], ["", ""]),
        (["\u0915\u093f", "\u0915\u093e"], ["\u0915\u093e.", "\u0915\u093f."], ["\u0915\u093f.", "\u0915\u093e."]),
        (["3", "7"], ["7.", "3."], ["3.", "7."]),
        (["!", "?"], [".", ","], ["", ""]),
    ],
)
def test_that_an_output_stands_for_one_class_alone_or_none(classes: list[str], names: list[str], matched: list[str]) -> None:
    assert list(Outputs(tuple(names)).matched(classes)) == matched


def test_that_a_name_with_a_semicolon_can_be_chosen() -> None:
    outputs = Outputs(("cat", "dog; wolf", "wolf", "dog"))
    assert outputs.numbers("x", "dog; wolf") == (1,)
    assert outputs.numbers("x", "wolf; dog") == (2, 3)
    assert outputs.words([1]) == "dog; wolf"
    for numbers in [(0, 1), (1, 0), (1, 2, 3)]:
        assert outputs.numbers("x", outputs.words(numbers)) == numbers


def test_that_names_which_differ_in_spaces_alone_are_told_apart() -> None:
    names = told_apart([" cat", "cat", "dog "])
    assert names == ("cat #0", "cat #1", "dog")
    assert Outputs(names).numbers("x", "dog ; cat #1") == (2, 1)


@pytest.mark.parametrize("chosen", ["bird", "4", "9" * 5000, "cat; bird", "-1"])
def test_that_what_is_no_output_is_named(chosen: str) -> None:
    with pytest.raises(ConfigError, match=r"the teacher has no output '.*' to stand for x; its 4 are cat, "):
        Outputs(("cat", "dog; wolf", "wolf", "dog")).numbers("x", chosen)


def test_that_outputs_of_several_classes_are_told() -> None:
    outputs = Outputs(("cat", "dog", "wolf"))
    assert outputs.shared(["a", "b", "c"], ["cat", "dog; wolf", "WOLF"]) == ("wolf (b, c)",)
    assert outputs.shared(["a", "b", "c"], ["cat", "", "wolf"]) == ()
