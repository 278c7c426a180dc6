"""What a setting says about itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ConfigError
from workbench.settings import Option, Setting, checked, closest, range_words

SHARE = Option("share", float, 0.5, Setting(label="Share", help="", above=0.0, high=1.0))


@given(st.floats())
def test_that_exactly_the_numbers_of_a_range_pass(value: float) -> None:
    if 0.0 < value <= 1.0:
        assert checked(SHARE, value, "share") == value
    else:
        with pytest.raises(ConfigError, match="must be above 0 and at most 1"):
            checked(SHARE, value, "share")


def test_that_a_whole_number_becomes_the_float_that_the_setting_is() -> None:
    value = checked(SHARE, 1, "share")
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (Setting(label="", help="", low=1, high=9), "at least 1 and at most 9"),
        (Setting(label="", help="", above=0), "above 0"),
        (Setting(label="", help="", high=3), "at most 3"),
        (Setting(label="", help=""), "a finite number"),
    ],
)
def test_that_a_range_is_said_in_words(about: Setting, words: str) -> None:
    assert range_words(about) == words


def test_that_a_near_word_is_offered_and_a_far_one_is_not() -> None:
    assert closest("unitss", ["units", "layers"]) == " (did you mean 'units'?)"
    assert closest("qqq", ["units", "layers"]) == ""
