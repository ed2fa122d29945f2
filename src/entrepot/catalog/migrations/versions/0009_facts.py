"""Single values among what was read out of contents, so that they can be compared."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

#: Examinations that are read at a time.
BATCH = 200


def upgrade() -> None:
    op.create_table(
        "fact",
        sa.Column("content", ID, nullable=False),
        sa.Column("wanted", PATH, nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("name", PATH, nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("word", PATH, nullable=True),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_fact_content")),
        sa.PrimaryKeyConstraint("content", "wanted", "place", name=op.f("pk_fact")),
        sqlite_with_rowid=False,
    )
    fill()
    op.create_index("ix_fact_number", "fact", ["name", "number", "content"], unique=False)
    op.create_index("ix_fact_word", "fact", ["name", "word", "content"], unique=False)
    op.create_index("ix_examination_standing", "examination", ["standing", "content"], unique=False)


def fill() -> None:
    """Values of the reports that are here already."""
    conn = op.get_bind()
    after, wanted = 0, ""
    while True:
        rows = conn.execute(
            sa.text(
                "SELECT content, wanted, facts FROM examination WHERE content > :after "
                "OR (content = :after AND wanted > :wanted) ORDER BY content, wanted LIMIT :limit"
            ),
            {"after": after, "wanted": wanted, "limit": BATCH},
        ).all()
        if not rows:
            return
        after, wanted = rows[-1].content, rows[-1].wanted
        values = [
            {"content": row.content, "wanted": row.wanted, "place": place, "name": name, "number": number, "word": text}
            for row in rows
            for place, (name, number, text) in enumerate(flat(row.facts))
        ]
        if values:
            conn.execute(
                sa.text(
                    "INSERT INTO fact (content, wanted, place, name, number, word) "
                    "VALUES (:content, :wanted, :place, :name, :number, :word)"
                ),
                values,
            )


def flat(facts: Any) -> list[tuple[str, float | None, str | None]]:
    # As facts were flattened when this was written; later changes of that are not for this step.
    found: dict[tuple[str, float | None, str | None], None] = {}
    walk("", json.loads(facts) if isinstance(facts, str) else facts, found)
    return list(found)[:100]


def walk(name: str, value: Any, found: dict[tuple[str, float | None, str | None], None]) -> None:
    if len(found) >= 100:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            walk(f"{name}.{key}"[:200] if name else str(key)[:200], inner, found)
    elif isinstance(value, list):
        for inner in value[:20]:
            walk(name, inner, found)
    elif isinstance(value, bool):
        found[name, None, str(value).lower()] = None
    elif isinstance(value, int | float):
        found[name, float(value), None] = None
    elif isinstance(value, str) and value:
        found[name, None, value.lower()[:200]] = None
