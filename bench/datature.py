"""The Datature door: 100,000 datasets listed page by page, there and back; datasets created with their file.

    python -m bench datature [--datasets 100000] [--creates 200] [--limit 100] [--pages 30] [--seconds 150] [--keep]

The list asks the same of every page, whatever page it is: the goal is that a page at the end takes no more than 1.5
times as long as one at the head. The whole list is walked once, in the largest pages that the door gives, and counted;
pages of `--limit` are then timed at its head, its middle and its end, there and back again, in turns of random order.
Creating is what the client does: a POST, and a PUT of a small file to the address that it answers; fsync is on. One
kept connection, one answering process. The datasets of the list are rows copied behind the server's back from one that
was made by the wire, since 100,000 real ones would take longer than they are worth.

Once a quarter of `--seconds` has passed no further dataset is created, and once all have, no further page is asked for,
but every stretch has its first ones; what was cut short is said.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import insert, select

from bench._house import RESULTS, Connection, House, entrepot, machine, middle
from entrepot.catalog.connection import Connection as Rows
from entrepot.catalog.schema import dataset, version
from entrepot.server import config as server_config
from entrepot.server.compose import open_depot
from entrepot.store.hashing import Hasher

#: Rows that are written in one transaction.
_SLICE = 5_000
#: A page at the end of the list over one at its head.
GOAL = 1.5
#: The first datasets that are created only warm up; what the last one is waited for, in seconds.
WARM = 10
CHECKED_S = 60
#: The largest page that the door gives.
LARGEST = 1_000
#: Each place of the list is timed so often.
TURNS = 3


class Client:
    """Requests of the client's kind over one connection."""

    def __init__(self, link: Connection, house: House, project: str) -> None:
        self.link = link
        self.key = {"Secret-Key": house.token, "Content-Type": "application/json"}
        self.at = f"/projects/{project}/batch/datasets"

    def create(self, name: str, data: bytes) -> dict[str, Any]:
        hasher = Hasher()
        hasher.update(data)
        crc32c = base64.b64encode(hasher.digests().crc32c.to_bytes(4, "big")).decode()
        source = {"kind": "UploadedNewlineDelimitedJsonFile", "sizeBytes": len(data), "crc32c": crc32c}
        body = json.dumps({"name": name, "spec": {"source": source}}).encode()
        made: dict[str, Any] = json.loads(self.link.ask("POST", self.at, self.key, body)[2])
        upload = made["status"]["source"]["uploadUrl"]
        fields = {name: value for name, value in upload["headers"].items() if name != "content-length"}
        self.link.ask("PUT", urlsplit(upload["url"]).path, fields, data)
        return made

    def get(self, uid: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.link.ask("GET", f"{self.at}/{uid}", self.key)[2])
        return found

    def page(self, cursor: str | None, limit: int) -> tuple[float, dict[str, Any]]:
        asked = f"limit={limit}&" if cursor is None else f"page={cursor}&limit={limit}&"
        start = time.perf_counter()
        answer = self.link.ask("GET", f"{self.at}?{asked}", self.key)[2]
        return time.perf_counter() - start, json.loads(answer)


def multiply(data: Path, uid: UUID, count: int) -> None:
    """So many datasets more, each like the one that is there."""
    with open_depot(server_config.load({}, data=data)) as depot:

        def work(conn: Rows, first: int, last: int) -> None:
            row = conn.execute(select(version).where(version.c.uid == uid)).one()._asdict()
            line = conn.execute(select(dataset).where(dataset.c.id == row["dataset"])).one()._asdict()
            n, home = row.pop("id"), line.pop("id")
            lines = [
                {**line, "id": home + i, "uid": depot.new_uid(), "name": f"run {i}", "slug": f"run-{i}"}
                for i in range(first, last)
            ]
            conn.execute(insert(dataset), lines)
            rows = [
                {**row, "id": n + i, "uid": depot.new_uid(), "dataset": home + i, "alias": None}
                for i in range(first, last)
            ]
            conn.execute(insert(version), rows)

        for first in range(1, count, _SLICE):
            last = min(first + _SLICE, count)
            depot.catalog.write(lambda conn, a=first, b=last: work(conn, a, b), bulk=True)


Late = Callable[[], bool]


def created(link: Connection, house: House, count: int, late: Late) -> tuple[Client, dict[str, Any], list[float]]:
    """Datasets made as the client makes them: the last one, checked, and the seconds of each."""
    fields = {**house.bearer, "Content-Type": "application/json"}
    wanted = json.dumps({"name": "datature"}).encode()
    project = json.loads(link.ask("POST", "/api/v1/projects", fields, wanted)[2])["id"]
    client = Client(link, house, project)
    seconds: list[float] = []
    for i in range(count + WARM):
        data = b'{"kind": "Image", "url": "https://example.org/%d"}\n' % i * 50
        start = time.perf_counter()
        made = client.create(f"create {i}", data)
        if i >= WARM:
            seconds.append(time.perf_counter() - start)
            if late():
                break
    until = time.monotonic() + CHECKED_S
    while (state := client.get(made["id"])["status"]["overview"]) != "Uploaded":
        if time.monotonic() > until:
            raise RuntimeError(f"{made['id']} is {state} after {CHECKED_S} s")
        time.sleep(0.1)
    return client, made, seconds


def walk(client: Client, late: Late) -> tuple[list[str | None], int, bool]:
    """The whole list in large pages: the cursor of each page, how many datasets, and whether the end was reached."""
    cursors: list[str | None] = [None]
    seen: set[str] = set()
    while True:
        _, page = client.page(cursors[-1], LARGEST)
        seen.update(one["id"] for one in page["data"])
        if page["nextPage"] is None:
            return cursors, len(seen), True
        if late():
            return cursors, len(seen), False
        cursors.append(page["nextPage"])


def there_and_back(client: Client, cursor: str | None, limit: int, pages: int) -> tuple[list[float], list[float]]:
    """Seconds of so many pages from a cursor on, or of those that there are, and of the same pages backward.

    Raises:
        RuntimeError: The way back showed something else.
    """
    on: list[float] = []
    back: list[float] = []
    shown: list[list[str]] = []
    for _ in range(pages):
        seconds, page = client.page(cursor, limit)
        on.append(seconds)
        shown.append([one["id"] for one in page["data"]])
        if page["nextPage"] is None:
            break
        cursor = page["nextPage"]
    for expected in reversed(shown[:-1]):
        seconds, page = client.page(page["prevPage"], limit)
        back.append(seconds)
        if [one["id"] for one in page["data"]] != expected:
            raise RuntimeError("a page was another one on the way back")
    return on, back


def stretches(
    client: Client, cursors: list[str | None], limit: int, pages: int, late: Late
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of pages at the head, the middle and the end of the list, forward and backward."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ("head", "middle", "end")}
    # The last large page may be short, so the end begins one before it.
    at = {"head": cursors[0], "middle": cursors[len(cursors) // 2], "end": cursors[-2:][0]}
    for turn in range(TURNS):
        if turn and late():
            break
        for name in random.sample(list(at), len(at)):
            on, back = there_and_back(client, at[name], limit, max(2, pages // TURNS))
            found[name][0].extend(on)
            found[name][1].extend(back)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench datature")
    parser.add_argument("--datasets", type=int, default=100_000)
    parser.add_argument("--creates", type=int, default=200)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--pages", type=int, default=30, help="pages timed in each direction at each of three places")
    parser.add_argument("--seconds", type=float, default=150, help="no further page after these (default 150)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    begun = time.monotonic()

    def late(part: float = 1.0) -> bool:
        return time.monotonic() - begun > options.seconds * part

    with (
        tempfile.TemporaryDirectory(prefix="datature-") as scratch,
        entrepot(Path(scratch)) as house,
    ):
        with Connection(house.server.port) as link:
            client, made, creates = created(link, house, options.creates, lambda: late(0.25))
        multiply(house.data, UUID(made["id"].removeprefix("dataset_")), options.datasets)
        # The server ends connections on which nothing is asked for long.
        with Connection(house.server.port) as link:
            client.link = link
            client.page(None, options.limit)
            # The large pages are not the point: time must be left for the small ones.
            cursors, seen, whole = walk(client, lambda: late(0.75))
            found = stretches(client, cursors, options.limit, options.pages, late)
    lines = ["| case | ms, median (range) | timed |", "| --- | --- | --- |"]
    figures: dict[str, list[float]] = {}
    for place, (on, back) in found.items():
        figures[f"page forward, {place}"] = on
        figures[f"page backward, {place}"] = back
    figures["create and PUT of 2.6 kB"] = creates
    lines += [
        f"| {name} | {middle([1000 * one for one in some], '.2f')} | {len(some)} |"
        for name, some in figures.items()
        if some
    ]
    ratio = statistics.median(figures["page forward, end"]) / statistics.median(figures["page forward, head"])
    verdict = "reached" if ratio <= GOAL else "missed"
    rate = 1 / statistics.median(creates)
    walked = "the whole list was" if whole else "time was over before the end, so the end is that of what was"
    about = (
        f"{options.datasets} datasets, {options.limit} a page; {walked} walked, {seen} datasets. A page at the end "
        f"took {ratio:.2f} times as long as one at the head (goal {GOAL}, {verdict}). {rate:.0f} creates with their "
        f"PUT a second over one connection, {len(creates)} of {options.creates}, fsync on. "
        f"{time.monotonic() - begun:.0f} s in all. {machine()}."
    )
    text = "\n".join(lines)
    print(f"{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench datature --keep`.\n\n"
        (RESULTS / "datature.md").write_text(f"{head}{text}\n", encoding="utf-8")
        kept = json.dumps({"about": about, "seconds": figures, "cores": os.cpu_count()}, indent=1)
        (RESULTS / "datature.json").write_text(f"{kept}\n", encoding="utf-8")
    return 0
