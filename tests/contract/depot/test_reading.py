"""Stored bytes are checked where they are read as a whole, and bad ones are never given as good ones."""

from __future__ import annotations

import pytest

from entrepot.catalog import contents
from entrepot.depot.contents import ContentReader, open_content
from entrepot.model.errors import Corrupt
from tests.support.house import House

DATA = bytes(range(256)) * 40


def opened(house: House, *, damage: bool = False) -> ContentReader:
    row = house.upload(house.user(), DATA)
    assert row.content is not None
    if damage:
        with house.depot.catalog.read() as conn:
            (extent,) = contents.extents(conn, row.content)
        house.depot.store.delete(extent.key)
        house.depot.store.put(extent.key, [DATA[:5000], b"!", DATA[5001:]])
    return open_content(house.depot, row.content)


def in_order(reader: ContentReader, size: int) -> bytes:
    return b"".join(reader.read_at(at, size) for at in range(0, reader.size, size))


def test_what_is_whole_is_given(house: House) -> None:
    with opened(house) as reader:
        assert in_order(reader, 1000) == DATA


@pytest.mark.parametrize("size", [1000, 5001, len(DATA)])
def test_the_last_block_of_changed_bytes_is_not_given(house: House, size: int) -> None:
    last = (len(DATA) - 1) // size * size
    with opened(house, damage=True) as reader:
        for at in range(0, last, size):
            reader.read_at(at, size)
        with pytest.raises(Corrupt, match="not those that were received"):
            reader.read_at(last, size)


def test_reading_at_once_is_checked_like_reading(house: House) -> None:
    with opened(house, damage=True) as reader:
        assert reader.read_now(0, 5000) == DATA[:5000]
        with pytest.raises(Corrupt):
            reader.read_now(5000, len(DATA) - 5000)


def test_both_ways_of_reading_check_one_content_together(house: House) -> None:
    with opened(house) as reader:
        assert reader.read_now(0, 5000) == DATA[:5000]
        assert reader.read_at(5000, 1 << 20) == DATA[5000:]


def test_a_part_is_given_unchecked(house: House) -> None:
    # What was asked for may be good: only the whole can be compared with what is known of it.
    with opened(house, damage=True) as reader:
        assert reader.read_at(6000, 1 << 20) == DATA[6000:]
        assert reader.read_at(0, 5000) == DATA[:5000]
        assert reader.read_at(5000, 1 << 20)[:1] == b"!"


def test_reading_at_once_stays_inside(house: House) -> None:
    with opened(house) as reader:
        assert reader.read_now(0, len(DATA) + 1) is None
        assert reader.read_now(-1, 5) is None
        assert reader.read_now(0, 0) is None
