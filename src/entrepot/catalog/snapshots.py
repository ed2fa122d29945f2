"""The whole catalogue of one moment as one SQLite file, and back: what a backup keeps of the facts.

    take      any database  ──► a new SQLite file        from SQLite a copy of its pages, from PostgreSQL row by row
    put_back  such a file   ──► an empty catalogue       row by row, in one transaction
    install   such a file   ──► no catalogue at all      of SQLite: a copy of the file

One form for both databases: a backup of either is opened by what is installed everywhere, and moves an installation
from one database to the other. A file of an older schema is brought to the present one before it is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from entrepot.catalog import migrations
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import content, extent, installation, metadata, object_, upload
from entrepot.catalog.sqlite import fold
from entrepot.catalog.statements import Sql
from entrepot.model.digests import Digests
from entrepot.model.errors import Conflict, WrongState

__all__ = [
    "Stored",
    "believe_again",
    "digests_of",
    "expire_uploads",
    "install",
    "is_empty",
    "move_to",
    "objects",
    "present_keys",
    "put_back",
    "take",
    "totals",
]

#: Rows that are read and written at once.
_BATCH = 2000

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object whose bytes the facts of a snapshot need.

    Args:
        size: Bytes.
        digests: Of the whole object; None if it holds parts of contents, or several.
        contents: The digests of every content that has a part here, by its number.
    """

    n: int
    store: str
    key: str
    size: int
    digests: Digests | None
    contents: tuple[int, ...]


def take(catalog: Catalog, path: Path, *, step: Step | None = None) -> None:
    """Write everything that the catalogue knows at one moment to a new file. Writers are not held up.

    Args:
        path: Must not exist. When this raises, what is there is of no use.
        step: Told each table before it is copied, where that is how it is done.

    Raises:
        Conflict: The file exists.
        WrongState: The catalogue is not at the schema of this program.
        Unavailable, DiskFull
    """
    if path.exists():
        raise Conflict(f"{path} exists already; a snapshot is never written over another file.")
    _require_present(catalog)
    if not catalog.copy_to(path):
        with tempfile.TemporaryDirectory() as locks:
            with closing(Catalog.open(path, clock=catalog.clock, gate_dir=Path(locks))) as target:
                target.upgrade()
                with catalog.read() as source:
                    target.write(lambda conn: _copy(source, conn, step), bulk=True)
            fold(path)
    _sync(path)


def put_back(snapshot: Catalog, catalog: Catalog, *, step: Step | None = None) -> None:
    """Fill an empty catalogue with everything of a snapshot: all of it or nothing.

    Args:
        snapshot: Opened, and at the schema of this program.
        catalog: The same, and empty.

    Raises:
        Conflict: It is not empty.
        WrongState: One of them is at another schema.
    """
    for one in (snapshot, catalog):
        _require_present(one)
    with snapshot.read() as source:

        def work(conn: Connection) -> None:
            if not _is_empty(conn):
                raise Conflict("The catalogue is not empty: facts are only put back where there are none.")
            _copy(source, conn, step)

        catalog.write(work, bulk=True)


def install(snapshot: Path, catalog: Path) -> None:
    """Make a file, which nobody has open, the catalogue at a path where there is none; it is there whole or not at all.

    Raises:
        OSError: There is none then.
    """
    part = catalog.with_name(f"{catalog.name}.part")
    try:
        fold(snapshot)
        shutil.copyfile(snapshot, part)
        _sync(part)
        part.rename(catalog)
        _sync(catalog)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def is_empty(catalog: Catalog) -> bool:
    """Whether no server was ever started on it. Its schema must be there."""
    with catalog.read() as conn:
        return _is_empty(conn)


def objects(conn: Connection, *, limit: int = 1000) -> Iterator[list[Stored]]:
    """The objects of a snapshot that are placed, page by page, the oldest first."""
    after = 0
    while True:
        page = list(
            conn.execute(
                select(object_.c.id, object_.c.store, object_.c.key, object_.c.size)
                .where(object_.c.id > after, object_.c.state == "placed")
                .order_by(object_.c.id)
                .limit(limit)
            )
        )
        if not page:
            return
        parts: dict[int, list[tuple[int, int, int, Digests]]] = {}
        for row in conn.execute(
            select(
                extent.c.object,
                extent.c.content,
                extent.c.off,
                extent.c.len,
                content.c.sha256,
                content.c.size,
                content.c.crc32c,
                content.c.crc32,
            )
            .join(content, content.c.id == extent.c.content)
            .where(extent.c.object.in_([row.id for row in page]))
        ):
            digests = Digests(size=row.size, sha256=bytes(row.sha256), crc32c=row.crc32c, crc32=row.crc32)
            parts.setdefault(row.object, []).append((row.content, row.off, row.len, digests))
        yield [_stored(row, parts.get(row.id, [])) for row in page]
        after = page[-1].id


def totals(conn: Connection) -> tuple[int, int]:
    """How many objects are placed, and their bytes."""
    row = conn.execute(
        select(func.count(), func.coalesce(func.sum(object_.c.size), 0)).where(object_.c.state == "placed")
    ).one()
    return int(row[0]), int(row[1])


_DIGESTS = Sql("SELECT c.id, c.size, c.sha256, c.crc32c, c.crc32 FROM {ids} {join} content AS c ON c.id = listed.value")


def digests_of(conn: Connection, numbers: Sequence[int]) -> dict[int, Digests]:
    """What the bytes of these contents should be."""
    rows = _DIGESTS(conn, ids=list(numbers)).tuples
    return {
        int(n): Digests(int(size), bytes(sha256), int(crc32c), int(crc32)) for n, size, sha256, crc32c, crc32 in rows
    }


def present_keys(conn: Connection, prefix: str) -> set[str]:
    """The keys of placed objects that begin so."""
    return set(
        conn.execute(
            select(object_.c.key).where(
                object_.c.key >= prefix, object_.c.key < prefix + "g", object_.c.state == "placed"
            )
        ).scalars()
    )


def expire_uploads(conn: Connection, at: datetime) -> None:
    """Let every upload that was under way end: a backup has none of their bytes, so nobody can go on with them."""
    conn.execute(update(upload).where(upload.c.expires_at > at).values(expires_at=at))


def _stored(row: Row[Any, Any, Any, Any], parts: list[tuple[int, int, int, Digests]]) -> Stored:
    whole = None
    if len(parts) == 1:
        _, offset, length, digests = parts[0]
        if (offset, length) == (0, row.size) and digests.size == row.size:
            whole = digests
    return Stored(row.id, row.store, row.key, row.size, whole, tuple(sorted({part[0] for part in parts})))


def move_to(conn: Connection, store: str) -> None:
    """Say of every object of a snapshot that it lies in this store: where it is put back."""
    conn.execute(update(object_).values(store=store))


def believe_again(conn: Connection, lost: Collection[str]) -> None:
    """Take back that contents are damaged: their bytes were compared on the way, but for objects with these keys.

    What the old server had wrong, the backup may have right.
    """
    missing = (
        select(extent.c.content).join(object_, object_.c.id == extent.c.object).where(object_.c.key.in_(list(lost)))
    )
    marked = update(content).where(content.c.damaged_at.is_not(None), content.c.id.not_in(missing))
    conn.execute(marked.values(damaged_at=None))


def _require_present(catalog: Catalog) -> None:
    with catalog.read() as conn:
        at = migrations.current(conn)
    if at != migrations.newest():
        raise WrongState(
            f"The catalogue is at schema {at or 'none'} and this program's is {migrations.newest()}. "
            "Start `entrepot serve` on it once: that brings it there."
        )


def _is_empty(conn: Connection) -> bool:
    return conn.execute(select(installation.c.key).limit(1)).first() is None


def _copy(source: Connection, target: Connection, step: Step | None) -> None:
    for table in metadata.sorted_tables:
        if step is not None:
            step(table.name)
        rows = source.execute(select(table), execution_options={"stream_results": True, "yield_per": _BATCH})
        for batch in rows.partitions():
            target.execute(insert(table), [dict(row._mapping) for row in batch])
    if step is not None:
        step("search")
    _copy_search(source, target)
    if target.dialect.name == "postgresql":
        _wind_on(target)


#: The search index is not of the shared schema: the same texts lie in tables of different kinds.
_SEARCH_FROM = {
    "sqlite": "SELECT rowid AS version, name, tags, columns, description, metadata FROM search",
    "postgresql": "SELECT version, name, tags, columns, description, metadata FROM search",
}
_SEARCH_TO = {
    "sqlite": "INSERT INTO search (rowid, acl, name, tags, columns, description, metadata) "
    "SELECT :version, 'p' || project || ' ' || visibility, :name, :tags, :columns, :description, :metadata "
    "FROM version WHERE id = :version",
    "postgresql": "INSERT INTO search (version, name, tags, columns, description, metadata) "
    "VALUES (:version, :name, :tags, :columns, :description, :metadata)",
}


def _copy_search(source: Connection, target: Connection) -> None:
    rows = source.execute(
        text(_SEARCH_FROM[source.dialect.name]), execution_options={"stream_results": True, "yield_per": 200}
    )
    for batch in rows.partitions():
        target.execute(text(_SEARCH_TO[target.dialect.name]), [dict(row._mapping) for row in batch])


def _wind_on(target: Connection) -> None:
    """Let the numbers that PostgreSQL gives out go on behind those that were put in by hand."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        sequence = target.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"),
            {"table": f'"{table.name}"', "column": column.name},
        ).scalar()
        highest = target.execute(select(column).order_by(column.desc()).limit(1)).scalar()
        if sequence is not None and highest is not None:
            target.execute(
                text("SELECT setval(CAST(:sequence AS regclass), :to)"), {"sequence": sequence, "to": highest}
            )


def _sync(path: Path) -> None:
    for one in (path, path.parent):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
