"""Lines of the socket: what is a message, and what is not."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.daemon import protocol
from entrepot.daemon.params import Params
from entrepot.daemon.protocol import Unreadable, decode
from entrepot.model.errors import Invalid


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"", protocol.UNREADABLE),
        (b"{", protocol.UNREADABLE),
        (b"\xff\xfe", protocol.UNREADABLE),
        (b"[" * 100_000, protocol.UNREADABLE),
        (b"1" * 5000, protocol.UNREADABLE),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"x"}', protocol.UNREADABLE),
        (b'{"jsonrpc":"2.0","id":1,"method":"limit","params":{"rate_bps":1e999}}', protocol.UNREADABLE),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', protocol.NO_REQUEST),
        (b'"ping"', protocol.NO_REQUEST),
        (b'{"id":1,"method":"ping"}', protocol.NO_REQUEST),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', protocol.NO_REQUEST),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', protocol.NO_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', protocol.NO_REQUEST),
        (b'{"jsonrpc":"2.0","id":1}', protocol.NO_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', protocol.BAD_PARAMS),
    ],
)
def test_what_is_no_message_is_told_by_json_rpcs_number(line: bytes, number: int) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(line)
    assert refused.value.number == number


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_what_is_sent_is_what_arrives_in_one_line(params: dict[str, Any]) -> None:
    line = protocol.request(7, "upload", params)
    assert line.count(b"\n") == 1
    found = decode(line)
    assert (found.id, found.method, found.params) == (7, "upload", params)


@given(st.binary(max_size=300) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    with contextlib.suppress(Unreadable):
        decode(line)


def test_what_is_no_utf_8_can_be_said_and_repeated() -> None:
    """Names of files may be any bytes, and an answer repeats the id of its question, whatever that is."""
    for odd in ("M\udcfcller", "\ud800"):
        assert decode(protocol.request(1, "upload", {"local_path": odd})).params == {"local_path": odd}
        assert decode(protocol.result(odd, odd)).id == odd
        assert decode(protocol.failed(odd, odd)).failure is not None


def test_an_error_keeps_its_word_and_facts() -> None:
    found = decode(protocol.failed(3, "no", data={"code": "not_found", "details": {"a": 1}}))
    assert found.failure is not None
    assert (found.id, found.failure.code, found.failure.message) == (3, "not_found", "no")
    assert found.failure.data["details"] == {"a": 1}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "needs name"),
        ({"name": 7}, "a text"),
        ({"name": "x", "size": True}, "whole number"),
        ({"name": "x", "size": 11}, "from 1 to 10"),
        ({"name": "x", "tags": ["a", 1]}, "list of texts"),
        ({"name": "x", "nmae": "x"}, "'nmae'"),
        ({"name": "\ud800"}, "lone surrogate"),
        ({"name": "x", "tags": ["\udcff"]}, "lone surrogate"),
        ({"name": "x", "facts": {"a": ["\ud800"]}}, "lone surrogate"),
        ({"name": "x", "rate": 10**400}, "rate is a number up to"),
    ],
)
def test_a_parameter_that_is_missing_wrong_or_unknown_is_named(given: dict[str, Any], word: str) -> None:
    def read(params: Params) -> None:
        params.text("name")
        params.maybe_whole("size", 1, 10)
        params.maybe_texts("tags")
        params.maybe_object("facts")
        params.maybe_number("rate")
        params.end()

    with pytest.raises(Invalid, match=word):
        read(Params("make", given))


@pytest.mark.parametrize("given", ["", "a/b", "~/x", "/a\0b", "/\ud800", 7])
def test_a_path_is_absolute_and_one_that_the_system_could_have(given: object) -> None:
    with pytest.raises(Invalid, match="place"):
        Params("watch", {"place": given}).path("place")


def test_a_path_may_be_of_bytes_that_are_no_utf_8() -> None:
    assert bytes(Params("watch", {"place": "/a/M\udcfcller"}).path("place")) == b"/a/M\xfcller"
