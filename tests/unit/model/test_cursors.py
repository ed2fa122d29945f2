"""Page cursors: go on exactly where and in what the last page ended, or not at all."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.model import cursors
from entrepot.model.errors import BadCursor

LIST = cursors.fingerprint("versions.list", {"project": 3, "sort": "-created_at"})

values = st.lists(
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    max_size=5,
).map(tuple)


def shape_of(given_: tuple[Any, ...]) -> list[Any]:
    return [type(value) for value in given_]


@given(values)
@example((-(2**63), 2**63 - 1, 0, -1, 127, 128, -128, -129))
@example(())
def test_a_cursor_is_read_back_and_needs_no_quoting(given_: tuple[Any, ...]) -> None:
    text = cursors.encode(given_, LIST)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert cursors.decode(text, LIST, shape_of(given_)) == given_


def test_the_longest_path_fits() -> None:
    path = "é" * 512
    assert cursors.decode(cursors.encode((path, 2**62), LIST), LIST, (str, int)) == (path, 2**62)


def test_it_belongs_to_one_question() -> None:
    text = cursors.encode((1, "a"), LIST)
    for other in (
        cursors.fingerprint("versions.list", {"project": 4, "sort": "-created_at"}),
        cursors.fingerprint("versions.list", {"project": 3, "sort": "created_at"}),
        cursors.fingerprint("projects.list", {"project": 3, "sort": "-created_at"}),
        cursors.fingerprint("versions.list"),
    ):
        with pytest.raises(BadCursor, match="other filters"):
            cursors.decode(text, other, (int, str))


def test_a_filter_that_is_not_given_and_the_order_of_filters_do_not_matter() -> None:
    assert cursors.fingerprint("a", {"x": None, "y": 1, "z": [2]}) == cursors.fingerprint("a", {"z": [2], "y": 1})
    assert cursors.fingerprint("a", {"y": "1"}) != cursors.fingerprint("a", {"y": 1})


def test_the_values_must_be_what_the_list_sorts_by() -> None:
    """Anybody can make a cursor that checks: a text where a number belongs must not reach the database."""
    text = cursors.encode((1, None, "a"), LIST)
    assert cursors.decode(text, LIST, (int, str | None, str)) == (1, None, "a")
    for shape in ((int, str, str), (str, str | None, str), (int, str | None), (int, str | None, str, int)):
        with pytest.raises(BadCursor, match="another order"):
            cursors.decode(text, LIST, shape)


@given(values, st.data())
def test_every_single_changed_letter_is_noticed(given_: tuple[Any, ...], data: st.DataObject) -> None:
    text = cursors.encode(given_, LIST)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDWXYZabcdwxyz0189_-").filter(lambda c: c != text[at]))
    with pytest.raises(BadCursor):
        cursors.decode(text[:at] + letter + text[at + 1 :], LIST, shape_of(given_))


@given(values, st.data())
def test_every_cut_and_every_addition_is_noticed(given_: tuple[Any, ...], data: st.DataObject) -> None:
    text = cursors.encode(given_, LIST)
    for other in (text[: data.draw(st.integers(0, len(text) - 1))], text + data.draw(st.text("Ab0_-=", min_size=1))):
        with pytest.raises(BadCursor):
            cursors.decode(other, LIST, shape_of(given_))


@given(st.text() | st.text("ABab01_-=", max_size=60))
@example("A" * 100_000)
@example("")
@example("AQ")
def test_any_other_text_is_a_bad_cursor(text: str) -> None:
    with pytest.raises(BadCursor, match="first page"):
        cursors.decode(text, LIST, (int,))


@pytest.mark.parametrize("value", [None, 3, b"AQ", ["AQ"]])
def test_what_is_not_text_is_a_bad_cursor(value: Any) -> None:
    with pytest.raises(BadCursor):
        cursors.decode(value, LIST, (int,))


@given(st.binary(max_size=40))
@example(b"\x02\x00\x01\x00")  # NUL
@example(b"\x02\x00\x02\xed\xa0")  # half a character
@example(b"\x02\xff\xff")  # longer than there is
@example(b"\x01\x00")
@example(b"\x01\x09" + bytes(9))
@example(b"\x01\x02\x00\x01")  # 1, spelled longer than needed
@example(b"\x03")
def test_a_forged_payload_with_a_true_check_gives_values_of_the_shape_or_a_bad_cursor(payload: bytes) -> None:
    raw = b"\x01" + cursors._check(payload, LIST) + payload
    text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    try:
        (value,) = cursors.decode(text, LIST, (int | str,))
    except BadCursor:
        return
    assert cursors.encode((value,), LIST) == text
    assert "\x00" not in str(value)


@pytest.mark.parametrize("value", [True, 1.5, b"a", 2**63, -(2**63) - 1, "x" * 5000])
def test_what_no_cursor_holds_is_a_mistake_of_the_caller(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        cursors.encode((value,), LIST)


def test_a_cursor_longer_than_is_read_is_never_made() -> None:
    with pytest.raises(ValueError, match="longer than 8,192"):
        cursors.encode(("x" * 4000, "x" * 4000), LIST)
