"""Reading the parameters of a request: each by its name and type, and nothing left over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from entrepot.model.errors import Invalid

__all__ = ["Params"]

#: More than any rate or time; whole numbers of JSON may be larger than what a float holds.
_MOST = 1e15


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
        _require_characters(name, found)
        return found

    def path(self, name: str) -> Path:
        """An absolute path of this computer. Only here may a text have bytes that are no UTF-8, as file names do."""
        given = self._typed(name, str, "a path")
        if not given:
            raise Invalid(f"{self._method} needs {name}, a path.")
        try:
            if b"\0" in os.fsencode(given):
                raise ValueError
        except ValueError:
            raise Invalid(f"{name} is no path that this system could have.") from None
        found = Path(given)
        if not found.is_absolute():
            raise Invalid(f"{name} is an absolute path, not {given[:200]!r}: the daemon is in another folder than you.")
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
        if found is not None and not abs(found) <= _MOST:
            raise Invalid(f"{name} is a number up to {_MOST:g}.")
        return None if found is None else float(found)

    def maybe_texts(self, name: str) -> list[str] | None:
        found: list[str] | None = self._typed(name, list, "a list of texts")
        if found is not None and not all(isinstance(one, str) for one in found):
            raise Invalid(f"{name} is a list of texts.")
        _require_characters(name, found)
        return found

    def maybe_object(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._typed(name, dict, "an object")
        _require_characters(name, found)
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


def _require_characters(name: str, value: Any) -> None:
    """
    Raises:
        Invalid: Somewhere in it are halves of characters, which neither the journal nor the server can keep.
    """
    if value is None:
        return
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()
    except UnicodeEncodeError:
        raise Invalid(f"{name} has a lone surrogate, which is no character. Send text in UTF-8.") from None
