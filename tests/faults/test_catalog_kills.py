"""Writers killed with SIGKILL, full disks, two processes on one file: nothing acknowledged is lost or half done."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from entrepot.catalog import entries
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import event, word
from entrepot.model.errors import Corrupt, DiskFull, NotFound, Unavailable
from tests.support.catalogs import Clock
from tests.support.histories import Histories
from tests.support.starter import Started


def start(root: Path, *arguments: str) -> Any:
    return Started(
        [sys.executable, "-m", "tests.support.catalog_writer", *arguments],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_and_check(root: Path, h: Histories, url: str, rounds: int, seed: int) -> None:
    """Kill a committing process after a random number of acknowledgements, again and again."""
    v = h.version()
    assert v == 1
    h.content("1")
    h.content("2")
    h.write(lambda conn: conn.execute(insert(event), {"at": h.clock(), "verb": "x", "door": "test"}))
    chosen = random.Random(seed)
    acknowledged = 0
    for round_ in range(rounds):
        process = start(root, "commits", url, str(seed * 1000 + round_))
        for _ in range(chosen.randrange(1, 25)):
            line = process.stdout.readline()
            assert line.startswith("rev "), "the writer ended by itself"
            acknowledged = int(line.split()[1])
        process.send_signal(signal.SIGKILL)
        # What it said in between counts too; a line that was cut was not heard by anybody. Not with `communicate`,
        # which reads past what is in the buffer already.
        rest = process.stdout.read().split("\n")
        process.communicate()
        said = [int(line.split()[1]) for line in rest[:-1] if line.startswith("rev ")]
        acknowledged = max([acknowledged, *said])
        newest = h.newest(v)
        # At most the one that was being answered is there beyond what was acknowledged.
        assert acknowledged <= newest <= acknowledged + 1
        check(h, v, range(max(1, newest - 30), newest + 1))
    check(h, v, range(1, h.newest(v) + 1))


def check(h: Histories, v: int, revs: range) -> None:
    """Every revision is whole: its own mark, nobody else's, and no file that says it was written later."""
    for rev in revs:
        rows = {row.path: row for row in h.listing(v, rev, size=500)}
        assert [path for path in rows if path.startswith("r/")] == [f"r/{rev}"]
        assert rows[f"f/{rev % 100:02}"].meta == str(rev)
        assert all(int(row.meta or 0) <= rev for row in rows.values())
        with h.catalog.read() as conn:
            shown = entries.revision(conn, v, rev)
            assert shown is not None
            assert shown.n_entries == len(rows)
            assert shown.n_bytes == sum(row.size for row in rows.values())


@pytest.mark.parametrize("catalog_url", ["sqlite", "postgresql"], indirect=True)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(
    root: Path, histories: Histories, catalog_url: str | Path
) -> None:
    kill_and_check(root, histories, str(catalog_url), rounds=4, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("catalog_url", ["sqlite", "postgresql"], indirect=True)
def test_a_writer_killed_many_times_loses_nothing(root: Path, histories: Histories, catalog_url: str | Path) -> None:
    kill_and_check(root, histories, str(catalog_url), rounds=60, seed=2)


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_the_database_is_whole_after_kills(root: Path, histories: Histories, catalog_url: Path) -> None:
    kill_and_check(root, histories, str(catalog_url), rounds=2, seed=3)
    with sqlite3.connect(catalog_url) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert conn.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_two_processes_take_turns(root: Path, catalog: Catalog, catalog_url: Path) -> None:
    """Counted, not timed: while both write without pause, neither gets far ahead of the other."""
    count = 1500
    writers = [start(root, "marks", str(catalog_url), name, str(count)) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.stdout.readline() == "done\n"
        assert writer.wait() == 0
    with catalog.read() as conn:
        order = [text.split()[0] for text in conn.execute(select(word.c.text).order_by(word.c.id)).scalars()]
    assert Counter(order) == {"one": count, "two": count}
    # From when both are under way to when the first one is through.
    began = max(order.index("one"), order.index("two"))
    ended = min(len(order) - order[::-1].index(name) for name in ("one", "two"))
    shared = Counter(order[began:ended])
    assert ended - began > count, "they did not run beside each other"
    assert 0.2 < shared["one"] / (ended - began) < 0.8


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_said_and_changes_nothing(catalog_url: Path) -> None:
    """A database that may not grow behaves as on a full disk."""
    catalog = Catalog.open(catalog_url, clock=Clock())
    with catalog._backend.writer.connect() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
    with catalog.read() as conn:
        before = len(conn.execute(select(word)).all())

    def grow(conn: Connection) -> None:
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        for n in range(2000):
            conn.execute(insert(word).values(text=f"{n} " + "x" * 1000))

    with pytest.raises(DiskFull):
        catalog.write(grow)
    with catalog.read() as conn:
        assert len(conn.execute(select(word)).all()) == before
    catalog.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    catalog.write(lambda conn: conn.execute(insert(word).values(text="goes on")))
    catalog.close()


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_who_shares_a_batch_with_a_full_disk_is_not_dragged_along(catalog_url: Path) -> None:
    """The disk takes the whole transaction away; the others of the batch run again, alone."""
    from concurrent.futures import ThreadPoolExecutor

    catalog = Catalog.open(catalog_url, clock=Clock())
    catalog.write(lambda conn: conn.execute(insert(word).values(text="first")))
    with catalog._backend.writer.connect() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()

    def one(n: int) -> str:
        def work(conn: Connection) -> None:
            greedy = n % 10 == 0
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4 if greedy else 1_000_000}")
            conn.execute(insert(word).values(text=f"word {n} " + "x" * (2_000_000 if greedy else 1)))

        try:
            catalog.write(work)
        except DiskFull:
            return "full"
        return "done"

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(one, range(60)))
    assert answers == ["full" if n % 10 == 0 else "done" for n in range(60)]
    with catalog.read() as conn:
        assert len(conn.execute(select(word)).all()) == 1 + 54
    catalog.close()


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_damaged_database_is_called_that(catalog_url: Path) -> None:
    data = bytearray(catalog_url.read_bytes())
    data[4096 * 3 : 4096 * 60] = random.Random(1).randbytes(4096 * 57)
    catalog_url.write_bytes(data)
    catalog = Catalog.open(catalog_url, clock=Clock())

    def look() -> None:
        with catalog.read() as conn:
            for table in ("word", "version", "live", "past", "job", "event", "upload"):
                conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()

    with pytest.raises(Corrupt, match="backup"):
        look()
    catalog.close()


def test_a_file_that_is_no_database_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    catalog = Catalog.open(path, clock=Clock())
    with pytest.raises(Corrupt), catalog.read() as conn:
        conn.exec_driver_sql("SELECT 1 FROM sqlite_master").all()
    with pytest.raises(Corrupt):
        catalog.write(lambda conn: None)
    catalog.close()


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_reader_that_was_left_open_does_not_stop_writers(catalog: Catalog) -> None:
    with catalog.read() as conn:
        conn.execute(select(word)).first()
        for n in range(5):
            catalog.write(lambda inner, n=n: inner.execute(insert(word).values(text=str(n))))
        assert conn.execute(select(word)).all() == []


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_result_left_unread_in_a_failed_write_does_not_harm_the_next(catalog: Catalog) -> None:
    """Its cursor is still open, held by the error's traceback, when the next write begins."""
    for n in range(10):
        catalog.write(lambda conn, n=n: conn.execute(insert(word).values(text=str(n))))

    def leaves_a_cursor(conn: Connection) -> None:
        rows = conn.execute(select(word))
        assert rows.fetchone() is not None
        raise NotFound("with rows unread")

    held = []
    for n in range(3):
        with pytest.raises(NotFound) as caught:
            catalog.write(leaves_a_cursor)
        held.append(caught)
        catalog.write(lambda conn, n=n: conn.execute(insert(word).values(text=f"after {n}")))
    with catalog.read() as conn:
        assert len(conn.execute(select(word)).all()) == 13


def test_a_connection_that_the_server_ended_is_replaced(
    request: pytest.FixtureRequest, postgres_url: str, clock: Clock
) -> None:
    """Kept connections die when the database restarts; the next read may fail once, a write goes on by itself."""
    catalog = Catalog.open(postgres_url, clock=clock)
    catalog.upgrade()
    catalog.write(lambda conn: conn.execute(insert(word).values(text="a")))
    with catalog.read() as conn:
        conn.execute(select(word)).all()
    server = request.getfixturevalue("postgres_server")
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'entrepot'")
    catalog.write(lambda conn: conn.execute(insert(word).values(text="b")))
    with contextlib.suppress(Unavailable), catalog.read() as conn:
        conn.execute(select(word)).all()
    with catalog.read() as conn:
        assert len(conn.execute(select(word)).all()) == 2
    catalog.close()
