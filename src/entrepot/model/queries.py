"""Conditions on lists: a small typed expression that a door parses into and the catalogue compiles out of.

Field names are tuples, one name for each step through a relation: `("project", "team", "name")`. Which there are, and
of which type, is the catalogue's to say. Every leaf knows its place in what the caller sent, so that whatever is wrong
with it can be answered with that place.

Conditions have two values, never three: a comparison with what is null is false, and its opposite true.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = ["All", "Compare", "Condition", "Contains", "Either", "IsNull", "Not", "Operator", "Order", "Query"]

Field: TypeAlias = tuple[str, ...]


class Operator(StrEnum):
    EQUAL = "="
    LESS = "<"
    GREATER = ">"
    AT_MOST = "<="
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    """A field stands so to a value. Times are ISO 8601 texts."""

    field: Field
    operator: Operator
    value: str | int | float | bool
    at: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    """A text field has this text in it."""

    field: Field
    text: str
    at: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    field: Field
    at: str


@dataclass(frozen=True, slots=True)
class Not:
    of: Condition


@dataclass(frozen=True, slots=True)
class All:
    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    of: tuple[Condition, ...]


Condition: TypeAlias = Compare | Contains | IsNull | Not | All | Either


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by a field. Without a wish nulls come first going up and last going down."""

    field: Field
    at: str
    ascending: bool = True
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks for: all conditions hold; `inactive` ones (in the trash, deactivated) too."""

    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    inactive: bool = False
