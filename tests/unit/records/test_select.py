"""Conditions on items."""

from __future__ import annotations

import pytest

from entrepot.model.errors import Invalid
from entrepot.records.select import Condition, path_of

ITEM = {"a": 1, "b": {"c": [1.5, "x", {"d": True}], "e-f": "and"}, "t": "text", "n": None, "and": 2, "ä ö": 3}

TRUE = [
    "a",
    "$.a",
    "a == 1",
    "a==1.0",
    "a != 2",
    'a != "1"',
    "a >= 1 and a < 2",
    "b.c[0] > 1",
    "b.c[-1].d == true",
    "b.c[*].d",
    'b.c[*] == "x"',
    "b.c ~ 1.5",
    't ~ "ex"',
    "t ~ 'ex'",
    't < "u"',
    "n == null",
    "not z",
    "!z",
    "not a == 2 and not n == 0",
    'b.e-f == "and" and and == 2',
    '["ä ö"] == 3',
    "$['ä ö']",
    "b.*[0] == 1.5",
]
FALSE = ["z", "a == true", 'a == "1"', "z != 1", "not a", "b.c[3]", "t > 1", "n", "t ~ 1", "a ~ 1", "a[0]", "$.b.c.d"]


@pytest.mark.parametrize("text", TRUE)
def test_it_fits(text: str) -> None:
    assert Condition(text)(ITEM)


@pytest.mark.parametrize("text", [text for text in FALSE if text != "n"])
def test_it_does_not_fit(text: str) -> None:
    assert not Condition(text)(ITEM)


@pytest.mark.parametrize(
    "text", ["", "==", "a ==", "a b", "a and", "a == 1 or b", "a..b", "a[x]", 'a == "x', "a < true", "a == 1e"]
)
def test_what_cannot_be_read_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(Invalid):
        Condition(text)


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(Invalid):
        Condition("a" * 2001)
    with pytest.raises(Invalid):
        Condition(" and ".join(["a"] * 21))


def test_a_path_alone() -> None:
    assert list(path_of("b.c[0]").values(ITEM)) == [1.5]
    with pytest.raises(Invalid):
        path_of("a == 1")
