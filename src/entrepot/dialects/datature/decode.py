"""Fields of a body, checked where they are read; the message says which field, by its path from the top."""

from __future__ import annotations

from typing import Any

from entrepot.model.errors import Invalid

__all__ = ["Fields"]


class Fields:
    """An object of a body.

    Args:
        path: How its own place is called, `` at the top.

    Raises:
        Invalid: It is no object.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            what = f"{path} is" if path else "The body is"
            raise Invalid(f"{what} {_kind(value)}; a JSON object is expected.")
        self._fields: dict[str, Any] = value
        self._path = path

    def _called(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Whether the field is given; null is not."""
        return self._fields.get(name) is not None

    def value(self, name: str) -> Any:
        """A field that has to be there, of any kind.

        Raises:
            Invalid
        """
        if not self.has(name):
            raise Invalid(f"{self._called(name)} is missing.")
        return self._fields[name]

    def object(self, name: str) -> Fields:
        return Fields(self.value(name), self._called(name))

    def text(self, name: str) -> str:
        found = self.value(name)
        if not isinstance(found, str):
            raise Invalid(f"{self._called(name)} is {_kind(found)}; a text is expected.")
        return found

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def number(self, name: str, *, least: int, most: int = 2**53) -> int:
        """A whole number in a range. Its JSON has no point and no exponent, and true is none."""
        found = self.value(name)
        if not isinstance(found, int) or isinstance(found, bool):
            raise Invalid(f"{self._called(name)} is {_kind(found)}; a whole number is expected.")
        if not least <= found <= most:
            raise Invalid(f"{self._called(name)} is a whole number from {least} to {most}.")
        return found

    def optional_number(self, name: str, *, least: int, most: int = 2**53) -> int | None:
        return self.number(name, least=least, most=most) if self.has(name) else None

    def array(self, name: str, *, most: int) -> list[Any]:
        found = self.value(name)
        if not isinstance(found, list):
            raise Invalid(f"{self._called(name)} is {_kind(found)}; a list is expected.")
        if len(found) > most:
            raise Invalid(f"{self._called(name)} has {len(found)} elements; at most {most} are taken.")
        return found

    def objects(self, name: str, *, most: int) -> list[Fields]:
        """A list of objects."""
        return [Fields(one, f"{self._called(name)}[{i}]") for i, one in enumerate(self.array(name, most=most))]

    def texts(self, name: str, *, most: int) -> list[str]:
        """A list of texts."""
        found = self.array(name, most=most)
        for i, one in enumerate(found):
            if not isinstance(one, str):
                raise Invalid(f"{self._called(name)}[{i}] is {_kind(one)}; a text is expected.")
        return found

    def word(self, name: str, allowed: str) -> None:
        """A field that can be only one word.

        Raises:
            Invalid
        """
        if self.text(name) != allowed:
            raise Invalid(f"{self._called(name)} can only be {allowed}.")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number" if isinstance(value, int) else "a number with a fraction"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"
