"""The way from any older schema to the newest one, shipped in the package and walked at start.

Revisions live in `versions/`. They are frozen: they spell out their tables and import nothing of `catalog.schema`,
which goes on changing. `scripts/new-migration` drafts the next one from the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.schema import SchemaItem

from entrepot.catalog.schema import metadata
from entrepot.model.errors import Corrupt, Unsupported

__all__ = ["config", "current", "include", "known", "newest", "upgrade"]


def config() -> Config:
    """Alembic's settings without an ini file."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return settings


def newest() -> str:
    """The revision that this program's schema is at."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    if head is None:
        raise AssertionError("the package has no migrations")
    return head


def known() -> frozenset[str]:
    """Every revision that this program can start from."""
    return frozenset(step.revision for step in ScriptDirectory.from_config(config()).walk_revisions())


def current(conn: Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    return MigrationContext.configure(conn).get_current_revision()


def include(_item: SchemaItem, name: str | None, kind: str, reflected: bool, _against: SchemaItem | None) -> bool:
    """Whether a comparison with the schema looks at this table: the search index is each database's own."""
    return not (kind == "table" and reflected and name is not None and name.split("_")[0] == "search")


def upgrade(engine: Engine, dialect: str) -> None:
    """Walk to the newest revision in one transaction a step. The caller holds the lock.

    Raises:
        Unsupported: The database is at a revision that this program does not know.
        Corrupt: A step left rows that point nowhere; it was taken back.
    """
    settings = config()
    script = ScriptDirectory.from_config(settings)
    with engine.connect() as conn:
        if dialect == "sqlite":
            # Tables that are rebuilt are dropped under their children; what remains is checked before each commit.
            # The switch works outside of a transaction only.
            dbapi: Any = conn.connection.dbapi_connection
            dbapi.execute("PRAGMA foreign_keys=OFF")
        at = current(conn)
        conn.rollback()
        if at == script.get_current_head():
            return
        if at is not None and at not in known():
            raise Unsupported(
                f"This catalogue was written by a newer Entrepot (schema {at}); this one knows it up to "
                f"{script.get_current_head()}. Install the newer version, or restore a backup made before the upgrade."
            )

        def steps(revision: Any, _context: MigrationContext) -> Any:
            return script._upgrade_revs("head", revision)

        with EnvironmentContext(settings, script, fn=steps) as environment:
            environment.configure(
                connection=conn,
                target_metadata=metadata,
                transactional_ddl=True,
                transaction_per_migration=True,
                on_version_apply=lambda **_: _check(conn, dialect),
            )
            with environment.begin_transaction():
                environment.run_migrations()


def _check(conn: Connection, dialect: str) -> None:
    if dialect != "sqlite":
        return
    broken = conn.execute(text("PRAGMA foreign_key_check")).first()
    if broken is not None:
        raise Corrupt(
            f"After the upgrade a row of {broken[0]} would point at a missing row of {broken[2]}. "
            "Nothing was changed; keep the database and report this."
        )
