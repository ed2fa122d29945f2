"""Which keys items have, of which types, and how far their values reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Different keys that are told of; an object used as a map would otherwise fill the memory.
MOST_KEYS: Final = 1000
_DEPTH: Final = 20
#: Different short texts of a key that are told.
_EXAMPLES, _EXAMPLE = 5, 60


class _Key:
    __slots__ = ("examples", "high", "items", "longest", "low", "types")

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.items = 0
        self.low: float | None = None
        self.high: float | None = None
        self.longest: int | None = None
        self.examples: dict[str, None] = {}

    def see(self, value: object) -> None:
        kind = type_of(value)
        self.types[kind] = self.types.get(kind, 0) + 1
        if kind in ("integer", "number"):
            assert isinstance(value, (int, float))
            self.low = value if self.low is None else min(self.low, value)
            self.high = value if self.high is None else max(self.high, value)
        elif isinstance(value, (str, list)):
            self.longest = max(self.longest or 0, len(value))
            if isinstance(value, str) and len(self.examples) < _EXAMPLES and len(value) <= _EXAMPLE:
                self.examples[value] = None

    def told(self, path: str) -> Mapping[str, Any]:
        return {
            "path": path,
            "items": self.items,
            "types": self.types,
            "min": self.low,
            "max": self.high,
            "longest": self.longest,
            "examples": list(self.examples),
        }


class Summary:
    """Looks at one item after the other; memory is bounded by the number of different keys."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}
        self.items = 0
        self.more_keys = False

    def add(self, item: Mapping[str, Any]) -> None:
        self.items += 1
        seen: set[str] = set()
        self._walk("", item, seen, _DEPTH)
        for path in seen:
            self._keys[path].items += 1

    def _walk(self, path: str, value: object, seen: set[str], left: int) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self._see(f"{path}.{key}" if path else str(key), inner, seen, left)
        elif isinstance(value, list):
            for inner in value:
                self._see(f"{path}[*]", inner, seen, left)

    def _see(self, path: str, value: object, seen: set[str], left: int) -> None:
        key = self._keys.get(path)
        if key is None:
            if len(self._keys) == MOST_KEYS:
                self.more_keys = True
                return
            key = self._keys[path] = _Key()
        key.see(value)
        seen.add(path)
        if left:
            self._walk(path, value, seen, left - 1)

    def keys(self) -> list[Mapping[str, Any]]:
        """One row a path, in the order in which they first came."""
        return [key.told(path) for path, key in self._keys.items()]


def type_of(value: object) -> str:
    """The word of JSON Schema for it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
