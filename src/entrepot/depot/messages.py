"""What a webhook is sent: the name of what happened, when, and the ids by which more can be asked for.

    {"type": "version.ready", "timestamp": "2026-01-02T03:04:05Z",
     "data": {"delivery": "dlv_…", "webhook": "webhook_…", "event": 17, "project": {"id": "proj_…", "slug": "lab"},
              "dataset": {"id": "ds_…", "name": "penguins"},
              "version": {"id": "ver_…", "label": "penguins@3", "kind": "table"}, "revision": 17, "subject": null,
              "actor": "ada", "door": "native", "detail": {}, "links": {…}}}

It holds no content, no metadata and no values before and after: whoever receives it asks for those with a token of
their own, and gets what that may see. Names come along only of what lies in the webhook's own project at that moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from entrepot.catalog import events as event_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import Event, Version
from entrepot.model.webhooks import Delivery, Webhook, told

__all__ = ["instant", "of_delivery", "write"]

_API = "/api/v1"


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def write(kind: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    message = {"type": kind, "timestamp": instant(at), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def of_delivery(conn: Connection, depot: Depot, hook: Webhook, delivery: Delivery) -> bytes:
    """The body of a delivery. It is made anew for each attempt from what does not change."""
    # Every field is there in every message, so that a receiver need not ask whether it is.
    data: dict[str, Any] = {
        "delivery": ids.encode(Noun.DELIVERY, delivery.uid),
        "webhook": ids.encode(Noun.WEBHOOK, hook.uid),
        "event": delivery.event,
        "project": None,
        "dataset": None,
        "version": None,
        "revision": None,
        "subject": None,
        "actor": None,
        "door": None,
        "detail": {},
    }
    home = project_rows.find(conn, user=None, n=hook.project)
    links: dict[str, str] = {}
    if home is not None:
        data["project"] = {"id": ids.encode(Noun.PROJECT, home[0].uid), "slug": home[0].slug}
        links["project"] = f"{_API}/projects/{data['project']['id']}"
    event = None if delivery.event is None else event_rows.find(conn, delivery.event)
    if event is None:
        at = delivery.created_at
    else:
        at = event.at
        data |= _of_event(conn, hook, delivery, event, links)
    base = depot.public_url or ""
    data["links"] = {name: base + path for name, path in links.items()}
    return write(delivery.verb, at, data)


def _of_event(
    conn: Connection, hook: Webhook, delivery: Delivery, event: Event, links: dict[str, str]
) -> dict[str, Any]:
    version: Version | None = None
    if event.version is not None:
        found = version_rows.find(conn, asking=None, n=event.version)
        # It may have left the project since, and its names with it.
        version = found.version if found is not None and found.version.project == hook.project else None
    same_line = version is not None and version.dataset == event.dataset
    told_of: dict[str, Any] = {"dataset": None, "version": None}
    if delivery.dataset_uid is not None:
        told_of["dataset"] = {
            "id": ids.encode(Noun.DATASET, delivery.dataset_uid),
            "name": version.name if version is not None and same_line else None,
        }
    if delivery.version_uid is not None:
        path = f"{_API}/versions/{ids.encode(Noun.VERSION, delivery.version_uid)}"
        told_of["version"] = {
            "id": ids.encode(Noun.VERSION, delivery.version_uid),
            "label": None if version is None else _label(version),
            "kind": None if version is None else version.kind.value,
        }
        links["version"] = path
        if event.revision is not None:
            links["entries"] = f"{path}/entries?revision={event.revision}"
    if event.verb == "task.ended" and event.subject is not None:
        links["task"] = f"{_API}/tasks/{event.subject}"
    return told_of | {
        "revision": event.revision,
        "subject": event.subject,
        "actor": event.actor_name,
        "door": event.door,
        "detail": told(event.verb, event.detail),
    }


def _label(version: Version) -> str:
    """Without the revision, which goes on: the event's own stands beside it."""
    return version.slug if version.number is None else f"{version.slug}@{version.number}"
