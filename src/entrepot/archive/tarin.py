"""Tar archives that come in, as a stream: header, bytes, header, bytes, and an end that has to be there.

After POSIX.1-2017 `pax` and the manual of GNU tar. Known are ustar names with a prefix, long names of GNU, records of
pax, numbers in base 256, and files with holes in all their forms, whose holes become zeros. Refused with the member's
name: links, devices, pipes, whatever else is no file; headers whose sum is wrong; an archive that was cut, also where
readers of tapes would take the cut for its end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from entrepot.model.errors import Invalid, Malformed

__all__ = ["TarIn", "TarMember"]

_BLOCK: Final = 512
_PIECE: Final = 256 << 10
_HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
#: Of a name or a set of records; beyond any that a path of ours could come from.
_MAX_EXTRA: Final = 1 << 20
#: Holes of one file.
_MAX_PIECES: Final = 100_000

_FILES: Final = frozenset({b"0", b"\0", b"7", b"S"})
_WORDS: Final = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member as its header tells it.

    Args:
        size: Bytes that come out, holes included.
    """

    name: str
    is_folder: bool
    size: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the bytes of the member lie: `stored` bytes, which are these pieces (offset, length) of the file."""

    stored: int
    pieces: tuple[tuple[int, int], ...] | None = None


class TarIn:
    """An archive, read once from its beginning.

    Args:
        source: Its bytes in blocks of any length.
        leap: Passes over so many bytes of the source without reading them, and says how many there were.
    """

    def __init__(self, source: Iterator[bytes], leap: Callable[[int], int] | None = None) -> None:
        self._source = source
        self._leap = leap
        self._held = b""
        self._at = 0
        self._left = 0
        self._padding = 0
        self._size = 0
        self._layout = _Layout(0)
        self._defaults: dict[str, str] = {}
        self._number = 0

    def members(self) -> Iterator[TarMember]:
        """The members in order. What nobody read of one is passed over when the next one is asked for.

        Raises:
            Malformed: It is no tar archive, or was cut or damaged.
            Invalid: A member is no file; the message names it.
        """
        while (member := self._next()) is not None:
            yield member

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the member that came last, in blocks of at most 256 KiB.

        Raises:
            Malformed: The archive ends in it.
        """
        if self._layout.pieces is None:
            yield from self._stored(self._left)
            return
        written = 0
        for offset, length in self._layout.pieces:
            yield from _zeros(offset - written)
            yield from self._stored(length)
            written = offset + length
        yield from _zeros(self._size - written)

    def _stored(self, count: int) -> Iterator[bytes]:
        while count:
            block = self._some(min(count, _PIECE))
            count -= len(block)
            self._left -= len(block)
            yield block

    # Headers

    def _next(self) -> TarMember | None:
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        records: dict[str, str] = {}
        long_name: bytes | None = None
        while True:
            raw = self._exactly(_BLOCK, may_end=self._number == 0)
            if not raw.strip(b"\0"):
                if not raw and self._number == 0:
                    raise Malformed("The archive is empty: it has not even the end of one.")
                if records or long_name is not None:
                    raise self._damaged()
                self._drain()
                return None
            fields = _HEADER.unpack(raw)
            self._require_sum(raw, fields[6])
            self._number += 1
            size, kind = self._number_of(fields[4]), fields[7]
            if kind in (b"x", b"X", b"g", b"L", b"K", b"V", b"N"):
                extra = self._extra(size)
                if kind in (b"x", b"X"):
                    records |= self._records(extra)
                elif kind == b"g":
                    self._defaults |= self._records(extra)
                elif kind == b"L":
                    long_name = extra.split(b"\0", 1)[0]
                continue
            return self._member(raw, fields, size, kind, {**self._defaults, **records}, long_name)

    def _member(
        self,
        raw: bytes,
        fields: tuple[bytes, ...],
        size: int,
        kind: bytes,
        records: Mapping[str, str],
        long_name: bytes | None,
    ) -> TarMember:
        plain = fields[0].split(b"\0", 1)[0]
        prefix = fields[15].split(b"\0", 1)[0]
        if fields[9] == b"ustar\0" and prefix:
            plain = prefix + b"/" + plain
        name = records.get("GNU.sparse.name") or records.get("path") or _text(plain if long_name is None else long_name)
        if not name:
            raise Invalid(f"Member {self._number} of the archive has no name.")
        if kind == b"5" or (kind in _FILES and name.endswith("/")):
            # What some programs write as the size of a folder stands for nothing.
            self._left = size if kind != b"5" else 0
            self._padding = -self._left % _BLOCK
            return TarMember(name, True, 0)
        if kind not in _FILES:
            what = _WORDS.get(kind, f"nothing that is known here (type {kind!r})")
            raise Invalid(
                f"Member {name[:100]!r} is {what}; only files are stored. Pack the files themselves.",
                details={"member": name},
            )
        if "size" in records:
            size = self._whole(records["size"])
        self._layout, self._size = _Layout(size), size
        self._left, self._padding = size, -size % _BLOCK
        if kind == b"S":
            self._old_sparse(raw)
        elif any(one.startswith("GNU.sparse.") for one in records):
            self._pax_sparse(records)
        return TarMember(name, False, self._size)

    # Files with holes

    def _old_sparse(self, raw: bytes) -> None:
        pairs = [raw[386 + 24 * i : 410 + 24 * i] for i in range(4)]
        more, self._size = raw[482], self._number_of(raw[483:495])
        while more:
            block = self._exactly(_BLOCK)
            pairs += [block[24 * i : 24 * i + 24] for i in range(21)]
            more = block[504]
            if len(pairs) > _MAX_PIECES:
                raise self._damaged()
        pieces = [(self._number_of(one[:12]), self._number_of(one[12:])) for one in pairs if one.strip(b"\0 ")]
        self._with_holes(pieces, self._left)

    def _pax_sparse(self, records: Mapping[str, str]) -> None:
        real = records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size")
        if real is None:
            raise self._damaged()
        self._size = self._whole(real)
        if "GNU.sparse.major" in records:
            stored = self._left
            numbers, used = self._map()
            self._with_holes(numbers, stored - used)
            return
        listed = [self._whole(one) for one in records.get("GNU.sparse.map", "").split(",") if one]
        if not listed or len(listed) % 2:
            raise self._damaged()
        self._with_holes(list(zip(listed[::2], listed[1::2], strict=True)), self._left)

    def _map(self) -> tuple[list[tuple[int, int]], int]:
        """The map before the bytes of the file: lines of numbers, the first of them how many pieces there are."""
        text, used = b"", 0
        while True:
            text += self._exactly(_BLOCK)
            used += _BLOCK
            self._left -= _BLOCK
            lines = text.split(b"\n")[:-1]
            if lines and len(lines) > 2 * self._whole(_text(lines[0])):
                break
            if self._left < 0 or used > 32 * _MAX_PIECES:
                raise self._damaged()
        numbers = [self._whole(_text(one)) for one in lines[: 1 + 2 * self._whole(_text(lines[0]))]]
        return list(zip(numbers[1::2], numbers[2::2], strict=True)), used

    def _with_holes(self, pieces: list[tuple[int, int]], stored: int) -> None:
        at = 0
        for offset, length in pieces:
            if offset < at:
                raise self._damaged()
            at = offset + length
        if at > self._size or sum(length for _, length in pieces) != stored or len(pieces) > _MAX_PIECES:
            raise self._damaged()
        self._layout = _Layout(stored, tuple(pieces))
        self._left = stored

    # Pieces of headers

    def _extra(self, size: int) -> bytes:
        if size > _MAX_EXTRA:
            raise Malformed(f"The tar archive has {size} bytes of names for one member, at member {self._number}.")
        found = self._exactly(size)
        self._skip(-size % _BLOCK)
        return found

    def _records(self, raw: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        pairs: list[str] = []
        at = 0
        while at < len(raw):
            space = raw.find(b" ", at)
            if space < 0 and not raw[at:].strip(b"\0"):
                break
            length = self._whole(_text(raw[at:space])) if space > 0 else 0
            name, equals, value = raw[space + 1 : at + length - 1].partition(b"=")
            if not equals or length <= 0 or raw[at + length - 1 : at + length] != b"\n":
                raise self._damaged()
            key, text = _text(name), _text(value)
            if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
                # The oldest form names each piece by itself.
                pairs.append(text)
            found[key] = text
            at += length
        if pairs:
            found["GNU.sparse.map"] = ",".join(pairs)
        return found

    def _require_sum(self, raw: bytes, told: bytes) -> None:
        plain = raw[:148] + b" " * 8 + raw[156:]
        try:
            wanted = int(told.replace(b"\0", b" ").split()[0], 8)
        except (ValueError, IndexError):
            wanted = -1
        # Some old programs added bytes up as signed ones.
        signed = sum(byte - 256 if byte > 127 else byte for byte in plain)
        if wanted not in (sum(plain), signed):
            if self._number == 0:
                raise Malformed("The file is not a tar archive: it does not begin with the header of one.")
            raise self._damaged()

    def _number_of(self, raw: bytes) -> int:
        if raw[:1] in (b"\x80", b"\xff"):
            found = int.from_bytes(raw[1:]) if raw[:1] == b"\x80" else -1
        else:
            digits = raw.replace(b"\0", b" ").strip()
            try:
                found = int(digits, 8) if digits else 0
            except ValueError:
                found = -1
        if not 0 <= found < 2**63:
            raise self._damaged()
        return found

    def _whole(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise self._damaged()
        return int(text)

    def _damaged(self) -> Malformed:
        return Malformed(f"The tar archive is damaged: the header of member {self._number + 1} cannot be read.")

    # Bytes

    def _some(self, most: int) -> bytes:
        """At least one byte and at most so many."""
        while self._at >= len(self._held):
            block = next(self._source, None)
            if block is None:
                raise self._cut()
            self._held, self._at = block, 0
        found = self._held[self._at : self._at + most]
        self._at += len(found)
        return found

    def _exactly(self, count: int, *, may_end: bool = False) -> bytes:
        parts: list[bytes] = []
        while count:
            try:
                parts.append(self._some(count))
            except Malformed:
                if may_end and not parts:
                    return b""
                raise
            count -= len(parts[-1])
        return b"".join(parts)

    def _skip(self, count: int) -> None:
        if self._leap is not None:
            here = min(count, len(self._held) - self._at)
            self._at += here
            if self._leap(count - here) < count - here:
                raise self._cut()
            return
        while count:
            count -= len(self._some(count))

    def _cut(self) -> Malformed:
        return Malformed(
            f"The tar archive was cut off at member {max(self._number, 1)}. Pack it again and send all of it."
        )

    def _drain(self) -> None:
        """Read on to the end, so that what the archive is wrapped in is seen to be whole."""
        if self._leap is not None:
            return
        for _ in self._source:
            pass


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, _PIECE))
        count -= _PIECE


def _text(raw: bytes) -> str:
    # Old programs wrote what their machine spoke; what is not UTF-8 is hardly ever anything but Latin-1 here.
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
