"""What a database driver can say, in words of our own: the one edge where driver errors are translated.

Every engine of the catalogue has `translate` behind its `handle_error` event, so no driver exception passes this floor:

    disk full                       DiskFull; ConnectionLost if PostgreSQL itself ended because of it
    locked, connection lost, I/O    Unavailable
    malformed database              Corrupt
    serialization, deadlock         Contended (an Unavailable; the write is tried again before anybody sees it)
    a constraint                    ConstraintViolated, for the noun module that knows what the name means
    a value no column can hold      Invalid: NUL, half a character, an integer beyond 64 bits

The last is a net: gates on the floors above refuse such values in better words, and a look-up answers that there is no
such thing. Anything else is a mistake in our own SQL and passes as it is.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, Index, PrimaryKeyConstraint, UniqueConstraint, event
from sqlalchemy.engine import ExceptionContext

from entrepot.catalog.schema import metadata
from entrepot.model.errors import Corrupt, DiskFull, Invalid, Unavailable

if TYPE_CHECKING:
    import psycopg

    from entrepot.catalog.database import Catalog

__all__ = ["ConnectionLost", "ConstraintViolated", "Contended", "NotYet", "install", "translate"]

ConstraintKind = Literal["unique", "foreign_key", "check", "not_null"]


class ConstraintViolated(Exception):
    """A rule of the schema refused a row.

    Args:
        kind: Which sort of rule.
        constraint: Its name in the schema, the same on both databases; None where SQLite does not tell
            (foreign keys), `table.column` for a column that must not be null.
    """

    def __init__(self, kind: ConstraintKind, constraint: str | None, text: str) -> None:
        super().__init__(text)
        self.kind: ConstraintKind = kind
        self.constraint = constraint


class Contended(Unavailable):
    """Two transactions got into each other's way and the database chose one to give up."""


class ConnectionLost(Unavailable):
    """The server ended this connection, and probably all that are as old."""


class NotYet(Exception):
    """`work` cannot be done in one short transaction before something longer is prepared outside of it.

    `Catalog.write` rolls back, calls `prepare` without holding any transaction, and runs `work` again.
    """

    def __init__(self, prepare: Callable[[Catalog], None]) -> None:
        super().__init__("preparation needed")
        self.prepare = prepare


def translate(error: BaseException) -> Exception | None:
    """What `error` of a driver means here; None when it means a mistake of ours."""
    if isinstance(error, sqlite3.Error):
        return _translate_sqlite(error)
    # Eleven megabytes that a server on SQLite has no use for: who raises one of its errors has imported the driver.
    driver = sys.modules.get("psycopg")
    if driver is not None and isinstance(error, driver.Error):
        return _translate_postgres(error)
    # What the drivers let through of Python's own: an integer beyond 64 bits, a text with half a character.
    return _unstorable() if isinstance(error, OverflowError | UnicodeEncodeError) else None


def _unstorable() -> Invalid:
    return Invalid(
        "A value of this request is one that the catalogue cannot hold: a text with a NUL or with half a character, "
        "or a number beyond 64 bits. Nothing was changed."
    )


def install(engine: Engine) -> None:
    """Translate whatever leaves this engine; the driver's exception stays attached as the cause."""

    def on_error(context: ExceptionContext) -> Exception | None:
        return translate(context.original_exception)

    event.listen(engine, "handle_error", on_error, retval=True)


_SQLITE_CONSTRAINTS: dict[int, ConstraintKind] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "unique",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
    sqlite3.SQLITE_CONSTRAINT_ROWID: "unique",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign_key",
    sqlite3.SQLITE_CONSTRAINT_CHECK: "check",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "not_null",
}


def _translate_sqlite(error: sqlite3.Error) -> Exception | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    text = str(error)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        kind = _SQLITE_CONSTRAINTS.get(code, "check")
        return ConstraintViolated(kind, _sqlite_constraint(kind, text), text)
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull("The disk of the catalogue is full. Free some space and try again; nothing was changed.")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("The catalogue is locked by another program that is writing to it. Try again.")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(f"The catalogue database is damaged ({text}). Stop the server and restore it from a backup.")
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM):
        return Unavailable(f"The catalogue database cannot be read or written ({text}). See to its disk and try again.")
    return None


def _sqlite_constraint(kind: ConstraintKind, text: str) -> str | None:
    """SQLite names columns ("version.project, version.alias") where PostgreSQL names the constraint."""
    _, _, rest = text.partition("failed: ")
    if not rest:
        return None
    if rest.startswith("index "):
        return rest.removeprefix("index ").strip("'")
    if kind == "unique":
        columns = tuple(rest.split(", "))
        return _unique_names().get(columns, rest)
    return rest


@cache
def _unique_names() -> dict[tuple[str, ...], str]:
    names: dict[tuple[str, ...], str] = {}
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint) and constraint.columns:
                names[tuple(f"{table.name}.{c.name}" for c in constraint.columns)] = str(constraint.name)
        for index in table.indexes:
            if isinstance(index, Index) and index.unique:
                names[tuple(f"{table.name}.{c.name}" for c in index.columns)] = str(index.name)
    return names


_POSTGRES_CONSTRAINTS: dict[str, ConstraintKind] = {
    "23505": "unique",
    "23P01": "unique",
    "23503": "foreign_key",
    "23001": "foreign_key",
    "23514": "check",
    "23502": "not_null",
}


#: Number out of range; bytes or escapes that are no characters; a JSON text deeper than the server's stack.
_UNSTORABLE = {"22003", "22021", "22P05", "22P02", "54001"}


#: What the driver says when it never had a connection.
_NEVER_THERE = ("connection failed", "connection is bad", "connection timeout", "failed to resolve host")


def _translate_postgres(error: psycopg.Error) -> Exception | None:
    import psycopg

    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            told = str(error).partition("\n")[0]
            if told.startswith(_NEVER_THERE):
                return ConnectionLost(
                    f"The database cannot be reached ({told}). See that it runs, and that the setting `database` and "
                    "its password are right."
                )
            return ConnectionLost("The connection to the database was lost. Try again.")
        # The driver itself refuses NUL in a text.
        return _unstorable() if isinstance(error, psycopg.DataError) else None
    text = str(error).partition("\n")[0]
    kind = _POSTGRES_CONSTRAINTS.get(state)
    if kind is not None:
        name = error.diag.constraint_name
        if kind == "not_null":
            name = f"{error.diag.table_name}.{error.diag.column_name}"
        return ConstraintViolated(kind, name, text)
    if state in _UNSTORABLE:
        return _unstorable()
    if state in ("40001", "40P01"):
        return Contended("Too many writers changed the same thing at once. Try again.")
    if state == "53100" or (state == "XX000" and "quota exceeded" in text.lower()):
        # Before PostgreSQL 16 the quota of its account is none of the errors that it knows.
        if error.diag.severity_nonlocalized == "PANIC":
            # Its log found no room. What was in it before that holds, so a commit may be made that was answered thus.
            return ConnectionLost(
                "The disk of the database server is full, and the server ended. Free some space and start it again."
            )
        return DiskFull("The disk of the database server is full. Free some space and try again; nothing was changed.")
    if state == "42501":
        return Unavailable(
            f"The account of the database may not do this ({text}). Make it the owner of the database, or else of its "
            "schema public."
        )
    if state == "25006":
        return Unavailable(f"The database takes no writes ({text}). Name the server that does, not a copy of it.")
    if state[:2] in ("28", "3D"):
        return ConnectionLost(
            f"The database lets nobody in ({text}). See that the setting `database` and its password are right."
        )
    if state in ("XX001", "XX002"):
        return Corrupt(f"The database reports damage ({text}). Stop the server and restore it from a backup.")
    if state[:2] == "08" or state in ("57P01", "57P02", "57P03", "57P05"):
        return ConnectionLost("The database server ended the connection. Try again.")
    # 53 resources, 57 operator intervention, 58 system, 55P03 lock not available.
    if state[:2] in ("53", "57", "58") or state == "55P03":
        return Unavailable(f"The database does not answer ({text}). Try again.")
    return None
