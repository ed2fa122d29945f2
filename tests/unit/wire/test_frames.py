"""Frames come out as they went in, however the stream is cut, and what is wrong is told by its file and its byte."""

from __future__ import annotations

import hashlib

import pytest

from entrepot.model.errors import Malformed, TooLarge
from entrepot.wire.frames import Frames, header

FILES = {"a": b"first", "empty": b"", "ü/long name": b"x" * 300, "z": b"\x00last"}


def framed(files: dict[str, bytes]) -> bytes:
    return b"".join(header(name, len(data), hashlib.sha256(data).digest()) + data for name, data in files.items())


def feed_all(stream: bytes, block: int) -> None:
    reader = Frames()
    for at in range(0, len(stream), block):
        reader.feed(stream[at : at + block])


@pytest.mark.parametrize("block", [1, 7, 54, 55, 120, 10_000])
def test_a_stream_cut_anywhere_gives_the_same_frames(block: int) -> None:
    stream, reader = framed(FILES), Frames()
    read: dict[str, bytes] = {}
    out = b""
    for at in range(0, len(stream), block):
        # A buffer that is used again, as those of sockets are.
        buffer = bytearray(stream[at : at + block])
        found, pieces = reader.feed(buffer)
        for frame in found:
            assert stream[frame.offset : frame.offset + len(frame.body)] == frame.body
            assert stream[frame.offset - len(frame.head) : frame.offset] == frame.head
            read[frame.name] = bytes(frame.body)
        out += b"".join(pieces)
        assert len(out) == reader.whole
        del found, pieces
        buffer[:] = b"\xff" * len(buffer)
    reader.finish()
    assert (read, out) == (FILES, stream)


@pytest.mark.parametrize("block", [9, 10_000])
@pytest.mark.parametrize("at", [0, 10, 50, 54])
def test_a_changed_header_is_told_with_its_place(at: int, block: int) -> None:
    before, stream = len(framed({"a": b"first"})), bytearray(framed(FILES))
    stream[before + at] ^= 1
    with pytest.raises(Malformed) as caught:
        feed_all(bytes(stream), block)
    assert caught.value.details == {"index": 1, "offset": before}


def test_a_stream_that_ends_in_a_frame_is_not_whole() -> None:
    reader = Frames()
    reader.feed(framed(FILES)[:-1])
    with pytest.raises(Malformed, match="File 3 of this batch"):
        reader.finish()


def test_a_body_that_is_too_large_is_refused_by_its_header() -> None:
    head = header("large", 11, bytes(32))
    with pytest.raises(TooLarge, match="11 bytes"):
        Frames(most=10).feed(head)
