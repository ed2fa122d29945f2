"""Webhooks, what they were sent, and jobs that send every item of a version to one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from entrepot.model.webhooks import DeliveryState
from entrepot.wire.messages.base import Answer, Changes, Instant, Request, RevisionNumber
from entrepot.wire.messages.tasks import Task

Events = Annotated[
    list[str],
    Field(description="`*`, `version.*`, `version.ready`; none makes a mere destination for batch jobs."),
]
MaxRetries = Annotated[int, Field(ge=0, le=100, description="Attempts after the first.")]
MaxBackoff = Annotated[
    int, Field(ge=0, le=86_400_000, description="The longest pause between two of them; they begin at a second.")
]
Secret = Annotated[str, Field(description="Base64 of 24 to 64 bytes.", json_schema_extra={"format": "password"})]
LevelName = Literal["debug", "info", "warning", "error"]


class NewWebhook(Request):
    name: str
    endpoint: str = Field(description="https:// or http://; where the operator allows it.")
    events: Events = ["*"]
    secret: Secret | None = Field(default=None, description="Left out: one is made, and told in the answer.")
    max_retries: MaxRetries = 12
    max_backoff_ms: MaxBackoff = 3_600_000
    enabled: bool = True


class WebhookChanges(Changes):
    """What is left out stays. Switching it on forgets why it was switched off."""

    name: str = ""
    endpoint: str = ""
    events: Events = []
    max_retries: MaxRetries = 0
    max_backoff_ms: MaxBackoff = 0
    enabled: bool = True


class NewSecret(Request):
    secret: Secret | None = Field(default=None, description="Left out: one is made, and told in the answer.")


class Webhook(Answer):
    id: str
    project: str | None
    name: str
    endpoint: str
    events: list[str]
    max_retries: int
    max_backoff_ms: int
    enabled: bool
    disabled_reason: str | None = Field(description="Why it is off, when nobody switched it off on purpose.")
    given_up: int = Field(description="Deliveries given up in a row.")
    created_at: Instant
    updated_at: Instant


class WebhookWithSecret(Webhook):
    """The only answer that has the secret."""

    secret: Secret


class WebhookPage(Answer):
    rows: list[Webhook]
    next: str | None = None


class Delivery(Answer):
    id: str = Field(description="What the receiver sees as `webhook-id`.")
    event: int | None = Field(description="The number of the event; null for a test.")
    type: str
    state: DeliveryState
    attempts: int
    replays: int
    due: Instant = Field(description="When the next attempt is due, while it waits.")
    status: int | None = Field(description="What the receiver answered last.")
    error: str | None
    excerpt: str | None = Field(description="The beginning of its last answer.")
    took_ms: int | None
    version: str | None
    created_at: Instant
    ended_at: Instant | None


class DeliveryPage(Answer):
    """Newest first."""

    rows: list[Delivery]
    next: str | None = None


class Replay(Request):
    """What happened from a time on is sent again: deliveries in these states, and events that were never sent."""

    since: Instant
    states: list[Annotated[DeliveryState, Field(strict=False)]] = [DeliveryState.FAILED]


class Replayed(Answer):
    deliveries: int = Field(description="How many are on their way again.")


class NewBatch(Request):
    webhook: str
    name: str = ""
    revision: RevisionNumber | None = Field(default=None, description="Left out: the newest.")
    stop_at: Instant | None = None


class Batch(Answer):
    """A task that sends every item of a version to a webhook."""

    task: Task
    name: str
    version: str
    revision: int
    webhook: str
    delivered: int
    failed: int
    total: int | None = Field(description="How many items there are, where the version counts them.")
    stop_at: Instant | None


class BatchPage(Answer):
    """Newest first."""

    rows: list[Batch]
    next: str | None = None


class Stop(Request):
    at: Instant | None = Field(default=None, description="Left out: now.")


class LogLine(Answer):
    at: Instant
    level: LevelName
    message: str
    item: int | None = Field(description="Which one, from 0.")


class LogPage(Answer):
    """Newest first."""

    rows: list[LogLine]
    next: str | None = None
