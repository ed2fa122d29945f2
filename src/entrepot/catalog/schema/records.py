"""What data is: projects, collections, datasets, versions, their history and their links."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from entrepot.catalog.schema.types import Id, Instant, Json, PathText, Uid, metadata

project = Table(
    "project",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("slug", PathText, nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("team", Id, ForeignKey("team.id"), nullable=False),
    # The project that each person has from the start; lives as long as its user.
    Column("personal", Boolean, nullable=False, default=False),
    Column("default_licence", Id, ForeignKey("licence.id"), nullable=False),
    Column("allocation", BigInteger),
    Column("default_expiry_s", BigInteger),
    Column("retention_s", BigInteger),
    Column("settings", Json, nullable=False, default=dict),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("trashed_at", Instant),
    Column("trashed_by", Id, ForeignKey("user.id")),
    Column("trash_reason", Text),
    sqlite_autoincrement=True,
)
_project_active = project.c.trashed_at.is_(None)
Index(
    "uq_project_name_active",
    project.c.team,
    project.c.name,
    unique=True,
    sqlite_where=_project_active,
    postgresql_where=_project_active,
)

#: A slug that was given up keeps leading to its thing until somebody takes it.
#: `scope` is 0 for projects, else the project.
old_slug = Table(
    "old_slug",
    metadata,
    Column("scope", Id, primary_key=True),
    Column("slug", PathText, primary_key=True),
    Column("project", Id, ForeignKey("project.id", ondelete="CASCADE")),
    Column("dataset", Id, ForeignKey("dataset.id", ondelete="CASCADE")),
    Column("version", Id, ForeignKey("version.id", ondelete="CASCADE")),
)

collection = Table(
    "collection",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("project", Id, ForeignKey("project.id"), nullable=False),
    # '' is the root, whose uid is its project's; others are 'a/b/c'.
    Column("path", PathText, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project", "path"),
    sqlite_autoincrement=True,
)

dataset = Table(
    "dataset",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("project", Id, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", PathText, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project", "name"),
    UniqueConstraint("project", "slug"),
    sqlite_autoincrement=True,
)

version = Table(
    "version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("dataset", Id, ForeignKey("dataset.id"), nullable=False),
    # The dataset's project again: lists, uniqueness of aliases and the permission filter need it in one index.
    Column("project", Id, ForeignKey("project.id"), nullable=False),
    Column("collection", Id, ForeignKey("collection.id"), nullable=False),
    Column("number", Integer),
    Column("kind", Text, nullable=False),
    # The newest revision number; 0 is empty and has a revision row only for kind files.
    Column("rev", Integer, nullable=False, default=0),
    Column("state", Text, nullable=False),
    Column("stage", Text),
    Column("report", Json),
    Column("description", Text, nullable=False, default=""),
    Column("licence", Id, ForeignKey("licence.id"), nullable=False),
    Column("visibility", Text, nullable=False),
    Column("custom", Json, nullable=False, default=dict),
    Column("tags", Json, nullable=False, default=list),
    Column("alias", PathText),
    # What one dialect keeps that the model lacks: {"ufdl.tags": ...}.
    Column("properties", Json, nullable=False, default=dict),
    # Declared columns, line kind and the like, as the kind's own floor understands them.
    Column("declared", Json),
    # Name, size and digest of the archive this version was unpacked from.
    Column("unpacked_from", Json),
    Column("is_proposal", Boolean, nullable=False, default=False),
    Column("previous_version", Integer),
    Column("frozen_at", Instant),
    Column("edit", Integer, nullable=False, default=0),
    # Counts of the newest revision, so that a list needs no join.
    Column("n_entries", BigInteger, nullable=False, default=0),
    Column("n_bytes", BigInteger, nullable=False, default=0),
    Column("item_count", BigInteger),
    Column("next_pos", BigInteger, nullable=False, default=0),
    Column("data_type", Text),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("ready_at", Instant),
    Column("expires_at", Instant),
    Column("trashed_at", Instant),
    Column("trashed_by", Id, ForeignKey("user.id")),
    Column("trash_reason", Text),
    sqlite_autoincrement=True,
)
_version_active = version.c.trashed_at.is_(None)
Index(
    "uq_version_number_active",
    version.c.dataset,
    version.c.number,
    unique=True,
    sqlite_where=_version_active,
    postgresql_where=_version_active,
)
Index(
    "uq_version_alias_active",
    version.c.project,
    version.c.alias,
    unique=True,
    sqlite_where=_version_active,
    postgresql_where=_version_active,
)
Index("ix_version_project", version.c.project, version.c.id)
Index("ix_version_dataset", version.c.dataset, version.c.id)
Index("ix_version_collection", version.c.collection, version.c.id)
Index("ix_version_creator", version.c.creator, version.c.id)
Index("ix_version_visibility", version.c.visibility, version.c.id)
Index("ix_version_updated_at", version.c.updated_at, version.c.id)
Index("ix_version_created_at", version.c.created_at, version.c.id)
Index("ix_version_expires_at", version.c.expires_at)
Index("ix_version_trashed_at", version.c.trashed_at)

#: The tags of a version again, one a row: facets and filters ask for versions by tag.
version_tag = Table(
    "version_tag",
    metadata,
    Column("tag", PathText, primary_key=True),
    Column("version", Id, ForeignKey("version.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("ix_version_tag_version", version_tag.c.version)

#: One attempt to give a version content that must be checked first.
ingest = Table(
    "ingest",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("version", Id, ForeignKey("version.id", ondelete="CASCADE"), nullable=False),
    Column("job", Id),
    Column("state", Text, nullable=False),
    Column("stage", Text),
    Column("report", Json),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
)
Index("ix_ingest_version", ingest.c.version, ingest.c.id)

relationship = Table(
    "relationship",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    # Null once that version was purged; then the tombstone tells what it was.
    Column("source", Id, ForeignKey("version.id")),
    Column("source_rev", Integer, nullable=False),
    Column("source_tombstone", Json),
    Column("target", Id, ForeignKey("version.id")),
    Column("target_rev", Integer, nullable=False),
    Column("target_tombstone", Json),
    Column("verb", Text, nullable=False),
    Column("mode", Text),
    Column("note", Text),
    Column("at", Instant),
    Column("qualifiers", Json, nullable=False, default=dict),
    # Digest over ends, verb and qualifiers: an identical edge is the same edge.
    Column("fingerprint", PathText, nullable=False, unique=True),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_relationship_source", relationship.c.source, relationship.c.id)
Index("ix_relationship_target", relationship.c.target, relationship.c.id)

#: Append-only: who did what, when, through which door. Feeds audit, activity, webhooks and expiry.
event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("verb", Text, nullable=False),
    Column("actor", Id, ForeignKey("user.id")),
    Column("door", Text, nullable=False),
    Column("node", Id, ForeignKey("node.id")),
    Column("token", Id, ForeignKey("token.id")),
    # Numbers without foreign keys: events outlive what they speak of.
    Column("project", Id),
    Column("dataset", Id),
    Column("version", Id),
    Column("revision", Integer),
    Column("subject", Text),
    Column("before", Json),
    Column("after", Json),
    Column("detail", Json),
    sqlite_autoincrement=True,
)
Index("ix_event_project", event.c.project, event.c.id)
Index("ix_event_dataset", event.c.dataset, event.c.id)
Index("ix_event_version", event.c.version, event.c.id)
Index("ix_event_actor", event.c.actor, event.c.id)

#: Where a project's events are sent. The secret is sealed with a key that is not in the database.
webhook = Table(
    "webhook",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("project", Id, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("secret", Text, nullable=False),
    # Patterns with spaces between them; empty for a mere destination of jobs.
    Column("events", Text, nullable=False),
    Column("max_retries", Integer, nullable=False),
    Column("max_backoff_ms", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("given_up", Integer, nullable=False, default=0),
    # Which run of which job sends for it. It counts only while that job runs.
    Column("holder", Id),
    Column("holder_fence", Integer),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_webhook_project", webhook.c.project, webhook.c.id)

#: One event on its way to one webhook, made in the transaction of the event. In a lane they go one after the other, in
#: order of the events, so that one that is replayed takes its place again.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("webhook", Id, ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    # Null for a test.
    Column("event", Id),
    Column("verb", Text, nullable=False),
    # The dataset's number, 0 for what is about none, below 0 for tests.
    Column("lane", BigInteger, nullable=False),
    # Known when it happened: what was purged since cannot be asked for them.
    Column("version_uid", Uid),
    Column("dataset_uid", Uid),
    # waiting, delivered, failed
    Column("state", Text, nullable=False),
    Column("due", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("replays", Integer, nullable=False, default=0),
    Column("status", Integer),
    Column("error", Text),
    Column("excerpt", Text),
    Column("took_ms", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    sqlite_autoincrement=True,
)
_delivery_waits = delivery.c.state == "waiting"
Index(
    "ix_delivery_waiting",
    delivery.c.webhook,
    delivery.c.lane,
    delivery.c.event,
    delivery.c.id,
    sqlite_where=_delivery_waits,
    postgresql_where=_delivery_waits,
)
Index("ix_delivery_webhook", delivery.c.webhook, delivery.c.id)
Index("ix_delivery_ended_at", delivery.c.ended_at)

#: A job that sends every item of a version to a webhook; how far it is, so that another worker goes on from there.
batch = Table(
    "batch",
    metadata,
    Column("job", Id, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("webhook", Id, ForeignKey("webhook.id", ondelete="SET NULL")),
    Column("webhook_uid", Uid, nullable=False),
    Column("version_uid", Uid, nullable=False),
    Column("revision", Integer, nullable=False),
    # The next item: which file by position, where in it, and its number.
    Column("file", BigInteger, nullable=False, default=0),
    Column("at_byte", BigInteger, nullable=False, default=0),
    Column("item", BigInteger, nullable=False, default=0),
    # Attempts at the next item so far.
    Column("attempts", Integer, nullable=False, default=0),
    Column("delivered", BigInteger, nullable=False, default=0),
    Column("failed", BigInteger, nullable=False, default=0),
    Column("total", BigInteger),
    # Lines of its log so far.
    Column("logged", Integer, nullable=False, default=0),
    Column("stop_at", Instant),
)
Index("ix_batch_webhook", batch.c.webhook)

batch_log = Table(
    "batch_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("item", BigInteger),
    sqlite_autoincrement=True,
)
Index("ix_batch_log_job", batch_log.c.job, batch_log.c.id)
