"""What was found out about contents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "examination",
        sa.Column("content", ID, nullable=False),
        sa.Column("wanted", PATH, nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("recognised", sa.Text(), nullable=True),
        sa.Column("examined_as", sa.Text(), nullable=True),
        sa.Column("compression", sa.Text(), nullable=True),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("checked_with", JSON, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_examination_content")),
        sa.PrimaryKeyConstraint("content", "wanted", name=op.f("pk_examination")),
        sqlite_with_rowid=False,
    )
