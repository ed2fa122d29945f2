"""Range requests: the examples of RFC 9110 §14, a naive model for everything else, frames read back by the library."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.http.ranges import (
    MAX_RANGES,
    Unsatisfiable,
    content_range,
    frame,
    parse_range,
    unsatisfied,
)
from entrepot.model.ranges import ByteRange


def asked(header: str | None, size: int = 10_000) -> list[tuple[int, int]] | str | None:
    """Inclusive pairs as HTTP writes them, None for the whole content, "416"."""
    try:
        found = parse_range(header, size)
    except Unsatisfiable:
        return "416"
    return None if found is None else [(one.start, one.end - 1) for one in found]


# The examples of §14.1.2 and §14.2 are for content of 10,000 bytes.
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", [(0, 499)]),
        ("bytes=500-999", [(500, 999)]),
        ("bytes=-500", [(9500, 9999)]),
        ("bytes=9500-", [(9500, 9999)]),
        ("bytes=0-0,-1", [(0, 0), (9999, 9999)]),
        ("bytes= 0-0, -1", [(0, 0), (9999, 9999)]),
        ("bytes=500-600,601-999", [(500, 600), (601, 999)]),
        ("bytes=500-700,601-999", [(500, 999)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 999), (4500, 5499), (9000, 9999)]),
        ("Bytes=0-1", [(0, 1)]),
        ("bytes=0-99999", [(0, 9999)]),
        ("bytes=-99999", [(0, 9999)]),
        ("bytes=0-" + "9" * 2000, [(0, 9999)]),
        ("bytes=000-001", [(0, 1)]),
        ("bytes=9999-", [(9999, 9999)]),
        ("bytes=,0-1,,\t5-6 ,", [(0, 1), (5, 6)]),
        # An order of the client's own is kept while nothing is asked twice.
        ("bytes=-1,0-0", [(9999, 9999), (0, 0)]),
        ("bytes=5-6,20000-", [(5, 6)]),
        ("bytes=5-6,5-6", [(5, 6)]),
        ("bytes=100-200,0-0,150-", [(0, 0), (100, 9999)]),
    ],
)
def test_ranges_that_are_sent(header: str, expected: list[tuple[int, int]]) -> None:
    assert asked(header) == expected


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001,20000-", "bytes=-0", "bytes=" + "9" * 100 + "-"])
def test_ranges_behind_the_end_are_refused(header: str) -> None:
    assert asked(header) == "416"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-0",
        "bytes=0-1,5-2",
        "bytes=0-1;5-6",
        "bytes=0 - 1",
        "bytes = 0-1",
        "bytes=0-1-2",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=0x1-0x2",
        "bytes=1.5-2",
        "bytes=٠-١",
        "items=0-1",
        "0-1",
        "bytes=0-1\r\nX: y",
        "bytes=" + "0-0," * 2000,
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_anything_odd_is_ignored(header: str | None) -> None:
    assert asked(header) is None


def test_as_many_ranges_as_anybody_needs_and_no_more() -> None:
    def header(count: int) -> str:
        return "bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(count))

    found = asked(header(MAX_RANGES))
    assert found is not None
    assert len(found) == MAX_RANGES
    assert asked(header(MAX_RANGES + 1)) is None


@pytest.mark.parametrize(
    ("header", "expected"), [("bytes=0-", "416"), ("bytes=0-0", "416"), ("bytes=-1", None), ("bytes=-0", "416")]
)
def test_ranges_of_nothing(header: str, expected: str | None) -> None:
    assert asked(header, size=0) == expected


numbers = st.integers(0, 40) | st.integers(0, 2**70)
specs = (
    st.builds(lambda a, b: f"{min(a, b)}-{max(a, b)}", numbers, numbers)
    | numbers.map("{}-".format)
    | numbers.map("-{}".format)
)


def naive(header: str, size: int) -> set[int]:
    """Which bytes were asked for, one by one."""
    wanted = set()
    for spec in header.removeprefix("bytes=").split(","):
        first, last = spec.split("-")
        for byte in range(size):
            if first and int(first) <= byte and (not last or byte <= int(last)):
                wanted.add(byte)
            if not first and byte >= size - int(last):
                wanted.add(byte)
    return wanted


@given(st.lists(specs, min_size=1, max_size=8).map(lambda some: "bytes=" + ",".join(some)), st.integers(1, 50))
@example("bytes=0-0,1-1", 50)
def test_exactly_the_bytes_asked_for_are_sent_and_none_twice(header: str, size: int) -> None:
    wanted = naive(header, size)
    found = asked(header, size)
    if not wanted:
        assert found == "416"
        return
    assert isinstance(found, list)
    sent = [byte for first, last in found for byte in range(first, last + 1)]
    assert len(sent) == len(set(sent))
    assert set(sent) == wanted


@given(st.text(), st.integers(0, 100))
def test_no_header_breaks_the_parser(text: str, size: int) -> None:
    for header in (text, "bytes=" + text):
        found = asked(header, size)
        assert found is None or found == "416" or all(0 <= a <= b < size for a, b in found if not isinstance(a, str))


def test_content_range_writes_the_last_byte() -> None:
    assert content_range(ByteRange(0, 500), 1234) == "bytes 0-499/1234"
    assert unsatisfied(1234) == "bytes */1234"


@given(st.binary(min_size=2, max_size=200), st.data())
def test_a_frame_is_read_back_by_the_standard_library(content: bytes, data: st.DataObject) -> None:
    size = len(content)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(1, size)), min_size=2, max_size=5))
    ranges = [ByteRange(a, min(a + b, size)) for a, b in pairs]
    framed = frame(ranges, size, "application/x-thing", "b0undary")
    body = b"".join(head + content[one.start : one.end] for head, one in framed.parts) + framed.tail
    assert len(body) == framed.length
    message = email.message_from_bytes(
        f"Content-Type: {framed.media_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    parts = list(message.iter_parts())
    assert len(parts) == len(ranges)
    for part, one in zip(parts, ranges, strict=True):
        assert part["Content-Type"] == "application/x-thing"
        first, last, total = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part["Content-Range"]).groups())
        assert (first, last + 1, total) == (one.start, one.end, size)
        assert part.get_payload(decode=True) == content[one.start : one.end]
