"""Opaque page cursors: where the last page of a list ended, and of which list.

A keyset page asks for the rows after the last one seen, so a cursor holds that row's sort values. It also holds a
fingerprint of the question (list, filters, order): the same place in another question would silently skip rows, and
is refused instead. What is refused is a mistake or a damaged text, not an attack: a cursor grants nothing, it only
says where to go on, and permission is asked for every page. So it is not signed, only checked; and because anybody
can make one that checks, the values are held against the shape that the list expects before they reach a query.

    base64url( version 1 byte | check 8 bytes | value … )

    value:  0x00                              None
            0x01 | length 1 byte | integer    signed, big-endian, at most 8 bytes
            0x02 | length 2 bytes | UTF-8     text
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeAlias

from entrepot.model.errors import BadCursor

CursorValue: TypeAlias = int | str | None

_VERSION = 1
_CHECK_SIZE = 8
_TEXT = re.compile(r"[A-Za-z0-9_-]+")
#: Four times what a path of 1,024 bytes with a few numbers beside it needs.
MAX_CURSOR = 8192


def fingerprint(question: str, parameters: Mapping[str, Any] | None = None) -> bytes:
    """What tells one paged question from another.

    Args:
        question: Which list, such as "versions.list".
        parameters: Filters and order; JSON values, of which None ones count as not given. Not the page size, which
            a caller may change from page to page.
    """
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    text = json.dumps([question, given], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def encode(values: Sequence[CursorValue], question: bytes) -> str:
    """The cursor for going on after the row with these sort values, as `[A-Za-z0-9_-]+`.

    Args:
        values: Integers of at most 64 bits, texts of at most 4,096 bytes, None.
        question: The list's `fingerprint`.
    """
    payload = b"".join(map(_packed, values))
    raw = bytes([_VERSION]) + _check(payload, question) + payload
    text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    if len(text) > MAX_CURSOR:
        raise ValueError(f"These {len(values)} sort values make a cursor longer than {MAX_CURSOR:,} characters.")
    return text


def decode(text: str, question: bytes, shape: Sequence[type | UnionType]) -> tuple[Any, ...]:
    """The sort values in a cursor.

    Args:
        question: The `fingerprint` of the list that is asked for now.
        shape: The type of each value: `int`, `str`, or one of them `| None`.

    Raises:
        BadCursor: Damaged, made by another release, of another list or filter, or not of this shape.
    """
    if not isinstance(text, str) or len(text) > MAX_CURSOR or _TEXT.fullmatch(text) is None:
        raise _refusal("is not one that this server makes")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise _refusal("is not one that this server makes") from None
    version, check, payload = raw[:1], raw[1 : 1 + _CHECK_SIZE], raw[1 + _CHECK_SIZE :]
    if version != bytes([_VERSION]):
        raise _refusal("was made by another release or is damaged")
    if check != _check(payload, question):
        raise _refusal("belongs to a list with other filters or another order, or is damaged")
    values = _unpacked(payload)
    if len(values) != len(shape) or not all(map(isinstance, values, shape)):
        raise _refusal("belongs to a list with another order")
    # Base64 ignores the last bits of the last letter; one place has one cursor.
    if encode(values, question) != text:
        raise _refusal("is damaged")
    return values


def _check(payload: bytes, question: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_CHECK_SIZE, key=question, person=b"cursor").digest()


def _packed(value: CursorValue) -> bytes:
    match value:
        case None:
            return b"\x00"
        case bool():
            raise TypeError("A cursor holds integers, texts and None.")
        case int():
            size = (value if value >= 0 else ~value).bit_length() // 8 + 1
            if size > 8:
                raise ValueError(f"{value} does not fit into the 64 bits of a cursor's integer.")
            return b"\x01" + bytes([size]) + value.to_bytes(size, signed=True)
        case str():
            encoded = value.encode()
            if len(encoded) > 4096:
                raise ValueError("A cursor's text has at most 4,096 bytes.")
            return b"\x02" + len(encoded).to_bytes(2) + encoded
    raise TypeError("A cursor holds integers, texts and None.")


def _unpacked(payload: bytes) -> tuple[CursorValue, ...]:
    values: list[CursorValue] = []
    at = 0
    while at < len(payload):
        tag, at = payload[at], at + 1
        if tag == 0:
            values.append(None)
            continue
        width = {1: 1, 2: 2}.get(tag)
        if width is None:
            raise _refusal("is damaged")
        size, at = int.from_bytes(payload[at : at + width]), at + width
        field, at = payload[at : at + size], at + size
        if at > len(payload) or (tag == 1 and not 1 <= size <= 8):
            raise _refusal("is damaged")
        if tag == 1:
            values.append(int.from_bytes(field, signed=True))
        else:
            values.append(_text(field))
    return tuple(values)


def _text(field: bytes) -> str:
    try:
        text = field.decode()
    except UnicodeDecodeError:
        raise _refusal("is damaged") from None
    # One database refuses NUL in any text, with an error that would look like ours.
    if "\x00" in text or len(field) > 4096:
        raise _refusal("is damaged")
    return text


def _refusal(why: str) -> BadCursor:
    return BadCursor(f"This page cursor {why}. Ask for the first page again, without a cursor.")
