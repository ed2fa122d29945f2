"""Half-open ranges."""

from __future__ import annotations

import pytest

from entrepot.model.errors import Invalid
from entrepot.model.ranges import ByteRange


def test_the_end_is_not_part_of_it() -> None:
    assert ByteRange(2, 5).length == 3


def test_content_of_no_bytes_has_a_range() -> None:
    assert ByteRange(0, 0).length == 0


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (-2, -1)])
def test_backwards_and_negative_ranges_are_refused(start: int, end: int) -> None:
    with pytest.raises(Invalid):
        ByteRange(start, end)
