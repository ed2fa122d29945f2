"""What Alembic's own commands run (drafting a revision); the product upgrades through `migrations.upgrade`."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from entrepot.catalog.migrations import include
from entrepot.catalog.schema import metadata
from entrepot.catalog.schema.types import Id, Instant, Json, PathText, Uid


def render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our types as the constants at the head of the revision, so that it does not change with them."""
    if kind != "type":
        return False
    for known, name in ((Id, "ID"), (Json, "JSON"), (PathText, "PATH")):
        if item is known:
            return name
    if isinstance(item, Instant):
        return "INSTANT"
    if isinstance(item, Uid):
        return "UID"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=include,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
