"""What was sent to a webhook, what came of it, and sending it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from entrepot.catalog import deliveries as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import lookup, paging, webhooks
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound, TooLarge
from entrepot.model.ids import Noun
from entrepot.model.values import Page
from entrepot.model.webhooks import Delivery, DeliveryState, Webhook, matches

#: Events that one replay looks at.
MOST_REPLAYED = 10_000


def list_deliveries(
    depot: Depot,
    actor: Actor,
    hook: lookup.Key,
    *,
    states: Sequence[DeliveryState] = (),
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Delivery]:
    """Newest first. Admins of the team that owns the webhook's project."""
    size = paging.size(depot, limit)
    question = f"deliveries:{hook}:{sorted(states)}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = webhooks.locate(conn, actor, hook)
        listed = rows.page(conn, found.n, states=states, before=None if after is None else after[0], limit=size + 1)
    return paging.page(listed, size, question, lambda one: (one.n,))


def get(depot: Depot, actor: Actor, hook: lookup.Key, key: UUID) -> Delivery:
    """One delivery. Admins of the team that owns the webhook's project."""
    with depot.catalog.read() as conn:
        return _locate(conn, webhooks.locate(conn, actor, hook), key)


def replay(depot: Depot, actor: Actor, hook: lookup.Key, key: UUID) -> Delivery:
    """Send one again, under its own id and in its place: before what waits behind it in its dataset.

    One that still waits is tried at once. Admins of the team that owns the webhook's project.
    """
    now = depot.now()

    def work(conn: Connection) -> Delivery:
        home = webhooks.locate(conn, actor, hook, lock=True)
        found = _locate(conn, home, key)
        if found.state is DeliveryState.WAITING:
            rows.hurry(conn, found.n, now)
        else:
            rows.replay(conn, found.n, now)
        _replayed(depot, conn, actor, home, 1)
        return _locate(conn, home, key)

    return depot.catalog.write(work)


def replay_since(
    depot: Depot,
    actor: Actor,
    hook: lookup.Key,
    since: datetime,
    *,
    states: Sequence[DeliveryState] = (DeliveryState.FAILED,),
) -> int:
    """Send again what happened in the project from a time on: deliveries in one of `states`, and events that the
    webhook asks for now and was never sent, because it was switched off or not there yet. Answers how many.

    Admins of the team that owns the webhook's project.

    Raises:
        Invalid: It is switched off: nothing would be sent.
        TooLarge: More than ten thousand events since then.
    """
    now = depot.now()

    def work(conn: Connection) -> int:
        home = webhooks.locate(conn, actor, hook, lock=True)
        if not home.enabled:
            raise Invalid(f"{webhooks.id_of(home)} is switched off. Switch it on first.")
        events = rows.events_since(conn, home.project, since, limit=MOST_REPLAYED + 1)
        if len(events) > MOST_REPLAYED:
            raise TooLarge(f"More than {MOST_REPLAYED:,} events happened since then. Begin later.")
        wanted = [one for one in events if matches(home.events, one.verb)]
        done = rows.replay_events(conn, home.n, wanted, now, states=states)
        if done:
            _replayed(depot, conn, actor, home, done)
        return done

    return depot.catalog.write(work, bulk=True)


def _replayed(depot: Depot, conn: Connection, actor: Actor, home: Webhook, count: int) -> None:
    record(
        conn,
        actor,
        "webhook.replayed",
        at=depot.now(),
        project=home.project,
        subject=webhooks.id_of(home),
        detail={"deliveries": count},
    )
    webhooks.call(depot, conn, home.n)


def _locate(conn: Connection, home: Webhook, key: UUID) -> Delivery:
    found = rows.find(conn, uid=key)
    if found is None or found.webhook != home.n:
        raise NotFound(
            f"{webhooks.id_of(home)} has no delivery {ids.encode(Noun.DELIVERY, key)}. Those that ended are kept for a "
            "while only."
        )
    return found
