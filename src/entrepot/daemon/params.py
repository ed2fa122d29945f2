"""Reading the parameters of a request: each by its name and type, and nothing left over."""

from __future__ import annotations

from typing import Any

from entrepot.model.errors import Invalid

__all__ = ["Params"]


class Params:
    """The parameters of one request of `method`. What is null counts as not given.

    Raises:
        Invalid: From each method: the parameter is missing, of another type, or unknown; the message names it.
    """

    def __init__(self, method: str, given: dict[str, Any]) -> None:
        self._method = method
        self._left = dict(given)

    def has(self, name: str) -> bool:
        """Given at all, be it as null."""
        return name in self._left

    def text(self, name: str) -> str:
        found = self.maybe_text(name)
        if not found:
            raise Invalid(f"{self._method} needs {name}, a text.")
        return found

    def maybe_text(self, name: str) -> str | None:
        found: str | None = self._typed(name, str, "a text")
        return found

    def maybe_flag(self, name: str) -> bool | None:
        found: bool | None = self._typed(name, bool, "true or false")
        return found

    def maybe_whole(self, name: str, least: int, most: int) -> int | None:
        found: int | None = self._typed(name, int, "a whole number")
        if found is not None and not least <= found <= most:
            raise Invalid(f"{name} is a whole number from {least} to {most}, not {found}.")
        return found

    def maybe_number(self, name: str) -> float | None:
        found = self._typed(name, (int, float), "a number")
        return None if found is None else float(found)

    def maybe_texts(self, name: str) -> list[str] | None:
        found: list[str] | None = self._typed(name, list, "a list of texts")
        if found is not None and not all(isinstance(one, str) for one in found):
            raise Invalid(f"{name} is a list of texts.")
        return found

    def maybe_object(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._typed(name, dict, "an object")
        return found

    def _typed(self, name: str, kind: Any, said: str) -> Any:
        found = self._left.pop(name, None)
        if found is None:
            return None
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise Invalid(f"{name} is {said}, not {str(found)[:50]!r}.")
        return found

    def end(self) -> None:
        """
        Raises:
            Invalid: A parameter is left that the method does not have.
        """
        if self._left:
            raise Invalid(f"{self._method} has no parameter {next(iter(self._left))!r}. Check its spelling.")
