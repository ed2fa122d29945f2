"""Webhooks, deliveries and batch jobs as the native API tells them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from entrepot.depot.naming import Names
from entrepot.depot.webhooks import MadeWebhook
from entrepot.dialects.native import encode
from entrepot.model import ids
from entrepot.model import webhooks as values
from entrepot.model.ids import Noun
from entrepot.wire.messages import webhooks as m

LEVELS: Final[dict[m.LevelName, values.Level]] = {
    "debug": values.Level.DEBUG,
    "info": values.Level.INFO,
    "warning": values.Level.WARNING,
    "error": values.Level.ERROR,
}
_NAMES: Final = {level: name for name, level in LEVELS.items()}


def _fields(one: values.Webhook, names: Names) -> dict[str, Any]:
    project: UUID | None = names.projects.get(one.project)
    return {
        "id": ids.encode(Noun.WEBHOOK, one.uid),
        "project": None if project is None else ids.encode(Noun.PROJECT, project),
        "name": one.name,
        "endpoint": one.endpoint,
        "events": list(one.events),
        "max_retries": one.retries.max_retries,
        "max_backoff_ms": one.retries.max_backoff_ms,
        "enabled": one.enabled,
        "disabled_reason": one.disabled_reason,
        "given_up": one.given_up,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


def webhook(one: values.Webhook, names: Names) -> m.Webhook:
    return m.Webhook(**_fields(one, names))


def with_secret(made: MadeWebhook, names: Names) -> m.WebhookWithSecret:
    return m.WebhookWithSecret(**_fields(made.webhook, names), secret=made.secret)


def delivery(one: values.Delivery) -> m.Delivery:
    return m.Delivery(
        id=ids.encode(Noun.DELIVERY, one.uid),
        event=one.event,
        type=one.verb,
        state=one.state,
        attempts=one.attempts,
        replays=one.replays,
        due=one.due,
        status=one.status,
        error=one.error,
        excerpt=one.excerpt,
        took_ms=one.took_ms,
        version=None if one.version_uid is None else ids.encode(Noun.VERSION, one.version_uid),
        created_at=one.created_at,
        ended_at=one.ended_at,
    )


def batch(one: values.Batch) -> m.Batch:
    task = encode.task(one.task, Names(versions={one.task.version or 0: one.version_uid}))
    return m.Batch(
        task=task,
        name=one.name,
        version=ids.encode(Noun.VERSION, one.version_uid),
        revision=one.revision,
        webhook=ids.encode(Noun.WEBHOOK, one.webhook_uid),
        delivered=one.delivered,
        failed=one.failed,
        total=one.total,
        stop_at=one.stop_at,
    )


def log_line(one: values.LogLine) -> m.LogLine:
    return m.LogLine(at=one.at, level=_NAMES[one.level], message=one.message, item=one.item)
