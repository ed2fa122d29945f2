"""Which contents came together in one upload, and the packs that are worth rewriting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SPARSE = "kind = 'pack' AND state = 'placed' AND live_bytes * 2 < body_bytes"
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "packed",
        sa.Column("upload", ID, nullable=False),
        sa.Column("content", ID, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_packed_content")),
        sa.ForeignKeyConstraint(["upload"], ["upload.id"], name=op.f("fk_packed_upload")),
        sa.PrimaryKeyConstraint("upload", "content", name=op.f("pk_packed")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_packed_content", "packed", ["content"], unique=False)
    op.add_column("object", sa.Column("body_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE object SET body_bytes = size")
    op.create_index(
        "ix_object_sparse",
        "object",
        ["id"],
        unique=False,
        sqlite_where=sa.text(SPARSE),
        postgresql_where=sa.text(SPARSE),
    )
