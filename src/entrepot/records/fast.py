"""Many lines at once: says "all of these are certainly good", or that it is not certain.

    lines ──decode──► objects ──encode──► text
      └── colons ──────── as many? ──── colons ┘

The decoder (msgspec) is strict about JSON and UTF-8 and keeps the last of two equal keys without a word. So the objects
are written out again: a colon stands behind every key, and inside texts colons are the same on both sides, so a key
that was dropped is missing from the count, and nothing can make up for it. (An escape may hide a colon from the count;
lines that have one are not certain.) Writing out is cheap because it happens in C and in the processor's cache, which
is why lines come in small groups. For flat objects without colons in their texts, counting keys is enough.

Nesting is bounded likewise without walking: brackets of the whole group are taken out and pairs removed, innermost
first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

#: A pass takes away at most this many levels, see `_is_shallow`.
_PASSES: Final = reference.MAX_DEPTH // 2


def tools() -> tuple[Decode, Encode] | None:
    """A strict decoder of objects and an encoder, or None where they are not installed: then all is judged slowly."""
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec.json.Decoder(dict).decode, msgspec.json.Encoder().encode


class Fast:
    """Judges groups of lines; remembers what the last group was like, to begin with the cheaper question."""

    def __init__(self) -> None:
        self._flat = True
        self._tools = tools()

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
        return found if _is_shallow(text, len(lines)) else None

    def _all_keys_are_there(self, found: Objects, text: bytes, encode: Encode) -> bool:
        colons = text.count(b":")
        if self._flat:
            # Each key has a colon behind it: as many keys on the outside as colons at all, and none was dropped.
            if sum(map(len, found)) == colons:
                return True
            self._flat = False
        if any(escape in text for escape in _HIDDEN_COLON):
            return False
        return encode(found).count(b":") == colons


def _is_shallow(text: bytes, n_lines: int) -> bool:
    """Whether no line nests deeper than allowed, for certain. The lines are known to be JSON."""
    if text.count(b"{") + text.count(b"[") - n_lines < reference.MAX_DEPTH:
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
