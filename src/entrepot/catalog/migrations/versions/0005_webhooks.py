"""Webhooks: where events are sent, each on its way, and jobs that send all items of a dataset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
UID = sa.LargeBinary(16).with_variant(postgresql.UUID(as_uuid=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "batch_log",
        sa.Column("id", ID, nullable=False),
        sa.Column("job", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["job.id"], name=op.f("fk_batch_log_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batch_log_job", "batch_log", ["job", "id"], unique=False)
    op.create_table(
        "webhook",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("max_backoff_ms", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("given_up", sa.Integer(), nullable=False),
        sa.Column("holder", ID, nullable=True),
        sa.Column("holder_fence", sa.Integer(), nullable=True),
        sa.Column("creator", ID, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["creator"], ["user.id"], name=op.f("fk_webhook_creator")),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_webhook_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_project", "webhook", ["project", "id"], unique=False)
    op.create_table(
        "batch",
        sa.Column("job", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("webhook", ID, nullable=True),
        sa.Column("webhook_uid", UID, nullable=False),
        sa.Column("version_uid", UID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("file", sa.BigInteger(), nullable=False),
        sa.Column("at_byte", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("logged", sa.Integer(), nullable=False),
        sa.Column("stop_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["job"], ["job.id"], name=op.f("fk_batch_job"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["webhook"], ["webhook.id"], name=op.f("fk_batch_webhook"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_batch")),
    )
    op.create_index("ix_batch_webhook", "batch", ["webhook"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", UID, nullable=False),
        sa.Column("webhook", ID, nullable=False),
        sa.Column("event", ID, nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("version_uid", UID, nullable=True),
        sa.Column("dataset_uid", UID, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due", INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("excerpt", sa.Text(), nullable=True),
        sa.Column("took_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["webhook"], ["webhook.id"], name=op.f("fk_delivery_webhook"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("uid", name=op.f("uq_delivery_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_ended_at", "delivery", ["ended_at"], unique=False)
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["webhook", "lane", "event", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_delivery_webhook", "delivery", ["webhook", "id"], unique=False)
