"""Lines that are written alike, as one program writes them: judged by an automaton made for them, without making a
single object of them.

From good lines is learned which keys stand in which order, and what is nested where. Of these a regular expression is
made of which a text either is, and then consists of good lines, or is not, and then nothing is known of it:

    {"id": 1, "box": {"x": 1}, "marks": [{"at": 3}, {"at": 4, "by": "a"}]}

    line    { "id": scalar , "box": (scalar | box) , "marks": (scalar | [ marks, … ]) }
    box     { "x": scalar }
    marks   scalar | { "at": scalar (, "by": scalar)? }

- No key stands twice in an object: each is in the expression once, by the letters it is written with.
- Scalars are any text, number, true, false or null, as strictly as the reference takes them. Numbers have at most 19
  digits before the point and exponents below a hundred, so that none is infinite; texts hold no half of a surrogate
  pair.
- What nests is written out, so it is as deep as what was learned.
- That texts are UTF-8 is asked of the whole of them.

The engine is RE2, whose time grows with the text alone, whatever the expression: it makes a deterministic automaton as
it goes, of bounded memory. Used as a set of one it has no other way to go on where that memory is not enough; then the
answer is, as for all that is in doubt, that nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

#: Keys of all objects that are learned, and how deep they are looked for.
MOST_KEYS, _LEVELS = 160, 8
#: Bytes of an expression: lists in lists double it with each level.
_LONGEST: Final = 1 << 18
#: Bytes that the automaton may take.
_MEMORY: Final = 12 << 20

#: Groups that are learned from in one file, and groups that are passed over after one that taught nothing; twice as
#: many after each further one.
_LESSONS, _PATIENCE = 24, 15
_MOST_PATIENCE: Final = 1 << 12

_BLANKS: Final = rb"[ \t]*"
_HEX: Final = rb"[0-9a-fA-F]"
#: One character of a text, or one half of what is beyond 16 bits with the other behind it.
_CHARACTER: Final = (
    rb'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?:[0-9abcefABCEF]%(hex)s{3}'
    rb"|[dD](?:[0-7]%(hex)s{2}|[89abAB]%(hex)s{2}\\u[dD][c-fC-F]%(hex)s{2}))))" % {b"hex": _HEX}
)
_TEXT: Final = b'"' + _CHARACTER + b'*"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]+)?(?:[eE](?:\+?[0-9]{1,2}|-[0-9]{1,3}))?"
_SCALAR: Final = b"|".join([_TEXT, _NUMBER, b"true|false|null"])

#: An address by one of some schemes, which is the only part that is looked at.
ADDRESS: Final = rb'"(?:https?|gs|s3)://[ !#-\[\]-~]' + _CHARACTER + b'*"'


class _NotAlike(Exception):
    """There is more than an expression should hold."""


class _Form:
    """What stands at one place of all lines: a scalar, or what else was found there.

    Attributes:
        layouts: Of objects: keys in the order in which they are written, and which of them each object has.
        members: Of lists.
    """

    __slots__ = ("layouts", "members")

    def __init__(self) -> None:
        self.layouts: list[_Layout] | None = None
        self.members: _Form | None = None


class _Layout:
    __slots__ = ("always", "keys")

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = {key: _Form() for key in keys}
        self.always = set(self.keys)


class Forms:
    """Learns from one object after the other how they are written."""

    def __init__(self) -> None:
        self._outside = _Form()
        self._keys = 0

    def see(self, item: dict[str, Any]) -> None:
        """One more object.

        Raises:
            _NotAlike: There are too many keys, or objects in objects.
        """
        self._see(self._outside, item, _LEVELS)

    def _see(self, form: _Form, value: dict[str, Any] | list[Any], levels: int) -> None:
        if not levels:
            raise _NotAlike
        if isinstance(value, list):
            if form.members is None:
                form.members = _Form()
            for member in value:
                if isinstance(member, (dict, list)):
                    self._see(form.members, member, levels - 1)
            return
        if form.layouts is None:
            form.layouts = []
        if not value:
            return
        layout = self._layout(form.layouts, list(value))
        for key, inside in value.items():
            if isinstance(inside, (dict, list)):
                self._see(layout.keys[key], inside, levels - 1)

    def _layout(self, layouts: list[_Layout], keys: list[str]) -> _Layout:
        for layout in layouts:
            known = list(layout.keys)
            if known == keys:
                return layout
            # The first key says where commas stand, so it is never one that may be missing.
            if known[0] == keys[0] and (order := _merged(known, keys)) is not None:
                self._count(len(order) - len(known))
                layout.keys = {key: layout.keys.get(key) or _Form() for key in order}
                layout.always &= set(keys)
                return layout
        self._count(len(keys))
        layouts.append(_Layout(keys))
        return layouts[-1]

    def _count(self, more: int) -> None:
        self._keys += more
        if self._keys > MOST_KEYS:
            raise _NotAlike

    def expression(self, certain: Mapping[str, bytes]) -> bytes:
        """What every text of such lines is; each line ends with a newline, the last one may also end with the text.

        Args:
            certain: Keys that every line has at its outside, with expressions of their values.

        Raises:
            _NotAlike: It would be too long, or keys are not written as they are.
        """
        layouts = [one for one in self._outside.layouts or [] if one.keys.keys() >= certain.keys()]
        if certain and not layouts:
            raise _NotAlike
        line = _BLANKS + _object(layouts, certain) + _BLANKS
        made = b"(?:" + line + rb"\r?(?:\n|\z))+"
        if len(made) > _LONGEST:
            raise _NotAlike
        return made


def _merged(one: list[str], other: list[str]) -> list[str] | None:
    """The keys of both in an order that agrees with that of each; None if there is none."""
    places = {key: place for place, key in enumerate(one)}
    made: list[str] = []
    at = 0
    for key in other:
        place = places.get(key)
        if place is None:
            made.append(key)
        elif place < at:
            return None
        else:
            made += one[at : place + 1]
            at = place + 1
    return made + one[at:]


def _value(form: _Form) -> bytes:
    found = [_SCALAR]
    if form.layouts is not None:
        found.append(_object(form.layouts, {}))
    if form.members is not None:
        member = _value(form.members) + _BLANKS
        if len(member) > _LONGEST:
            raise _NotAlike
        found.append(rb"\[%(b)s(?:%(m)s(?:,%(b)s%(m)s)*)?\]" % {b"b": _BLANKS, b"m": member})
    return b"(?:" + b"|".join(found) + b")"


def _object(layouts: list[_Layout], certain: Mapping[str, bytes]) -> bytes:
    found = []
    for layout in layouts:
        made = b""
        for key, form in layout.keys.items():
            value = certain.get(key) or _value(form)
            pair = _BLANKS.join([b"", _written(key), b":", value, b""])
            if not made:
                made = pair
            elif key in layout.always or key in certain:
                made += b"," + pair
            else:
                made += b"(?:," + pair + b")?"
        found.append(made)
    inside = b"(?:" + b"|".join(found) + b")" + (b"" if certain else b"?")
    return rb"\{" + _BLANKS + (inside if found else b"") + rb"\}"


def _written(key: str) -> bytes:
    if any(letter in '"\\' or letter < " " for letter in key):
        raise _NotAlike
    return b'"' + b"".join(rb"\x%02x" % byte for byte in key.encode()) + b'"'


def automaton(expression: bytes) -> Callable[[bytes], bool] | None:
    """Whether a text is this expression, for certain; None where the engine is not installed or does not take it."""
    try:
        import re2
    except ImportError:
        return None
    options = re2.Options()
    # Bytes, of which texts may hold any: whether they are UTF-8 is another question.
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = options.longest_match = True
    options.log_errors = False
    options.max_mem = _MEMORY
    one = re2.Set.FullMatchSet(options)
    try:
        one.Add(expression)
        one.Compile()
    except re2.error:
        return None
    match = one.Match

    def is_one(text: bytes) -> bool:
        return bool(match(text))

    return is_one


class Alike:
    """The lines of one file, as far as they are written alike; asked and taught in turns.

    Args:
        certain: Keys at the outside with expressions of their values. A line that has them needs nothing else to be
            good.
    """

    def __init__(self, certain: Mapping[str, bytes] | None = None) -> None:
        self._certain = certain or {}
        self._forms = Forms()
        self._expression = b""
        self._is_one: Callable[[bytes], bool] | None = None
        self._lessons = _LESSONS
        self._passed_over = 0
        self._patience = _PATIENCE

    def fits(self, text: bytes) -> bool:
        """Whether these are good lines for certain."""
        if self._passed_over:
            self._passed_over -= 1
            return False
        if self._is_one is None:
            return False
        if self._is_one(text) and _is_utf8(text):
            self._patience = max(self._patience // 2, _PATIENCE)
            return True
        if not self._lessons:
            self._rest()
        return False

    @property
    def learns(self) -> bool:
        """Whether it wants to be taught what it did not know."""
        return self._lessons > 0 and not self._passed_over

    def learn(self, objects: Iterable[dict[str, Any]]) -> None:
        """These are the objects of good lines that did not fit."""
        self._lessons -= 1
        try:
            for one in objects:
                self._forms.see(one)
            expression = self._forms.expression(self._certain)
        except _NotAlike:
            # What was known before may do for other lines.
            self._lessons = 0
            self._rest()
            return
        if expression == self._expression:
            # They differ by something that is not learned.
            self._lessons += 1
            self._rest()
            return
        self._expression = expression
        self._is_one = automaton(expression)
        if self._is_one is None:
            self._lessons = 0

    def _rest(self) -> None:
        self._passed_over = self._patience
        self._patience = min(2 * self._patience, _MOST_PATIENCE)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
