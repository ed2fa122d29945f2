"""What JSON from outside may hold, and that it comes out as it went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.errors import Invalid
from entrepot.model.json_values import MAX_DEPTH, json_object, json_value, same

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=5)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=10
)


@given(values)
def test_what_json_can_say_passes_unchanged(value: Any) -> None:
    clean = json_value(value, 10_000, "Field")
    assert same(clean, value)
    assert same(json.loads(json.dumps(clean)), value)


REFUSED: dict[str, Any] = {
    "not a number": float("nan"),
    "infinity": float("inf"),
    "more than 64 bits": 2**64,
    "less than 64 bits": -(2**63) - 1,
    "more digits than Python prints": 10**5000,
    "NUL": "a\x00b",
    "half a character": "\ud800",
    "NUL in a name": {"a\x00": 1},
    "half a character in a name": {"\udfff": 1},
    "a number as a name": {1: 2},
    "a set": {"a": {1, 2}},
    "bytes": b"bytes",
    "anything": object(),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_json_or_a_database_cannot_say_is_refused_wherever_it_lies(value: Any) -> None:
    for wrapped in (value, [value], {"deep": [{"er": value}]}):
        with pytest.raises(Invalid) as refused:
            json_value(wrapped, 10_000, "Field")
        refused.value.message.encode()


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded_also_for_what_contains_itself() -> None:
    json_value(nested(MAX_DEPTH), 10_000, "Field")
    with pytest.raises(Invalid, match="deeper than 64"):
        json_value(nested(MAX_DEPTH + 1), 10_000, "Field")
    with pytest.raises(Invalid, match="deeper"):
        json_value(nested(100_000), 10_000, "Field")
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(Invalid):
        json_value(ring, 10_000, "Field")


def test_length_is_bounded_before_everything_is_copied() -> None:
    json_value("x" * 8, 10, "Field")
    with pytest.raises(Invalid, match="10 are allowed"):
        json_value("x" * 9, 10, "Field")
    with pytest.raises(Invalid, match="too long"):
        json_value([0] * 11, 10, "Field")


def test_an_object_is_asked_for_by_name() -> None:
    assert json_object({"a": (1, 2)}, 100, "Settings") == {"a": [1, 2]}
    for wrong in ([], "x", None, 1):
        with pytest.raises(Invalid, match=r"Settings is .* not an object"):
            json_object(wrong, 100, "Settings")


def test_a_text_that_looks_like_an_escape_is_only_a_text() -> None:
    assert json_value(r"\u0000", 100, "Field") == r"\u0000"


def test_what_comes_out_is_the_callers_no_longer() -> None:
    mine = {"a": [1]}
    clean = json_object(mine, 100, "Field")
    mine["a"].append(2)
    assert clean == {"a": [1]}


def test_one_and_true_are_two_values() -> None:
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same({"a": 1}, {"a": True})
    assert not same([1], [1.0])
