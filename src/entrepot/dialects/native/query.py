"""Parameters of the routes that the framework does not see."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.types import Scope

from entrepot.model import ids
from entrepot.model.errors import Invalid, Malformed


class Parameters:
    """The query of a request. A name that stands there twice counts once, the last time.

    Raises:
        Malformed: It is not UTF-8.
    """

    def __init__(self, scope: Scope) -> None:
        try:
            text = scope["query_string"].decode("ascii")
            self._given = dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
        except (UnicodeDecodeError, ValueError) as wrong:
            raise Malformed("The query is not percent-encoded UTF-8.") from wrong

    def text(self, name: str) -> str | None:
        return self._given.get(name)

    def revision(self, name: str) -> int | None:
        """A revision number.

        Raises:
            Invalid: It is none.
        """
        text = self._given.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= ids.MAX_REVISION):
            raise Invalid(f"query.{name}: {text[:40]!r} is no revision number.", errors=[{"at": f"query.{name}"}])
        return int(text)

    def flag(self, name: str) -> bool:
        """`true` or `false`.

        Raises:
            Invalid: Something else.
        """
        text = self._given.get(name, "false").lower()
        if text not in ("true", "false", "1", "0"):
            raise Invalid(f"query.{name}: {text[:40]!r} is neither true nor false.", errors=[{"at": f"query.{name}"}])
        return text in ("true", "1")
