"""One line, judged exactly and slowly: the law that the fast way of `check` is measured against.

The fast way only ever says "this is certainly good"; whatever it is not certain of comes here, and here is also found
what to say of a bad line. A good line is one JSON object in UTF-8:

- no byte order mark, no bytes that are not UTF-8, no half of a surrogate pair written as an escape;
- no key twice in one object: which of the two counts differs from reader to reader;
- no NaN or Infinity, which are not JSON, and no number that becomes infinite in a 64-bit float;
- nested at most `MAX_DEPTH` deep, which every reader can follow.

Spaces, tabs and carriage returns around tokens are fine, as the standard (RFC 8259) says; so CRLF is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from entrepot.records.faults import Fault, Reason, readable

#: Objects and lists inside each other, the line's own object included.
MAX_DEPTH: Final = 200

_BLANK: Final = b" \t\r"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_MAYBE_SURROGATE = re.compile(rb"\\u[dD][89abAB-Fc-f]")


class _Bad(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(reason, detail)


def is_blank(line: bytes) -> bool:
    return not line.strip(_BLANK)


def examine(line: bytes) -> Fault | None:
    """What is wrong with this line, without its newline; None if nothing is."""
    if is_blank(line):
        return Fault(Reason.EMPTY, "is empty.")
    if line.startswith(b"\xef\xbb\xbf"):
        return Fault(Reason.BYTE_ORDER_MARK, "begins with a byte order mark. Save the file as UTF-8 without one.", 0)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"is not UTF-8: byte {error.start} is 0x{line[error.start]:02x}."
        return Fault(Reason.NOT_UTF8, detail, error.start)
    # Counting is quicker than looking, and most lines have fewer brackets than levels are allowed.
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line) > MAX_DEPTH:
        return Fault(Reason.TOO_DEEP, f"is nested more than {MAX_DEPTH} levels deep.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode())
        return Fault(Reason.NOT_JSON, f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} at byte {at} of it.", at)
    except _Bad as bad:
        return bad.fault
    if not isinstance(value, dict):
        return Fault(Reason.NOT_AN_OBJECT, f"is {_named(value)}, not an object.", 0)
    if _MAYBE_SURROGATE.search(line) is not None and _has_surrogate(value):
        return Fault(Reason.LONE_SURROGATE, "has half of a surrogate pair (such as \\ud800) in a text.")
    return None


def parse(line: bytes) -> dict[str, Any]:
    """The object of a line that is known to be good."""
    value = json.loads(line)
    assert isinstance(value, dict)
    return value


def depth(line: bytes) -> int:
    """How deep brackets are nested in it, whether it is JSON or not; brackets inside texts do not count."""
    deepest = now = 0
    for byte in _STRING.sub(b"", line).translate(None, _NOT_BRACKETS):
        if byte in b"[{":
            now += 1
            deepest = max(deepest, now)
        else:
            now -= 1
    return deepest


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Bad(Reason.DUPLICATE_KEY, f"has the key {_short(key)} twice in one object.")
            seen.add(key)
    return found


def _short(key: str) -> str:
    shown = json.dumps(key[:60] + ("…" if len(key) > 60 else ""), ensure_ascii=False)
    return readable(shown)


def _constant(word: str) -> NoReturn:
    raise _Bad(Reason.NOT_A_NUMBER, f"has {word}, which is not JSON. Write null.")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Bad(Reason.NUMBER_OUT_OF_RANGE, f"has the number {text[:40]}, which is beyond a 64-bit float.")
    return value


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _Bad(Reason.NUMBER_OUT_OF_RANGE, f"has a whole number of {len(text)} digits.") from None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float, parse_int=_int, strict=True
)


def _named(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a number"


def _has_surrogate(value: object) -> bool:
    waiting: list[object] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError:
                return True
    return False
