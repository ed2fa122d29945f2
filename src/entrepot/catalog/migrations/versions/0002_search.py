"""The search index: FTS5 on SQLite, a generated tsvector on PostgreSQL; one row for each version.

`acl` exists on SQLite only: words such as `p17` and `public` that make the permission filter part of the match.
PostgreSQL filters by joining the version.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE search USING fts5(acl, name, tags, columns, description, metadata, "
            "tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3')"
        )
        return
    # 'simple' and not a language: the same words must match on both databases, and names are not prose.
    op.execute(
        """
        CREATE TABLE search (
            version bigint PRIMARY KEY REFERENCES version (id) ON DELETE CASCADE,
            name text NOT NULL DEFAULT '',
            tags text NOT NULL DEFAULT '',
            columns text NOT NULL DEFAULT '',
            description text NOT NULL DEFAULT '',
            metadata text NOT NULL DEFAULT '',
            document tsvector GENERATED ALWAYS AS (
                setweight(to_tsvector('simple'::regconfig, name), 'A')
                || setweight(to_tsvector('simple'::regconfig, tags), 'B')
                || setweight(to_tsvector('simple'::regconfig, columns), 'B')
                || setweight(to_tsvector('simple'::regconfig, description), 'D')
                || setweight(to_tsvector('simple'::regconfig, metadata), 'D')
            ) STORED
        )
        """
    )
    op.execute("CREATE INDEX ix_search_document ON search USING gin (document)")
