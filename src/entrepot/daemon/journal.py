"""What the daemon has promised: one SQLite file, written before a transfer is acknowledged and after each step of it.

    transfer    what was asked for, how far it is, and how it ended; ended ones are kept for a while
    file        what a finished download put where, row by row: a hundred thousand files are not read for every look
    upload      which contents of a transfer the server has begun or finished taking, by SHA-256
    watch       folders that are pushed when they settle
    setting     what was set while the daemon ran, such as the rate limit

`synchronous = full` with a write-ahead log: what was answered is on the disk, also after a power cut. What only saves a
step that can be repeated is safe from the end of the process, not from that. What changes with every block (bytes done)
is not written at all: the server and the unfinished files know it better.

The state machine of a transfer:

    queued ──► running ──► done | failed | cancelled
      ▲          │
      │          ▼
      └────── waiting        for another attempt, for a login, or for `resume` (then `paused` is set)

A daemon that starts puts everything that was running back to queued. Only a socket's own daemon, which holds its lock,
opens this file for writing.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from entrepot.client.journal import Remembered, remembered
from entrepot.model.errors import Conflict, DiskFull, NotFound, Unavailable

__all__ = ["ENDED", "STATES", "Journal", "Transfer", "Uploads", "Watch"]

STATES = ("queued", "running", "waiting", "done", "failed", "cancelled")
ENDED = frozenset({"done", "failed", "cancelled"})
_VERSION = 1
#: How long, and how many, ended transfers are kept: their ids answer repeats of lost calls.
_KEEP_S = 14 * 24 * 3600
_KEEP = 5000
_KEEP_FILES_S = 24 * 3600
#: A larger journal is taken as it is: nobody waits seconds for a daemon to begin.
_CHECKED = 64 << 20

_SCHEMA = """
create table if not exists transfer (
    n integer primary key autoincrement, id text not null unique, key text unique, kind text not null,
    state text not null, paused integer not null default 0, priority integer not null default 0,
    client text not null, server text not null, params text not null, facts text not null default '{}',
    file_name text not null, bytes_done integer not null default 0, bytes_total integer not null default 0,
    attempts integer not null default 0, retry_at real, result text, error text, accepted_at real not null,
    ended_at real);
create index if not exists transfer_state on transfer (state);
create table if not exists upload (
    transfer text not null, sha256 blob not null, upload text not null, finished integer not null,
    primary key (transfer, sha256)) without rowid;
create table if not exists file (
    transfer text not null, n integer not null, row text not null, primary key (transfer, n)) without rowid;
create table if not exists watch (
    id text primary key, folder text not null unique, target text not null, server text not null,
    settle_s real not null, pushed text, pushed_at real, error text);
create table if not exists setting (name text primary key, value text not null) without rowid;
"""
_COLUMNS = (
    "n, id, key, kind, state, paused, priority, client, server, params, facts, file_name, bytes_done, bytes_total, "
    "attempts, retry_at, result, error, accepted_at, ended_at"
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row of the journal.

    Args:
        n: Order of acceptance.
        key: What the client called its request, so that a repeat of it is the same transfer.
        kind: `upload` or `download`.
        paused: It waits for `resume`, whatever its state.
        priority: Higher goes first.
        client: Who asked; the share of each is fair.
        server: Address that it was accepted for; a later login elsewhere does not lead it away.
        params: What was asked for.
        facts: What was found out and must stay so: the version that was made, the revision that is pinned.
        retry_at: When it may be tried again, by the clock of the engine that runs; the next one tries at once.
        error: The last failure; of an ended transfer the reason.
    """

    n: int
    id: str
    key: str | None
    kind: str
    state: str
    client: str
    server: str
    params: dict[str, Any]
    file_name: str
    accepted_at: float
    paused: bool = False
    priority: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    bytes_done: int = 0
    bytes_total: int = 0
    attempts: int = 0
    retry_at: float | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Watch:
    """A folder whose settled files become revisions. `pushed` is the fingerprint of what was pushed last."""

    id: str
    folder: str
    target: str
    server: str
    settle_s: float
    pushed: str | None = None
    pushed_at: float | None = None
    error: dict[str, Any] | None = None


class Journal:
    """Methods may be called from any thread; each change is durable when it returns.

    Args:
        path: The SQLite file; its folder exists. A damaged one is put aside, and a new one begun.
        clock: Seconds since 1970.
        read_only: Look and touch nothing; a damaged file is an error then.

    Raises:
        Unavailable: It cannot be opened or, from every change, not written: most often the disk is full. Nothing of
            the change is kept then.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, *, read_only: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self.damaged: Path | None = None
        if read_only:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            return
        try:
            self._connection = _open(path)
        except sqlite3.OperationalError as error:
            raise _unwritable(path, error) from error
        except sqlite3.DatabaseError:
            self.damaged = path.with_name(f"{path.name}.damaged-{int(clock())}")
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).replace(f"{self.damaged}{suffix}")
            self._connection = _open(path)

    @contextlib.contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                # What may be lost in a power cut is found out again; a later durable write takes it along.
                self._connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                with self._connection:
                    yield self._connection
            except sqlite3.OperationalError as error:
                raise _unwritable(self._path, error) from error

    def recover(self) -> int:
        """Take over from a daemon that is gone: what ran is queued again. Answers how much is unfinished."""
        with self._write() as db:
            db.execute("update transfer set state = 'queued' where state = 'running'")
            db.execute("update transfer set retry_at = null where state = 'waiting'")
            db.execute("update transfer set state = 'queued' where state = 'waiting' and not paused")
        self.forget_old()
        return self.unfinished()

    def forget_old(self) -> None:
        """Let go of what ended long ago, or before very many others."""
        old = "state in ('done', 'failed', 'cancelled') and (ended_at < ? or n <= (select max(n) - ? from transfer))"
        with self._write() as db:
            db.execute(f"delete from transfer where {old}", (self._clock() - _KEEP_S, _KEEP))  # noqa: S608  constants
            db.execute("delete from upload where transfer not in (select id from transfer)")
            # Whoever waits for a download asks at once which files there are.
            kept = "select id from transfer where ended_at is null or ended_at >= ?"
            db.execute(f"delete from file where transfer not in ({kept})", (self._clock() - _KEEP_FILES_S,))  # noqa: S608

    def unfinished(self) -> int:
        with self._lock:
            (count,) = self._connection.execute(
                "select count(*) from transfer where state in ('queued', 'running', 'waiting')"
            ).fetchone()
        return int(count)

    # --- transfers ----------------------------------------------------------------------------------------------------

    def accept(
        self,
        transfer_id: str,
        kind: str,
        params: dict[str, Any],
        *,
        client: str,
        server: str,
        file_name: str,
        key: str | None,
        priority: int = 0,
        bytes_total: int = 0,
    ) -> tuple[Transfer, bool]:
        """Promise a transfer; and whether it is new. A key that was used for the same request gives its transfer.

        Raises:
            Conflict: The key was used for another request.
        """
        with self._write() as db:
            if key is not None:
                known = db.execute(f"select {_COLUMNS} from transfer where key = ?", (key,)).fetchone()  # noqa: S608
                if known is not None:
                    found = _transfer(known)
                    if (found.kind, found.params) != (kind, json.loads(json.dumps(params))):
                        raise Conflict(
                            f"The key {key!r} belongs to transfer {found.id}, which is another. Use a new one."
                        )
                    return found, False
            db.execute(
                "insert into transfer (id, key, kind, state, priority, client, server, params, file_name, bytes_total, "
                "accepted_at) values (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
                (
                    transfer_id,
                    key,
                    kind,
                    priority,
                    client,
                    server,
                    json.dumps(params),
                    file_name,
                    bytes_total,
                    self._clock(),
                ),
            )
        return self.get(transfer_id), True

    def get(self, transfer_id: str) -> Transfer:
        """
        Raises:
            NotFound: There is no such transfer, or it ended long ago.
        """
        with self._lock:
            row = self._connection.execute(
                f"select {_COLUMNS} from transfer where id = ?",  # noqa: S608  constants
                (transfer_id,),
            ).fetchone()
        if row is None:
            raise NotFound(f"There is no transfer {transfer_id[:100]!r}. `entrepot daemon status` lists them.")
        return _transfer(row)

    def transfers(self, *, ended: int = 100) -> list[Transfer]:
        """The unfinished ones in order of acceptance, after the last `ended` that have ended."""
        with self._lock:
            rows = self._connection.execute(
                f"select {_COLUMNS} from transfer where state in ('queued', 'running', 'waiting') or n in (select n "  # noqa: S608
                "from transfer where state in ('done', 'failed', 'cancelled') order by ended_at desc, n desc limit ?) "
                "order by n",
                (ended,),
            ).fetchall()
        return [_transfer(row) for row in rows]

    def change(self, transfer_id: str, *, durable: bool = True, **values: Any) -> Transfer:
        """Set columns, unless the transfer has ended: an end is final. Answers the row as it is then.

        Args:
            durable: On the disk when this returns; otherwise safe from the end of the process only.
        """
        texts = {
            name: json.dumps(value) if name in ("facts", "result", "error") and value is not None else value
            for name, value in values.items()
        }
        if values.get("state") in ENDED:
            texts["ended_at"] = self._clock()
        names = ", ".join(f"{name} = ?" for name in texts)
        with self._write(durable=durable) as db:
            db.execute(
                f"update transfer set {names} where id = ? and state not in ('done', 'failed', 'cancelled')",  # noqa: S608
                (*texts.values(), transfer_id),
            )
        return self.get(transfer_id)

    def learn(self, transfer: Transfer, *, durable: bool = True, **facts: Any) -> Transfer:
        """Write down what must stay so from now on; also of one that was ended while its last call was on the way.

        What a cancelled upload made after all has to be known, to be taken back.
        """
        with self._lock:
            known = {**self.get(transfer.id).facts, **facts}
            with self._write(durable=durable) as db:
                db.execute("update transfer set facts = ? where id = ?", (json.dumps(known), transfer.id))
            return self.get(transfer.id)

    # --- files of downloads -------------------------------------------------------------------------------------------

    def put_files(self, transfer_id: str, rows: Iterable[list[Any]]) -> None:
        """Keep what a download put where, any JSON a file; what was kept of an earlier attempt goes."""
        with self._write() as db:
            db.execute("delete from file where transfer = ?", (transfer_id,))
            numbered = ((transfer_id, n, json.dumps(row)) for n, row in enumerate(rows))
            db.executemany("insert into file values (?, ?, ?)", numbered)

    def files(self, transfer_id: str, start: int, count: int) -> list[list[Any]]:
        with self._lock:
            found = self._connection.execute(
                "select row from file where transfer = ? and n >= ? order by n limit ?", (transfer_id, start, count)
            ).fetchall()
        return [json.loads(row) for (row,) in found]

    # --- uploads ------------------------------------------------------------------------------------------------------

    def uploads(self, transfer_id: str) -> Uploads:
        return Uploads(self, transfer_id)

    def find_upload(self, transfer_id: str, sha256: bytes) -> Remembered | None:
        with self._lock:
            row = self._connection.execute(
                "select upload, finished from upload where transfer = ? and sha256 = ?", (transfer_id, sha256)
            ).fetchone()
        return None if row is None else Remembered(row[0], bool(row[1]))

    def find_uploads(self, transfer_id: str, digests: Sequence[bytes]) -> dict[bytes, Remembered]:
        with self._lock:
            query = "select sha256, upload, finished from upload where transfer = ?"
            return remembered(self._connection, query, transfer_id, digests)

    def note_upload(self, transfer_id: str, sha256: bytes, upload: str, *, finished: bool) -> None:
        # That one has begun must not be forgotten; that it is finished, the server says too.
        with self._write(durable=not finished) as db:
            db.execute(
                "insert or replace into upload values (?, ?, ?, ?)", (transfer_id, sha256, upload, int(finished))
            )

    def note_batch(self, transfer_id: str, digests: Iterable[bytes], upload: str) -> None:
        with self._write() as db:
            db.executemany(
                "insert or replace into upload values (?, ?, ?, 1)",
                [(transfer_id, digest, upload) for digest in digests],
            )

    def forget_uploads(self, transfer_id: str, digests: Iterable[bytes]) -> None:
        with self._write() as db:
            db.executemany(
                "delete from upload where transfer = ? and sha256 = ?", [(transfer_id, digest) for digest in digests]
            )

    def forget_all_uploads(self, transfer_id: str) -> None:
        with self._write() as db:
            db.execute("delete from upload where transfer = ?", (transfer_id,))

    # --- watches and settings -----------------------------------------------------------------------------------------

    def watches(self) -> list[Watch]:
        with self._lock:
            rows = self._connection.execute(
                "select id, folder, target, server, settle_s, pushed, pushed_at, error from watch order by folder"
            ).fetchall()
        return [_watch(row) for row in rows]

    def put_watch(self, watch: Watch) -> Watch:
        """Add it, or replace the one on the same folder, whose id it keeps."""
        with self._write() as db:
            known = db.execute("select id from watch where folder = ?", (watch.folder,)).fetchone()
            kept = replace(watch, id=watch.id if known is None else known[0])
            db.execute(
                "insert or replace into watch values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    kept.id,
                    kept.folder,
                    kept.target,
                    kept.server,
                    kept.settle_s,
                    kept.pushed,
                    kept.pushed_at,
                    None if kept.error is None else json.dumps(kept.error),
                ),
            )
        return kept

    def drop_watch(self, identity: str) -> Watch:
        """By id or folder.

        Raises:
            NotFound: Nothing is watched under that name.
        """
        found: Watch | None = next((one for one in self.watches() if identity in (one.id, one.folder)), None)
        if found is None:
            raise NotFound(f"{identity[:200]!r} is not watched. `entrepot daemon watch` lists what is.")
        with self._write() as db:
            db.execute("delete from watch where id = ?", (found.id,))
        return found

    def setting(self, name: str) -> Any:
        with self._lock:
            row = self._connection.execute("select value from setting where name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        with self._write() as db:
            db.execute("insert or replace into setting values (?, ?)", (name, json.dumps(value)))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class Uploads:
    """One transfer's begun uploads, in the form in which the SDK's sender remembers them.

    Not the SDK's own file, which all programs of a user share: two transfers of one content would go on with the same
    upload and take each other's place.
    """

    def __init__(self, journal: Journal, transfer_id: str) -> None:
        self._journal = journal
        self._transfer = transfer_id

    def find(self, server: str, sha256: bytes) -> Remembered | None:  # noqa: ARG002  a transfer has one server
        return self._journal.find_upload(self._transfer, sha256)

    def find_many(self, server: str, digests: Sequence[bytes]) -> dict[bytes, Remembered]:  # noqa: ARG002
        return self._journal.find_uploads(self._transfer, digests)

    def note(self, server: str, sha256: bytes, upload: str, *, finished: bool) -> None:  # noqa: ARG002
        self._journal.note_upload(self._transfer, sha256, upload, finished=finished)

    def note_batch(self, server: str, digests: Iterable[bytes], upload: str) -> None:  # noqa: ARG002
        self._journal.note_batch(self._transfer, digests, upload)

    def forget(self, server: str, digests: Iterable[bytes]) -> None:  # noqa: ARG002
        self._journal.forget_uploads(self._transfer, digests)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        (version,) = connection.execute("pragma user_version").fetchone()
        if version > _VERSION:
            raise Conflict(f"{str(path)!r} was written by a newer release of entrepot. Update this one.")
        # Damage in its middle would end every daemon at some later statement, over and over.
        if path.stat().st_size <= _CHECKED:
            (found,) = connection.execute("pragma quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        connection.executescript(_SCHEMA)
        connection.execute(f"pragma user_version = {_VERSION}")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _unwritable(path: Path, error: sqlite3.OperationalError) -> Unavailable:
    kind = DiskFull if error.sqlite_errorcode == sqlite3.SQLITE_FULL else Unavailable
    return kind(
        f"The daemon's journal {str(path)!r} cannot be written: {error}. Make room on that disk, or look at it."
    )


def _transfer(row: tuple[Any, ...]) -> Transfer:
    (
        (n, identity, key, kind, state, paused, priority, client, server, params, facts, file_name),
        (done, total, attempts, retry_at, result, error, accepted_at, ended_at),
    ) = row[:12], row[12:]
    return Transfer(
        n,
        identity,
        key,
        kind,
        state,
        client,
        server,
        json.loads(params),
        file_name,
        accepted_at,
        paused=bool(paused),
        priority=priority,
        facts=json.loads(facts),
        bytes_done=done,
        bytes_total=total,
        attempts=attempts,
        retry_at=retry_at,
        result=_object(result),
        error=_object(error),
        ended_at=ended_at,
    )


def _object(text: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


def _watch(row: tuple[Any, ...]) -> Watch:
    identity, folder, target, server, settle_s, pushed, pushed_at, error = row
    return Watch(identity, folder, target, server, settle_s, pushed, pushed_at, _object(error))
