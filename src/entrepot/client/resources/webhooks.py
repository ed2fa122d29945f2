"""Webhooks of a project, what they were sent, and jobs that send a whole version to one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from entrepot.client.pins import Pin, Thing, pin
from entrepot.client.resources.base import Resource, named
from entrepot.model.errors import Unavailable
from entrepot.model.webhooks import DeliveryState
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.webhooks import (
    Batch,
    BatchPage,
    Delivery,
    DeliveryPage,
    LogLine,
    LogPage,
    NewBatch,
    NewSecret,
    NewWebhook,
    Replay,
    Replayed,
    Stop,
    Webhook,
    WebhookChanges,
    WebhookPage,
    WebhookWithSecret,
)

__all__ = ["Batches", "WebhookBounds", "WebhookFields", "Webhooks"]


class WebhookBounds(TypedDict, total=False):
    """How patient a webhook is, and whether it is switched on."""

    max_retries: int
    max_backoff_ms: int
    enabled: bool


class WebhookFields(WebhookBounds, total=False):
    """What of a webhook can be changed; what is not given stays."""

    name: str
    endpoint: str
    events: list[str]


class Webhooks(Resource):
    """Addresses that events of a project are sent to. For admins of the team that owns it."""

    def list(self, project: str) -> Iterator[Webhook]:
        yield from self._transport.rows(f"/projects/{named('project', project)}/webhooks", WebhookPage)

    def get(self, webhook: str | Webhook) -> Webhook:
        return self._transport.get(_address(webhook), Webhook)

    def create(
        self,
        project: str,
        name: str,
        endpoint: str,
        *,
        events: Sequence[str] = ("*",),
        secret: str | None = None,
        **more: Unpack[WebhookBounds],
    ) -> WebhookWithSecret:
        """Have events sent somewhere. The answer has the secret, which nobody is told again.

        Args:
            events: `*`, `version.*`, `version.ready`; none makes a mere destination for batch jobs.
            secret: Base64 of 24 to 64 bytes; left out, one is made.

        Raises:
            Invalid: The address is none that the operator allows, or a pattern means nothing.
        """
        given: dict[str, Any] = {**more, "name": name, "endpoint": endpoint, "events": [*events]}
        if secret is not None:
            given["secret"] = secret
        address = f"/projects/{named('project', project)}/webhooks"
        return self._transport.post(address, WebhookWithSecret, NewWebhook(**given))

    def update(self, webhook: str | Webhook, **changes: Unpack[WebhookFields]) -> Webhook:
        return self._transport.patch(_address(webhook), Webhook, WebhookChanges(**changes))

    def delete(self, webhook: str | Webhook) -> None:
        """Remove it, with everything that was on its way to it."""
        self._transport.send("DELETE", _address(webhook))

    def new_secret(self, webhook: str | Webhook, secret: str | None = None) -> WebhookWithSecret:
        """Replace the secret; from the next attempt on the new one signs."""
        body = NewSecret() if secret is None else NewSecret(secret=secret)
        return self._transport.put(_address(webhook, "/secret"), WebhookWithSecret, body)

    def test(self, webhook: str | Webhook, *, timeout: float | None = 30.0) -> Delivery:
        """Send it a `webhook.test`, once, and wait what comes of it.

        Args:
            timeout: Seconds; None does not wait.

        Raises:
            Unavailable: Nothing came of it in this time; most likely no worker runs.
        """
        found = self._transport.post(_address(webhook, "/test"), Delivery)
        deadline = None if timeout is None else time.monotonic() + timeout
        while deadline is not None and found.state is DeliveryState.WAITING:
            if time.monotonic() >= deadline:
                raise Unavailable(f"Delivery {found.id} still waits after {timeout:g} s. Does a worker run?")
            time.sleep(0.1)
            found = self.delivery(webhook, found.id)
        return found

    def deliveries(self, webhook: str | Webhook, *, state: str | DeliveryState | None = None) -> Iterator[Delivery]:
        """What it was sent, newest first.

        Args:
            state: `waiting`, `delivered` or `failed`.
        """
        asked = {"state": None if state is None else str(state)}
        yield from self._transport.rows(_address(webhook, "/deliveries"), DeliveryPage, asked)

    def delivery(self, webhook: str | Webhook, delivery: str | Delivery) -> Delivery:
        return self._transport.get(_address(webhook, f"/deliveries/{named('delivery', delivery)}"), Delivery)

    def replay(self, webhook: str | Webhook, delivery: str | Delivery) -> Delivery:
        """Send one again, in its place; one that still waits is tried at once."""
        address = _address(webhook, f"/deliveries/{named('delivery', delivery)}/replay")
        return self._transport.post(address, Delivery)

    def replay_since(
        self, webhook: str | Webhook, since: datetime, *, states: Sequence[str | DeliveryState] = ("failed",)
    ) -> int:
        """Send again what happened from a time on: deliveries in these states, and what was never sent; how many."""
        body = Replay(since=since, states=[DeliveryState(state) for state in states])
        return self._transport.post(_address(webhook, "/replay"), Replayed, body).deliveries


class Batches(Resource):
    """Jobs that send every item of a version to a webhook, in order, each at least once."""

    def start(
        self, version: Thing, webhook: str | Webhook, *, name: str = "", stop_at: datetime | None = None
    ) -> Batch:
        """Begin. The revision that the version shows now is sent, whatever is written meanwhile.

        `client.tasks.wait(batch.task)` waits for its end.
        """
        found: Pin = pin(self._transport, version)
        given: dict[str, Any] = {"webhook": named("webhook", webhook), "name": name, "revision": found.revision}
        if stop_at is not None:
            given["stop_at"] = stop_at
        return self._transport.post(f"/versions/{named('version', found.version)}/batches", Batch, NewBatch(**given))

    def list(self, *, project: str | None = None, version: Thing | None = None) -> Iterator[Batch]:
        asked = {"project": project, "version": None if version is None else self._version_id(version)}
        yield from self._transport.rows("/batches", BatchPage, asked)

    def get(self, batch: str | Batch | Task) -> Batch:
        return self._transport.get(_batch(batch), Batch)

    def stop(self, batch: str | Batch | Task, at: datetime | None = None) -> Batch:
        """Stop it, now or at a time to come. What was sent stays sent."""
        return self._transport.post(_batch(batch, "/stop"), Batch, Stop() if at is None else Stop(at=at))

    def log(
        self,
        batch: str | Batch | Task,
        *,
        level: str = "info",
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> Iterator[LogLine]:
        """What it said, newest first.

        Args:
            level: The least urgent lines wanted: `debug`, `info`, `warning` or `error`.
        """
        asked = {
            "level": level,
            "before": None if before is None else before.isoformat(),
            "after": None if after is None else after.isoformat(),
        }
        yield from self._transport.rows(_batch(batch, "/log"), LogPage, asked)


def _address(webhook: str | Webhook, action: str = "") -> str:
    return f"/webhooks/{named('webhook', webhook)}{action}"


def _batch(batch: str | Batch | Task, action: str = "") -> str:
    return f"/batches/{named('batch job', batch.task if isinstance(batch, Batch) else batch)}{action}"
