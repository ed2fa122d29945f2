"""One pass, three checksums."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.digests import EMPTY, Digests
from entrepot.model.errors import Corrupt, NotFound
from entrepot.model.ranges import ByteRange
from entrepot.store.hashing import Hasher, digests_of
from entrepot.store.memory import MemoryStore
from entrepot.store.verifying import blocks_of, verified, verify_object
from entrepot.testing.store_contract import KEYS, content_of

KEY = KEYS[0]


def slow_crc32c(content: bytes) -> int:
    """CRC-32C bit by bit, from its polynomial: what the fast one is compared with."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_all_three_are_those_of_the_joined_blocks(blocks: list[bytes]) -> None:
    joined = b"".join(blocks)
    assert digests_of(blocks) == Digests(
        size=len(joined),
        sha256=hashlib.sha256(joined).digest(),
        crc32c=slow_crc32c(joined),
        crc32=zlib.crc32(joined),
    )


def test_large_blocks_are_hashed_as_small_ones() -> None:
    content = content_of(3_000_000)
    whole = digests_of([content])
    assert whole == digests_of([content[:1], content[1:2_000_000], content[2_000_000:]])
    assert whole.crc32 == zlib.crc32(content)


def test_known_check_values() -> None:
    digests = digests_of([b"123456789"])
    assert (digests.crc32c, digests.crc32) == (0xE3069283, 0xCBF43926)


def test_digests_may_be_asked_for_at_any_time() -> None:
    hasher = Hasher()
    assert hasher.digests() == EMPTY
    hasher.update(b"abc")
    hasher.digests()
    hasher.update(memoryview(bytearray(b"def")))
    assert hasher.digests() == digests_of([b"abcdef"])


def test_a_view_of_wider_numbers_counts_its_bytes() -> None:
    hasher = Hasher()
    hasher.update(memoryview(bytearray(12)).cast("I"))
    assert hasher.digests() == digests_of([bytes(12)])


# ---------------------------------------------------------------------- reading back


@pytest.mark.parametrize("size", [0, 1, 10, 11, 100])
def test_the_recorded_bytes_pass_unchanged(size: int) -> None:
    content = content_of(size)
    blocks = [content[at : at + 10] for at in range(0, size, 10)]
    assert list(verified(blocks, digests_of([content]), "it")) == blocks


@pytest.mark.parametrize("at", [0, 45, 99])
def test_the_last_block_of_damaged_bytes_is_never_given(at: int) -> None:
    content = bytearray(content_of(100))
    expected = digests_of([content])
    content[at] ^= 1
    blocks = [bytes(content[start : start + 10]) for start in range(0, 100, 10)]
    given: list[bytes] = []
    with pytest.raises(Corrupt, match="the third file"):
        given.extend(verified(blocks, expected, "the third file"))
    assert len(b"".join(given)) < 100


@pytest.mark.parametrize("size", [0, 50, 99, 101, 200])
def test_too_few_and_too_many_bytes_are_damage(size: int) -> None:
    expected = digests_of([content_of(100)])
    given = bytearray()

    def consume() -> None:
        for block in verified((content_of(200)[at : at + 1] for at in range(size)), expected, "it"):
            given.extend(block)

    with pytest.raises(Corrupt, match="bytes"):
        consume()
    assert len(given) < 100


def test_a_wrong_record_of_a_crc_is_told_apart_from_damaged_bytes() -> None:
    expected = digests_of([b"abc"])
    wrong = Digests(size=3, sha256=expected.sha256, crc32c=expected.crc32c ^ 1, crc32=expected.crc32)
    with pytest.raises(Corrupt, match="a recorded CRC is not"):
        list(verified([b"abc"], wrong, "it"))


def test_a_stored_object_is_verified_by_its_key() -> None:
    store = MemoryStore()
    expected = store.put(KEY, [content_of(600_000)])
    verify_object(store, KEY, expected)
    with pytest.raises(Corrupt, match=KEY):
        verify_object(store, KEY, digests_of([b"something else"]))
    with pytest.raises(NotFound):
        verify_object(store, KEYS[1], expected)


def test_a_span_is_read_in_blocks_of_the_asked_size() -> None:
    store = MemoryStore()
    store.put(KEY, [b"0123456789"])
    with store.open(KEY) as reader:
        assert list(blocks_of(reader, size=4)) == [b"0123", b"4567", b"89"]
        assert list(blocks_of(reader, ByteRange(2, 7), size=4)) == [b"2345", b"6"]
        assert list(blocks_of(reader, ByteRange(3, 3))) == []


def test_a_span_beyond_the_object_gives_nothing_at_all() -> None:
    store = MemoryStore()
    store.put(KEY, [b"0123456789"])
    with store.open(KEY) as reader:
        blocks = blocks_of(reader, ByteRange(0, 11), size=4)
        with pytest.raises(Corrupt, match="10 bytes"):
            next(blocks)


@pytest.mark.parametrize("streams", [1, 5])
def test_digests_that_are_computed_beside_are_the_same(streams: int) -> None:
    """More streams than threads, each of large and small blocks, some of them in memory that is used again."""
    rng = random.Random(streams)
    hashers = [Hasher(beside=True) for _ in range(streams)]
    plain = [Hasher() for _ in range(streams)]
    again = bytearray(70_000)
    for size in [3 << 20, 1, 70_000, 100_000, *[80_000] * 20, 10, 70_000, 200_000]:
        for hasher, other in zip(hashers, plain, strict=True):
            block: bytes | bytearray = rng.randbytes(size)
            other.update(block)
            if size == len(again):
                again[:] = block
                hasher.update(again)
                again[:] = bytes(size)
            else:
                hasher.update(block)
    assert [hasher.digests() for hasher in hashers] == [other.digests() for other in plain]
