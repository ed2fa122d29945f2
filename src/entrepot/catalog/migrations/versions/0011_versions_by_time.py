"""Indexes for lists of versions by time."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_version_updated_at"), "version", ["updated_at", "id"])
    op.create_index(op.f("ix_version_created_at"), "version", ["created_at", "id"])
