"""Which request asked for a job, so that a worker's log lines can be found from an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("request", sa.Text(), nullable=True))
