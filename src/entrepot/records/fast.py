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

All of this happens in C and in the processor's cache, which is why lines come in small groups, and a group is decoded
in one call. The decoder does not care where lines end: where every newline stands between a bracket that closes an
object and one that opens one it stands between two objects of the outside, so as many objects as lines are one in each.
Where all lines are alike they are decoded as what they are expected to be (`shapes`), in half the time.

Nesting is bounded without walking too: by the length of the lines, or brackets of the whole group are taken out and
pairs removed, innermost first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entrepot.records import reference
from entrepot.records.alike import Alike
from entrepot.records.shapes import Shape, learn

if TYPE_CHECKING:
    from entrepot.records.check import Rule
    from entrepot.records.group import Lines

Objects = list[dict[str, Any]]


class Tools(NamedTuple):
    """A strict decoder of one object, of the objects of many lines, and an encoder."""

    decode: Callable[[bytes], dict[str, Any]]
    decode_lines: Callable[[bytes], Objects]
    encode: Callable[[Sequence[Any]], bytes]
    #: What it raises about lines that are JSON and not of their shape.
    Misfit: type[Exception]


#: Bytes of lines that are judged together: what fits into the cache of a core with all that is made of them.
GROUP: Final = 64 << 10

#: An escaped colon: the same in the object, one more in the text that is written out.
_HIDDEN_COLON: Final = (b"\\u003a", b"\\u003A")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")

#: A pass takes away at most this many levels, see `_is_shallow`.
_PASSES: Final = reference.MAX_DEPTH // 2

#: Objects, and members of a list, that are asked whether others are nested in them; levels that are looked at.
_ASKED, _LEVELS = 4, 8

#: Groups that are written out at once after one in which counting did not do; that are decoded as anything after two
#: that were of different shapes each.
_PATIENCE: Final = 15
#: Shapes of one file that are learned; a file of more is one of lines that are not alike.
_MOST_SHAPES: Final = 64


def tools() -> Tools | None:
    """None where they are not installed: then all is judged slowly."""
    try:
        import msgspec
    except ImportError:
        return None
    decoder = msgspec.json.Decoder(dict)
    return Tools(decoder.decode, decoder.decode_lines, msgspec.json.Encoder().encode, msgspec.ValidationError)


class Fast:
    """Judges groups of lines; remembers what the last groups were like, to begin with the cheaper question."""

    def __init__(self, rule: Rule | None = None) -> None:
        self._tools = tools()
        self._rule = rule
        self._groups = 0
        self._alike: Alike | None = None
        if rule is None:
            self._alike = Alike()
        elif rule.certain is not None:
            self._alike = Alike(rule.certain)
        #: Groups to come for which counting is not tried.
        self._passed_over = 0
        self._colons_in_texts = False
        self._shape: Shape | None = None
        #: Groups to come that no shape is looked for in, shapes that are left to be learned, and whether the last one
        #: was of any use.
        self._as_anything = 0
        self._shapes_left = _MOST_SHAPES
        self._useful = True

    def good(self, lines: Lines) -> bool:
        """Whether all of these lines are certainly good."""
        if self._tools is None:
            return False
        self._groups += 1
        alike = self._alike
        if alike is not None:
            if alike.fits(lines.text):
                return True
            # Most files are smaller than a group: these are not worth an automaton.
            if alike.learns and self._groups > 1:
                found = self.objects(lines)
                if found is None or not self._fit(found):
                    return False
                alike.learn(found)
                return True
        shape = self._shape
        if self._rule is None and shape is not None and lines.stand_alone():
            try:
                found = shape.decode(lines.text)
                self._useful = True
                return self._are_certain(found, lines, shape.keys_kept)
            except self._tools.Misfit:
                # Judged as anything; the next shape is learned of it.
                self._forget()
            except (ValueError, RecursionError, OverflowError):
                return False
        anything = self.objects(lines)
        return anything is not None and self._fit(anything)

    def _fit(self, found: Objects) -> bool:
        return self._rule is None or self._rule.all_good(found)

    def _forget(self) -> None:
        if not self._useful:
            self._as_anything = _PATIENCE
        self._shape, self._useful = None, False

    def objects(self, lines: Lines) -> Objects | None:
        """The objects of these lines if all are certainly good, else None."""
        if self._tools is None:
            return None
        try:
            if lines.stand_alone():
                found = self._tools.decode_lines(lines.text)
            else:
                found = list(map(self._tools.decode, lines.each()))
            if not self._are_certain(found, lines, keys_kept):
                return None
        # Nothing else is told of a line here: what it is, the reference finds out.
        except (ValueError, RecursionError, OverflowError):
            return None
        self._learn(found)
        return found

    def _learn(self, found: Objects) -> None:
        if self._as_anything:
            self._as_anything -= 1
        elif self._shape is None and self._shapes_left and len(found) > 1:
            self._shapes_left -= 1
            self._shape = learn(found[-1])

    def _are_certain(self, found: Sequence[Any], lines: Lines, count_kept: Callable[[Any], int]) -> bool:
        if len(found) != len(lines):
            return False
        return self._all_keys_are_there(found, lines, count_kept) and _is_shallow(lines)

    def _all_keys_are_there(self, found: Sequence[Any], lines: Lines, count_kept: Callable[[Any], int]) -> bool:
        assert self._tools is not None
        if self._passed_over:
            self._passed_over -= 1
        else:
            kept = count_kept(found)
            # No colons but those behind keys is the cheaper question, where it is worth asking.
            if not self._colons_in_texts and kept == lines.colons():
                return True
            self._colons_in_texts = True
            if kept == lines.keys_written():
                return True
            self._passed_over, self._colons_in_texts = _PATIENCE, False
        if any(escape in lines.text for escape in _HIDDEN_COLON):
            return False
        return self._tools.encode(found).count(b":") == lines.colons()


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


def _is_shallow(lines: Lines) -> bool:
    """Whether no line nests deeper than allowed, for certain. The lines are known to be JSON."""
    # Every level takes a bracket that opens and one that closes it.
    if lines.longest < 2 * reference.MAX_DEPTH:
        return True
    if lines.brackets() - len(lines) < reference.MAX_DEPTH:
        return True
    brackets = lines.text.translate(None, _NOT_BRACKETS)
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
