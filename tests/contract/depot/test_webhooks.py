"""Webhooks: every event of a project reaches whoever asked for it, at least once, signed, in order in each dataset."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from entrepot import webhooks as signing
from entrepot.catalog import queue
from entrepot.catalog import webhooks as hook_rows
from entrepot.catalog.schema import delivery as delivery_table
from entrepot.catalog.schema import event as event_table
from entrepot.catalog.schema import job as job_table
from entrepot.catalog.schema import webhook as hook_table
from entrepot.depot import deliveries, delivering, history, members, projects, trash, versions, webhooks
from entrepot.depot.events import record
from entrepot.depot.versions import VersionChanges
from entrepot.depot.webhooks import MadeWebhook, NewWebhook, WebhookChanges
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import BadSignature, Conflict, Invalid, NotFound, TooLarge, Trashed
from entrepot.model.ids import Noun
from entrepot.model.values import Project, Role, Version
from entrepot.model.webhooks import DeliveryState, Retries
from tests.support.house import House
from tests.support.jobs import LONG
from tests.support.receivers import OK, Receiver, runner, work_off

URL = "https://receiver.example.org/hook?key=of-the-receiver"
SECRET = base64.b64encode(b"of the one who asks, and long").decode()
PATIENT = Retries(max_retries=3, max_backoff_ms=60_000)


@pytest.fixture
def receiver(house: House) -> Receiver:
    house.depot.courier = made = Receiver()
    return made


@pytest.fixture
def owner(house: House) -> Actor:
    return house.user("owner")


@pytest.fixture
def lab(house: House, owner: Actor) -> Project:
    return house.project(owner, "Lab", team=house.team("lab", owner=Role.ADMIN))


def hook(house: House, owner: Actor, project: Project, *events: str, **more: Any) -> MadeWebhook:
    new = NewWebhook("receiver", URL, events or ("version.*",), **{"retries": PATIENT, **more})
    return webhooks.create(house.depot, owner, project.n, new)


def states(house: House, owner: Actor, made: MadeWebhook) -> list[tuple[str, str]]:
    """Event and state of every delivery, oldest first."""
    page = deliveries.list_deliveries(house.depot, owner, made.webhook.uid)
    return [(one.verb, one.state.value) for one in reversed(page.rows)]


# A create whose answer was lost


def test_the_same_create_again_answers_the_webhook_that_is_there_with_its_secret(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    house.clock.at += timedelta(minutes=14)
    assert hook(house, owner, lab) == made
    given = hook(house, owner, lab, "project.*", secret=SECRET)
    assert hook(house, owner, lab, "project.*", secret=SECRET) == given
    assert len(webhooks.list_webhooks(house.depot, owner, lab.n).rows) == 2


def test_what_is_not_the_same_or_no_longer_untouched_is_another_webhook(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    asked: list[dict[str, Any]] = [{"retries": Retries(1, 1)}, {"enabled": False}]
    seen = {made.webhook.n, *(hook(house, owner, lab, **more).webhook.n for more in asked)}
    assert len(seen) == 3
    house.clock.at += timedelta(seconds=1)
    webhooks.new_secret(house.depot, owner, made.webhook.n)
    assert hook(house, owner, lab).webhook.n not in seen
    house.clock.at += timedelta(minutes=16)
    late = hook(house, owner, lab)
    assert late.webhook.n not in seen
    assert hook(house, owner, lab, secret=SECRET).webhook.n != late.webhook.n
    assert late.secret != made.secret


# What is sent


def test_what_happens_in_a_project_is_sent_signed(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    made = hook(house, owner, lab)
    version = house.version(owner, lab, "penguins")
    work_off(house.depot)

    [got] = receiver.got
    assert got.endpoint.url == URL
    message = signing.verify(made.secret, got.headers, got.body, now=house.clock.at.timestamp())
    assert (message["type"], message["timestamp"]) == ("version.created", "2026-01-02T03:04:05Z")
    data = message["data"]
    assert data["version"] == {"id": ids.encode(Noun.VERSION, version.uid), "label": "penguins@1", "kind": "files"}
    assert data["dataset"] == {"id": ids.encode(Noun.DATASET, version.dataset_uid), "name": "penguins"}
    assert data["project"] == {"id": ids.encode(Noun.PROJECT, lab.uid), "slug": "lab"}
    assert (data["actor"], data["door"]) == ("owner", "native")
    assert data["links"]["version"] == f"/api/v1/versions/{ids.encode(Noun.VERSION, version.uid)}"
    assert got.id == data["delivery"]
    assert states(house, owner, made) == [("version.created", "delivered")]


def test_links_have_the_servers_address_where_it_is_known(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    house.depot.public_url = "https://data.example.org"
    hook(house, owner, lab)
    house.version(owner, lab)
    work_off(house.depot)
    assert receiver.got[0].data["links"]["project"].startswith("https://data.example.org/api/v1/projects/proj_")


def test_only_what_was_asked_for_is_sent(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    hook(house, owner, lab, "revision.*", "version.trashed")
    hook(house, owner, lab, *[]).webhook  # noqa: B018 - one more that asks for versions
    elsewhere = house.project(owner, "Elsewhere", team=lab.team)
    house.put(owner, house.version(owner, elsewhere), {"a": b"a"})
    version = house.version(owner, lab)
    house.put(owner, version, {"a": b"a"})
    trash.trash(house.depot, owner, version.n)
    work_off(house.depot)
    asked = ["revision.created", "version.trashed"]
    others = ["version.created", "version.ready", "version.trashed"]
    assert sorted(receiver.kinds()) == sorted(asked + others)
    assert {got.data["project"]["slug"] for got in receiver.got} == {"lab"}


def test_a_project_hears_of_its_teams_members_and_of_nobodys_logins(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    hook(house, owner, lab, "*")
    house.user("ada")
    members.add(house.depot, house.admin, lab.team, "ada", Role.READ)
    members.add(house.depot, house.admin, house.team("others"), "ada", Role.READ)
    work_off(house.depot)
    assert receiver.kinds() == ["webhook.created", "member.added"]
    with pytest.raises(Invalid, match="No project is told"):
        hook(house, owner, lab, "login.*")


def test_nothing_but_names_and_ids_leaves_the_house(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    hook(house, owner, lab, "*")
    version = house.version(owner, lab, description="between ourselves", custom={"secret": "between ourselves"})
    house.put(owner, version, {"a": b"between ourselves"}, message="between ourselves")
    trash.trash(house.depot, owner, version.n, reason="between ourselves")
    work_off(house.depot)
    assert receiver.got
    assert not any(b"between ourselves" in got.body for got in receiver.got)


def test_a_version_that_left_is_named_by_its_id_alone(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    hook(house, owner, lab, "version.purged")
    version = house.version(owner, lab, "old")
    trash.purge(house.depot, owner, version.n)
    work_off(house.depot)
    [got] = receiver.got
    assert got.data["version"] == {"id": ids.encode(Noun.VERSION, version.uid), "label": None, "kind": None}


def test_what_is_taken_back_is_not_sent(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    hook(house, owner, lab)

    def work(conn: Any) -> None:
        record(conn, owner, "version.ready", at=house.clock.at, project=lab.n)
        raise Conflict("no")

    with pytest.raises(Conflict):
        house.depot.catalog.write(work)
    work_off(house.depot)
    assert receiver.got == []


# Order, repeats, giving up


def test_a_dataset_waits_for_its_first_event_and_others_do_not(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    slow, quick = house.version(owner, lab, "slow"), house.version(owner, lab, "quick")
    bad = [True]
    receiver.answers = lambda got: replace(OK, status=500) if bad[0] and got.data["dataset"]["name"] == "slow" else OK
    trash.trash(house.depot, owner, slow.n)
    trash.trash(house.depot, owner, quick.n)
    work_off(house.depot)
    assert [got.kind for got in receiver.got if got.data["dataset"]["name"] == "slow"] == ["version.created"]
    assert [got.kind for got in receiver.got if got.data["dataset"]["name"] == "quick"] == [
        "version.created",
        "version.trashed",
    ]
    bad[0] = False
    receiver.got.clear()
    work_off(house.depot)
    assert receiver.got == [], "it is not due yet"
    house.clock.move(seconds=1)
    work_off(house.depot)
    assert receiver.kinds() == ["version.created", "version.trashed"]
    assert {state for _, state in states(house, owner, made)} == {"delivered"}


def test_the_same_message_keeps_its_id_and_body_and_is_signed_anew(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    receiver.refusing("*")
    house.version(owner, lab)
    work_off(house.depot)
    house.clock.move(hours=1)
    work_off(house.depot)
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    signing.verify(made.secret, second.headers, second.body, now=house.clock.at.timestamp())
    with pytest.raises(BadSignature, match="clocks"):
        signing.verify(made.secret, first.headers, first.body, now=house.clock.at.timestamp())


def test_a_delivery_is_given_up_after_its_retries_and_the_next_has_its_turn(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab, retries=Retries(2, 1000))
    receiver.refusing("version.created")
    version = house.version(owner, lab)
    trash.trash(house.depot, owner, version.n)
    for _ in range(5):
        work_off(house.depot)
        house.clock.move(seconds=2)
    assert receiver.kinds() == ["version.created"] * 3 + ["version.trashed"]
    assert states(house, owner, made) == [("version.created", "failed"), ("version.trashed", "delivered")]
    given_up = deliveries.list_deliveries(house.depot, owner, made.webhook.n, states=[DeliveryState.FAILED]).rows[0]
    assert (given_up.attempts, given_up.status, given_up.excerpt) == (3, 500, "out of order")
    assert given_up.error == "It answered 500."


def test_pauses_double_up_to_the_longest_with_chance_in_them(house: House) -> None:
    retries = Retries(max_retries=9, max_backoff_ms=10_000)
    house.depot.entropy = lambda size: b"\xff" * size
    longest = [delivering.pause_after(house.depot, retries, n) for n in range(1, 11)]
    assert [round(one.total_seconds()) for one in longest if one is not None] == [1, 2, 4, 8] + [10] * 5
    assert longest[-1] is None
    house.depot.entropy = bytes
    assert delivering.pause_after(house.depot, retries, 2) == timedelta(seconds=1)


def test_one_that_was_given_up_is_replayed_into_its_place(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab, retries=Retries(0, 0))
    receiver.refusing("version.created")
    version = house.version(owner, lab)
    work_off(house.depot)
    [failed] = deliveries.list_deliveries(house.depot, owner, made.webhook.n).rows
    receiver.refusing()
    trash.trash(house.depot, owner, version.n)
    again = deliveries.replay(house.depot, owner, made.webhook.uid, failed.uid)
    assert (again.state, again.replays, again.attempts) == (DeliveryState.WAITING, 1, 0)
    receiver.got.clear()
    work_off(house.depot)
    assert receiver.kinds() == ["version.created", "version.trashed"]
    assert receiver.got[0].id == ids.encode(Noun.DELIVERY, failed.uid)


def test_a_receiver_that_takes_nothing_is_switched_off_aloud_and_catches_up(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    house.depot.policy = replace(house.depot.policy, webhook_disable_after=2)
    made = hook(house, owner, lab, retries=Retries(0, 0))
    since = house.clock.at
    receiver.refusing("*")
    for name in ("one", "two"):
        house.version(owner, lab, name)
    work_off(house.depot)
    off = webhooks.get(house.depot, owner, made.webhook.uid)
    assert (off.enabled, off.disabled_reason) == (False, "2 deliveries in a row were given up.")
    told = history.events(house.depot, owner, verbs=("webhook.disabled",)).rows
    assert [one.detail for one in told] == [{"reason": "2 deliveries in a row were given up."}]

    house.version(owner, lab, "three")
    receiver.got.clear()
    receiver.refusing()
    work_off(house.depot)
    assert receiver.got == [], "it is switched off"
    with pytest.raises(Invalid, match="switched off"):
        deliveries.replay_since(house.depot, owner, made.webhook.uid, since)
    on = webhooks.update(house.depot, owner, made.webhook.uid, WebhookChanges(enabled=True))
    assert (on.disabled_reason, on.given_up) == (None, 0)
    assert deliveries.replay_since(house.depot, owner, made.webhook.uid, since) == 3
    work_off(house.depot)
    assert sorted(got.data["dataset"]["name"] for got in receiver.got) == ["one", "three", "two"]
    assert deliveries.replay_since(house.depot, owner, made.webhook.uid, since) == 0, "only what failed or is missing"
    everything = tuple(DeliveryState)
    assert deliveries.replay_since(house.depot, owner, made.webhook.uid, since, states=everything) == 3


def test_what_is_taken_makes_the_count_of_what_was_given_up_begin_anew(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    house.depot.policy = replace(house.depot.policy, webhook_disable_after=2)
    made = hook(house, owner, lab, retries=Retries(0, 0))
    for kinds in (("*",), (), ("*",)):
        receiver.refusing(*kinds)
        house.version(owner, lab)
        work_off(house.depot)
    found = webhooks.get(house.depot, owner, made.webhook.n)
    assert (found.enabled, found.given_up) == (True, 1)


def test_what_waited_while_it_was_switched_off_is_sent_when_it_is_on(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    house.version(owner, lab)
    webhooks.update(house.depot, owner, made.webhook.n, WebhookChanges(enabled=False))
    work_off(house.depot)
    assert receiver.got == []
    webhooks.update(house.depot, owner, made.webhook.n, WebhookChanges(enabled=True))
    work_off(house.depot)
    assert receiver.kinds() == ["version.created"]


# One at a time, and never nobody


def held(house: House) -> queue.Claimed:
    """A run that has the webhook and was killed without a word."""
    now = house.clock.at
    run = house.depot.catalog.write(lambda conn: queue.claim(conn, "webhooks", worker="killed", now=now, lease=LONG))
    assert run is not None
    assert house.depot.catalog.write(lambda conn: hook_rows.take(conn, run.payload["webhook"], (run.n, run.fence)))
    return run


def test_nobody_sends_while_another_run_has_the_webhook_and_after_its_death_somebody_does(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    hook(house, owner, lab)
    house.version(owner, lab, "one")
    held(house)
    house.version(owner, lab, "two")
    work_off(house.depot)
    assert receiver.got == []
    house.depot.catalog.write(lambda conn: queue.take_back_from(conn, ["killed"]))
    work_off(house.depot)
    assert sorted(got.data["dataset"]["name"] for got in receiver.got) == ["one", "two"]


def test_a_run_that_lost_the_webhook_neither_sends_nor_notes_a_refusal(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    house.version(owner, lab)

    def lose(_got: Any) -> Any:
        house.depot.catalog.write(lambda conn: queue.take_back_from(conn, ["w"]))
        return replace(OK, status=500)

    receiver.answers = lose
    runner(house.depot).step()
    [waiting] = deliveries.list_deliveries(house.depot, owner, made.webhook.n).rows
    assert (waiting.state, waiting.attempts) == (DeliveryState.WAITING, 0)
    receiver.refusing()
    work_off(house.depot)
    assert states(house, owner, made) == [("version.created", "delivered")]


def test_what_everybody_forgot_is_found_again(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    hook(house, owner, lab)
    house.version(owner, lab)
    house.depot.catalog.write(lambda conn: conn.execute(job_table.delete()) and None)
    work_off(house.depot)
    delivering.tend(house.depot, limit=10)
    work_off(house.depot)
    assert receiver.got == [], "it may be under way"
    house.clock.move(minutes=1)
    delivering.tend(house.depot, limit=10)
    work_off(house.depot)
    assert receiver.kinds() == ["version.created"]


def test_old_deliveries_are_forgotten_and_waiting_ones_are_not(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    receiver.refusing("version.trashed")
    version = house.version(owner, lab)
    trash.trash(house.depot, owner, version.n)
    work_off(house.depot)
    house.clock.move(days=31)
    assert delivering.tend(house.depot, limit=10) == 1
    assert states(house, owner, made) == [("version.trashed", "waiting")]


def test_retries_of_a_busy_webhook_call_for_it_once(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    hook(house, owner, lab)
    receiver.refusing("*")
    house.version(owner, lab, "blocked")
    work_off(house.depot)
    for _ in range(5):
        webhooks.test(house.depot, owner, webhooks.list_webhooks(house.depot, owner, lab.n).rows[0].n)
    work_off(house.depot)
    with house.depot.catalog.read() as conn:
        waiting = conn.execute(select(job_table.c.id).where(job_table.c.state == "ready")).all()
    assert len(waiting) == 1


# Tests of a webhook


def test_a_test_is_sent_once_beside_everything_else(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab, enabled=False)
    receiver.refusing("*")
    begun = webhooks.test(house.depot, owner, made.webhook.uid)
    work_off(house.depot)
    house.clock.move(hours=1)
    work_off(house.depot)
    assert receiver.kinds() == ["webhook.test"]
    assert {name for name, value in receiver.got[0].data.items() if value is None} >= {"event", "version", "dataset"}
    ended = deliveries.get(house.depot, owner, made.webhook.uid, begun.uid)
    assert (ended.state, ended.status, ended.attempts) == (DeliveryState.FAILED, 500, 1)
    assert webhooks.get(house.depot, owner, made.webhook.n).given_up == 0


# The secret


def test_the_secret_is_told_once_and_stored_sealed(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    key = base64.b64decode(made.secret)
    assert len(key) == 32
    shown = [webhooks.get(house.depot, owner, made.webhook.n), *history.events(house.depot, owner).rows]
    assert made.secret not in repr(shown)
    assert made.secret not in repr(made)
    with house.depot.catalog.read() as conn:
        kept = repr([conn.execute(select(table)).all() for table in (hook_table, event_table, delivery_table)])
    assert made.secret not in kept
    assert key.hex() not in kept


def test_a_given_secret_signs_and_a_new_one_takes_over(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    given = base64.b64encode(bytes(range(32))).decode()
    made = hook(house, owner, lab, secret=given)
    assert made.secret == given
    house.version(owner, lab)
    later = webhooks.new_secret(house.depot, owner, made.webhook.uid)
    assert later.secret != given
    work_off(house.depot)
    [got] = receiver.got
    now = house.clock.at.timestamp()
    signing.verify(later.secret, got.headers, got.body, now=now)
    with pytest.raises(BadSignature):
        signing.verify(given, got.headers, got.body, now=now)
    with pytest.raises(Invalid, match="24 to 64 bytes"):
        webhooks.new_secret(house.depot, owner, made.webhook.uid, "short")


def test_a_server_with_another_key_says_that_it_cannot_sign(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab, retries=Retries(0, 0))
    house.version(owner, lab)
    house.depot.secret = b"o" * 32
    work_off(house.depot)
    [failed] = deliveries.list_deliveries(house.depot, owner, made.webhook.n).rows
    assert receiver.got == []
    assert "cannot be opened with this server's key" in str(failed.error)


# The webhook itself


def test_an_endpoint_is_judged_when_it_is_given(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    made = hook(house, owner, lab)
    for url in ("http://127.0.0.1/", "http://[::1]/", "ftp://example.org/", "https://a:b@example.org/"):
        with pytest.raises(Invalid):
            webhooks.create(house.depot, owner, lab.n, NewWebhook("bad", url))
        with pytest.raises(Invalid):
            webhooks.update(house.depot, owner, made.webhook.n, WebhookChanges(endpoint=url))


def test_changes_are_told_without_what_may_be_secret(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    webhooks.update(house.depot, owner, made.webhook.n, WebhookChanges(name="other", retries=Retries(1, 2)))
    same = webhooks.update(house.depot, owner, made.webhook.n, WebhookChanges(name="other"))
    assert (same.name, same.retries) == ("other", Retries(1, 2))
    told = history.events(house.depot, owner, verbs=("webhook.created", "webhook.updated")).rows
    assert len(told) == 2
    assert "of-the-receiver" not in repr(told)


def test_a_webhook_goes_with_all_that_was_on_its_way(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    made = hook(house, owner, lab)
    house.version(owner, lab)
    webhooks.delete(house.depot, owner, made.webhook.uid)
    with pytest.raises(NotFound):
        webhooks.get(house.depot, owner, made.webhook.uid)
    work_off(house.depot)
    assert receiver.got == []


def test_a_project_has_no_more_webhooks_than_it_may(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    house.depot.limits = replace(house.depot.limits, webhooks_per_project=1)
    hook(house, owner, lab)
    with pytest.raises(TooLarge, match="1 webhooks"):
        hook(house, owner, lab, secret=SECRET)


def test_webhooks_leave_with_their_project(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    made = hook(house, owner, lab)
    projects.trash(house.depot, owner, lab.n)
    with pytest.raises(Trashed):
        webhooks.update(house.depot, owner, made.webhook.uid, WebhookChanges(name="new"))
    projects.purge(house.depot, owner, lab.n)
    with pytest.raises(NotFound):
        webhooks.get(house.depot, owner, made.webhook.uid)


def test_deliveries_are_paged_newest_first(house: House, owner: Actor, lab: Project, receiver: Receiver) -> None:
    made = hook(house, owner, lab)
    for _ in range(3):
        house.version(owner, lab)
    first = deliveries.list_deliveries(house.depot, owner, made.webhook.uid, limit=2)
    rest = deliveries.list_deliveries(house.depot, owner, made.webhook.uid, limit=2, cursor=first.cursor)
    numbers = [one.n for one in (*first.rows, *rest.rows)]
    assert len(numbers) == 3
    assert numbers == sorted(numbers, reverse=True)
    assert rest.cursor is None


# Several at once


def test_writers_and_runners_side_by_side_lose_nothing_and_keep_the_order(
    house: House, owner: Actor, lab: Project, receiver: Receiver
) -> None:
    """Whoever looks for the last time looks after everybody who called."""
    hook(house, owner, lab, "version.updated")
    lines = [house.version(owner, lab) for _ in range(3)]
    times, failed = 8, []
    written = threading.Event()

    def write(version: Version) -> None:
        for turn in range(times):
            versions.update(house.depot, owner, version.n, VersionChanges(description=str(turn)))

    def send(worker: str) -> None:
        one = runner(house.depot, worker=worker)
        try:
            while not written.is_set() or one.step():
                one.step()
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(version,)) for version in lines]
    runners = [threading.Thread(target=send, args=(f"w{n}",)) for n in range(3)]
    for thread in (*runners, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in runners:
        thread.join()
    work_off(house.depot)
    assert failed == []
    came = [(got.data["dataset"]["id"], got.data["event"]) for got in receiver.got]
    assert len(came) == len(set(came)) == times * len(lines), "nobody died, so each came once"
    for one in {dataset for dataset, _ in came}:
        numbers = [n for dataset, n in came if dataset == one]
        assert numbers == sorted(numbers)
