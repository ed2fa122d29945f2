"""Webhooks of a project: on this wire they are where batch jobs send to, and nothing else."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from entrepot.depot import deliveries, projects, webhooks
from entrepot.depot.context import Depot
from entrepot.depot.webhooks import MAX_BACKOFF_MS, MAX_RETRIES, NewWebhook, WebhookChanges
from entrepot.dialects.datature import encode, encode_jobs
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Leaf
from entrepot.model.webhooks import DeliveryState, Retries, Webhook

#: As the client's own defaults.
_RETRIES = Retries(max_retries=3, max_backoff_ms=15_000)

#: How often a test is asked about, and how much longer than one attempt may take, for it has to wait for a worker too.
_LOOK_S, _SPARE_S = 0.05, 5.0

_BEFORE, _AFTER = "newer-", "older-"


async def create(asked: Asked) -> None:
    top = Fields(await asked.body())
    name, spec = top.text("name"), top.object("spec")
    new = NewWebhook(
        name=name,
        endpoint=spec.text("endpoint"),
        # A mere destination: the events of the project are for those who ask natively for them.
        events=(),
        secret=spec.object("secret").text("contents") if spec.has("secret") else None,
        retries=_retries(spec) or _RETRIES,
    )

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        return encode_jobs.webhook(webhooks.create(depot, actor, home.n, new).webhook, asked.project)

    await asked.answer(work, status=201)


def _retries(spec: Fields) -> Retries | None:
    if not spec.has("retries"):
        return None
    fields = spec.object("retries")
    most = fields.optional_number("maxRetries", least=0, most=MAX_RETRIES)
    pause = fields.optional_number("maxBackoffMs", least=0, most=MAX_BACKOFF_MS)
    return Retries(
        max_retries=_RETRIES.max_retries if most is None else most,
        max_backoff_ms=_RETRIES.max_backoff_ms if pause is None else pause,
    )


async def list_(asked: Asked) -> None:
    """Newest first. There are few of them: all are read for a page."""
    limit, cursor = asked.limit(), asked.text("page")
    if limit < 1:
        raise Invalid(f"A page has at least 1 row, not {limit}.")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        page = webhooks.list_webhooks(depot, actor, home.n, limit=1000)
        every = list(page.rows)
        while page.cursor is not None:
            page = webhooks.list_webhooks(depot, actor, home.n, cursor=page.cursor, limit=1000)
            every += page.rows
        leaf = _leaf(every[::-1], cursor, limit)
        return encode.page(leaf, [encode_jobs.webhook(one, asked.project) for one in leaf.rows])

    await asked.answer(work)


def _leaf(every: list[Webhook], cursor: str | None, limit: int) -> Leaf[Webhook]:
    """The page at a cursor, which stands beside a row: it need not be there any more."""
    start = 0
    if cursor is not None:
        way = next((one for one in (_BEFORE, _AFTER) if cursor.startswith(one)), None)
        number = cursor.removeprefix(way or "")
        if way is None or not (number.isascii() and number.isdecimal() and len(number) <= 18):
            raise Invalid("This page cursor is not one that this server makes. Ask for the first page again.")
        start = sum(one.n > int(number) for one in every)
        if way == _BEFORE:
            start, limit = max(0, start - limit), min(limit, start)
        else:
            start += any(one.n == int(number) for one in every)
    shown = every[start : start + limit]
    return Leaf(
        tuple(shown),
        f"{_BEFORE}{shown[0].n}" if shown and start else None,
        f"{_AFTER}{shown[-1].n}" if shown and start + limit < len(every) else None,
    )


async def get(asked: Asked) -> None:
    await asked.answer(lambda depot, actor: encode_jobs.webhook(_find(asked, depot, actor), asked.project))


async def update(asked: Asked) -> None:
    """What is given of name, endpoint, retries and secret."""
    top = Fields(await asked.body())
    spec = top.object("spec") if top.has("spec") else Fields({})
    secret = spec.object("secret").text("contents") if spec.has("secret") else None
    changes = WebhookChanges(
        name=top.optional_text("name"), endpoint=spec.optional_text("endpoint"), retries=_retries(spec)
    )

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        n = _find(asked, depot, actor).n
        changed = webhooks.update(depot, actor, n, changes)
        if secret is not None:
            changed = webhooks.new_secret(depot, actor, n, secret).webhook
        return encode_jobs.webhook(changed, asked.project)

    await asked.answer(work)


async def update_secret(asked: Asked) -> None:
    secret = Fields(await asked.body()).text("contents")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        changed = webhooks.new_secret(depot, actor, _find(asked, depot, actor).n, secret).webhook
        return encode_jobs.webhook(changed, asked.project)

    await asked.answer(work)


async def delete(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        gone = webhooks.delete(depot, actor, _find(asked, depot, actor).n)
        return {"id": ids.encode(Noun.WEBHOOK, gone.uid), "deleted": True}

    await asked.answer(work)


async def test(asked: Asked) -> None:
    """Send it a test, and wait for what comes of it, without a thread: a worker does it."""
    begun = await asked.call(lambda depot, actor: webhooks.test(depot, actor, _find(asked, depot, actor).n))
    longest = asked.context.depot.policy.webhook_timeout.total_seconds() + _SPARE_S
    end = time.monotonic() + longest
    found = begun
    while found.state is DeliveryState.WAITING and time.monotonic() < end:
        await asyncio.sleep(_LOOK_S)
        found = await asked.call(lambda depot, actor: deliveries.get(depot, actor, begun.webhook, begun.uid))
    await asked.answer(lambda _depot, _actor: encode_jobs.tested(found))


def _find(asked: Asked, depot: Depot, actor: Actor) -> Webhook:
    """The webhook, if it is one of the project that the path names."""
    missing = NotFound(f"There is no webhook {asked.found['id'][:80]} in this project, or you may not see it.")
    home = projects.get(depot, actor, asked.project, trashed=False).project
    try:
        uid = ids.decode(Noun.WEBHOOK, asked.found["id"])
    except NotFound as malformed:
        raise missing from malformed
    found = webhooks.get(depot, actor, uid)
    if found.project != home.n:
        raise missing
    return found
