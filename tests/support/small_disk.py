"""A PostgreSQL whose data folder, with its log, is a disk of its own that can be made full: really, by the system.

    with server.full(log=5000):        5,000 bytes more of the log fit on it
        …                              the server refuses statements, or ends
    server.execute("select 1")         there is room again; if the server had ended it was started again

The disk is in memory, in a mount namespace that only the server and the process that holds it are in: nothing of it is
to be seen outside, and it goes with that process. Making one takes the rights of root.

What PostgreSQL does when a disk is full depends on what does not fit. A table or an index that cannot grow is an error
of the statement. The log is written ahead of everything, in segments of 1 MiB here; without a next one nothing can be
promised, so the whole server ends, and comes back when somebody made room and starts it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg

from tests.support.postgres import START_TIMEOUT_S, PostgresServer, PostgresUnavailable

__all__ = ["SEGMENT", "SmallDisk"]

SEGMENT: Final = 1 << 20
#: Before it is made full. Memory is taken for what is written only.
_ROOMY: Final = 1 << 30
#: Of a page of the log, and what begins each.
_PAGE, _PAGE_HEAD = 8192, 24
#: What is written around the text of a message: its own head, and the end of its transaction.
_RECORDS: Final = 180
_AHEAD: Final = (
    "select count(*) from pg_ls_waldir() "
    "where name > pg_walfile_name(pg_current_wal_insert_lsn()) and name ~ '^[0-9A-F]{24}$'"
)
#: Less than a segment, and more than a small change of tables and indexes takes.
_NO_SEGMENT: Final = 700 << 10


class SmallDisk(PostgresServer):
    """A server on a disk of its own.

    Raises:
        PostgresUnavailable: There are no binaries, or such a disk cannot be made.
    """

    settings: ClassVar[dict[str, str]] = {
        **PostgresServer.settings,
        # No segment of the log is made or kept before it is needed, and nothing happens by itself.
        "wal_recycle": "off",
        "checkpoint_timeout": "1d",
        "max_wal_size": "4GB",
        "autovacuum": "off",
    }

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None
        super().__init__()

    @property
    def data(self) -> Path:
        return self.folder / "disk" / "data"

    def _initialise(self) -> None:
        if self._account is None or shutil.which("unshare") is None or shutil.which("setpriv") is None:
            raise PostgresUnavailable("a small disk for PostgreSQL takes the rights of root, unshare and setpriv")
        disk = self.folder / "disk"
        disk.mkdir()
        owner = f"mode=0700,uid={self._account.pw_uid},gid={self._account.pw_gid}"
        # It holds the disk until its input ends, however this process does.
        script = f"mount -t tmpfs -o size={_ROOMY},{owner} tmpfs {disk} && echo made && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._holder.stdout is not None
        told = self._holder.stdout.readline()
        if told != b"made\n":
            raise PostgresUnavailable(f"a small disk cannot be mounted here: {told.decode(errors='replace').strip()}")
        super()._initialise()

    def _initdb(self) -> list[str | Path]:
        return [*super()._initdb(), f"--wal-segsize={SEGMENT >> 20}"]

    def _inside(self, command: list[str | Path]) -> list[str | Path]:
        """The command with the disk before its eyes."""
        assert self._holder is not None
        return ["nsenter", "--mount", f"--target={self._holder.pid}", *command]

    def _as_account(self, command: list[str | Path]) -> tuple[list[str | Path], dict[str, Any]]:
        assert self._account is not None
        who = [f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}", "--clear-groups"]
        return self._inside(["setpriv", *who, *command]), {"cwd": "/", "stdin": subprocess.DEVNULL}

    def lent(self, key: str, prepare: Callable[[str], None]) -> contextlib.AbstractContextManager[str]:
        """A new copy each time: one that was emptied has room in its files, and would not need the disk."""
        return self.lent_new(key, prepare)

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A new database, as the base class gives it."""
        with super().database(template) as name:
            # A sequence that was copied is not written to the log again before the next checkpoint (PostgreSQL 15): the
            # server would give numbers a second time after its recovery. No catalogue of the product is a copy.
            self.execute("checkpoint")
            yield name

    def log_position(self) -> int:
        """How many bytes of the log were ever written."""
        with self._connected() as connection:
            return int(_value(connection, "select pg_current_wal_insert_lsn() - '0/0'"))

    @contextlib.contextmanager
    def full(self, *, log: int | None = None, tables: int = 0) -> Iterator[None]:
        """Inside there is no room on the disk but for so much.

        Args:
            log: Bytes that the log can still grow by, where that is what comes to its end.
            tables: Bytes that tables and indexes can still grow by, where it is them; the log goes on then.
        """
        if log is None:
            self._lead_log_before_end(SEGMENT - (64 << 10))
            room = tables
        else:
            segments, rest = divmod(log, SEGMENT)
            self._lead_log_before_end(min(rest, SEGMENT - (64 << 10)))
            room = segments * SEGMENT + _NO_SEGMENT
        self._resize(self._used() + room)
        try:
            yield
        finally:
            self._resize(_ROOMY)
            self._come_back()

    def _lead_log_before_end(self, left: int) -> None:
        """Write into the log until so many bytes are left of its segment, and no other one is there."""
        with self._connected() as connection:
            for _ in range(10):
                remaining = SEGMENT - int(_value(connection, "select pg_current_wal_insert_lsn() - '0/0'")) % SEGMENT
                if _value(connection, _AHEAD) or remaining < left:
                    connection.execute("select pg_switch_wal()")
                    # A switch writes nothing by itself when the segment is new.
                    connection.execute("select pg_logical_emit_message(true, 'entrepot', 'next')")
                    continue
                fill = (remaining - left) * (_PAGE - _PAGE_HEAD) // _PAGE - _RECORDS
                if fill <= 0:
                    return
                connection.execute("select pg_logical_emit_message(true, 'entrepot', repeat('x', %s))", (fill,))
        raise AssertionError("the log of PostgreSQL cannot be led to its end")

    def _used(self) -> int:
        assert self._holder is not None
        found = os.statvfs(f"/proc/{self._holder.pid}/root{self.folder}/disk")
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _resize(self, size: int) -> None:
        command = self._inside(["mount", "-o", f"remount,size={size}", self.folder / "disk"])
        subprocess.run(command, check=True, capture_output=True)

    def _come_back(self) -> None:
        """As an operator does who has made room: what has ended is started again."""
        deadline = time.monotonic() + START_TIMEOUT_S
        assert self._process is not None
        while not self._answers(self.port):
            if self._process.poll() is not None:
                self._start_on(self.port)
                return
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-2000:]
            time.sleep(0.02)

    def _connected(self) -> Any:
        # What is written is on the disk when it is said to be.
        address = self.url("postgres", driver="postgresql")
        return psycopg.connect(address, autocommit=True, options="-c synchronous_commit=on")

    def close(self) -> None:
        super().close()
        if self._holder is not None:
            for pipe in (self._holder.stdin, self._holder.stdout):
                if pipe is not None:
                    pipe.close()
            self._holder.wait()
            self._holder = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _value(connection: Any, question: str) -> Any:
    return connection.execute(question).fetchone()[0]
