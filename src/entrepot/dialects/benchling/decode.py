"""Fields of a body, checked where they are read; the message says which field, by its path from the top."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from entrepot.model.columns import rules_of
from entrepot.model.errors import Invalid

__all__ = ["Fields", "columns"]


class Fields:
    """An object of a body. A field that is null is not given.

    Args:
        path: How its own place is called, empty at the top.

    Raises:
        Invalid: It is no object.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise Invalid(f"{path or 'The body'} is no JSON object.")
        self._fields: dict[str, Any] = value
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def given(self, name: str) -> bool:
        """Whether the field is there, if only as null."""
        return name in self._fields

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Every field and its value, null too."""
        return iter(self._fields.items())

    def called(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        """
        Raises:
            Invalid: It is missing, or no text.
        """
        found = self._fields.get(name)
        if not isinstance(found, str):
            raise Invalid(f"{self.called(name)} is {'missing' if found is None else 'no text'}.")
        return found

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if name in self else None

    def flag(self, name: str, *, default: bool) -> bool:
        found = self._fields.get(name)
        if found is not None and not isinstance(found, bool):
            raise Invalid(f"{self.called(name)} is neither true nor false.")
        return default if found is None else found

    def object(self, name: str) -> Fields:
        return Fields(self._fields.get(name), self.called(name))

    def _list(self, name: str, most: int) -> list[Any]:
        found = self._fields.get(name)
        if not isinstance(found, list):
            raise Invalid(f"{self.called(name)} is {'missing' if found is None else 'no list'}.")
        if len(found) > most:
            raise Invalid(f"{self.called(name)} has {len(found)} elements; at most {most} are taken.")
        return found

    def objects(self, name: str, *, most: int) -> list[Fields]:
        """A list of objects; none where it is not given."""
        if name not in self:
            return []
        return [Fields(one, f"{self.called(name)}[{i}]") for i, one in enumerate(self._list(name, most))]

    def texts(self, name: str, *, most: int) -> list[str]:
        """A list of texts, which has to be there."""
        found = self._list(name, most)
        for i, one in enumerate(found):
            if not isinstance(one, str):
                raise Invalid(f"{self.called(name)}[{i}] is no text.")
        return found


def columns(top: Fields) -> dict[str, Any] | None:
    """What a body declares of the columns, by their position, as a version keeps it; None for nothing.

    Raises:
        Invalid: A type is not known, or a link has no target.
    """
    found = []
    for one in top.objects("columns", most=10_000):
        kind = one.object("type")
        column: dict[str, Any] = {
            "type": kind.text("name"),
            "nullable": kind.flag("isNullable", default=True),
            "list": kind.flag("isList", default=False),
        }
        if "target" in kind:
            target = kind.object("target")
            column["target"] = {
                "baseTypeName": target.text("baseTypeName"),
                "schemaId": target.optional_text("schemaId"),
            }
        found.append(column)
    declared = {"columns": found} if found else None
    rules_of(declared)
    return declared
