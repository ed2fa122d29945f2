"""The catalogue in a PostgreSQL database: a transaction for each write, tried again when the database asks for it."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from entrepot.catalog import failures
from entrepot.catalog.failures import ConnectionLost, Contended
from entrepot.catalog.kept import KeptConnections
from entrepot.catalog.listening import Listener
from entrepot.catalog.transaction import Hook, begin_hooks, guard, take_hooks
from entrepot.model.errors import EntrepotError, Unavailable, Unsupported

__all__ = ["PostgresBackend"]

#: How often a write is tried before the caller is told that the database is contended.
ATTEMPTS = 10
#: The oldest PostgreSQL that is not refused.
OLDEST = 13
#: Any number that no other program on the same database is likely to use for its advisory locks.
_SCHEMA_LOCK = 0x656E747265706F74
_log = logging.getLogger("entrepot.catalog")

#: Tables of 2 MiB and more that have doubled since their statistics were taken.
_DOUBLED = text(
    "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace "
    "AND pg_relation_size(oid) >= 2 * 8192 * greatest(relpages::bigint, 128) ORDER BY relname"
)

Work = Callable[[Connection], Any]


class PostgresBackend:
    dialect = "postgresql"

    def __init__(self, url: URL, options: dict[str, Any], readers: int = 16, writers: int = 12) -> None:
        url = url.set(drivername="postgresql+psycopg")
        self.reader = _engine(url, options)
        self.writer = _engine(url, options)
        guard(self.writer)
        self._snapshots = KeptConnections(
            lambda: self.reader.connect().execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            ),
            readers,
            keep_after=(Exception,),
            reads_only=True,
        )
        self._single = KeptConnections(
            lambda: self.reader.connect().execution_options(isolation_level="AUTOCOMMIT"),
            readers,
            keep_after=(Exception,),
            reads_only=True,
        )
        # READ COMMITTED on purpose: after waiting for a lock the next statement must see what its holder wrote.
        self._writers = KeptConnections(
            lambda: self.writer.connect().execution_options(isolation_level="READ COMMITTED"),
            writers,
            keep_after=(Exception,),
        )

    def read(self, snapshot: bool) -> AbstractContextManager[Connection]:
        return (self._snapshots if snapshot else self._single).use()

    def write(self, work: Work, bulk: bool) -> tuple[Any, list[Hook]]:
        value, hooks = self._write(work)
        if bulk:
            self._measure_grown()
        return value, hooks

    def _measure_grown(self) -> None:
        """Take statistics of what a large write made grow.

        Statements are planned once on each connection and keep their plan. One that was made for a table of a few rows
        may walk through a whole version, and would do so until the database's own service comes by, a minute later.
        What is written is written: a failure is logged and changes nothing.
        """
        try:
            with self._single.use() as conn:
                grown = list(conn.execute(_DOUBLED).scalars())
            if not grown:
                return
            with self.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                for table in grown:
                    # Where somebody else is at it, it is done.
                    conn.execute(text(f"ANALYZE (SKIP_LOCKED) {table}"))
        except (EntrepotError, SQLAlchemyError) as error:
            _log.warning("statistics of grown tables were not taken: %s", error)

    def _write(self, work: Work) -> tuple[Any, list[Hook]]:
        reconnected = False
        for attempt in range(1, ATTEMPTS + 1):
            committing = False
            try:
                with self._writers.use() as conn:
                    begin_hooks(conn)
                    value = work(conn)
                    hooks = take_hooks(conn)
                    committing = True
                    conn.commit()
                    return value, hooks
            except Contended:
                if attempt == ATTEMPTS:
                    raise
                # Jitter, so that the two that met do not meet again.
                time.sleep(random.uniform(0.5, 1.5) * min(0.002 * 2**attempt, 0.25))  # noqa: S311 - not a secret
            except ConnectionLost as lost:
                if committing:
                    raise Unavailable(
                        "The connection to the database was lost during the commit, so it is not known whether the "
                        "change was made. Look before you repeat it."
                    ) from lost
                # Most often a kept connection that the server ended meanwhile. Nothing was written: use a new one.
                if reconnected:
                    raise
                reconnected = True
        raise Contended("Too many writers changed the same thing at once. Try again.")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock under which the schema is changed, on a connection of its own; its end lets go."""
        with self.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _SCHEMA_LOCK})
            try:
                yield
            finally:
                conn.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _SCHEMA_LOCK})

    def listener(self, channel: str) -> Listener | None:
        def connect() -> Connection:
            return self.reader.connect().execution_options(isolation_level="AUTOCOMMIT")

        return Listener(connect, channel, failures.translate)

    def copy_to(self, path: Path) -> bool:  # noqa: ARG002 - there are no files of ours to copy
        return False

    def wal_size(self) -> int:
        return 0

    def close(self) -> None:
        for kept in (self._snapshots, self._single, self._writers):
            kept.close()
        self.reader.dispose()
        self.writer.dispose()


def _whole(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**64 else float(digits)


#: JSONB keeps numbers as decimals, so 1e300 comes back with 300 zeros. Nobody stored such an integer: the gate for JSON
#: takes none beyond 64 bits.
_decode = json.JSONDecoder(parse_int=_whole).decode


def _from_json(text: str | bytes) -> Any:
    return _decode(text if isinstance(text, str) else text.decode())


def require_version(number: int) -> None:
    """Refuse a server that is too old, before it refuses a statement in words that nobody understands.

    Args:
        number: As PostgreSQL counts, such as 150004.

    Raises:
        Unsupported
    """
    if number < OLDEST * 10_000:
        major = f"{number // 10_000}" if number >= 100_000 else f"{number // 10_000}.{number // 100 % 100}"
        raise Unsupported(f"The database is PostgreSQL {major}. Entrepot needs {OLDEST} or newer; upgrade it first.")


def _engine(url: URL, options: dict[str, Any]) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        json_deserializer=_from_json,
        connect_args={"application_name": "entrepot", "options": "-c jit=off -c timezone=UTC"},
        # No column of ours is of that type; else each engine asks the database for it first.
        use_native_hstore=False,
        query_cache_size=2000,
        execution_options=options,
    )

    def on_connect(connection: Any, _record: object) -> None:
        require_version(connection.info.server_version)
        # An acknowledged commit must survive a power cut, whatever the server's default says.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    event.listen(engine, "connect", on_connect)
    failures.install(engine)
    return engine
