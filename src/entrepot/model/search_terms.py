"""What somebody types to find datasets: words, and conditions on single fields between them.

    penguin kind:files tag:lab type:fastq standing:bad facts.reads:>1000 facts.samples:"liver 2" facts.shape:100..200

    kind:, tag:                the version is of this kind, has this tag
    type:, standing:, facts.   one file of the version has all of these

A value is a number, a comparison (`>` `>=` `<` `<=` and a number), a range of numbers with both ends in it, or a text;
texts are compared without regard to case, and one that ends in `*` is the beginning of one. Every other word with a
colon is a word like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from entrepot.model.data_types import Standing
from entrepot.model.errors import Invalid
from entrepot.model.values import Kind

__all__ = ["WORD", "Between", "FactIs", "Terms", "TextIs", "flat_facts", "parse"]

_Choice = TypeVar("_Choice", Kind, Standing)

#: Conditions of one search.
_MOST: Final = 8
#: Characters of a text that is compared; what is longer was cut when it was written down.
WORD: Final = 200
#: Values that are kept of one file, and of one list in it.
_KEPT, _OF_LIST = 100, 20

_TERM: Final = re.compile(r'(?<!\S)(kind|tag|type|standing|facts\.[\w.-]+):("[^"]*"|\S*)')
_COMPARED: Final = re.compile(r"(>=|<=|>|<)(\S+)")
_RANGE: Final = re.compile(r"([^.\s][^\s]*?)\.\.([^\s]+)")


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `least` to `most`; the ends count unless they are open."""

    least: float
    most: float
    open_least: bool = False
    open_most: bool = False


@dataclass(frozen=True, slots=True)
class TextIs:
    """A text in lower case; with `begins` the beginning of one."""

    text: str
    begins: bool = False


@dataclass(frozen=True, slots=True)
class FactIs:
    """One value among the facts of this name is so."""

    name: str
    value: Between | TextIs


@dataclass(frozen=True, slots=True)
class Terms:
    """What is searched for. All of it has to hold.

    Args:
        words: The rest, for the full-text index.
    """

    words: str
    kinds: tuple[Kind, ...] = ()
    tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()
    facts: tuple[FactIs, ...] = ()

    @property
    def of_files(self) -> bool:
        """Whether anything is asked about what is inside of files."""
        return bool(self.types or self.standings or self.facts)

    @property
    def conditions(self) -> int:
        return len(self.kinds) + len(self.tags) + len(self.types) + len(self.standings) + len(self.facts)


def parse(query: str, *, kind: Kind | None = None, tags: Sequence[str] = ()) -> Terms:
    """Take conditions out of a query.

    Args:
        kind: Another condition, as are `tags`.

    Raises:
        Invalid: A condition has no value or one that cannot be, or there are too many.
    """
    kinds: list[Kind] = [] if kind is None else [kind]
    all_tags: list[str] = [*tags]
    types: list[str] = []
    standings: list[Standing] = []
    facts: list[FactIs] = []

    def take(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        plain = value[1:-1] if quoted else value
        if not plain:
            raise Invalid(f"The search has nothing behind {name}:. Write a value, in quotes if it has blanks.")
        if name == "kind":
            kinds.append(_one_of(Kind, plain, name))
        elif name == "standing":
            standings.append(_one_of(Standing, plain, name))
        elif name == "tag":
            all_tags.append(plain)
        elif name == "type":
            types.append(plain.lower())
        else:
            facts.append(FactIs(name.removeprefix("facts."), _text(plain) if quoted else _value(name, plain)))
        return " "

    words = _TERM.sub(take, query)
    terms = Terms(words, tuple(kinds), tuple(all_tags), tuple(types), tuple(standings), tuple(facts))
    if terms.conditions > _MOST:
        raise Invalid(f"The search has {terms.conditions} conditions; {_MOST} are allowed. Leave some out.")
    return terms


def _one_of(choices: type[_Choice], value: str, name: str) -> _Choice:
    try:
        return choices(value.lower())
    except ValueError:
        known = ", ".join(one.value for one in choices)
        raise Invalid(f"The search asks for {name}:{value[:40]}; {name} is one of {known}.") from None


def _value(name: str, value: str) -> Between | TextIs:
    if found := _COMPARED.fullmatch(value):
        bound = _number(found[2])
        if bound is None:
            raise Invalid(f"The search compares {name} with {found[2][:40]!r}, which is no number.")
        if found[1][0] == ">":
            return Between(bound, math.inf, open_least=found[1] == ">")
        return Between(-math.inf, bound, open_most=found[1] == "<")
    if found := _RANGE.fullmatch(value):
        least, most = _number(found[1]), _number(found[2])
        if least is not None and most is not None:
            return Between(least, most)
    number = _number(value)
    return _text(value) if number is None else Between(number, number)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _text(value: str) -> TextIs:
    begins = value.endswith("*")
    return TextIs((value[:-1] if begins else value).lower()[:WORD], begins)


def flat_facts(facts: object) -> list[tuple[str, float | None, str | None]]:
    """Facts as (name, number, text) for comparing: names inside of others behind a dot, members of a list each alone.

    Bounded: some values of each list, and some of all.
    """
    found: dict[tuple[str, float | None, str | None], None] = {}
    _flatten("", facts, found)
    return list(found)[:_KEPT]


def _flatten(name: str, value: object, found: dict[tuple[str, float | None, str | None], None]) -> None:
    if len(found) >= _KEPT:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{name}.{key}"[:WORD] if name else str(key)[:WORD], inner, found)
    elif isinstance(value, list | tuple):
        for inner in value[:_OF_LIST]:
            _flatten(name, inner, found)
    elif isinstance(value, bool):
        found[name, None, str(value).lower()] = None
    elif isinstance(value, int | float):
        found[name, float(value), None] = None
    elif isinstance(value, str) and value:
        found[name, None, value.lower()[:WORD]] = None
