"""Kills processes that bring a catalogue to the newest schema, and looks what schema there is then.

    python -m tests.support.killed_migrations URL SEED POINTS STRIDE

From an empty database each time: killed at POINTS steps spread over all of it (`all`: at every one), and then before
each commit, or each of STRIDE. Whatever schema is there afterwards is that of one revision as a whole, and starting
again leads to the newest. The last line is a JSON object: after how many kills there was which revision.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from entrepot.catalog import migrations
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import metadata
from entrepot.depot.context import wall_clock
from tests.support.forked import Forked, Steps

DIRECTORY = ScriptDirectory.from_config(migrations.config())
DRAW = ScriptDirectory._upgrade_revs

Table = tuple[str, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Schema:
    """What is there, and what it calls itself."""

    revision: str | None
    #: Name, columns and indexes of each table but the one that names the revision.
    tables: frozenset[Table]


def main(url: str, seed: str, points: str, stride: str = "1") -> None:
    steps, found = Steps(), Counter[str]()
    empty(url)
    every = count(url, steps)
    newest = look(url)
    whole = {None: Schema(None, frozenset()), newest.revision: newest}
    older = [step.revision for step in DIRECTORY.walk_revisions() if step.revision != newest.revision]
    for revision in older:
        empty(url)
        assert upgrade(url, steps, to=revision) == 0
        whole[revision] = look(url)
        assert whole[revision].revision == revision
    chosen = [(at, "") for at in spread(random.Random(int(seed)), every, every if points == "all" else int(points))]
    for at, only in itertools.chain(chosen, ((n, "commit") for n in itertools.count(1, int(stride)))):
        empty(url)
        steps.arm(at, only)
        if upgrade(url, steps) == 0:
            assert only == "commit", f"it was not killed at {at}"
            break
        left = look(url)
        assert left == whole[left.revision], f"half of a revision after {at} {only}: {difference(left, whole)}"
        found[str(left.revision)] += 1
        steps.arm(0)
        assert upgrade(url, steps) == 0
        assert look(url) == newest
    print(json.dumps({"kills": found, "older": older, "steps": every}))


def spread(chance: random.Random, steps: int, points: int) -> list[int]:
    """One step in each part of equal size."""
    return [chance.randint(n * steps // points + 1, (n + 1) * steps // points) for n in range(points)]


def count(url: str, steps: Steps) -> int:
    """The steps of an upgrade that nobody disturbs; it leads to what the code describes."""
    steps.arm(0)
    assert upgrade(url, steps) == 0
    catalog = Catalog.open(url, clock=wall_clock)
    with catalog.read() as conn:
        context = MigrationContext.configure(conn, opts={"include_object": migrations.include})
        assert compare_metadata(context, metadata) == []
    catalog.close()
    return steps.made


def upgrade(url: str, steps: Steps, to: str = "head") -> int | None:
    """Upgrade in a process of its own; how that ended. The product knows only the way to the newest revision."""

    def work() -> None:
        steps.watch()
        ScriptDirectory._upgrade_revs = lambda self, _to, at: DRAW(self, to, at)  # type: ignore[method-assign]
        catalog = Catalog.open(url, clock=wall_clock)
        catalog.upgrade()
        catalog.close()

    process = Forked(work)
    assert process.wait()
    return process.status


def empty(url: str) -> None:
    """Nothing in it, as on the first day."""
    if "://" not in url:
        for place in Path(url).parent.glob(f"{Path(url).name}*"):
            place.unlink()
        return
    catalog = Catalog.open(url, clock=wall_clock)
    catalog.write(lambda conn: conn.execute(text("DROP SCHEMA public CASCADE")) and None)
    catalog.write(lambda conn: conn.execute(text("CREATE SCHEMA public")) and None)
    catalog.close()


def look(url: str) -> Schema:
    catalog = Catalog.open(url, clock=wall_clock)
    with catalog.read() as conn:
        seen = inspect(conn)
        columns, indexes = seen.get_multi_columns(), seen.get_multi_indexes()
        tables = frozenset(
            (
                name,
                tuple(column["name"] for column in columns[schema, name]),
                tuple(sorted(str(index["name"]) for index in indexes[schema, name])),
            )
            for schema, name in columns
            if name not in ("alembic_version", "sqlite_sequence")
        )
        found = Schema(migrations.current(conn), tables)
    catalog.close()
    return found


def difference(left: Schema, whole: dict[str | None, Schema]) -> str:
    return str(sorted(left.tables ^ whole[left.revision].tables))[:1000]


if __name__ == "__main__":
    main(*sys.argv[1:])
