"""How cells, items and distributions are written in a page: short, honest about what is missing, drawn without scripts.

A drawing is always told in words too: whoever does not see bars reads where the values lie.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrepot.web import words

__all__ = ["Bar", "Cell", "Node", "bars", "cell", "edge", "in_words", "number", "tree", "type_name"]

#: Characters of a cell in a list of rows; the whole is one click away.
_SHORT: Final = 200
#: Members of a list or an object that a tree shows before it says how many more there are.
_MEMBERS: Final = 500
#: The drawing of a histogram, in its own units.
_WIDTH, _HEIGHT = 240, 48


#: Types of columns as people call them.
_TYPES: Final = {
    "String": "text",
    "Int": "whole number",
    "Float": "number",
    "JSON": "JSON",
    "DateTime": "time",
    "Date": "date",
    "Boolean": "true or false",
    "ObjectLink": "link",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: its text, and which look it has: `null`, `num`, `json`, or none."""

    text: str
    look: str = ""


def type_name(type_: str, *, many: bool) -> str:
    """The type of a column in a word or two."""
    said = _TYPES.get(type_, type_)
    return f"list of {said}" if many else said


def cell(value: Any, type_: str, *, most: int = _SHORT) -> Cell:
    """A value of a table."""
    if value is None:
        return Cell("empty", "null")
    if isinstance(value, bool):
        return Cell("true" if value else "false")
    if isinstance(value, (int, float)) and type_ in ("Int", "Float"):
        return Cell(str(value), "num")
    if isinstance(value, str):
        return Cell(_clipped(value, most), "num" if type_ == "Float" else "")
    return Cell(_clipped(json.dumps(value, ensure_ascii=False), most), "json")


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def number(value: float | int | None) -> str:
    """A number for people: five digits are enough to see what it is about."""
    if value is None:
        return "–"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e12):
        # Years have four digits and are no amounts.
        return str(int(value)) if abs(value) < 10_000 else words.count(int(value))
    if 10_000 <= abs(value) < 1e12:
        return words.count(round(value))
    return f"{value:.5g}"


def edge(value: Any) -> str:
    """The end of a bar: a number, or the day of a time."""
    if isinstance(value, (int, float)):
        return number(value)
    text = str(value)
    return text[:10] if text[10:11] == "T" else text


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a drawing of 240 by 48, from the top left corner; `text` says the same in words."""

    x: float
    y: float
    width: float
    height: float
    text: str


def bars(histogram: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """A histogram as bars. What is not empty can be seen: it is one unit high at least."""
    most = max((int(one["rows"]) for one in histogram), default=0)
    if not most:
        return []
    width = _WIDTH / len(histogram)
    made = []
    for i, one in enumerate(histogram):
        rows = int(one["rows"])
        height = max(1.0, _HEIGHT * rows / most) if rows else 0.0
        text = f"{edge(one['from'])} to {edge(one['to'])}: {words.plural(rows, 'row')}"
        made.append(Bar(round(i * width, 2), round(_HEIGHT - height, 2), round(width - 1, 2), round(height, 2), text))
    return made


def in_words(histogram: Sequence[Mapping[str, Any]]) -> str:
    """Where the values lie, in a sentence: the fewest neighbouring bars that hold more than half of the rows."""
    counts = [int(one["rows"]) for one in histogram]
    total = sum(counts)
    if not total:
        return ""
    for length in range(1, len(counts) + 1):
        start = max(range(len(counts) - length + 1), key=lambda i: sum(counts[i : i + length]))
        held = sum(counts[start : start + length])
        if 2 * held > total:
            low, high = edge(histogram[start]["from"]), edge(histogram[start + length - 1]["to"])
            return f"{round(100 * held / total)} % lie between {low} and {high}."
    return ""


@dataclass(frozen=True, slots=True)
class Node:
    """One place of an item: a value, or a list or an object with its members.

    Args:
        name: The key, or the number in a list; empty at the top.
        look: `object`, `list`, `text`, `num`, `flag` or `null`.
        more: Members that are there and not told.
    """

    name: str
    look: str
    text: str
    members: tuple[Node, ...] = ()
    more: int = 0


def tree(value: Any, name: str = "") -> Node:
    """An item as a tree."""
    if isinstance(value, Mapping):
        inside = [tree(one, str(key)) for key, one in list(value.items())[:_MEMBERS]]
        said = words.plural(len(value), "key")
        return Node(name, "object", said, tuple(inside), max(0, len(value) - _MEMBERS))
    if isinstance(value, list):
        inside = [tree(one, str(i)) for i, one in enumerate(value[:_MEMBERS])]
        return Node(
            name, "list", words.plural(len(value), "entry", "entries"), tuple(inside), max(0, len(value) - _MEMBERS)
        )
    if value is None:
        return Node(name, "null", "null")
    if isinstance(value, bool):
        return Node(name, "flag", "true" if value else "false")
    if isinstance(value, (int, float)):
        return Node(name, "num", str(value))
    return Node(name, "text", _clipped(str(value), 10_000))
