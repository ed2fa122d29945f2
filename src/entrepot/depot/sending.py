"""Sending every item of a version to a webhook: the work of a batch job.

An item is a line of the version's files that is not blank, in the order of the files. Where the job stands is noted as
file, byte and number, at least twice a second and before every pause: whoever goes on after a kill begins there without
reading what is behind it, and sends again at most what was sent since. So each item arrives at least once, in order.
Lines are found by reading on from that byte and not by the index of records: jobs send files of other kinds too.

An item that the receiver does not take is repeated as the webhook's retries say, and the others wait for it, because
the order is a promise; then it is counted as failed, and the next one's turn comes. Between attempts the job lies in
the queue and holds nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from entrepot.catalog import batches as rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog import webhooks as hook_rows
from entrepot.catalog.batches import BatchRow, Place
from entrepot.catalog.connection import Connection
from entrepot.catalog.work import Cancelled, Later, Work
from entrepot.depot import messages
from entrepot.depot.contents import ContentReader, open_content
from entrepot.depot.context import Depot
from entrepot.depot.delivering import pause_after, post
from entrepot.depot.outgoing import Answered
from entrepot.depot.sealing import unseal
from entrepot.model import ids
from entrepot.model.endpoints import parse_endpoint
from entrepot.model.errors import EntrepotError
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState, Version
from entrepot.model.webhooks import ITEM, Level, Webhook
from entrepot.records.reference import is_blank

JOB = "batch"
QUEUE = "batches"

#: Longer lines are counted as failed: a receiver gets one as a whole, and so does this process.
MAX_ITEM = 8 << 20
_BLOCK = 256 << 10
_NOTE_EVERY_S = 0.5
#: After so long a run makes room for other jobs and goes on in its turn.
SLICE_S = 30.0


def run(depot: Depot, work: Work) -> None:
    """Send what is left. A job handler."""
    with depot.catalog.read() as conn:
        row = rows.find(conn, work.mark[0])
        found = version_rows.find(conn, asking=None, n=work.payload["version"])
    if row is None:
        return
    if found is None:
        _end(depot, work, row, TaskState.FAILED, "The version was purged.")
        return
    _Sending(depot, work, row, found.version).run()


def _end(depot: Depot, work: Work, row: BatchRow, state: TaskState, why: str, place: Place | None = None) -> None:
    at = place or row.place
    level = Level.INFO if state is TaskState.DONE else Level.ERROR

    def facts(conn: Connection) -> Mapping[str, Any]:
        rows.save(conn, work.mark, at)
        rows.say(conn, row.job, [(depot.now(), level, why, None)])
        counts = {"delivered": at.delivered, "failed": at.failed, "items": at.item}
        if state is TaskState.DONE:
            return counts
        return {"code": "cancelled" if state is TaskState.CANCELLED else "unavailable", "detail": why, **counts}

    work.finish(facts, state=state)


class _Sending:
    """One run of a job."""

    def __init__(self, depot: Depot, work: Work, row: BatchRow, version: Version) -> None:
        self._depot = depot
        self._work = work
        self._row = row
        self._version = version
        self._place = row.place
        self._noted = time.monotonic()
        self._until = self._noted + SLICE_S
        self._task_id = ""
        #: Where the item after this one begins.
        self._next = row.place.at_byte

    def run(self) -> None:
        with self._depot.catalog.read() as conn:
            task = task_rows.find(conn, n=self._row.job)
        self._task_id = "" if task is None else ids.encode(Noun.TASK, task.uid)
        try:
            for line in self._lines():
                if not self._item(line):
                    return
        except Cancelled:
            self._note()
            raise
        place = self._place
        _end(
            self._depot,
            self._work,
            self._row,
            TaskState.DONE,
            f"Sent {place.item} items: {place.delivered} delivered, {place.failed} failed.",
            place,
        )

    def _lines(self) -> Iterator[bytes | None]:
        """Lines from where the job stands; `_place` stands behind each that is given. None is one that is too long."""
        for position, content in self._files():
            if position != self._place.file:
                self._place = replace(self._place, file=position, at_byte=0)
            with open_content(self._depot, content) as reader:
                for end, line in lines(reader, self._place.at_byte):
                    if line is None or not is_blank(line.removesuffix(b"\n")):
                        self._next = end
                        yield line
                    else:
                        self._place = replace(self._place, at_byte=end)

    def _files(self) -> Iterator[tuple[int, int]]:
        """(position, content) of the files from the one that the job stands in."""
        after = self._place.file - 1
        while True:
            with self._depot.catalog.read() as conn:
                page = entry_rows.page_by_position(conn, self._version.n, self._row.revision, after=after, limit=1000)
            for entry in page:
                yield entry.pos, entry.content
                after = entry.pos
            if len(page) < 1000:
                return

    def _item(self, line: bytes | None) -> bool:
        """Send one, or note that it cannot be. Whether to go on.

        Raises:
            Later: It is to be repeated, or others have their turn.
            Cancelled
        """
        depot, place = self._depot, self._place
        self._work.progress(place.item, self._row.total, f"{place.delivered} delivered, {place.failed} failed")
        with depot.catalog.read() as conn:
            now_row = rows.find(conn, self._row.job)
            found = None if self._row.webhook is None else hook_rows.find(conn, n=self._row.webhook)
        now = depot.now()
        if now_row is None or (now_row.stop_at is not None and now_row.stop_at <= now):
            self._stopped(TaskState.CANCELLED, "It was to stop at this time.")
            return False
        if found is None or not found[0].enabled:
            self._stopped(TaskState.FAILED, "The webhook was switched off or deleted.")
            return False
        if time.monotonic() > self._until:
            self._note()
            raise Later(timedelta(0))
        hook, sealed = found
        wrong = _judge(line)
        if wrong is not None or line is None:
            self._past(False, f"Item {place.item} {wrong}; it was not sent.")
            return True
        answered = self._post(hook, sealed, line)
        if answered.taken:
            self._past(True)
            return True
        said = answered.error or f"It answered {answered.status}."
        attempts = place.attempts + 1
        pause = pause_after(depot, hook.retries, attempts)
        if pause is None:
            self._past(False, f"Item {place.item} was given up after {attempts} attempts. {said}")
            return True
        self._place = replace(place, attempts=attempts)
        self._note((Level.WARNING, f"Item {place.item} was not taken (attempt {attempts}). {said}"))
        raise Later(pause)

    def _post(self, hook: Webhook, sealed: str, line: bytes) -> Answered:
        depot, item = self._depot, self._place.item
        try:
            key = unseal(depot, ids.encode(Noun.WEBHOOK, hook.uid), sealed)
        except EntrepotError as error:
            return Answered(None, str(error))
        data = {
            "task": self._task_id,
            "webhook": ids.encode(Noun.WEBHOOK, hook.uid),
            "version": ids.encode(Noun.VERSION, self._row.version_uid),
            "revision": self._row.revision,
            "n": item,
            "item": None,
        }
        # The item as it was stored, not parsed and written again: numbers keep their digits.
        body = messages.write(ITEM, depot.now(), data).removesuffix(b"null}}") + line.strip() + b"}}"
        return post(depot, parse_endpoint(hook.endpoint), key, f"{self._task_id}_{item}", body)

    def _past(self, delivered: bool, why: str | None = None) -> None:
        """The item is done with, one way or the other."""
        place = self._place
        self._place = Place(
            file=place.file,
            at_byte=self._next,
            item=place.item + 1,
            attempts=0,
            delivered=place.delivered + delivered,
            failed=place.failed + (not delivered),
        )
        if why is not None:
            self._note((Level.ERROR, why), item=place.item)
        elif time.monotonic() - self._noted > _NOTE_EVERY_S:
            self._note()

    def _note(self, line: tuple[Level, str] | None = None, item: int | None = None) -> None:
        """Write down how far it is.

        Raises:
            Cancelled: Another run has the job.
        """
        place, now = self._place, self._depot.now()

        def work(conn: Connection) -> bool:
            if not rows.save(conn, self._work.mark, place):
                return False
            if line is not None:
                rows.say(conn, self._row.job, [(now, *line, place.item if item is None else item)])
            return True

        if not self._depot.catalog.write(work):
            raise Cancelled
        self._noted = time.monotonic()

    def _stopped(self, state: TaskState, why: str) -> None:
        _end(self._depot, self._work, self._row, state, why, self._place)


def lines(reader: ContentReader, at: int) -> Iterator[tuple[int, bytes | None]]:
    """(where the next one begins, the line with its end) from a byte on; None for one of more than `MAX_ITEM` bytes.

    Holds one line and one block at most.
    """
    rest, skipping = b"", False
    while at < reader.size:
        block = reader.read_at(at, _BLOCK)
        begin = at
        at += len(block)
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            line = rest + block[start : end + 1]
            start = end + 1
            yield begin + start, None if skipping or len(line) > MAX_ITEM else line
            rest, skipping = b"", False
        if not skipping:
            rest += block[start:]
            if len(rest) > MAX_ITEM:
                rest, skipping = b"", True
    if rest or skipping:
        yield at, None if skipping else rest


def _judge(line: bytes | None) -> str | None:
    """What is wrong with an item; None when it can be sent."""
    if line is None:
        return f"is longer than {MAX_ITEM:,} bytes"
    try:
        json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return "is no JSON"
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(name)
