"""Header fields as ASGI carries them."""

from __future__ import annotations

import pytest

from entrepot.http.fields import content_length, encode_fields, field, prefers_minimal
from entrepot.model.errors import Malformed
from tests.support.asgi import request


def test_lines_of_one_name_are_one_list() -> None:
    scope = request()
    scope["headers"] = [(b"accept", b"a"), (b"host", b"h"), (b"accept", b"b\xe9")]
    assert field(scope, b"accept") == "a, bé"
    assert field(scope, b"host") == "h"
    assert field(scope, b"range") is None


@pytest.mark.parametrize(
    ("values", "length"), [([], None), ([b"0"], 0), ([b" 17 "], 17), ([b"5", b"5"], 5), ([b"0" * 10 + b"1"], 1)]
)
def test_the_announced_length(values: list[bytes], length: int | None) -> None:
    scope = request()
    scope["headers"] = [(b"content-length", value) for value in values]
    assert content_length(scope) == length


@pytest.mark.parametrize("values", [[b"-1"], [b""], [b"1, 1"], [b"5", b"6"], [b"1e3"], [b"9" * 30], [b"0x5"]])
def test_a_length_that_is_none_is_malformed(values: list[bytes]) -> None:
    scope = request()
    scope["headers"] = [(b"content-length", value) for value in values]
    with pytest.raises(Malformed, match="Content-Length"):
        content_length(scope)


@pytest.mark.parametrize(
    ("lines", "minimal"),
    [
        ([], False),
        ([b"return=minimal"], True),
        ([b'respond-async, wait=5; a=b, Return = "Minimal" ; x'], True),
        ([b"respond-async", b"return=minimal"], True),
        ([b"return=representation, return=minimal"], False),
        ([b"return"], False),
        ([b"x=return=minimal"], False),
    ],
)
def test_who_prefers_a_short_answer(lines: list[bytes], minimal: bool) -> None:
    scope = request()
    scope["headers"] = [(b"prefer", line) for line in lines]
    assert prefers_minimal(scope) is minimal


def test_names_of_fields_go_out_in_lower_case() -> None:
    assert encode_fields([("ETag", '"é"')]) == [(b"etag", b'"\xe9"')]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0", "日本"])
def test_a_value_that_would_break_the_head_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="x-name"):
        encode_fields([("x-name", value)])
