"""Tables of routes for doors whose paths are their clients' own: with names that hold slashes, without redirects.

A door says how it writes a path as a pattern; looking one up, and what is said where there is none, is the same for
all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import Scope

from entrepot.model.errors import Malformed

__all__ = ["PathTable", "require_utf8"]

C = TypeVar("C")


class PathTable(Generic[C]):
    """Path → method → what answers.

    Args:
        routes: In the order in which they are tried.
        pattern: What a path of the table stands for; its named groups are the names in the path.
    """

    def __init__(self, routes: Mapping[str, Mapping[str, C]], pattern: Callable[[str], re.Pattern[str]]) -> None:
        self._table = [(pattern(path), calls) for path, calls in routes.items()]

    def find(self, scope: Scope) -> tuple[C, dict[str, str]] | None:
        """What answers a request, and the names in its path; None where there is nothing.

        Raises:
            Malformed: The path is not UTF-8.
            HTTPException: 405, with what there is instead of this method.
        """
        path: str = scope["path"]
        if "\ufffd" in path:
            require_utf8(scope)
        other: set[str] = set()
        for pattern, calls in self._table:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            call = calls.get(scope["method"])
            if call is not None:
                return call, found.groupdict()
            other |= set(calls)
        if other:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(other))})
        return None


def require_utf8(scope: Scope) -> None:
    """Servers put U+FFFD where a path is not UTF-8; taken for the name, two different paths would be one.

    Raises:
        Malformed
    """
    raw: bytes = scope.get("raw_path") or b""
    try:
        unquote_to_bytes(raw.partition(b"?")[0]).decode()
    except UnicodeDecodeError as wrong:
        raise Malformed("The path is not percent-encoded UTF-8.") from wrong
