"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
UID = sa.LargeBinary(16).with_variant(postgresql.UUID(as_uuid=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "content",
        sa.Column("id", ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("crc32c", sa.BigInteger(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("touched", INSTANT, nullable=False),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_content_touched",
        "content",
        ["touched"],
        unique=False,
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index("ix_content_verified_at", "content", ["verified_at"], unique=False)
    op.create_index(
        "uq_content_sha256_live",
        "content",
        ["sha256"],
        unique=True,
        sqlite_where=sa.text("state < 2"),
        postgresql_where=sa.text("state < 2"),
    )
    op.create_table(
        "installation",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_installation")),
    )
    op.create_table(
        "licence",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("permissions", JSON, nullable=False),
        sa.Column("conditions", JSON, nullable=False),
        sa.Column("limitations", JSON, nullable=False),
        sa.Column("domains", JSON, nullable=False),
        sa.Column("standard", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licence")),
        sa.UniqueConstraint("name", name=op.f("uq_licence_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_licence_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "login_failure",
        sa.Column("id", ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_failure")),
    )
    op.create_index("ix_login_failure_account", "login_failure", ["account", "address", "at"], unique=False)
    op.create_table(
        "object",
        sa.Column("id", ID, nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("live_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object")),
        sa.UniqueConstraint("store", "key", name=op.f("uq_object_store_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_object_state",
        "object",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state != 'placed'"),
        postgresql_where=sa.text("state != 'placed'"),
    )
    op.create_table(
        "strand",
        sa.Column("id", ID, nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("trimmed", sa.Boolean(), nullable=False),
        sa.Column("parent", ID, nullable=True),
        sa.Column("parent_seq", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strand")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_strand_state",
        "strand",
        ["state", "parent"],
        unique=False,
        sqlite_where=sa.text("state != 0"),
        postgresql_where=sa.text("state != 0"),
    )
    op.create_table(
        "user",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("default_project", ID, nullable=True),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_login_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("name", name=op.f("uq_user_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_user_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_email", "user", ["email"], unique=False)
    op.create_table(
        "word",
        sa.Column("id", ID, nullable=False),
        sa.Column("text", PATH, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_word")),
        sa.UniqueConstraint("text", name=op.f("uq_word_text")),
    )
    op.create_table(
        "extent",
        sa.Column("content", ID, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("object", ID, nullable=False),
        sa.Column("off", sa.BigInteger(), nullable=False),
        sa.Column("len", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_extent_content")),
        sa.ForeignKeyConstraint(["object"], ["object.id"], name=op.f("fk_extent_object")),
        sa.PrimaryKeyConstraint("content", "n", name=op.f("pk_extent")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_extent_object", "extent", ["object", "off"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("user", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("done", JSON, nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("headers", JSON, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_idempotency_user")),
        sa.PrimaryKeyConstraint("user", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due", INSTANT, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease", INSTANT, nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("progress", JSON, nullable=True),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("dedupe", sa.Text(), nullable=True),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.Column("starter", ID, nullable=True),
        sa.Column("project", ID, nullable=True),
        sa.Column("version", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["starter"], ["user.id"], name=op.f("fk_job_starter")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("dedupe", name=op.f("uq_job_dedupe")),
        sa.UniqueConstraint("uid", name=op.f("uq_job_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_ended_at", "job", ["ended_at"], unique=False)
    op.create_index(
        "ix_job_ready",
        "job",
        ["queue", "due", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_job_running",
        "job",
        ["lease"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("ix_job_starter", "job", ["starter", "id"], unique=False)
    op.create_index("ix_job_version", "job", ["version", "id"], unique=False)
    op.create_table(
        "live",
        sa.Column("strand", ID, nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("vfrom", sa.Integer(), nullable=False),
        sa.Column("content", ID, nullable=False),
        sa.Column("media", sa.Integer(), nullable=True),
        sa.Column("dtype", sa.Integer(), nullable=True),
        sa.Column("meta", sa.Text(), nullable=True),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("added", ID, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_live_content")),
        sa.ForeignKeyConstraint(["strand"], ["strand.id"], name=op.f("fk_live_strand")),
        sa.PrimaryKeyConstraint("strand", "path", name=op.f("pk_live")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_live_content", "live", ["content", "strand", "vfrom"], unique=False)
    op.create_index("ix_live_strand_pos", "live", ["strand", "pos"], unique=False)
    op.create_index("ix_live_strand_vfrom", "live", ["strand", "vfrom"], unique=False)
    op.create_table(
        "node",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_node_creator")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
        sa.UniqueConstraint("name", name=op.f("uq_node_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_node_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "past",
        sa.Column("strand", ID, nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("vto", sa.Integer(), nullable=False),
        sa.Column("vfrom", sa.Integer(), nullable=False),
        sa.Column("content", ID, nullable=False),
        sa.Column("media", sa.Integer(), nullable=True),
        sa.Column("dtype", sa.Integer(), nullable=True),
        sa.Column("meta", sa.Text(), nullable=True),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("added", ID, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_past_content")),
        sa.ForeignKeyConstraint(["strand"], ["strand.id"], name=op.f("fk_past_strand")),
        sa.PrimaryKeyConstraint("strand", "path", "vto", name=op.f("pk_past")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_past_content", "past", ["content", "strand", "vfrom"], unique=False)
    op.create_index("ix_past_strand_pos", "past", ["strand", "pos"], unique=False)
    op.create_index("ix_past_strand_vfrom", "past", ["strand", "vfrom"], unique=False)
    op.create_index("ix_past_strand_vto", "past", ["strand", "vto"], unique=False)
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_session_user")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_session")),
    )
    op.create_index("ix_session_expires_at", "session", ["expires_at"], unique=False)
    op.create_index("ix_session_user", "session", ["user"], unique=False)
    op.create_table(
        "team",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("personal_of", ID, nullable=True),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("trashed_at", INSTANT, nullable=True),
        sa.Column("trashed_by", ID, nullable=True),
        sa.Column("trash_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_team_creator")),
        sa.ForeignKeyConstraint(["personal_of"], ["user.id"], name=op.f("fk_team_personal_of")),
        sa.ForeignKeyConstraint(["trashed_by"], ["user.id"], name=op.f("fk_team_trashed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("personal_of", name=op.f("uq_team_personal_of")),
        sa.UniqueConstraint("uid", name=op.f("uq_team_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_team_name_active",
        "team",
        ["name"],
        unique=True,
        sqlite_where=sa.text("trashed_at IS NULL"),
        postgresql_where=sa.text("trashed_at IS NULL"),
    )
    op.create_table(
        "membership",
        sa.Column("team", ID, nullable=False),
        sa.Column("user", ID, nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_membership_creator")),
        sa.ForeignKeyConstraint(["team"], ["team.id"], name=op.f("fk_membership_team")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_membership_user")),
        sa.PrimaryKeyConstraint("team", "user", name=op.f("pk_membership")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_membership_user", "membership", ["user"], unique=False)
    op.create_table(
        "project",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", PATH, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("team", ID, nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("default_licence", ID, nullable=False),
        sa.Column("allocation", sa.BigInteger(), nullable=True),
        sa.Column("default_expiry_s", sa.BigInteger(), nullable=True),
        sa.Column("retention_s", sa.BigInteger(), nullable=True),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("trashed_at", INSTANT, nullable=True),
        sa.Column("trashed_by", ID, nullable=True),
        sa.Column("trash_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_project_creator")),
        sa.ForeignKeyConstraint(["default_licence"], ["licence.id"], name=op.f("fk_project_default_licence")),
        sa.ForeignKeyConstraint(["team"], ["team.id"], name=op.f("fk_project_team")),
        sa.ForeignKeyConstraint(["trashed_by"], ["user.id"], name=op.f("fk_project_trashed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("slug", name=op.f("uq_project_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_project_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_project_name_active",
        "project",
        ["team", "name"],
        unique=True,
        sqlite_where=sa.text("trashed_at IS NULL"),
        postgresql_where=sa.text("trashed_at IS NULL"),
    )
    op.create_table(
        "token",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("user", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("projects", JSON, nullable=True),
        sa.Column("node", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["node"], ["node.id"], name=op.f("fk_token_node")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_token_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
        sa.UniqueConstraint("uid", name=op.f("uq_token_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_token_user", "token", ["user"], unique=False)
    op.create_table(
        "collection",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_collection_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("project", "path", name=op.f("uq_collection_project_path")),
        sa.UniqueConstraint("uid", name=op.f("uq_collection_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dataset",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", PATH, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_dataset_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_dataset_project_name")),
        sa.UniqueConstraint("project", "slug", name=op.f("uq_dataset_project_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_dataset_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "event",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("actor", ID, nullable=True),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("node", ID, nullable=True),
        sa.Column("token", ID, nullable=True),
        sa.Column("project", ID, nullable=True),
        sa.Column("dataset", ID, nullable=True),
        sa.Column("version", ID, nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("detail", JSON, nullable=True),
        sa.ForeignKeyConstraint(["actor"], ["user.id"], name=op.f("fk_event_actor")),
        sa.ForeignKeyConstraint(["node"], ["node.id"], name=op.f("fk_event_node")),
        sa.ForeignKeyConstraint(["token"], ["token.id"], name=op.f("fk_event_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_actor", "event", ["actor", "id"], unique=False)
    op.create_index("ix_event_dataset", "event", ["dataset", "id"], unique=False)
    op.create_index("ix_event_project", "event", ["project", "id"], unique=False)
    op.create_index("ix_event_version", "event", ["version", "id"], unique=False)
    op.create_table(
        "version",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("dataset", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("collection", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("report", JSON, nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("licence", ID, nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("custom", JSON, nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("alias", PATH, nullable=True),
        sa.Column("properties", JSON, nullable=False),
        sa.Column("declared", JSON, nullable=True),
        sa.Column("unpacked_from", JSON, nullable=True),
        sa.Column("is_proposal", sa.Boolean(), nullable=False),
        sa.Column("previous_version", sa.Integer(), nullable=True),
        sa.Column("frozen_at", INSTANT, nullable=True),
        sa.Column("edit", sa.Integer(), nullable=False),
        sa.Column("n_entries", sa.BigInteger(), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=True),
        sa.Column("next_pos", sa.BigInteger(), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=True),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("ready_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("trashed_at", INSTANT, nullable=True),
        sa.Column("trashed_by", ID, nullable=True),
        sa.Column("trash_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["collection"], ["collection.id"], name=op.f("fk_version_collection")),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_version_creator")),
        sa.ForeignKeyConstraint(["dataset"], ["dataset.id"], name=op.f("fk_version_dataset")),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"], name=op.f("fk_version_licence")),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_version_project")),
        sa.ForeignKeyConstraint(["trashed_by"], ["user.id"], name=op.f("fk_version_trashed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
        sa.UniqueConstraint("uid", name=op.f("uq_version_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_version_collection", "version", ["collection", "id"], unique=False)
    op.create_index("ix_version_creator", "version", ["creator", "id"], unique=False)
    op.create_index("ix_version_dataset", "version", ["dataset", "id"], unique=False)
    op.create_index("ix_version_expires_at", "version", ["expires_at"], unique=False)
    op.create_index("ix_version_project", "version", ["project", "id"], unique=False)
    op.create_index("ix_version_trashed_at", "version", ["trashed_at"], unique=False)
    op.create_index("ix_version_visibility", "version", ["visibility", "id"], unique=False)
    op.create_index(
        "uq_version_alias_active",
        "version",
        ["project", "alias"],
        unique=True,
        sqlite_where=sa.text("trashed_at IS NULL"),
        postgresql_where=sa.text("trashed_at IS NULL"),
    )
    op.create_index(
        "uq_version_number_active",
        "version",
        ["dataset", "number"],
        unique=True,
        sqlite_where=sa.text("trashed_at IS NULL"),
        postgresql_where=sa.text("trashed_at IS NULL"),
    )
    op.create_table(
        "ingest",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.Column("job", ID, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("report", JSON, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["version"], ["version.id"], name=op.f("fk_ingest_version"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest")),
        sa.UniqueConstraint("uid", name=op.f("uq_ingest_uid")),
    )
    op.create_index("ix_ingest_version", "ingest", ["version", "id"], unique=False)
    op.create_table(
        "old_slug",
        sa.Column("scope", ID, nullable=False),
        sa.Column("slug", PATH, nullable=False),
        sa.Column("project", ID, nullable=True),
        sa.Column("dataset", ID, nullable=True),
        sa.Column("version", ID, nullable=True),
        sa.ForeignKeyConstraint(["dataset"], ["dataset.id"], name=op.f("fk_old_slug_dataset"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_old_slug_project"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["version"], ["version.id"], name=op.f("fk_old_slug_version"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scope", "slug", name=op.f("pk_old_slug")),
    )
    op.create_table(
        "relationship",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("source", ID, nullable=True),
        sa.Column("source_rev", sa.Integer(), nullable=False),
        sa.Column("source_tombstone", JSON, nullable=True),
        sa.Column("target", ID, nullable=True),
        sa.Column("target_rev", sa.Integer(), nullable=False),
        sa.Column("target_tombstone", JSON, nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("qualifiers", JSON, nullable=False),
        sa.Column("fingerprint", PATH, nullable=False),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_relationship_creator")),
        sa.ForeignKeyConstraint(["source"], ["version.id"], name=op.f("fk_relationship_source")),
        sa.ForeignKeyConstraint(["target"], ["version.id"], name=op.f("fk_relationship_target")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relationship")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_relationship_fingerprint")),
        sa.UniqueConstraint("uid", name=op.f("uq_relationship_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_relationship_source", "relationship", ["source", "id"], unique=False)
    op.create_index("ix_relationship_target", "relationship", ["target", "id"], unique=False)
    op.create_table(
        "revision",
        sa.Column("version", ID, nullable=False),
        sa.Column("num", sa.Integer(), nullable=False),
        sa.Column("strand", ID, nullable=True),
        sa.Column("seq", sa.Integer(), nullable=True),
        sa.Column("author", ID, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("n_entries", sa.BigInteger(), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("types", JSON, nullable=False),
        sa.ForeignKeyConstraint(["author"], ["user.id"], name=op.f("fk_revision_author")),
        sa.ForeignKeyConstraint(["strand"], ["strand.id"], name=op.f("fk_revision_strand")),
        sa.ForeignKeyConstraint(["version"], ["version.id"], name=op.f("fk_revision_version")),
        sa.PrimaryKeyConstraint("version", "num", name=op.f("pk_revision")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_revision_strand", "revision", ["strand", "seq"], unique=False)
    op.create_table(
        "upload",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("owner", ID, nullable=True),
        sa.Column("token", ID, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("durable", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("crc32c", sa.BigInteger(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("media", sa.Text(), nullable=True),
        sa.Column("project", ID, nullable=True),
        sa.Column("version", ID, nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("content", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("touched_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_upload_content")),
        sa.ForeignKeyConstraint(["owner"], ["user.id"], name=op.f("fk_upload_owner")),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_upload_project")),
        sa.ForeignKeyConstraint(["token"], ["token.id"], name=op.f("fk_upload_token")),
        sa.ForeignKeyConstraint(["version"], ["version.id"], name=op.f("fk_upload_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("key", name=op.f("uq_upload_key")),
        sa.UniqueConstraint("uid", name=op.f("uq_upload_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_upload_content", "upload", ["content"], unique=False)
    op.create_index("ix_upload_expires_at", "upload", ["expires_at"], unique=False)
    op.create_index("ix_upload_owner", "upload", ["owner", "id"], unique=False)
    op.create_index("ix_upload_version", "upload", ["version"], unique=False)
    op.create_table(
        "version_tag",
        sa.Column("tag", PATH, nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.ForeignKeyConstraint(["version"], ["version.id"], name=op.f("fk_version_tag_version"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag", "version", name=op.f("pk_version_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_version_tag_version", "version_tag", ["version"], unique=False)
