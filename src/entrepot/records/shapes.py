"""Lines that are all alike, as most files' are: decoded as what they are expected to be, which takes half the time.

A shape is learned from one object: its keys, and those of the objects inside it. Lines of that shape become objects
with a place for each key instead of dictionaries, and that each has all of its keys, and no other, the decoder itself
sees to. So how many keys were kept is known without looking at the objects; only lists of objects are walked.

    {"id": 1, "box": {"x": 1, "y": 2}, "marks": [{"at": 3}]}
      └ 5 keys of every line: id, box, x, y, marks        └ and one more for each mark

What is not told by the shape (any other value) is decoded as anything, as strictly as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

#: Keys of a shape, over all of its objects, and how deep they are looked for. The decoder looks for a key among those
#: of its object, which takes longest where lines have them in another order.
MOST_KEYS, _LEVELS = 128, 8

Decode = Callable[[bytes], list[Any]]


@dataclass(frozen=True, slots=True)
class _Counted:
    """Keys of objects of one type.

    Args:
        always: How many each of them has, with those of the objects that each has inside.
        lists: Where lists of further objects are.
    """

    always: int
    lists: tuple[tuple[Callable[[Any], list[Any]], _Counted], ...]

    def keys(self, objects: Sequence[Any]) -> int:
        kept = self.always * len(objects)
        for get, inside in self.lists:
            kept += inside.keys(list(chain.from_iterable(map(get, objects))))
        return kept


@dataclass(frozen=True, slots=True)
class Shape:
    """What lines are expected to be.

    Args:
        decode: Every object of some lines.

    `decode` raises `msgspec.ValidationError` if any is of another shape, and `msgspec.DecodeError` if any is no JSON.
    """

    decode: Decode
    counted: _Counted

    def keys_kept(self, objects: Sequence[Any]) -> int:
        """How many keys these objects and those inside them have, or fewer."""
        return self.counted.keys(objects)


def learn(one: dict[str, Any]) -> Shape | None:
    """The shape of an object; None if it cannot be put down: too many keys, or names that the decoder does not take."""
    import msgspec

    if _size(one, _LEVELS) > MOST_KEYS:
        return None
    try:
        made, always, lists = _type_of(one, _LEVELS)
    except ValueError:
        return None
    return Shape(msgspec.json.Decoder(made).decode_lines, _counted(always, lists))


def _size(one: dict[str, Any], levels: int) -> int:
    inside = [found for value in one.values() if (found := _objects_in(value, levels)) is not None]
    return len(one) + sum(_size(found, levels - 1) for found in inside)


def _objects_in(value: object, levels: int) -> dict[str, Any] | None:
    """The object that stands for those in this value: itself, or the first of a list of them."""
    if isinstance(value, list) and value and all(isinstance(member, dict) for member in value):
        value = value[0]
    return value if levels and isinstance(value, dict) else None


def _type_of(one: dict[str, Any], levels: int) -> tuple[Any, int, dict[str, _Counted]]:
    """A type for objects like this one, the keys that each has, and by their paths the lists of further objects."""
    import msgspec

    fields: list[tuple[str, Any]] = []
    names: dict[str, str] = {}
    always = len(one)
    lists: dict[str, _Counted] = {}
    for i, (key, value) in enumerate(one.items()):
        name = f"f{i}"
        kind: Any = Any
        inside = _objects_in(value, levels)
        if inside is not None:
            kind, keys, further = _type_of(inside, levels - 1)
            if isinstance(value, list):
                kind = list[kind]
                lists[name] = _counted(keys, further)
            else:
                always += keys
                lists |= {f"{name}.{path}": counted for path, counted in further.items()}
        fields.append((name, kind))
        names[name] = key
    # Nothing in these objects can form a circle; that the collector need not look at them is a part of their speed.
    made = msgspec.defstruct("Line", fields, rename=names, forbid_unknown_fields=True, gc=False)
    return made, always, lists


def _counted(always: int, lists: dict[str, _Counted]) -> _Counted:
    return _Counted(always, tuple((attrgetter(path), counted) for path, counted in lists.items()))
