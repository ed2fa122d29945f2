"""Patterns that anybody may ask for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.model.errors import Invalid
from entrepot.model.patterns import Pattern

GOOD = (
    "abc",
    "^a.c$",
    "a|b|",
    "(ab)*c",
    "(?:ab)+?c",
    "[a-c]{2}",
    "[^a-c]",
    "[]a]",
    "[a-]",
    "x{0,2}y",
    "x{2,}",
    r"\.csv$",
    r"\d+_\w\s?",
    r"[\d.]+",
    r"\D\W\S",
    "",
    "a??b",
    "^$",
    "(a*)*b",
    "(|a)+",
)


@pytest.mark.parametrize("pattern", GOOD)
@settings(max_examples=30)
@given(text=st.text("abcxy01._ -]\n", max_size=12))
def test_it_finds_what_the_library_finds(pattern: str, text: str) -> None:
    # Where a line ends is nobody's business in a name: `.` and `$` know no lines here.
    expected = re.search(pattern.replace("$", r"\Z"), text, re.DOTALL) is not None
    assert Pattern(pattern).search(text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[a", "*", "a**", "a{", "a{x}", "a{3,1}", r"\1", "(?=a)", "(?P<x>a)", r"\b", "[b-a]", "\\"),
        "a" * 201,
        "(" * 60 + ")" * 60,
        "(((a{99}){99}){99})",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        Pattern(pattern)


def test_what_takes_other_engines_for_ever_takes_a_moment() -> None:
    assert not Pattern("^(a+)+$").search("a" * 200 + "b")
    assert not Pattern("(x*)*y").search("x" * 255)
