"""The gate for JSON from outside: custom metadata, qualifiers, declared schemas, settings.

What passes can be stored in either database and written to any client, and comes out equal to what went in:

- Only objects with texts as keys, lists, texts, numbers, true, false and null; nothing that a program made up.
- No NaN and no infinity, which JSON does not have, and no integer beyond 64 bits, which most readers round in silence.
- No NUL and no lone surrogates, in keys too: one of the databases refuses both, and no UTF-8 carries the latter.
- At most `MAX_DEPTH` levels: parsers of every language have their own bound, and this is below all of them.
- At most so many characters when written down.

What comes out shares nothing with what went in, so a caller that goes on changing its own value changes no record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from entrepot.model.errors import Invalid

__all__ = ["MAX_DEPTH", "json_object", "json_value", "same"]

MAX_DEPTH = 64
_LEAST, _MOST = -(2**63), 2**64 - 1


def json_value(value: object, max_length: int, field: str) -> Any:
    """Any JSON value, as plain dicts and lists.

    Args:
        max_length: The bound in characters of its shortest text.
        field: What it is called in the message, such as "Custom metadata".

    Raises:
        Invalid: Which rule it breaks, and where.
    """
    clean = _Walk(field, max_length).value(value, MAX_DEPTH)
    size = len(_text(clean))
    if size > max_length:
        raise Invalid(
            f"{field} is {size:,} characters long; {max_length:,} are allowed. Put large things into files.",
            details={"field": field},
        )
    return clean


def json_object(value: object, max_length: int, field: str) -> dict[str, Any]:
    """A JSON object; see `json_value`."""
    if not isinstance(value, Mapping):
        raise Invalid(
            f"{field} is {_kind(value)}, not an object. Send names with values, as in {{}}.", details={"field": field}
        )
    clean: dict[str, Any] = json_value(value, max_length, field)
    return clean


def same(one: object, other: object) -> bool:
    """Whether two values are written alike. `==` is not enough: to it `1`, `1.0` and `true` are one value."""
    return one == other and _text(one) == _text(other)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class _Walk:
    def __init__(self, field: str, max_length: int) -> None:
        self._field = field
        self._left = max_length
        self._place: list[object] = []

    def value(self, value: object, depth: int) -> Any:
        self._spend(1)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._checked(str(value))
        if isinstance(value, int):
            if not _LEAST <= value <= _MOST:
                raise self._refusal("has an integer beyond 64 bits", "Send it as a text")
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self._refusal("has a number that is not finite", "JSON has none; send null or a text")
            return float(value)
        if depth == 0:
            raise self._refusal(f"is deeper than {MAX_DEPTH} levels", "Make it flatter")
        if isinstance(value, Mapping):
            return self._inside(value.items(), len(value), depth, self._named)
        if isinstance(value, (list, tuple)):
            return self._inside(enumerate(value), len(value), depth, self._listed)
        raise self._refusal(f"has {_kind(value)}, which JSON does not have", "Send a text")

    def _inside(self, members: Any, count: int, depth: int, gather: Callable[[Any, int], Any]) -> Any:
        # Every member takes two characters at least: a list of a hundred million zeros is refused before it is read.
        self._spend(count)
        self._place.append(None)
        found = gather(members, depth - 1)
        self._place.pop()
        return found

    def _named(self, members: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in members:
            name = self._key(key)
            self._place[-1] = name
            found[name] = self.value(value, depth)
        return found

    def _listed(self, members: Any, depth: int) -> list[Any]:
        found: list[Any] = []
        for i, value in members:
            self._place[-1] = i
            found.append(self.value(value, depth))
        return found

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            self._place.clear()
            raise self._refusal("is too long", "Put large things into files")

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise self._refusal(f"has {_kind(key)} as a name", "Names of an object are texts")
        return self._checked(str(key))

    def _checked(self, text: str) -> str:
        if "\x00" in text:
            raise self._refusal("has a NUL character", "Remove it; no database column can keep it")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._refusal("has half a character, which UTF-8 cannot hold", "Send valid Unicode") from None
        return text

    def _refusal(self, rule: str, mend: str) -> Invalid:
        # The place comes from outside as well and may be as hostile as what lies there.
        place = "/".join(str(step)[:40] for step in self._place[:8] if step is not None)
        shown = f" at {place!a}" if place else ""
        return Invalid(f"{self._field}{shown} {rule}. {mend}.", details={"field": self._field})


def _kind(value: object) -> str:
    known: dict[type, str] = {type(None): "null", str: "a text", list: "a list", int: "a number", float: "a number"}
    return known.get(type(value), f"a {type(value).__name__}")
