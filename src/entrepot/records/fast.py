"""Many lines at once: says "all of these are certainly good", or that it is not certain.

    lines ──decode──► objects ──► keys kept
      └── colons behind keys ───────┘ as many?

The decoder (msgspec) is strict about JSON and UTF-8 and keeps the last of two equal keys without a word. So keys are
counted on both sides. Every key that was written has a colon of its own, and before it a quote with at most blanks
between: counting these in the text gives at least as many as there are keys. Counting the keys of the objects gives at
most as many as there are. Where both numbers are equal, none was dropped.

Where they differ, because texts look like keys or because objects are nested where nobody looked, the objects are
written out again: inside texts colons are the same on both sides, so a key that was dropped is missing from the count,
and nothing can make up for it. (An escape may hide a colon from the count; lines that have one are not certain.)

All of this happens in C and in the processor's cache, which is why lines come in small groups. Nesting is bounded
without walking too: by the length of the lines, or brackets of the whole group are taken out and pairs removed,
innermost first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import methodcaller
from typing import Any, Final

from entrepot.records import reference

Objects = list[dict[str, Any]]
Decode = Callable[[bytes], dict[str, Any]]
Encode = Callable[[Objects], bytes]

#: Bytes of lines that are judged together: what fits into the cache of a core with all that is made of them.
GROUP: Final = 64 << 10

#: An escaped colon: the same in the object, one more in the text that is written out.
_HIDDEN_COLON: Final = (b"\\u003a", b"\\u003A")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BLANKS: Final = b" \t\r"

#: A pass takes away at most this many levels, see `_is_shallow`.
_PASSES: Final = reference.MAX_DEPTH // 2

#: Objects, and members of a list, that are asked whether others are nested in them; levels that are looked at.
_ASKED, _LEVELS = 4, 8

#: Groups that are written out at once after one in which counting did not do.
_PATIENCE: Final = 15


def tools() -> tuple[Decode, Encode] | None:
    """A strict decoder of objects and an encoder, or None where they are not installed: then all is judged slowly."""
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec.json.Decoder(dict).decode, msgspec.json.Encoder().encode


class Fast:
    """Judges groups of lines; remembers what the last groups were like, to begin with the cheaper question."""

    def __init__(self) -> None:
        self._tools = tools()
        #: Groups to come for which counting is not tried.
        self._passed_over = 0
        self._colons_in_texts = False

    def objects(self, lines: Sequence[bytes], text: bytes) -> Objects | None:
        """The objects of these lines if all are certainly good, else None.

        Args:
            text: The same lines, with newlines between them.
        """
        if self._tools is None:
            return None
        decode, encode = self._tools
        try:
            found = list(map(decode, lines))
            if not self._all_keys_are_there(found, text, encode):
                return None
        # Nothing else is told of a line here: what it is, the reference finds out.
        except (ValueError, RecursionError, OverflowError):
            return None
        return found if _is_shallow(lines, text) else None

    def _all_keys_are_there(self, found: Objects, text: bytes, encode: Encode) -> bool:
        if self._passed_over:
            self._passed_over -= 1
        else:
            kept = keys_kept(found)
            # No colons but those behind keys is the cheaper question, where it is worth asking.
            if not self._colons_in_texts and kept == text.count(b":"):
                return True
            self._colons_in_texts = True
            if kept == keys_written(text):
                return True
            self._passed_over, self._colons_in_texts = _PATIENCE, False
        if any(escape in text for escape in _HIDDEN_COLON):
            return False
        return encode(found).count(b":") == text.count(b":")


def keys_written(text: bytes) -> int:
    """How many keys stand in these lines, or more: what looks like one inside a text may count too."""
    # A space is common in texts but not before a colon; the other blanks are rare, but for lines that end with CRLF.
    # (Looking from the end is twice as fast, for whatever reason.)
    if text.rfind(b" :") >= 0 or b"\t" in text or b"\r" in text:
        text = text.translate(None, _BLANKS)
    count = text.count(b'":')
    # A quote that is escaped ends nothing, but for one behind a backslash that is escaped itself.
    return count - text.count(b'\\":') + text.count(b'\\\\":') if b"\\" in text else count


def keys_kept(objects: Objects, levels: int = _LEVELS) -> int:
    """How many keys these objects and those inside them have, or fewer: who is nested where, the first ones tell."""
    kept = sum(map(len, objects))
    if not levels:
        return kept
    inside: dict[str, None] = {}
    for one in objects[:_ASKED]:
        inside |= dict.fromkeys(key for key, value in one.items() if _holds_objects(value))
    for key in inside:
        # What is empty or not there has no keys.
        values = list(filter(None, map(methodcaller("get", key), objects)))
        while set(map(type, values)) == {list}:
            values = list(filter(None, chain.from_iterable(values)))
        # What is not an object may have a length too, which must not be counted.
        nested = values if set(map(type, values)) == {dict} else [one for one in values if type(one) is dict]
        if nested:
            kept += keys_kept(nested, levels - 1)
    return kept


def _holds_objects(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_objects, value[:_ASKED])))


def _is_shallow(lines: Sequence[bytes], text: bytes) -> bool:
    """Whether no line nests deeper than allowed, for certain. The lines are known to be JSON."""
    # Every level takes a bracket that opens and one that closes it.
    if len(text) < 2 * reference.MAX_DEPTH * len(lines) and max(map(len, lines)) < 2 * reference.MAX_DEPTH:
        return True
    if text.count(b"{") + text.count(b"[") - len(lines) < reference.MAX_DEPTH:
        return True
    brackets = text.translate(None, _NOT_BRACKETS)
    for _ in range(_PASSES):
        # What stands inside out is taken away: at least the innermost level, at most two.
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not fewer:
            return True
        if len(fewer) == len(brackets):
            # Brackets inside texts are in the way.
            return False
        brackets = fewer
    return False
