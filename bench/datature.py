"""The Datature door: 100,000 datasets listed page by page, there and back; datasets created with their file.

    python -m bench datature [--datasets 100000] [--creates 200] [--keep]

The list asks the same of every page, whatever page it is: the goal is that the last thousandth takes no more than 1.5
times as long as the first. Creating is what the client does: a POST, and a PUT of a small file to the address that it
answers; fsync is on. One kept connection, one answering process. The datasets of the list are rows copied behind the
server's back from one that was made by the wire, since 100,000 real ones would take longer than they are worth.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import tempfile
import time
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
#: The last stretch of the list over the first.
GOAL = 1.5


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


def created(link: Connection, house: House, count: int) -> tuple[Client, dict[str, Any], list[float]]:
    """Datasets made as the client makes them: the last one, checked, and the seconds of each."""
    fields = {**house.bearer, "Content-Type": "application/json"}
    wanted = json.dumps({"name": "datature"}).encode()
    project = json.loads(link.ask("POST", "/api/v1/projects", fields, wanted)[2])["id"]
    client = Client(link, house, project)
    seconds: list[float] = []
    for i in range(count + 10):
        data = b'{"kind": "Image", "url": "https://example.org/%d"}\n' % i * 50
        start = time.perf_counter()
        made = client.create(f"create {i}", data)
        if i >= 10:  # the first ones warm up
            seconds.append(time.perf_counter() - start)
    while client.get(made["id"])["status"]["overview"] != "Uploaded":
        time.sleep(0.1)
    return client, made, seconds


def walk(client: Client, limit: int) -> dict[str, list[float]]:
    """Seconds of every page, forward to the end and back to the beginning."""
    on: list[float] = []
    back: list[float] = []
    cursor: str | None = None
    while True:
        seconds, page = client.page(cursor, limit)
        on.append(seconds)
        if page["nextPage"] is None:
            break
        cursor = page["nextPage"]
    while page["prevPage"] is not None:
        seconds, page = client.page(page["prevPage"], limit)
        back.append(seconds)
    return {"on": on, "back": back}


def stretches(seconds: list[float]) -> dict[str, list[float]]:
    """The first, a middle and the last tenth."""
    tenth = max(1, len(seconds) // 10)
    middle_of = len(seconds) // 2
    return {
        "first tenth": seconds[:tenth],
        "middle": seconds[middle_of : middle_of + tenth],
        "last tenth": seconds[-tenth:],
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench datature")
    parser.add_argument("--datasets", type=int, default=100_000)
    parser.add_argument("--creates", type=int, default=200)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="datature-") as scratch,
        entrepot(Path(scratch)) as house,
    ):
        with Connection(house.server.port) as link:
            client, made, creates = created(link, house, options.creates)
        multiply(house.data, UUID(made["id"].removeprefix("dataset_")), options.datasets)
        # The server ends connections on which nothing is asked for long.
        with Connection(house.server.port) as link:
            client.link = link
            client.page(None, options.limit)
            found = walk(client, options.limit)
    lines = ["| case | ms, median (range) |", "| --- | --- |"]
    figures: dict[str, list[float]] = {}
    for way, seconds in found.items():
        for stretch, some in stretches(seconds).items():
            figures[f"list {way}, {stretch}"] = some
    figures["create and PUT of 2.6 kB"] = creates
    lines += [f"| {name} | {middle([1000 * one for one in some], '.2f')} |" for name, some in figures.items()]
    ratio = statistics.median(figures["list on, last tenth"]) / statistics.median(figures["list on, first tenth"])
    verdict = "reached" if ratio <= GOAL else "missed"
    rate = 1 / statistics.median(creates)
    about = (
        f"{options.datasets} datasets, {options.limit} a page, {len(found['on'])} pages; the last tenth took "
        f"{ratio:.2f} times as long as the first (goal {GOAL}, {verdict}). {rate:.0f} creates with their PUT a second "
        f"over one connection, {len(creates)} of them, fsync on. {machine()}."
    )
    text = "\n".join(lines)
    print(f"{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench datature --keep`.\n\n"
        (RESULTS / "datature.md").write_text(f"{head}{text}\n", encoding="utf-8")
        kept = json.dumps({"about": about, "seconds": figures, "cores": os.cpu_count()}, indent=1)
        (RESULTS / "datature.json").write_text(f"{kept}\n", encoding="utf-8")
    return 0
