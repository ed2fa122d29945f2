"""Webhooks of a project, what they were sent, and sending it again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import deliveries, naming, webhooks
from entrepot.depot.context import Depot
from entrepot.depot.naming import Names
from entrepot.dialects.native import decode
from entrepot.dialects.native import encode_webhooks as encode
from entrepot.dialects.native.decode import Cursor, Limit, ProjectId
from entrepot.dialects.native.routing import TELLS_SECRET, Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.model.webhooks import DeliveryState, Retries, Webhook
from entrepot.wire.messages import webhooks as m

routes = router("webhooks")


def _names(depot: Depot, *found: Webhook) -> Names:
    return naming.of_numbers(depot, projects=[one.project for one in found])


@routes.get("/projects/{project}/webhooks", response_model=m.WebhookPage, summary="Webhooks of a project")
async def list_webhooks(ask: Ask, project: ProjectId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    key = decode.project(project)

    def work(depot: Depot, actor: Actor) -> m.WebhookPage:
        page = webhooks.list_webhooks(depot, actor, key, cursor=cursor, limit=limit)
        names = _names(depot, *page.rows)
        return m.WebhookPage(rows=[encode.webhook(one, names) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post(
    "/projects/{project}/webhooks",
    response_model=m.WebhookWithSecret,
    status_code=201,
    openapi_extra={TELLS_SECRET: True},
    summary="Have events of a project sent somewhere; the secret is told this once",
)
async def create_webhook(ask: Ask, project: ProjectId, new: m.NewWebhook) -> Response:
    key = decode.project(project)

    def work(depot: Depot, actor: Actor) -> m.WebhookWithSecret:
        wanted = webhooks.NewWebhook(
            new.name,
            new.endpoint,
            events=new.events,
            secret=new.secret,
            retries=Retries(new.max_retries, new.max_backoff_ms),
            enabled=new.enabled,
        )
        made = webhooks.create(depot, actor, key, wanted)
        return encode.with_secret(made, _names(depot, made.webhook))

    return await ask.answer(work, status=201)


@routes.get("/webhooks/{webhook}", response_model=m.Webhook, summary="One webhook, without its secret")
async def get_webhook(ask: Ask, webhook: str) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)

    def work(depot: Depot, actor: Actor) -> m.Webhook:
        found = webhooks.get(depot, actor, uid)
        return encode.webhook(found, _names(depot, found))

    return await ask.answer(work)


@routes.patch("/webhooks/{webhook}", response_model=m.Webhook, summary="Change a webhook")
async def update_webhook(ask: Ask, webhook: str, changes: m.WebhookChanges) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)

    def work(depot: Depot, actor: Actor) -> m.Webhook:
        given: dict[str, Any] = changes.given()
        bounds = {name: given.pop(name) for name in ("max_retries", "max_backoff_ms") if name in given}
        if bounds:
            kept = webhooks.get(depot, actor, uid).retries
            given["retries"] = Retries(
                bounds.get("max_retries", kept.max_retries), bounds.get("max_backoff_ms", kept.max_backoff_ms)
            )
        found = webhooks.update(depot, actor, uid, webhooks.WebhookChanges(**given))
        return encode.webhook(found, _names(depot, found))

    return await ask.answer(work)


@routes.delete("/webhooks/{webhook}", status_code=204, summary="Remove a webhook and what was on its way to it")
async def delete_webhook(ask: Ask, webhook: str) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)
    return await ask.nothing(lambda depot, actor: webhooks.delete(depot, actor, uid))


@routes.put(
    "/webhooks/{webhook}/secret",
    response_model=m.WebhookWithSecret,
    openapi_extra={TELLS_SECRET: True},
    summary="Replace the secret; it is told this once",
)
async def replace_secret(ask: Ask, webhook: str, new: m.NewSecret) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)

    def work(depot: Depot, actor: Actor) -> m.WebhookWithSecret:
        made = webhooks.new_secret(depot, actor, uid, new.secret)
        return encode.with_secret(made, _names(depot, made.webhook))

    return await ask.answer(work)


@routes.post(
    "/webhooks/{webhook}/test",
    response_model=m.Delivery,
    status_code=202,
    summary="Send it a `webhook.test`, once; the delivery tells what comes of it",
)
async def test_webhook(ask: Ask, webhook: str) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)
    return await ask.answer(lambda depot, actor: encode.delivery(webhooks.test(depot, actor, uid)), status=202)


@routes.get("/webhooks/{webhook}/deliveries", response_model=m.DeliveryPage, summary="What it was sent, newest first")
async def list_deliveries(
    ask: Ask,
    webhook: str,
    state: Annotated[list[DeliveryState], Query(description="Any of these.")] = [],  # noqa: B006 - the framework copies
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)

    def work(depot: Depot, actor: Actor) -> m.DeliveryPage:
        page = deliveries.list_deliveries(depot, actor, uid, states=tuple(state), cursor=cursor, limit=limit)
        return m.DeliveryPage(rows=[encode.delivery(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/webhooks/{webhook}/deliveries/{delivery}", response_model=m.Delivery, summary="One delivery")
async def get_delivery(ask: Ask, webhook: str, delivery: str) -> Response:
    hook, uid = ids.decode(Noun.WEBHOOK, webhook), ids.decode(Noun.DELIVERY, delivery)
    return await ask.answer(lambda depot, actor: encode.delivery(deliveries.get(depot, actor, hook, uid)))


@routes.post(
    "/webhooks/{webhook}/deliveries/{delivery}/replay",
    response_model=m.Delivery,
    summary="Send one again, in its place; one that still waits is tried at once",
)
async def replay_delivery(ask: Ask, webhook: str, delivery: str) -> Response:
    hook, uid = ids.decode(Noun.WEBHOOK, webhook), ids.decode(Noun.DELIVERY, delivery)
    return await ask.answer(lambda depot, actor: encode.delivery(deliveries.replay(depot, actor, hook, uid)))


@routes.post("/webhooks/{webhook}/replay", response_model=m.Replayed, summary="Send again what happened from a time on")
async def replay_since(ask: Ask, webhook: str, asked: m.Replay) -> Response:
    uid = ids.decode(Noun.WEBHOOK, webhook)

    def work(depot: Depot, actor: Actor) -> m.Replayed:
        return m.Replayed(
            deliveries=deliveries.replay_since(depot, actor, uid, asked.since, states=tuple(asked.states))
        )

    return await ask.answer(work)
