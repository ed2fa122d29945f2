"""Choosing items by what is in them: paths into an item, and conditions on what they lead to.

    label                        there is a label, whatever it is
    $.label.name == "cat"        a text, number, true, false or null; also != < <= > >=
    boxes[*].score > 0.9         any of the boxes
    tags ~ "blur"                a text has it in it, a list has it as a member
    not caption                  there is none
    a == 1 and not b.c           all of them; there is no `or`: ask twice

A path is names with dots between them, `[0]` for a place in a list (`[-1]` is the last), `[*]` for all of a list or
object, and `["a name"]` for names with other characters in them. What is not there fits no comparison, `!=` neither.
Numbers compare with numbers and texts with texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from entrepot.model.errors import Invalid

#: Characters of what is asked, and comparisons in it.
_MOST_TEXT, _MOST_PARTS = 2000, 20

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<root>\$)
      | \.?(?P<name>[A-Za-z_\u0080-\U0010ffff][\w-]*)
      | \.?(?P<star>\*)
      | \[\s*(?:(?P<place>-?\d{1,9})|(?P<all>\*)|(?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*'))\s*\]
    )""",
    re.VERBOSE,
)
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>|~)\s*")
_VALUE = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|-?\d[\d.eE+-]*|true|false|null)""")
_AND = re.compile(r"\s*\band\b\s*")
_NOT = re.compile(r"\s*(?:not\b|!)\s*")

_ALL: Final = object()
_Steps = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """Where to look in an item."""

    steps: _Steps

    def values(self, item: object) -> Iterator[Any]:
        """Everything it leads to, in the order of the item."""
        found: list[Any] = [item]
        for step in self.steps:
            further: list[Any] = []
            for one in found:
                if step is _ALL:
                    further += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
                elif isinstance(step, str):
                    if isinstance(one, dict) and step in one:
                        further.append(one[step])
                elif isinstance(one, list) and -len(one) <= step < len(one):
                    further.append(one[step])
            found = further
        return iter(found)


@dataclass(frozen=True, slots=True)
class _Test:
    path: Path
    fits: Callable[[Any], bool] | None
    negated: bool

    def __call__(self, item: object) -> bool:
        values = self.path.values(item)
        hit = next(values, _ALL) is not _ALL if self.fits is None else any(map(self.fits, values))
        return hit is not self.negated


class Condition:
    """What `parse` made of a text; call it with an item."""

    def __init__(self, text: str) -> None:
        self._tests = _parse(text)

    def __call__(self, item: object) -> bool:
        return all(test(item) for test in self._tests)


def path_of(text: str) -> Path:
    """A path alone.

    Raises:
        Invalid: It is none.
    """
    steps, at = _path(text, 0)
    if text[at:].strip():
        raise _wrong(text, at)
    return Path(steps)


def _parse(text: str) -> list[_Test]:
    if len(text) > _MOST_TEXT:
        raise Invalid(f"A condition has at most {_MOST_TEXT} characters, not {len(text)}.")
    tests: list[_Test] = []
    at = 0
    while True:
        negated = _NOT.match(text, at)
        at = negated.end() if negated else at
        steps, at = _path(text, at)
        fits = None
        operator = _OPERATOR.match(text, at)
        if operator:
            value = _VALUE.match(text, operator.end())
            if value is None:
                raise _wrong(text, operator.end())
            fits, at = _fits(operator[1], _literal(text, value[1], value.start(1))), value.end()
        tests.append(_Test(Path(steps), fits, negated is not None))
        if not text[at:].strip():
            return tests
        further = _AND.match(text, at)
        if further is None or len(tests) == _MOST_PARTS:
            raise _wrong(text, at)
        at = further.end()


def _path(text: str, at: int) -> tuple[_Steps, int]:
    steps: list[Any] = []
    start = at
    while (token := _TOKEN.match(text, at)) is not None:
        if steps and token["name"] is not None and text[token.start("name") - 1] != ".":
            # A word behind a path that no dot joins to it: `and`.
            break
        if token["root"] is not None and at != start:
            break
        at = token.end()
        if token["name"] is not None:
            steps.append(token["name"])
        elif token["place"] is not None:
            steps.append(int(token["place"]))
        elif token["quoted"] is not None:
            steps.append(_literal(text, token["quoted"], token.start("quoted")))
        elif token["root"] is None:
            steps.append(_ALL)
    if not steps:
        raise _wrong(text, at)
    return tuple(steps), at


def _literal(text: str, piece: str, at: int) -> Any:
    if piece.startswith("'"):
        return piece[1:-1]
    try:
        return json.loads(piece)
    except ValueError:
        raise _wrong(text, at) from None


def _wrong(text: str, at: int) -> Invalid:
    return Invalid(
        f"This condition cannot be read from character {at + 1} on: {text[at : at + 40]!r}. "
        'It looks like: label.name == "cat" and score > 0.5'
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _alike(one: object, other: object) -> bool:
    return (_is_number(one) and _is_number(other)) or type(one) is type(other)


def _fits(operator: str, wanted: Any) -> Callable[[Any], bool]:
    if operator == "==":
        return lambda value: _alike(value, wanted) and bool(value == wanted)
    if operator == "!=":
        return lambda value: not (_alike(value, wanted) and value == wanted)
    if operator == "~":
        return lambda value: (
            (isinstance(value, str) and isinstance(wanted, str) and wanted in value)
            or (isinstance(value, list) and any(_alike(one, wanted) and one == wanted for one in value))
        )
    if not (_is_number(wanted) or isinstance(wanted, str)):
        raise Invalid(f"Only numbers and texts have an order; {json.dumps(wanted)} has none.")
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "<": lambda a, b: bool(a < b),
        "<=": lambda a, b: bool(a <= b),
        ">": lambda a, b: bool(a > b),
        ">=": lambda a, b: bool(a >= b),
    }
    chosen = compare[operator]
    return lambda value: _alike(value, wanted) and chosen(value, wanted)
