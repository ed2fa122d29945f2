"""A program for tests: writes to a catalogue until it is killed, telling on stdout what was acknowledged.

python -m tests.support.catalog_writer commits URL SEED     commits to version 1, prints "rev K" after each
python -m tests.support.catalog_writer marks URL NAME N     N one-row transactions, prints their order at the end
"""

from __future__ import annotations

import random
import sys
import threading
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, insert

from entrepot.catalog import entries
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import Put, Remove
from entrepot.catalog.schema import word


def commits(url: str, seed: int) -> None:
    """Each revision holds exactly `r/<its number>` and a hundred files that all say which revision wrote them last."""
    catalog = Catalog.open(url, clock=lambda: datetime.now(UTC))
    chosen = random.Random(seed)

    def work(conn: Connection) -> int:
        rev = int(conn.exec_driver_sql("SELECT rev FROM version WHERE id = 1").scalar_one()) + 1
        some = {chosen.randrange(100) for _ in range(chosen.randrange(1, 40))} | {rev % 100}
        # Contents 1 and 2 are there.
        changes: list[entries.RowChange] = [Put(f"f/{n:02}", 1 + rev % 2, meta=str(rev)) for n in sorted(some)]
        changes.append(Put(f"r/{rev}", 1))
        if rev > 1:
            changes.append(Remove(f"r/{rev - 1}"))
        now = datetime.now(UTC)
        made = entries.commit(conn, 1, changes, expected=rev - 1, author=None, at=now, message=f"{rev}", event=1)
        return made.num

    while True:
        print("rev", catalog.write(work), flush=True)


def marks(url: str, name: str, count: int) -> None:
    """`count` transactions from four threads as fast as they go; waits for a line on stdin to begin."""
    catalog = Catalog.open(url, clock=lambda: datetime.now(UTC))
    print("ready", flush=True)
    sys.stdin.readline()
    left = iter(range(count))
    lock = threading.Lock()

    def add(conn: Connection, text: str) -> None:
        conn.execute(insert(word).values(text=text))

    def run() -> None:
        while True:
            with lock:
                n = next(left, None)
            if n is None:
                return
            catalog.write(partial(add, text=f"{name} {n}"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    catalog.close()
    print("done", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "commits":
        commits(sys.argv[2], int(sys.argv[3]))
    else:
        marks(sys.argv[2], sys.argv[3], int(sys.argv[4]))
