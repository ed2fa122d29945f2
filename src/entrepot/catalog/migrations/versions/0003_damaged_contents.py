"""Since when the stored bytes of a content are known to be wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("content", sa.Column("damaged_at", sa.BigInteger()))
    known = sa.text("damaged_at IS NOT NULL")
    op.create_index("ix_content_damaged_at", "content", ["damaged_at"], sqlite_where=known, postgresql_where=known)
