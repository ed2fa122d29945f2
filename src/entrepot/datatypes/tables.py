"""Checks of values, of tables that are no text, and of plain text: NDJSON, JSON, Parquet, Arrow, text."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final

from entrepot.datatypes.delimited import COLUMNS
from entrepot.datatypes.reading import Check, said

__all__ = ["arrow", "json_value", "ndjson", "parquet", "text"]

#: A value of JSON is parsed as a whole; larger ones are only looked at from both ends.
_MOST_JSON: Final = 64 << 20
_MOST_FOOTER: Final = 64 << 20


def ndjson(check: Check) -> None:
    records = number = 0
    fields: dict[str, None] = {}
    seen: set[str] = set()
    quick = _quick()
    for group in check.line_groups():
        for line in group:
            number += 1
            try:
                # What it takes is certainly good; what it refuses may be good, and the other one says why it is not.
                value = quick(line)
                records += 1
            except (ValueError, RecursionError):
                if not line.strip():
                    check.wrong("empty_line", f"Line {number} is empty.", line=number)
                    continue
                records += 1
                try:
                    value = _LINE.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except (ValueError, RecursionError) as error:
                    check.wrong("bad_json", f"Line {number} is no JSON: {_why(error)}.", line=number, record=records)
                    continue
            if type(value) is dict and not seen.issuperset(value) and len(seen) < COLUMNS:
                seen.update(value)
                fields |= dict.fromkeys(key[:200] for key in value)
    if not records:
        check.wrong("empty", "There is no record in this file.", line=1)
    check.facts |= {"records": records, "fields": list(fields)[:COLUMNS]}


def _quick() -> Callable[[bytes], Any]:
    """A decoder in C that takes nothing but JSON; where none is installed, one that takes nothing."""
    try:
        import msgspec
    except ImportError:
        return _refuse
    return msgspec.json.Decoder().decode


def _refuse(line: bytes) -> Any:
    raise ValueError(line)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


#: Made once: `json.loads` would make one for every line.
_LINE: Final = json.JSONDecoder(parse_constant=_no_number)


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at column {error.colno}"
    return "it nests too deep" if isinstance(error, RecursionError) else str(error)[:200]


def json_value(check: Check) -> None:
    data = check.whole(_MOST_JSON, "JSON")
    try:
        value = json.loads(data, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise check.stop("bad_text", f"Byte {error.start} is no UTF-8.", offset=error.start) from None
    except json.JSONDecodeError as error:
        raise check.stop(
            "bad_json", f"Line {error.lineno}, column {error.colno}: {error.msg.lower()}.", line=error.lineno
        ) from None
    except (ValueError, RecursionError) as error:
        raise check.stop("bad_json", f"This is no JSON: {_why(error)}.") from None
    kind = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}.get(
        type(value), "number"
    )
    check.facts["value"] = kind
    if isinstance(value, dict):
        check.facts["fields"] = [str(key)[:200] for key in list(value)[:COLUMNS]]
    elif isinstance(value, list):
        check.facts["length"] = len(value)


def text(check: Check) -> None:
    lines = longest = 0
    utf8, binary = True, False
    for group in check.line_groups():
        joined = b"\n".join(group)
        if b"\x00" in joined:
            binary = True
            group = group[: joined.count(b"\n", 0, joined.index(b"\x00")) + 1]
            joined = b"\n".join(group[:-1])
        lines += len(group)
        longest = max(longest, *map(len, group))
        if utf8 and not joined.isascii():
            try:
                joined.decode()
            except UnicodeDecodeError:
                utf8 = False
        if binary:
            check.wrong("binary", f"Line {lines} has a NUL; this is no text, or UTF-16.", line=lines)
            break
    check.facts |= {"lines": lines, "longest_line": longest, "encoding": "utf-8" if utf8 else "unknown"}


# Parquet: the footer is Thrift in its compact form, of which the few fields that are needed are read.


class _Thrift:
    """Compact protocol, after its specification; every count and depth is bounded by the bytes that are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _int(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > 20:
            raise ValueError("it nests too deep")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._int()
            fields[number] = self._value(head & 15, depth, in_list=False)
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        if kind in (1, 2):
            return self._byte() == 1 if in_list else kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._int()
        if kind == 7:
            self._at += 8
            return None
        if kind == 8:
            length = self._varint()
            if self._at + length > len(self._data):
                raise IndexError
            self._at += length
            return self._data[self._at - length : self._at]
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            if count > len(self._data) - self._at:
                raise IndexError
            return [self._value(head & 15, depth + 1, in_list=True) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"there is a field of kind {kind}")


_PHYSICAL: Final = ("boolean", "int32", "int64", "int96", "float", "double", "bytes", "fixed bytes")


def parquet(check: Check) -> None:
    """Both magics, the footer, and that every piece of a column lies inside the file."""
    if check.exactly(0, 4, "the magic") not in (b"PAR1", b"PARE"):
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 4))}, not with PAR1.", offset=0)
    end = check.read(check.size - 8, 8)
    if check.size < 12 or end[4:] not in (b"PAR1", b"PARE"):
        raise check.stop("truncated", "The file does not end with PAR1: its footer is missing.", offset=check.size)
    length = int.from_bytes(end[:4], "little")
    if end[4:] == b"PARE":
        check.facts["encrypted"] = True
        return
    if length + 12 > check.size or length > _MOST_FOOTER:
        raise check.stop(
            "bad_length",
            f"The footer says that it has {length} bytes; the file has {check.size}.",
            offset=check.size - 8,
        )
    try:
        footer = _Thrift(check.read(check.size - 8 - length, length)).struct()
        columns = _parquet_columns(footer[2])
        groups, rows = footer.get(4, []), footer[3]
        codecs: set[int] = set()
        counted = 0
        for number, group in enumerate(groups, 1):
            counted += group[3]
            for column in group[1]:
                meta = column.get(3)
                if meta is None:
                    continue
                codecs.add(meta[4])
                start = min(one for one in (meta.get(9), meta.get(11)) if one)
                if start < 4 or start + meta[7] > check.size - 8 - length:
                    check.wrong(
                        "outside",
                        f"A column of row group {number} reaches over the end of the data.",
                        record=number,
                        offset=start,
                    )
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise check.stop(
            "bad_footer",
            f"The footer cannot be read: {str(error)[:100] or 'it is cut'}.",
            offset=check.size - 8 - length,
        ) from None
    if counted != rows:
        check.wrong("count", f"The footer says {rows} rows, its row groups have {counted}.")
    names = ("none", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw")
    check.facts |= {
        "rows": rows,
        "row_groups": len(groups),
        "columns": len(columns),
        "column_names": [name for name, _ in columns[:COLUMNS]],
        "column_types": [kind for _, kind in columns[:COLUMNS]],
        "compressions": sorted(names[one] for one in codecs if 0 <= one < len(names)),
    }
    if isinstance(footer.get(6), bytes):
        check.facts["written_by"] = footer[6].decode("utf-8", "replace")[:200]


def _parquet_columns(schema: list[dict[int, Any]]) -> list[tuple[str, str]]:
    return [
        (one[4].decode("utf-8", "replace")[:200], _PHYSICAL[one[1]] if 0 <= one[1] < len(_PHYSICAL) else "unknown")
        for one in schema[1:]
        if 1 in one
    ]


def arrow(check: Check) -> None:
    """A file (with a footer) or a stream: the chain of messages from the first to the end."""
    is_file = check.exactly(0, 8, "the magic")[:6] == b"ARROW1"
    end = check.size
    if is_file:
        tail = check.read(check.size - 10, 10)
        if tail[4:] != b"ARROW1":
            check.wrong("truncated", "The file does not end with ARROW1: its footer is missing.", offset=check.size)
        else:
            length = int.from_bytes(tail[:4], "little")
            if length + 18 > check.size:
                raise check.stop("bad_length", f"The footer says that it has {length} bytes.", offset=check.size - 10)
            end = check.size - 10 - length
    at, messages, batches, rows = 8 if is_file else 0, 0, 0, 0
    closed = False
    while at + 8 <= end:
        mark, length = struct.unpack("<II", check.exactly(at, 8, "a message"))
        if mark != 0xFFFFFFFF:
            if is_file:
                break
            raise check.stop("bad_message", f"There is no message at byte {at}.", record=messages + 1, offset=at)
        if length == 0:
            closed = True
            break
        messages += 1
        if at + 8 + length > end:
            raise check.stop(
                "truncated", f"Message {messages} at byte {at} reaches over the end.", record=messages, offset=at
            )
        try:
            kind, body, count, names = _arrow_message(check.exactly(at + 8, min(length, 1 << 20), "a message"))
        except (struct.error, IndexError):
            raise check.stop(
                "bad_message", f"Message {messages} at byte {at} cannot be read.", record=messages, offset=at
            ) from None
        if messages == 1 and kind != 1:
            check.wrong("no_schema", "The first message is no schema.", record=1, offset=at)
        if kind == 1:
            check.facts |= {"columns": len(names), "column_names": names[:COLUMNS]}
        if kind == 3:
            batches, rows = batches + 1, rows + count
        if body < 0 or at + 8 + length + body > end:
            raise check.stop(
                "truncated",
                f"The data of message {messages} at byte {at} reaches over the end.",
                record=messages,
                offset=at,
            )
        at += 8 + length + body
    if not closed and not is_file:
        check.wrong("no_end", "The stream does not end with its mark; more may have followed.", offset=check.size)
    check.facts |= {"form": "file" if is_file else "stream", "batches": batches, "rows": rows}


def _arrow_message(data: bytes) -> tuple[int, int, int, list[str]]:
    """(kind of header, bytes of the body, rows, names of columns) of a flatbuffer `Message`."""
    root = struct.unpack_from("<I", data)[0]

    def field(table: int, number: int) -> int | None:
        vtable = table - struct.unpack_from("<i", data, table)[0]
        if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
            return None
        offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
        return table + offset if offset else None

    def follow(at: int) -> int:
        return int(at + struct.unpack_from("<I", data, at)[0])

    kind_at, header_at, body_at = field(root, 1), field(root, 2), field(root, 3)
    kind = data[kind_at] if kind_at is not None else 0
    body = struct.unpack_from("<q", data, body_at)[0] if body_at is not None else 0
    rows, names = 0, []
    if header_at is not None and kind == 3:
        at = field(follow(header_at), 0)
        rows = struct.unpack_from("<q", data, at)[0] if at is not None else 0
    elif header_at is not None and kind == 1:
        listed = field(follow(header_at), 1)
        if listed is not None:
            vector = follow(listed)
            for i in range(min(struct.unpack_from("<I", data, vector)[0], 100_000)):
                name = field(follow(vector + 4 + 4 * i), 0)
                start = follow(name) if name is not None else None
                size = struct.unpack_from("<I", data, start)[0] if start is not None else 0
                names.append(
                    data[start + 4 : start + 4 + size].decode("utf-8", "replace")[:200] if start is not None else ""
                )
    return kind, int(body), int(rows), names
