"""The filter language of this door's lists, parsed into the product's conditions.

    {"expressions": [E, …], "order_by": [{"field", "ascending"?, "nulls_first"?}, …], "include_inactive"?}

    E = exact    field, value, case_insensitive?        contains  field, sub_string, case_insensitive?
        compare  field, operator, value                 isnull    field
        and      sub_expressions of the four above      or        sub_expressions of those and `and`
        with `invert` in each of them

Nothing else is taken, and every refusal names the place: `expressions[0].sub_expressions[1].field: …`. Fields go
through relations by dots or double underscores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from entrepot.model.errors import Invalid
from entrepot.model.queries import All, Compare, Condition, Contains, Either, IsNull, Not, Operator, Order, Query

__all__ = ["DATASETS", "LICENCES", "NODES", "PROJECTS", "TEAMS", "USERS", "Vocabulary", "parse"]

#: From a field's name on this wire to the catalogue's; None for a field that is always null here.
Vocabulary: TypeAlias = Mapping[str, tuple[str, ...] | None]

#: A statement of the database may not grow without end.
_MAX_EXPRESSIONS: Final = 200
_MAX_ORDERS: Final = 20
_MAX_TEXT: Final = 10_000


def _related(name: str, to: str, fields: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {f"{name}.{theirs}": (to, ours) for theirs, ours in fields.items()}


_WHO: Final = {"pk": "n", "id": "n", "username": "name"}
_NAMED: Final = {"pk": "n", "id": "n", "name": "name"}
_CREATED: Final[Vocabulary] = {
    "creator": ("creator",),
    **_related("creator", "creator", _WHO),
    "creation_time": ("created_at",),
    "deletion_time": ("trashed_at",),
}
_BASE: Final[Vocabulary] = {"pk": ("n",), "id": ("n",), "name": ("name",)}

DATASETS: Final[Vocabulary] = {
    **_BASE,
    "version": ("number",),
    "previous_version": ("previous_version",),
    "description": ("description",),
    "project": ("project",),
    **_related("project", "project", {**_NAMED, "team": "team", "creation_time": "created_at"}),
    "project.team.pk": ("project", "team", "n"),
    "project.team.id": ("project", "team", "n"),
    "project.team.name": ("project", "team", "name"),
    "licence": ("licence",),
    **_related("licence", "licence", {**_NAMED, "url": "url"}),
    "is_public": ("open",),
    "domain": None,
    "domain.pk": None,
    "domain.name": None,
    "domain.description": None,
    "tags": ("tags",),
    **_CREATED,
    "files.file.name.filename": ("entries", "path"),
    "files.metadata": ("entries", "metadata"),
}
PROJECTS: Final[Vocabulary] = {**_BASE, "team": ("team",), **_related("team", "team", _NAMED), **_CREATED}
TEAMS: Final[Vocabulary] = {**_BASE, **_CREATED}
LICENCES: Final[Vocabulary] = {**_BASE, "url": ("url",)}
NODES: Final[Vocabulary] = {
    **_BASE,
    "is_active": ("is_active",),
    "creator": ("creator",),
    "creation_time": ("created_at",),
}
USERS: Final[Vocabulary] = {
    "pk": ("n",),
    "id": ("n",),
    "username": ("name",),
    "email": ("email",),
    "first_name": ("first_name",),
    "last_name": ("last_name",),
    "is_staff": ("is_staff",),
    "is_superuser": ("is_staff",),
    "is_active": ("is_active",),
    "date_joined": ("created_at",),
    "last_login": ("last_login_at",),
}


def parse(body: Any, fields: Vocabulary) -> Query:
    """The query that a list's body means; no body asks for everything that is active.

    Raises:
        Invalid: It breaks the grammar somewhere; the message says where.
    """
    if body is None:
        return Query()
    return _Parser(fields).query(body)


class _Parser:
    def __init__(self, fields: Vocabulary) -> None:
        self._fields = fields
        self._count = 0
        self._simple: Mapping[str, Callable[[Mapping[str, Any], str], Condition]] = {
            "exact": self._exact,
            "contains": self._contains,
            "compare": self._compare,
            "isnull": self._isnull,
            "is_null": self._isnull,
        }

    def query(self, body: Any) -> Query:
        given = _object(body, "filter", {"expressions", "order_by", "include_inactive"})
        where = [
            self._expression(one, f"expressions[{i}]", allowed=("and", "or"))
            for i, one in enumerate(_list(given.get("expressions", []), "expressions"))
        ]
        wanted = _list(given.get("order_by", []), "order_by")
        if len(wanted) > _MAX_ORDERS:
            raise _wrong("order_by", f"has {len(wanted)} fields; {_MAX_ORDERS} are allowed")
        order = [one for i, item in enumerate(wanted) if (one := self._order(item, f"order_by[{i}]")) is not None]
        return Query(tuple(where), tuple(order), _flag(given, "include_inactive", "include_inactive"))

    def _expression(self, given: Any, at: str, *, allowed: tuple[str, ...]) -> Condition:
        self._count += 1
        if self._count > _MAX_EXPRESSIONS:
            raise _wrong(at, f"is one of more than {_MAX_EXPRESSIONS} expressions; ask for less at once")
        if not isinstance(given, dict):
            raise _wrong(at, "is no object")
        type_ = given.get("type")
        if not isinstance(type_, str) or (type_ not in self._simple and type_ not in ("and", "or")):
            raise _wrong(f"{at}.type", f"is none of {', '.join((*self._simple, 'and', 'or'))}")
        if type_ in self._simple:
            found = self._simple[type_](given, at)
        elif type_ not in allowed:
            raise _wrong(f"{at}.type", f"is {type_!r}, which may not stand here")
        else:
            found = self._combined(given, type_, at)
        return Not(found) if _flag(given, "invert", f"{at}.invert") else found

    def _combined(self, given: Mapping[str, Any], type_: str, at: str) -> Condition:
        _object(given, at, {"type", "invert", "sub_expressions"})
        below = _list(given.get("sub_expressions"), f"{at}.sub_expressions")
        if len(below) < 2:
            raise _wrong(f"{at}.sub_expressions", "has fewer than two")
        inside = ("and",) if type_ == "or" else ()
        parts = tuple(
            self._expression(one, f"{at}.sub_expressions[{i}]", allowed=inside) for i, one in enumerate(below)
        )
        return Either(parts) if type_ == "or" else All(parts)

    def _exact(self, given: Mapping[str, Any], at: str) -> Condition:
        _object(given, at, {"type", "invert", "field", "value", "case_insensitive"})
        ignore_case = _flag(given, "case_insensitive", f"{at}.case_insensitive")
        value = given.get("value")
        if not isinstance(value, str | int | float | bool) or (isinstance(value, str) and len(value) > _MAX_TEXT):
            raise _wrong(f"{at}.value", "is no text, number or boolean, or a very long one")
        field = self._field(given, at)
        return _NEVER if field is None else Compare(field, Operator.EQUAL, value, f"{at}.value", ignore_case)

    def _compare(self, given: Mapping[str, Any], at: str) -> Condition:
        _object(given, at, {"type", "invert", "field", "operator", "value"})
        operator, value = given.get("operator"), given.get("value")
        if operator not in ("<", ">", "<=", ">="):
            raise _wrong(f"{at}.operator", "is none of <, >, <=, >=")
        if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > _MAX_TEXT:
            raise _wrong(f"{at}.value", "is no text or number, or a very long one")
        field = self._field(given, at)
        return _NEVER if field is None else Compare(field, Operator(operator), value, f"{at}.value")

    def _contains(self, given: Mapping[str, Any], at: str) -> Condition:
        _object(given, at, {"type", "invert", "field", "sub_string", "case_insensitive"})
        text = given.get("sub_string")
        if not isinstance(text, str) or not 1 <= len(text) <= _MAX_TEXT:
            raise _wrong(f"{at}.sub_string", "is no text of at least one character, or a very long one")
        ignore_case = _flag(given, "case_insensitive", f"{at}.case_insensitive")
        field = self._field(given, at)
        return _NEVER if field is None else Contains(field, text, f"{at}.field", ignore_case)

    def _isnull(self, given: Mapping[str, Any], at: str) -> Condition:
        _object(given, at, {"type", "invert", "field"})
        field = self._field(given, at)
        return All(()) if field is None else IsNull(field, f"{at}.field")

    def _order(self, given: Any, at: str) -> Order | None:
        one = _object(given, at, {"field", "ascending", "nulls_first"})
        first = _flag(one, "nulls_first", f"{at}.nulls_first") if "nulls_first" in one else None
        ascending = _flag(one, "ascending", f"{at}.ascending", default=True)
        field = self._field(one, at)
        return None if field is None else Order(field, f"{at}.field", ascending, first)

    def _field(self, given: Mapping[str, Any], at: str) -> tuple[str, ...] | None:
        name = given.get("field")
        if not isinstance(name, str):
            raise _wrong(f"{at}.field", "is no text")
        dotted = name.replace("__", ".").replace("license", "licence", 1)
        if dotted not in self._fields:
            raise _wrong(f"{at}.field", f"is {name[:100]!r}; there are {', '.join(self._fields)}")
        return self._fields[dotted]


#: What holds for nothing: the comparison with a field that is always null.
_NEVER: Final = Either(())


def _wrong(at: str, why: str) -> Invalid:
    return Invalid(f"Unable to parse JSON: {at} {why}.", details={"at": at})


def _object(given: Any, at: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise _wrong(at, "is no object")
    unknown = sorted(set(given) - known)
    if unknown:
        raise _wrong(at, f"has {unknown[0][:60]!r}, which is none of {', '.join(sorted(known))}")
    return given


def _list(given: Any, at: str) -> list[Any]:
    if not isinstance(given, list):
        raise _wrong(at, "is no array")
    return given


def _flag(given: Mapping[str, Any], name: str, at: str, *, default: bool = False) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(at, "is neither true nor false")
    return value
