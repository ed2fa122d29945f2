"""Batch jobs: every item of a version to a webhook, in order, each at least once, whoever dies on the way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from entrepot.catalog import batches as rows
from entrepot.catalog import queue
from entrepot.catalog.batches import Place
from entrepot.depot import batches, sending, tasks, trash, webhooks
from entrepot.depot.contents import open_content
from entrepot.depot.webhooks import MadeWebhook, NewWebhook, WebhookChanges
from entrepot.model.access import Actor
from entrepot.model.errors import KindMismatch, NotFound, WrongState
from entrepot.model.values import Kind, Project, TaskState, Version
from entrepot.model.webhooks import Level, Retries
from tests.support.house import House
from tests.support.jobs import claimed
from tests.support.receivers import BROKEN, OK, Got, Receiver, runner, work_off

ITEMS = [{"n": n} for n in range(6)]
LINES = b"".join(json.dumps(item).encode() + b"\n" for item in ITEMS)


@pytest.fixture
def receiver(house: House) -> Receiver:
    house.depot.courier = made = Receiver()
    return made


@pytest.fixture
def owner(house: House) -> Actor:
    return house.user("owner")


@pytest.fixture
def lab(house: House, owner: Actor) -> Project:
    return house.project(owner, "Lab")


@pytest.fixture
def hook(house: House, owner: Actor, lab: Project, receiver: Receiver) -> MadeWebhook:
    new = NewWebhook("labels", "https://receiver.example.org/", events=(), retries=Retries(1, 1000))
    return webhooks.create(house.depot, owner, lab.n, new)


def with_lines(house: House, owner: Actor, lab: Project, **files: bytes) -> Version:
    version = house.version(owner, lab, "labels")
    return house.put(owner, version, {f"{name}.ndjson": data for name, data in files.items()}).version


def items(receiver: Receiver) -> list[Any]:
    return [got.data["item"] for got in receiver.got]


def log(house: House, owner: Actor, task: Any, least: Level = Level.INFO) -> list[str]:
    """Oldest first."""
    return [line.message for line in reversed(batches.log(house.depot, owner, task.uid, least=least).rows)]


def test_every_item_is_sent_in_order_and_counted(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, b=b'{"n": 1.50}\r\n\n  \n{"n": 2}', a=b'{"n": 3}\n')
    begun = batches.start(house.depot, owner, version.n, hook.webhook.uid, name="once more")
    house.put(owner, version, {"c.ndjson": b'{"n": "later"}\n'})
    work_off(house.depot, "batches")
    assert items(receiver) == [{"n": 1.5}, {"n": 2}, {"n": 3}], "in the order of the files, as they were then"
    assert b'"item":{"n": 1.50}}' in receiver.got[0].body, "as it was stored"
    assert [(got.kind, got.data["n"], got.data["revision"]) for got in receiver.got] == [
        ("batch.item", n, version.revision) for n in range(3)
    ]
    assert len({got.id for got in receiver.got}) == 3
    ended = batches.get(house.depot, owner, begun.task.uid)
    assert (ended.name, ended.delivered, ended.failed, ended.task.state) == ("once more", 3, 0, TaskState.DONE)
    assert ended.task.result == {"delivered": 3, "failed": 0, "items": 3}
    assert log(house, owner, ended.task)[-1] == "Sent 3 items: 3 delivered, 0 failed."
    assert [one.task.n for one in batches.list_batches(house.depot, owner, project=lab.n).rows] == [ended.task.n]


def test_an_item_that_is_not_taken_is_repeated_while_the_others_wait_and_then_counted(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, a=LINES)
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    receiver.answers = lambda got: BROKEN if got.data["item"] == {"n": 2} else OK
    work_off(house.depot, "batches")
    assert items(receiver) == ITEMS[:3]
    waiting = batches.get(house.depot, owner, begun.task.uid)
    assert (waiting.task.state, waiting.delivered, waiting.task.error) == (TaskState.READY, 2, None)
    house.clock.move(seconds=1)
    work_off(house.depot, "batches")
    assert items(receiver) == [*ITEMS[:3], *ITEMS[2:]]
    ended = batches.get(house.depot, owner, begun.task.uid)
    assert (ended.delivered, ended.failed, ended.task.state) == (5, 1, TaskState.DONE)
    assert log(house, owner, ended.task, Level.WARNING) == [
        "Item 2 was not taken (attempt 1). It answered 500.",
        "Item 2 was given up after 2 attempts. It answered 500.",
    ]


def test_what_is_no_item_is_counted_as_failed_and_not_sent(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_ITEM", 64)
    monkeypatch.setattr(sending, "_BLOCK", 16)
    long = b'"' + b"x" * 100 + b'"'
    version = with_lines(house, owner, lab, a=b"\n".join([b"no", b'{"n": NaN}', long, b"\xff", b'{"n": 1}', long]))
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    work_off(house.depot, "batches")
    assert items(receiver) == [{"n": 1}]
    assert receiver.got[0].data["n"] == 4
    ended = batches.get(house.depot, owner, begun.task.uid)
    assert (ended.delivered, ended.failed) == (1, 5)


def test_whoever_goes_on_after_a_death_begins_where_the_rows_say(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    """Killed between the receiver's answer and the note: that item comes twice, and none is missing."""
    version = with_lines(house, owner, lab, a=LINES)
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    deaths = [2, 4]

    def die(got: Got) -> Any:
        if deaths and got.data["n"] == deaths[0]:
            deaths.pop(0)
            house.depot.catalog.write(lambda conn: queue.take_back_from(conn, ["w"]))
        return OK

    receiver.answers = die
    while batches.get(house.depot, owner, begun.task.uid).task.state is not TaskState.DONE:
        assert runner(house.depot, "batches").step()
    order = [got.data["n"] for got in receiver.got]
    assert sorted(set(order)) == list(range(6))
    firsts = list(dict.fromkeys(order))
    assert firsts == sorted(firsts)
    assert len(order) > 6
    ended = batches.get(house.depot, owner, begun.task.uid)
    assert (ended.delivered, ended.failed) == (6, 0), "each is counted once"


def test_a_run_that_lost_its_job_notes_nothing(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, a=LINES)
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    early = claimed(house.depot.catalog, queue_name="batches")
    house.depot.catalog.write(lambda conn: queue.take_back_from(conn, ["w"]))
    late = claimed(house.depot.catalog, queue_name="batches")
    for run, noted in ((early, False), (late, True)):
        mark = (run.n, run.fence)
        assert (
            house.depot.catalog.write(lambda conn, mark=mark: rows.save(conn, mark, Place(delivered=mark[1]))) == noted
        )
    assert batches.get(house.depot, owner, begun.task.uid).delivered == late.fence


def test_a_job_makes_room_for_others_and_goes_on(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SLICE_S", -1.0)
    version = with_lines(house, owner, lab, a=LINES)
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    one = runner(house.depot, "batches")
    assert one.step()
    assert receiver.got == []
    monkeypatch.setattr(sending, "SLICE_S", 30.0)
    assert one.step()
    assert items(receiver) == ITEMS
    assert tasks.get(house.depot, owner, begun.task.uid).attempt == 1, "a pause is no attempt"


def test_a_job_is_stopped_while_it_waits_while_it_runs_and_at_a_time(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, a=LINES)
    waiting = batches.start(house.depot, owner, version.n, hook.webhook.n)
    assert batches.stop(house.depot, owner, waiting.task.uid).task.state is TaskState.CANCELLED

    running = batches.start(house.depot, owner, version.n, hook.webhook.n)

    def stop(got: Got) -> Any:
        if got.data["n"] == 2:
            batches.stop(house.depot, owner, running.task.uid)
        return OK

    receiver.answers = stop
    work_off(house.depot, "batches")
    ended = batches.get(house.depot, owner, running.task.uid)
    assert ended.task.state is TaskState.CANCELLED
    assert len(receiver.got) == 3, "and no item after that"
    assert ended.delivered == 3
    with pytest.raises(WrongState):
        tasks.cancel(house.depot, owner, done(house, owner, version, hook).n)

    later = house.clock.at + timedelta(minutes=1)
    timed = batches.start(house.depot, owner, version.n, hook.webhook.n, stop_at=later)
    receiver.got.clear()
    receiver.answers = lambda _got: house.clock.move(seconds=20) and OK
    work_off(house.depot, "batches")
    ended = batches.get(house.depot, owner, timed.task.uid)
    assert (ended.task.state, ended.delivered, len(receiver.got)) == (TaskState.CANCELLED, 3, 3)


def done(house: House, owner: Actor, version: Version, hook: MadeWebhook) -> Any:
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    receiver = house.depot.courier
    assert isinstance(receiver, Receiver)
    receiver.refusing()
    work_off(house.depot, "batches")
    return begun.task


def test_a_job_ends_when_its_webhook_or_its_version_is_gone(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, a=LINES)
    off = batches.start(house.depot, owner, version.n, hook.webhook.n)
    webhooks.update(house.depot, owner, hook.webhook.n, WebhookChanges(enabled=False))
    work_off(house.depot, "batches")
    ended = batches.get(house.depot, owner, off.task.uid)
    assert ended.task.state is TaskState.FAILED
    assert "switched off" in str(ended.task.error)
    with pytest.raises(WrongState, match="switched off"):
        batches.start(house.depot, owner, version.n, hook.webhook.n)
    webhooks.update(house.depot, owner, hook.webhook.n, WebhookChanges(enabled=True))
    batches.start(house.depot, owner, version.n, hook.webhook.n)
    webhooks.delete(house.depot, owner, hook.webhook.n)
    other = webhooks.create(house.depot, owner, lab.n, NewWebhook("other", "https://receiver.example.org/", ()))
    purged = batches.start(house.depot, owner, version.n, other.webhook.n)
    trash.purge(house.depot, owner, version.n)
    work_off(house.depot, "batches")
    assert receiver.got == []
    assert tasks.get(house.depot, owner, purged.task.uid).state in (TaskState.FAILED, TaskState.CANCELLED)


def test_what_has_no_items_is_refused(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    table = house.version(owner, lab, kind=Kind.TABLE)
    with pytest.raises(KindMismatch):
        batches.start(house.depot, owner, table.n, hook.webhook.n)
    records = house.version(owner, lab, kind=Kind.RECORDS)
    with pytest.raises(WrongState):
        batches.start(house.depot, owner, records.n, hook.webhook.n)
    empty = house.version(owner, lab)
    begun = batches.start(house.depot, owner, empty.n, hook.webhook.n)
    work_off(house.depot, "batches")
    assert batches.get(house.depot, owner, begun.task.uid).task.result == {"delivered": 0, "failed": 0, "items": 0}
    with pytest.raises(NotFound):
        batches.start(house.depot, owner, empty.n, 10**9)


def test_a_log_is_paged_by_level_and_time(
    house: House, owner: Actor, lab: Project, receiver: Receiver, hook: MadeWebhook
) -> None:
    version = with_lines(house, owner, lab, a=b"no\nnor this\n")
    begun = batches.start(house.depot, owner, version.n, hook.webhook.n)
    started = house.clock.at
    house.clock.move(minutes=1)
    work_off(house.depot, "batches")
    task = begun.task.uid
    first = batches.log(house.depot, owner, task, limit=3)
    rest = batches.log(house.depot, owner, task, limit=3, cursor=first.cursor)
    assert (len(first.rows), len(rest.rows), rest.cursor) == (3, 1, None)
    assert [line.item for line in batches.log(house.depot, owner, task, least=Level.ERROR).rows] == [1, 0]
    assert len(batches.log(house.depot, owner, task, after=started).rows) == 3
    assert len(batches.log(house.depot, owner, task, before=started + timedelta(seconds=1)).rows) == 1


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_lines_are_found_whatever_the_blocks(
    house: House, owner: Actor, lab: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"\n".join(b"%d" % (10**n) for n in range(12)) + b"\n\nlast"
    house.put(owner, (version := house.version(owner, lab)), {"a": data})
    with house.depot.catalog.read() as conn:
        content = sending.entry_rows.page_by_position(conn, version.n, 1, limit=1)[0].content
    for block in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(sending, "_BLOCK", block)
        with open_content(house.depot, content) as reader:
            found = list(sending.lines(reader, 0))
            assert b"".join(line or b"" for _, line in found) == data
            for at in range(len(found)):
                assert list(sending.lines(reader, found[at][0])) == found[at + 1 :]
