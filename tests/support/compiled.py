"""Statements are compiled once for a test run, not once for every catalogue that a test opens.

A server compiles each of its statements once in its life. Here hundreds of catalogues live for a moment each, and the
compiling was half of what they did. What is shared is text and types alone, of engines that are equal in all that the
text depends on; transactions and settings stay each catalogue's own. (Connections: `tests.support.connections`.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, MutableMapping
from typing import Any

from sqlalchemy import Engine, create_engine

from entrepot.catalog import postgres, sqlite
from tests.support import connections


class Compiled(MutableMapping[tuple[Any, ...], Any]):
    """What SQLAlchemy keeps compiled statements in, for all engines of one kind.

    Its keys begin with the dialect, an object of each engine; here what makes two of them alike stands for it.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    @staticmethod
    def _alike(key: tuple[Any, ...]) -> Hashable:
        dialect = key[0]
        return (type(dialect), dialect.paramstyle, dialect.server_version_info, *key[1:])

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return self._kept[self._alike(key)]

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._kept[self._alike(key)] = compiled

    def __delitem__(self, key: tuple[Any, ...]) -> None:
        del self._kept[self._alike(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def share() -> None:
    """From now on every catalogue of this process takes part."""
    compiled = Compiled()

    def sharing(*args: Any, execution_options: dict[str, Any], **more: Any) -> Engine:
        return create_engine(*args, execution_options={**execution_options, "compiled_cache": compiled}, **more)

    def keeping(*args: Any, **more: Any) -> Engine:
        return connections.keep(sharing(*args, **more))

    sqlite.create_engine = sharing  # type: ignore[attr-defined]
    postgres.create_engine = keeping  # type: ignore[attr-defined]
