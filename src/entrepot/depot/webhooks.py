"""Webhooks of a project: where its events are sent, signed, once they have happened.

They belong to the project, not to who made them: an admin of the owning team sees, changes and removes all of them. The
secret is told when it is made, and to the same request when it is repeated soon after; later nobody is told it again,
and a lost one is replaced.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from entrepot.catalog import deliveries as delivery_rows
from entrepot.catalog import webhooks as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import lookup, paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.sealing import seal, unseal
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.endpoints import parse_endpoint
from entrepot.model.errors import Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.ids import Noun
from entrepot.model.values import Page
from entrepot.model.webhooks import TEST, Delivery, Retries, Webhook, event_patterns
from entrepot.webhooks import key_of

QUEUE = delivery_rows.QUEUE

MAX_NAME = 255
#: For so long an equal request is taken for a repeat.
AGAIN = timedelta(minutes=15)
MAX_RETRIES = 100
#: A day, as `Retries.max_backoff_ms`.
MAX_BACKOFF_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What a webhook begins with.

    Args:
        events: Patterns (`*`, `version.*`, `version.ready`); none makes a mere destination for batch jobs.
        secret: Base64 of 24 to 64 bytes; None has one made.
    """

    name: str
    endpoint: str
    events: Sequence[str] = ("*",)
    secret: str | None = field(default=None, repr=False)
    retries: Retries = field(default_factory=Retries)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class WebhookChanges:
    """What is not None is changed. Switching one on forgets why it was switched off."""

    name: str | None = None
    endpoint: str | None = None
    events: Sequence[str] | None = None
    retries: Retries | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class MadeWebhook:
    """A webhook and its secret, told this once."""

    webhook: Webhook
    secret: str = field(repr=False)


def create(depot: Depot, actor: Actor, project: lookup.Key | str, new: NewWebhook) -> MadeWebhook:
    """Have events of a project sent somewhere. Admins of the owning team.

    Asked for again by the same person within `AGAIN`, as after a lost answer, the webhook that is there is answered
    with its secret, unless it was touched meanwhile.

    Raises:
        Invalid: The endpoint is none that the operator allows, or a pattern means nothing.
        TooLarge: The project has as many as it may.
    """
    wanted = names.label(new.name, MAX_NAME, "Webhook name")
    patterns = event_patterns(new.events)
    retries = _retries(new.retries)
    secret, key = _secret(depot, new.secret)
    with depot.catalog.read(snapshot=False) as conn:
        # Names are resolved only for those who may have something sent at all.
        lookup.active_project(conn, actor, project, Action.MANAGE_WEBHOOKS)
    endpoint = _endpoint(depot, new.endpoint)
    uid, now = depot.new_uid(), depot.now()
    sealed = seal(depot, ids.encode(Noun.WEBHOOK, uid), key)

    def work(conn: Connection) -> MadeWebhook:
        # Held, so that of two such requests at once the second one finds what the first has made.
        home = lookup.hold_project(conn, actor, project, Action.MANAGE_WEBHOOKS).project
        known = _made_before(conn, depot, actor, home.n, wanted, endpoint, patterns, retries, new, now)
        if known is not None:
            return known
        if rows.count(conn, home.n) >= depot.limits.webhooks_per_project:
            raise TooLarge(
                f"Project {home.slug} has {depot.limits.webhooks_per_project} webhooks, which is the limit. Remove one."
            )
        values: dict[str, Any] = {
            "uid": uid,
            "project": home.n,
            "name": wanted,
            "endpoint": endpoint,
            "secret": sealed,
            "max_retries": retries.max_retries,
            "max_backoff_ms": retries.max_backoff_ms,
            "enabled": new.enabled,
            "creator": actor.user,
            "created_at": now,
            "updated_at": now,
        }
        n = rows.insert_webhook(conn, values, patterns)
        made = _again(conn, n)
        _record(depot, conn, actor, "webhook.created", made, after=_shown(made))
        return MadeWebhook(made, secret)

    return depot.catalog.write(work)


def _made_before(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    project: int,
    name: str,
    endpoint: str,
    patterns: Sequence[str],
    retries: Retries,
    new: NewWebhook,
    now: datetime,
) -> MadeWebhook | None:
    """What an equal request of the same person has made a moment ago, if nobody has changed it since."""
    for one, sealed in rows.made_since(conn, project, name, now - AGAIN, creator=actor.user):
        wish = (endpoint, sorted(patterns), retries, new.enabled)
        if one.updated_at != one.created_at or (one.endpoint, sorted(one.events), one.retries, one.enabled) != wish:
            continue
        key = unseal(depot, id_of(one), sealed)
        if new.secret is None or key_of(new.secret) == key:
            return MadeWebhook(one, base64.b64encode(key).decode())
    return None


def get(depot: Depot, actor: Actor, key: lookup.Key) -> Webhook:
    """One webhook, without its secret. Admins of the owning team."""
    with depot.catalog.read() as conn:
        return locate(conn, actor, key)


def list_webhooks(
    depot: Depot, actor: Actor, project: lookup.Key | str, *, cursor: str | None = None, limit: int = 100
) -> Page[Webhook]:
    """A project's webhooks, in the order they were made. Admins of the owning team."""
    with depot.catalog.read() as conn:
        home = lookup.project(conn, actor, project, Action.MANAGE_WEBHOOKS).project

    def fetch(after: int | None, size: int) -> list[Webhook]:
        with depot.catalog.read() as conn:
            return rows.page(conn, home.n, after=after, limit=size)

    return paging.numbered(depot, f"webhooks:{home.n}", cursor, limit, fetch, lambda one: one.n)


def update(depot: Depot, actor: Actor, key: lookup.Key, changes: WebhookChanges) -> Webhook:
    """Change a webhook. What waits goes to the new endpoint. Admins of the owning team.

    Raises:
        Invalid: As for `create`.
    """
    values: dict[str, Any] = {}
    if changes.name is not None:
        values["name"] = names.label(changes.name, MAX_NAME, "Webhook name")
    if changes.events is not None:
        values["events"] = event_patterns(changes.events)
    if changes.retries is not None:
        retries = _retries(changes.retries)
        values |= {"max_retries": retries.max_retries, "max_backoff_ms": retries.max_backoff_ms}
    if changes.enabled is not None:
        values |= {"enabled": changes.enabled, "disabled_reason": None}
        if changes.enabled:
            values["given_up"] = 0
    if changes.endpoint is not None:
        get(depot, actor, key)
        values["endpoint"] = _endpoint(depot, changes.endpoint)
    now = depot.now()

    def work(conn: Connection) -> Webhook:
        before = locate(conn, actor, key, lock=True)
        _require_active(conn, actor, before)
        if not values:
            return before
        rows.change(conn, before.n, {**values, "updated_at": now})
        after = _again(conn, before.n)
        shown_before, shown_after = _shown(before), _shown(after)
        if shown_before == shown_after:
            return after
        _record(depot, conn, actor, "webhook.updated", after, before=shown_before, after=shown_after)
        if after.enabled:
            # What was kept waiting while it was switched off.
            call(depot, conn, after.n)
        return after

    return depot.catalog.write(work)


def delete(depot: Depot, actor: Actor, key: lookup.Key) -> Webhook:
    """Remove a webhook and everything that was on its way to it. Admins of the owning team. Answers what it was."""

    def work(conn: Connection) -> Webhook:
        found = locate(conn, actor, key, lock=True)
        rows.remove(conn, found.n)
        _record(depot, conn, actor, "webhook.deleted", found, before=_shown(found))
        return found

    return depot.catalog.write(work)


def new_secret(depot: Depot, actor: Actor, key: lookup.Key, secret: str | None = None) -> MadeWebhook:
    """Replace the secret; from the next attempt on the new one signs. Admins of the owning team.

    Args:
        secret: Base64 of 24 to 64 bytes; None has one made.
    """
    text, plain = _secret(depot, secret)
    now = depot.now()

    def work(conn: Connection) -> Webhook:
        found = locate(conn, actor, key, lock=True)
        _require_active(conn, actor, found)
        rows.change(conn, found.n, {"secret": seal(depot, id_of(found), plain), "updated_at": now})
        _record(depot, conn, actor, "webhook.updated", found, detail={"secret": "replaced"})
        return _again(conn, found.n)

    return MadeWebhook(depot.catalog.write(work), text)


def test(depot: Depot, actor: Actor, key: lookup.Key) -> Delivery:
    """Send it a `webhook.test`, once, switched on or not. Admins of the owning team.

    Answers the delivery as it begins; `deliveries.get` tells what came of it.
    """
    now, uid = depot.now(), depot.new_uid()
    lane = -1 - int.from_bytes(depot.entropy(7))

    def work(conn: Connection) -> Delivery:
        found = locate(conn, actor, key)
        _require_active(conn, actor, found)
        n = delivery_rows.insert_test(conn, found.n, uid=uid, lane=lane, verb=TEST, now=now)
        _record(depot, conn, actor, "webhook.tested", found)
        call(depot, conn, found.n)
        made = delivery_rows.find(conn, n=n)
        assert made is not None
        return made

    return depot.catalog.write(work)


def call(depot: Depot, conn: Connection, n: int) -> None:
    """Have a worker look at a webhook when this transaction is durable."""
    delivery_rows.call(conn, n, job_uid=depot.new_uid(), now=depot.now())
    depot.catalog.after_commit(conn, lambda: depot.wake(QUEUE))


def locate(conn: Connection, actor: Actor, key: lookup.Key, *, lock: bool = False) -> Webhook:
    """A webhook that the actor may manage.

    Raises:
        NotFound: There is none.
        Hidden, Unauthenticated, Forbidden: It is of a project where they may not.
    """
    named = f"webhook {ids.encode(Noun.WEBHOOK, key) if isinstance(key, UUID) else lookup.said(key)}"
    found = None
    if lookup.thinkable(key):
        found = rows.find(conn, uid=key, lock=lock) if isinstance(key, UUID) else rows.find(conn, n=key, lock=lock)
    if found is None:
        raise NotFound(f"There is no {named}, or you may not see it.")
    lookup.project(conn, actor, found[0].project, Action.MANAGE_WEBHOOKS, named=named)
    return found[0]


def _require_active(conn: Connection, actor: Actor, hook: Webhook) -> None:
    lookup.active_project(conn, actor, hook.project, Action.MANAGE_WEBHOOKS)


def _again(conn: Connection, n: int) -> Webhook:
    found = rows.find(conn, n=n)
    assert found is not None
    return found[0]


def _endpoint(depot: Depot, text: str) -> str:
    endpoint = parse_endpoint(text)
    if depot.courier is None:
        raise Unsupported("This server sends nothing to webhooks.")
    depot.courier.check(endpoint)
    return endpoint.url


def _retries(wanted: Retries) -> Retries:
    if not 0 <= wanted.max_retries <= MAX_RETRIES:
        raise Invalid(f"max_retries is between 0 and {MAX_RETRIES}.", details={"field": "retries"})
    if not 0 <= wanted.max_backoff_ms <= MAX_BACKOFF_MS:
        raise Invalid(f"max_backoff_ms is between 0 and {MAX_BACKOFF_MS}, a day.", details={"field": "retries"})
    return wanted


def _secret(depot: Depot, given: str | None) -> tuple[str, bytes]:
    """The text that is told once, and the key in it."""
    key = depot.entropy(32) if given is None else key_of(given)
    return base64.b64encode(key).decode(), key


def _shown(hook: Webhook) -> dict[str, Any]:
    """What the log keeps: not the endpoint's path and query, which may be secrets of the receiver's."""
    endpoint = parse_endpoint(hook.endpoint)
    return {
        "name": hook.name,
        "endpoint": f"{endpoint.scheme}://{endpoint.authority}",
        "events": list(hook.events),
        "max_retries": hook.retries.max_retries,
        "max_backoff_ms": hook.retries.max_backoff_ms,
        "enabled": hook.enabled,
    }


def id_of(hook: Webhook) -> str:
    return ids.encode(Noun.WEBHOOK, hook.uid)


def _record(
    depot: Depot,
    conn: Connection,
    actor: Actor,
    verb: str,
    hook: Webhook,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(
        conn,
        actor,
        verb,
        at=depot.now(),
        project=hook.project,
        subject=id_of(hook),
        before=before,
        after=after,
        detail=detail,
    )
