"""What every use case is handed: the backends that the composition root picked, the clock, and the limits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from entrepot.datatypes.registry import Registry
from entrepot.depot.remembered import Remembered
from entrepot.model.ids import new_uid
from entrepot.store.base import ObjectStore, Staging, boot_id

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog
    from entrepot.catalog.uploads import UploadRow
    from entrepot.depot.examining import Examiner
    from entrepot.depot.ingests import Checker
    from entrepot.depot.outgoing import Courier, Fetcher
    from entrepot.depot.tabling import Workshop

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds with a default each; `server.config` gives every one of them a name in the settings table."""

    upload_size: int | None = None
    entries_per_commit: int = 100_000
    unpacked_size: int | None = None
    unpacked_ratio: int = 200
    unpacked_depth: int = 64
    metadata_text: int = 1 << 20
    custom_metadata: int = 1 << 20
    description: int = 1 << 18
    tags: int = 200
    collection_depth: int = 16
    slots_per_version: int = 1_000
    page: int = 1_000
    graph_nodes: int = 10_000
    open_uploads_per_user: int = 10_000
    tasks_per_user: int = 1_000
    record_line: int = 4 << 20
    webhooks_per_project: int = 50
    query_seconds: int = 30
    query_memory: int = 1 << 30
    query_rows: int = 1_000_000
    query_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Policy:
    """Decisions an operator may change."""

    anonymous: bool = True
    default_licence: str = "Proprietary"
    project_allocation: int | None = None
    upload_lifetime: timedelta = timedelta(days=7)
    parcel_lifetime: timedelta = timedelta(hours=24)
    parcel_memory: timedelta = timedelta(days=7)
    unpack_wait: timedelta = timedelta(seconds=50)
    sample_source: str | None = None
    slot_lifetime: timedelta = timedelta(hours=12)
    signed_url_lifetime: timedelta = timedelta(hours=12)
    # Nobody can call back what was handed out here, so it is short.
    direct_lifetime: timedelta | None = timedelta(minutes=5)
    unstarted_lifetime: timedelta = timedelta(days=7)
    failed_lifetime: timedelta = timedelta(hours=24)
    refused_lifetime: timedelta = timedelta(days=7)
    expiry_notice: timedelta = timedelta(days=7)
    idempotency_lifetime: timedelta = timedelta(hours=24)
    task_retention: timedelta = timedelta(days=30)
    collection_grace: timedelta = timedelta(hours=24)
    scrub_every: timedelta = timedelta(days=30)
    scrub_bytes: int = 4 << 30
    trash_retention: timedelta | None = None
    webhook_timeout: timedelta = timedelta(seconds=10)
    webhook_retention: timedelta = timedelta(days=30)
    webhook_disable_after: int | None = 100
    login_failures: int = 10
    login_window: timedelta = timedelta(minutes=5)
    token_lifetime: timedelta = timedelta(days=90)
    session_lifetime: timedelta = timedelta(days=14)
    # argon2id: the second choice of RFC 9106, for machines that do more than log people in.
    password_time_cost: int = 3
    password_memory_kib: int = 65536
    password_lanes: int = 4


@dataclass(slots=True)
class Depot:
    """The house as the use cases see it. One per process; safe to share between threads."""

    catalog: Catalog
    store: ObjectStore
    staging: Staging
    secret: bytes
    clock: Clock = wall_clock
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    entropy: Callable[[int], bytes] = secrets.token_bytes
    wake: Callable[[str], None] = lambda _queue: None
    #: Which run of the machine this is: the same that staging goes by.
    boot: Callable[[], str] = boot_id
    #: By kind: who judges an ingest. The composition root fills it, so that no checker's library is imported here.
    checkers: Mapping[str, Checker] = field(default_factory=dict)
    #: Who examines what was committed; None where nobody does.
    examiner: Examiner | None = None
    #: What files can be: the program's types and those of this server's settings.
    types: Registry = field(default_factory=Registry)
    #: Who carries what is sent to webhooks; None where nothing leaves the house.
    courier: Courier | None = None
    #: Who gets files from outside; None where nothing is fetched.
    fetcher: Fetcher | None = None
    #: Who reads and writes tables; None where nobody does.
    workshop: Workshop | None = None
    #: The address by which clients reach this server, for links in what is sent; None leaves them without a host.
    public_url: str | None = None
    #: Rows that wait for bytes; see `depot.spares`. Lists take and give one at a time from any thread.
    spares: list[UploadRow] = field(default_factory=list)
    #: What files of batches were taken for, until they are committed.
    remembered: Remembered = field(default_factory=Remembered)

    def now(self) -> datetime:
        return self.clock()

    def one_moment(self) -> AbstractContextManager[None]:
        """Around a use case: what it reads before it writes is all of one moment, and one transaction."""
        return self.catalog.one_moment()

    def new_uid(self) -> UUID:
        return new_uid(self.clock(), self.entropy(10))

    def new_key(self) -> str:
        """The name of a staging file and its object: ours, random, 32 hex digits."""
        return self.entropy(16).hex()
