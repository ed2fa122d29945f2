"""What a write transaction did, and what its caller wants written down about that in the same transaction.

    settling(last)   around the work of a request
        └─► Catalog.write(work)   work, then `last(conn, deeds)` if work noted any, then the commit

Whoever writes a fact notes it (`note`): every event is a deed, and so is every task. What is only looked up, made ready
or remembered leaves no deed, and may be done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

__all__ = ["Deed", "Last", "begin_deeds", "note", "read_deeds", "settling", "with_last", "write_deeds"]

T = TypeVar("T")

_KEY = "entrepot.deeds"
#: What a request is about comes first or, where it makes a path, last; nobody needs all of a thousand.
_MOST = 16


@dataclass(frozen=True, slots=True)
class Deed:
    """One fact by the numbers that the catalogue gives; `subject` is an id, as in an event."""

    verb: str
    project: int | None = None
    version: int | None = None
    revision: int | None = None
    subject: str | None = None


Last = Callable[[Connection, Sequence[Deed]], None]

_last: ContextVar[Last | None] = ContextVar("entrepot.last", default=None)


def begin_deeds(conn: Connection) -> None:
    """A new transaction, or another run of its work: nothing was done yet."""
    conn.info[_KEY] = []


def note(conn: Connection, deed: Deed) -> None:
    """A fact was written in this transaction."""
    noted: list[Deed] = conn.info.setdefault(_KEY, [])
    noted[:] = _bounded([*noted, deed])


def _bounded(deeds: Sequence[Deed]) -> Sequence[Deed]:
    return deeds if len(deeds) <= _MOST else [*deeds[: _MOST - 1], deeds[-1]]


@contextmanager
def settling(last: Last | None) -> Iterator[None]:
    """In this context every write that does something ends with `last`, in its transaction; None is without.

    What `last` raises takes back the whole write.
    """
    token = _last.set(last)
    try:
        yield
    finally:
        _last.reset(token)


def with_last(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """The work of a write with what its context adds to it."""
    last = _last.get()
    if last is None:
        return work

    def whole(conn: Connection) -> T:
        begin_deeds(conn)
        value = work(conn)
        noted: list[Deed] = conn.info[_KEY]
        if noted:
            last(conn, noted)
        return value

    return whole


def write_deeds(deeds: Sequence[Deed]) -> list[dict[str, Any]]:
    """As JSON values."""
    return [{name: value for name, value in asdict(deed).items() if value is not None} for deed in _bounded(deeds)]


def read_deeds(rows: Sequence[Mapping[str, Any]]) -> tuple[Deed, ...]:
    return tuple(Deed(**row) for row in rows)
