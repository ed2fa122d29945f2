"""Webhooks, what they were sent, and the jobs that send a whole dataset: values, and which events a pattern means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final
from uuid import UUID

from entrepot.model.errors import Invalid
from entrepot.model.values import Task

#: The event of a test, which nobody subscribes to.
TEST: Final = "webhook.test"
#: What is sent for each item of a batch job.
ITEM: Final = "batch.item"

#: Families of events that have a project. What people do with their accounts and credentials is nobody's but theirs.
FAMILIES: Final = ("project", "version", "revision", "relationship", "task", "member", "webhook")
_PATTERN = re.compile(r"\*|([a-z]+)\.(\*|[a-z_]+)")
MAX_PATTERNS: Final = 100


class DeliveryState(StrEnum):
    """Of a delivery: waiting for its first or next attempt, taken by the receiver, or given up."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Level(IntEnum):
    """How urgent a line of a job's log is."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a refused delivery is repeated.

    Args:
        max_retries: Attempts after the first.
        max_backoff_ms: The longest pause between two of them; they begin at a second and double.
    """

    max_retries: int = 12
    max_backoff_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a project's events are sent. Its secret is in no value.

    Args:
        events: Patterns; none is a mere destination for batch jobs.
        disabled_reason: Why it is switched off, when nobody did it on purpose.
        given_up: Deliveries given up in a row.
    """

    n: int
    uid: UUID
    project: int
    name: str
    endpoint: str
    events: tuple[str, ...]
    retries: Retries
    enabled: bool
    disabled_reason: str | None
    given_up: int
    creator: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook.

    Args:
        event: The number of the event; None for a test.
        lane: What keeps order: the dataset's number, 0 for what is about none; negative for a test.
        attempts: How often it was sent since it was made or replayed.
        status: What the receiver last answered with; None when it did not.
        error: What went wrong last, for people.
        excerpt: The beginning of the last answer's body.
    """

    n: int
    uid: UUID
    webhook: int
    verb: str
    event: int | None
    lane: int
    state: DeliveryState
    due: datetime
    attempts: int
    replays: int
    status: int | None
    error: str | None
    excerpt: str | None
    took_ms: int | None
    version_uid: UUID | None
    dataset_uid: UUID | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A job that sends every item of a version to a webhook, and the task that it is.

    Args:
        revision: The content is that of this revision to the end, whatever is written meanwhile.
        webhook: Its number; None when it was deleted.
        total: How many items there are; None where the version does not count them.
        stop_at: It stops at this time, wherever it is.
    """

    task: Task
    name: str
    version_uid: UUID
    revision: int
    webhook: int | None
    webhook_uid: UUID
    delivered: int
    failed: int
    total: int | None
    stop_at: datetime | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a job says of itself. `item` counts from 0."""

    n: int
    at: datetime
    level: Level
    message: str
    item: int | None


def event_patterns(values: Sequence[str]) -> tuple[str, ...]:
    """Patterns of event names as they are kept: each once, in the order given.

    Raises:
        Invalid: One that could mean nothing, or that means what no project may be told.
    """
    if isinstance(values, str) or len(values) > MAX_PATTERNS:
        raise Invalid(f"Events are a list of at most {MAX_PATTERNS} patterns.", details={"field": "events"})
    for value in values:
        match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise Invalid(
                f"{str(value)[:80]!r} is no pattern of events. Write '*', 'version.*' or 'version.ready'.",
                details={"field": "events"},
            )
        if match[1] is not None and match[1] not in FAMILIES:
            raise Invalid(
                f"No project is told of events {match[1]}.*. Use {', '.join(f'{one}.*' for one in FAMILIES)}.",
                details={"field": "events"},
            )
    return tuple(dict.fromkeys(values))


def matches(patterns: Iterable[str], verb: str) -> bool:
    """Whether an event is one that these patterns ask for."""
    family = verb.partition(".")[0]
    return any(pattern in ("*", verb, f"{family}.*") for pattern in patterns)


#: Details of an event that say no more than its name, and that receivers need. All others stay inside.
_TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "task.ended": ("kind", "state"),
    "version.failed": ("stage",),
    "version.expiring": ("expires_at",),
    "webhook.disabled": ("reason",),
}


def told(verb: str, detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of an event's details may leave the house."""
    return {name: detail[name] for name in _TOLD.get(verb, ()) if detail is not None and name in detail}
