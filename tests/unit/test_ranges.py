"""Half-open ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.errors import Invalid
from entrepot.model.ranges import ByteRange

ranges = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: ByteRange(min(pair), max(pair)))


def test_the_end_is_not_part_of_it() -> None:
    assert ByteRange(2, 5).length == 3


def test_content_of_no_bytes_has_a_range() -> None:
    assert ByteRange(0, 0).length == 0


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (-2, -1)])
def test_backwards_and_negative_ranges_are_refused(start: int, end: int) -> None:
    with pytest.raises(Invalid):
        ByteRange(start, end)


@given(ranges, ranges)
def test_overlap_holds_exactly_the_bytes_both_have(one: ByteRange, other: ByteRange) -> None:
    shared = set(range(one.start, one.end)) & set(range(other.start, other.end))
    found = one.overlap(other)
    assert (set(range(found.start, found.end)) if found else set()) == shared
    assert found == other.overlap(one)


@given(ranges, ranges)
def test_a_range_covers_another_when_no_byte_of_it_lies_outside(one: ByteRange, other: ByteRange) -> None:
    inside = set(range(other.start, other.end)) <= set(range(one.start, one.end))
    if other.length:
        assert one.covers(other) == inside
    else:
        assert one.covers(other) == (one.start <= other.start <= one.end)
