"""The catalogue as the floors above see it: open, read, write, upgrade, close.

A *read* is a short-lived snapshot. A *write* is a function that gets a connection, runs inside one transaction, and
whose value comes back after that transaction is durable. Everything else of this floor are functions over such a
connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from entrepot.catalog.deeds import settling, with_last
from entrepot.catalog.failures import ConstraintViolated, Contended, NotYet
from entrepot.catalog.listening import Listener
from entrepot.catalog.sqlite import SqliteBackend
from entrepot.catalog.transaction import Hook, after_commit, run_hooks
from entrepot.catalog.words import Words
from entrepot.model.errors import Invalid, Unavailable

__all__ = ["Catalog", "ConstraintViolated", "Contended", "NotYet"]

T = TypeVar("T")

#: How often a write may ask for preparation before it is refused. Each time somebody else was faster.
PREPARATIONS = 8


class _Backend(Protocol):
    dialect: str
    reader: Engine
    writer: Engine

    def read(self, snapshot: bool) -> AbstractContextManager[Connection]: ...
    def write(self, work: Callable[[Connection], Any], bulk: bool) -> tuple[Any, list[Hook]]: ...
    def alone(self) -> AbstractContextManager[None]: ...
    def listener(self, channel: str) -> Listener | None: ...
    def copy_to(self, path: Path) -> bool: ...
    def wal_size(self) -> int: ...
    def close(self) -> None: ...


class _Moment(AbstractContextManager[Connection]):
    """A read that goes on over several blocks; begun by the first of them."""

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._read = read
        self._begun: AbstractContextManager[Connection] | None = None
        self._conn: Connection | None = None
        self._inside = 0
        self._is_over = False

    def __enter__(self) -> Connection:
        if self._conn is None:
            self._begun = self._read()
            self._conn = self._begun.__enter__()
        self._inside += 1
        return self._conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        if not self._inside and (error is not None or self._is_over):
            # The connection may be no good any more, and its transaction surely is not on PostgreSQL.
            self._leave(kind, error, trace)

    def end(self) -> None:
        """Let the moment pass, unless somebody is still reading: then with them."""
        if self._inside:
            self._is_over = True
        else:
            self._leave(None, None, None)

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begun, self._begun, self._conn, self._is_over = self._begun, None, None, False
        if begun is not None:
            begun.__exit__(kind, error, trace)


class _Here(threading.local):
    """What belongs to one thread."""

    moment: _Moment | None = None


class Catalog:
    """Facts, in SQLite or PostgreSQL. Safe to use from any number of threads; made by `open`."""

    def __init__(self, backend: _Backend, clock: Callable[[], datetime]) -> None:
        self._backend = backend
        self._clock = clock
        self._here = _Here()

    @classmethod
    def open(cls, url_or_path: str | Path, *, clock: Callable[[], datetime], gate_dir: Path | None = None) -> Catalog:
        """Open a database; nothing is changed in it before `upgrade`.

        Args:
            url_or_path: The path of an SQLite file, `sqlite:///path`, or `postgresql+psycopg://…`.
            clock: Gives the present as an aware UTC time.
            gate_dir: Where processes on one SQLite file keep their lock files; None is beside the database.
                All processes on one database must name the same folder.

        Raises:
            Invalid: Neither a path nor an address of one of the two databases.
            Unavailable: The database cannot be reached.
        """
        options = {"entrepot_words": Words()}
        if isinstance(url_or_path, str) and "://" in url_or_path:
            try:
                url = make_url(url_or_path)
            except ArgumentError as error:
                # The message must not repeat the address: it may hold a password.
                raise Invalid("The address of the catalogue cannot be understood.") from error
            if url.get_backend_name() == "postgresql":
                from entrepot.catalog.postgres import PostgresBackend

                return cls(PostgresBackend(url, options), clock)
            if url.get_backend_name() != "sqlite" or not url.database:
                raise Invalid(
                    f"The catalogue can be an SQLite file or a PostgreSQL database, not {url.get_backend_name()}."
                )
            path = Path(url.database)
        else:
            path = Path(url_or_path)
        if str(path) == ":memory:":
            raise Invalid("The catalogue needs a file: its readers and its writer are different connections.")
        return cls(SqliteBackend(path.absolute(), gate_dir, options), clock)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._backend.dialect

    @property
    def clock(self) -> Callable[[], datetime]:
        return self._clock

    def now(self) -> datetime:
        return self._clock()

    def read(self, *, snapshot: bool = True) -> AbstractContextManager[Connection]:
        """A connection for reading; everything read through it is of one moment.

        Keep it for one page at most: an open read keeps the log of SQLite from being cut and old rows of PostgreSQL
        from being removed.

        Args:
            snapshot: False saves two round trips on PostgreSQL, and every statement sees its own moment.

        Raises:
            Unavailable: The database is out of reach, or all connections are busy.
        """
        return self._here.moment or self._backend.read(snapshot)

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """What this thread reads inside the block is all of one moment, that of its first read.

        For a few short reads that follow each other, of which each would begin and end a transaction of its own. A
        write ends the moment: what is read after it is what it has made.
        """
        if self._here.moment is not None:
            yield
            return
        moment = self._here.moment = _Moment(partial(self._backend.read, snapshot=True))
        try:
            yield
        finally:
            self._here.moment = None
            moment.end()

    def write(self, work: Callable[[Connection], T], *, bulk: bool = False) -> T:
        """Run `work` in one write transaction and return its value once the commit is durable.

        `work` may run more than once (the database chose it as a victim, another job of its batch took the
        transaction down, a preparation was needed), always in a transaction in which nothing of the earlier run is
        left: it must have no effect but on its connection, and hand other effects to `after_commit`. It must be quick,
        wait for nothing, and neither commit nor roll back; `conn.begin_nested()` is allowed. On SQLite it runs in the
        writer thread of this process, with the context variables of the caller.

        What `work` raises takes back everything it wrote and comes out here. In a context that is `deeds.settling`,
        work that did something ends with what that context wants written.

        Args:
            bulk: It writes more than about 2 000 rows: do not make other writers share its transaction.

        Raises:
            Contended: Other writers were in the way, again and again.
            DiskFull, Unavailable, Corrupt: What the database said. Nothing was changed.
            ConstraintViolated: A rule of the schema refused a row and `work` did not catch it.
        """
        whole = with_last(work)
        for _ in range(PREPARATIONS):
            if self._here.moment is not None:
                self._here.moment.end()
            try:
                value, hooks = self._backend.write(whole, bulk)
            except NotYet as pending:
                # A preparation is not the work: it may be made and the work still be refused.
                with settling(None):
                    pending.prepare(self)
                continue
            run_hooks(hooks)
            result: T = value
            return result
        raise Unavailable("Other writers were always faster. Try again.")

    @staticmethod
    def after_commit(conn: Connection, hook: Callable[[], None]) -> None:
        """Call `hook` once after the transaction of `conn` is durable; see `transaction.after_commit`."""
        after_commit(conn, hook)

    def upgrade(self) -> None:
        """Bring the schema to the newest revision. Processes that start together wait for the one that does it.

        Raises:
            Unsupported: A newer Entrepot wrote this database.
        """
        # Imported here, because whoever only serves has no use for the machinery of migrations.
        from entrepot.catalog.migrations import upgrade

        with self._backend.alone():
            upgrade(self._backend.writer, self._backend.dialect)

    def listener(self, channel: str) -> Listener | None:
        """Something to wait for notifications with; None on SQLite, which has none. The caller closes it."""
        return self._backend.listener(channel)

    def copy_to(self, path: Path) -> bool:
        """Copy an SQLite file as it is at one moment to a new one; False on PostgreSQL, where that is no copy."""
        return self._backend.copy_to(path)

    def wal_size(self) -> int:
        """Bytes in the write-ahead log of SQLite, for the metrics; 0 on PostgreSQL."""
        return self._backend.wal_size()

    def close(self) -> None:
        """End the writer after what is queued, and close all connections."""
        self._backend.close()
