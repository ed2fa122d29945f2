"""The packs among the objects, whatever of them is needed: the preview of collection looks at all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PLACED_PACK = "kind = 'pack' AND state = 'placed'"


def upgrade() -> None:
    op.drop_index("ix_object_sparse", table_name="object")
    op.create_index(
        "ix_object_pack",
        "object",
        ["id"],
        unique=False,
        sqlite_where=sa.text(PLACED_PACK),
        postgresql_where=sa.text(PLACED_PACK),
    )
