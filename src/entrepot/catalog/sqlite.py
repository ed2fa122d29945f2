"""The catalogue in one SQLite file: many readers, one writer thread a process, fair turns between processes.

    read   reader engine: deferred transactions, query_only, connections kept open
    write  queue -> writer thread -> gate -> BEGIN IMMEDIATE, up to 64 jobs each in its SAVEPOINT, one COMMIT -> answers

`synchronous=FULL`: an acknowledged commit survives a power cut. Group commit gives back what the sync costs: the jobs
of one batch share it. There are two engines because Core begins transactions by itself, for reads too: were those
IMMEDIATE, a forgotten read would lock the database.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from entrepot.catalog import failures
from entrepot.catalog.gate import Gate, locked_file
from entrepot.catalog.kept import KeptConnections
from entrepot.catalog.listening import Listener
from entrepot.catalog.transaction import Hook, begin_hooks, guard, roll_back, take_hooks
from entrepot.model.errors import EntrepotError, Unavailable

__all__ = ["SqliteBackend", "fold"]

_log = logging.getLogger("entrepot.catalog")

#: Jobs that share one COMMIT. More would make the first of them wait too long for its answer.
BATCH = 64
#: A writer that had nothing to do for this long gives the log file's room back.
IDLE_S = 1.0
#: The log is cut to this size after a checkpoint; one that grew while a reader was slow does not stay so.
JOURNAL_LIMIT = 64 * 1024 * 1024
#: How long a writer waits for a program that writes without the gate.
BUSY_MS = 10_000
_READ = "BEGIN"

Work = Callable[[Connection], Any]


class SqliteBackend:
    dialect = "sqlite"

    def __init__(self, path: Path, gate_dir: Path | None, options: dict[str, Any], readers: int = 64) -> None:
        self._path = path
        self._lock_dir = gate_dir or path.parent
        gate = Gate(self._lock_dir, path.name)
        url = URL.create("sqlite", database=str(path))
        self.reader = _engine(url, _READ, ("query_only=ON", "cache_size=-4096"), options)
        self.writer = _engine(url, "BEGIN IMMEDIATE", _WRITER_PRAGMAS, options)
        self._kept = KeptConnections(self.reader.connect, readers, keep_after=(EntrepotError,))
        self._thread = _Writer(self.writer, gate)

    def read(self, snapshot: bool) -> AbstractContextManager[Connection]:  # noqa: ARG002 - always a snapshot here
        return self._kept.use()

    def write(self, work: Work, bulk: bool) -> tuple[Any, list[Hook]]:
        return self._thread.run(work, bulk)

    def alone(self) -> AbstractContextManager[None]:
        """Hold the lock under which the schema is changed."""
        return locked_file(self._lock_dir / f"{self._path.name}.migrate")

    def listener(self, channel: str) -> Listener | None:  # noqa: ARG002 - SQLite tells nobody of a commit
        return None

    def copy_to(self, path: Path) -> bool:
        """Copy the pages of one moment to a new file. Writers go on meanwhile, their pages are left out."""
        with failing_in_words(), closing(sqlite3.connect(self._path, timeout=BUSY_MS / 1000)) as source:
            with closing(sqlite3.connect(path)) as target:
                # In one step: between steps a commit of another process would make it begin anew.
                source.backup(target)
            fold(path)
        return True

    def wal_size(self) -> int:
        try:
            return self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        self._thread.close()
        self._kept.close()
        self.reader.dispose()
        self.writer.dispose()


_WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"journal_size_limit={JOURNAL_LIMIT}",
    "cache_size=-16384",
    # Pages of the log after which a commit brings them into the database. A batch of small files changes about a
    # thousand pages once there are many contents, since digests come in no order, and many of them the next one changes
    # again: with the default of 1,000 each wrote all of them a second time, and waited for two more syncs.
    "wal_autocheckpoint=4000",
    # Not temp_store=MEMORY: the journal behind a savepoint is then a list that every statement walks from its beginning
    # (seen: 5.7 s for 10 000 rows into a table of 50 000, 0.4 s without).
)


def fold(path: Path) -> None:
    """Make a database that nobody has open a single file, which can also be read where nothing can be written."""
    with failing_in_words(), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").close()


@contextmanager
def failing_in_words() -> Iterator[None]:
    """What the driver raises, as one of our errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise (failures.translate(error) or error) from error


def _lower(value: str | float | bytes | None) -> str | float | bytes | None:
    """A text in small letters, of whatever alphabet."""
    return value.lower() if isinstance(value, str) else value


def _engine(url: URL, begin: str, pragmas: tuple[str, ...], options: dict[str, Any]) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000, "isolation_level": None},
        query_cache_size=2000,
        execution_options=options,
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # Its own knows the letters of ASCII only: `É` would be another letter than `é` for whoever asks in any case.
        connection.create_function("lower", 1, _lower, deterministic=True)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    def on_begin(conn: Connection) -> None:
        # The driver's own implicit BEGIN is switched off (isolation_level None): it knows only deferred ones.
        # Straight to the driver, because a round through Core costs more than the statement.
        dbapi: Any = conn.connection.dbapi_connection
        try:
            # What was read below Core a moment ago may have begun the transaction.
            if begin != _READ or not dbapi.in_transaction:
                dbapi.execute(begin)
        except sqlite3.Error as error:
            raise (failures.translate(error) or error) from error

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    guard(engine)
    failures.install(engine)
    return engine


class _Job:
    __slots__ = ("bulk", "context", "done", "error", "hooks", "value", "work")

    def __init__(self, work: Work, bulk: bool) -> None:
        self.work = work
        self.bulk = bulk
        self.context = contextvars.copy_context()
        self.value: Any = None
        self.error: BaseException | None = None
        self.hooks: list[Hook] = []
        # A bare lock as a latch: an Event costs several times as much.
        self.done = threading.Lock()
        self.done.acquire()

    def answer(self) -> tuple[Any, list[Hook]]:
        self.done.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.value, self.hooks


def _is_open(conn: Connection) -> bool:
    """Whether Core still knows of the transaction: only then will its commit be one."""
    transaction = conn.get_transaction()
    return transaction is not None and transaction.is_active


class _TransactionLost(Exception):
    """SQLite gave up the whole transaction, not only the statement (disk full, I/O error)."""


class _Writer:
    """The one thread of this process that writes."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate
        self._conn: Connection | None = None
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="catalog-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work, bulk: bool) -> tuple[Any, list[Hook]]:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a write inside a write would wait for itself; use the connection that work was given")
        job = _Job(work, bulk)
        with self._closing:
            if self._closed:
                raise Unavailable("The catalogue is closed.")
            self._queue.put(job)
        return job.answer()

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._gate.close()

    # What follows runs in the thread.

    def _main(self) -> None:
        waiting: _Job | None = None
        dirty = False
        ending = False
        while not ending or waiting is not None:
            job = waiting
            waiting = None
            if job is None:
                try:
                    job = self._queue.get(timeout=IDLE_S if dirty else None)
                except queue.Empty:
                    dirty = False
                    self._checkpoint()
                    continue
                if job is None:
                    break
            batch = [job]
            while not job.bulk and len(batch) < BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True
                    break
                if more.bulk:
                    waiting = more
                    break
                batch.append(more)
            self._serve(batch)
            dirty = True
        if self._conn is not None:
            self._checkpoint()
            self._drop()

    def _serve(self, batch: list[_Job]) -> None:
        try:
            self._gate.enter()
            try:
                self._commit(batch)
            finally:
                self._gate.leave()
        except BaseException as error:
            for job in batch:
                job.error = error
        for job in batch:
            job.done.release()

    def _commit(self, batch: list[_Job]) -> None:
        try:
            self._attempt(batch)
        except _TransactionLost as lost:
            if len(batch) == 1:
                batch[0].error = lost.__cause__
                return
            # One job took the others down with it. Each for itself: the innocent succeed, the guilty hears why.
            for job in batch:
                self._commit([job])

    def _attempt(self, batch: list[_Job]) -> None:
        """Run the jobs in one transaction and commit it; a job that fails keeps its error and takes back its own rows.

        Raises:
            _TransactionLost: The transaction is gone, with what went wrong as its cause; nothing was changed.
        """
        good = 0
        # Alone it needs no savepoint: its failure is that of the transaction.
        shared = len(batch) > 1
        try:
            conn = self._begin()
            dbapi: Any = conn.connection.dbapi_connection
            for job in batch:
                job.error = None
                begin_hooks(conn)
                if shared:
                    dbapi.execute("SAVEPOINT job")
                try:
                    job.value = job.context.run(job.work, conn)
                    good += 1
                except BaseException as error:
                    if not (dbapi.in_transaction and _is_open(conn)):
                        raise
                    job.error = error
                    if shared:
                        dbapi.execute("ROLLBACK TO job")
                job.hooks = take_hooks(conn)
                if shared:
                    dbapi.execute("RELEASE job")
            if good:
                conn.commit()
            else:
                conn.rollback()
        except BaseException as error:
            self._rollback()
            raise _TransactionLost from (failures.translate(error) or error)

    def _begin(self) -> Connection:
        for last in (False, True):
            if self._conn is None:
                self._conn = self._engine.connect()
            try:
                self._conn.begin()
            except BaseException:
                # A cursor that somebody left open pins an old snapshot, and then every BEGIN IMMEDIATE on this
                # connection is refused. A new connection has no cursors.
                self._drop()
                if last:
                    raise
            else:
                return self._conn
        raise AssertionError("unreachable")

    def _rollback(self) -> None:
        if self._conn is None:
            return
        try:
            roll_back(self._conn)
        except Exception:
            self._drop()

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.close()
            except Exception:
                _log.exception("closing the writer connection failed")

    def _checkpoint(self) -> None:
        """Bring the log into the database and cut it to nothing. Readers in the way: next time."""
        if self._conn is None:
            return
        dbapi: Any = self._conn.connection.dbapi_connection
        try:
            self._gate.enter()
            try:
                # Do not hold up other writers while waiting for a reader.
                dbapi.execute("PRAGMA busy_timeout=0")
                dbapi.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                dbapi.execute(f"PRAGMA busy_timeout={BUSY_MS}")
                self._gate.leave()
        except Exception:
            _log.exception("checkpoint failed")
