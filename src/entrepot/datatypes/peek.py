"""The first bytes inside a compressed file, without trusting a word of it.

gzip and BGZF (gzip in blocks of 64 KiB, with the length of each block in an extra field) are looked into because lab
files are nearly always compressed: `reads.fastq.gz` is FASTQ to whoever looks for it.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["GZIP", "HEAD", "bgzf_block_size", "compression", "inflate"]

GZIP: Final = b"\x1f\x8b"

#: Bytes of a file that recognition looks at; and as many at most come out of a compressed head, whatever it says.
HEAD: Final = 1 << 16


def bgzf_block_size(head: bytes) -> int | None:
    """Bytes of the BGZF block that begins here; None when it is no BGZF block.

    After SAM/BAM format specification, section 4.1: an extra field `BC` of two bytes holds the size less one.
    """
    if len(head) < 18 or head[:4] != b"\x1f\x8b\x08\x04":
        return None
    extra = int.from_bytes(head[10:12], "little")
    at, end = 12, min(12 + extra, len(head))
    while at + 4 <= end:
        length = int.from_bytes(head[at + 2 : at + 4], "little")
        if head[at : at + 2] == b"BC" and length == 2 and at + 6 <= end:
            return int.from_bytes(head[at + 4 : at + 6], "little") + 1
        at += 4 + length
    return None


def compression(head: bytes) -> str | None:
    """`bgzf`, `gzip` or None."""
    if not head.startswith(b"\x1f\x8b\x08"):
        return None
    return "gzip" if bgzf_block_size(head) is None else "bgzf"


def inflate(head: bytes, *, most: int = HEAD) -> bytes:
    """What is inside, up to `most` bytes; whatever could be read before the end or before it turned out to be damaged.

    Members that follow one another are read on, because BGZF files may begin with an empty block.
    """
    out = bytearray()
    rest = head
    while rest[:2] == GZIP and len(out) < most:
        engine = zlib.decompressobj(wbits=31)
        try:
            out += engine.decompress(rest, most - len(out))
        except zlib.error:
            break
        if not engine.eof:
            break
        rest = engine.unused_data
    return bytes(out)
