"""Contents that were made of other contents and live as long as they do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "derived",
        sa.Column("source", ID, nullable=False),
        sa.Column("kind", PATH, nullable=False),
        sa.Column("content", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_derived_content")),
        sa.ForeignKeyConstraint(["source"], ["content.id"], name=op.f("fk_derived_source")),
        sa.PrimaryKeyConstraint("source", "kind", name=op.f("pk_derived")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_derived_content", "derived", ["content"], unique=False)
