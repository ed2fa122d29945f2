"""A catalogue with just enough around versions to give them entries, and a plain-dict model of what they hold."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Table, insert, select

from entrepot.catalog import entries
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import (
    collection,
    content,
    dataset,
    event,
    extent,
    licence,
    live,
    object_,
    past,
    project,
    revision,
    strand,
    team,
    user,
    version,
)
from tests.support.catalogs import Clock

T = TypeVar("T")


class Histories:
    """Makes versions and contents, and calls the entry functions with what every call needs alike."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self.catalog = catalog
        self.clock = clock
        self._uids = (UUID(int=n) for n in itertools.count(1))
        self._events = itertools.count(1)
        self.contents: dict[str, int] = {}
        self.author, self.project, self._collection, self._licence = catalog.write(self._found)

    def write(self, work: Callable[[Connection], T]) -> T:
        return self.catalog.write(work)

    def _found(self, conn: Connection) -> tuple[int, int, int, int]:
        at = self.clock()
        who = _insert(conn, user, uid=next(self._uids), name="ann", email="a@b", settings={}, created_at=at)
        of = _insert(conn, team, uid=next(self._uids), name="lab", created_at=at)
        terms = _insert(
            conn, licence, uid=next(self._uids), name="CC0", permissions=[], conditions=[], limitations=[], domains=[]
        )
        home = _insert(
            conn,
            project,
            uid=next(self._uids),
            name="p",
            slug="p",
            team=of,
            default_licence=terms,
            settings={},
            created_at=at,
            updated_at=at,
        )
        root = _insert(conn, collection, uid=next(self._uids), project=home, path="", created_at=at)
        return who, home, root, terms

    def version(self, *, zero: bool = True) -> int:
        """A new, empty version of a dataset of its own."""

        def work(conn: Connection) -> int:
            at = self.clock()
            uid = next(self._uids)
            line = _insert(
                conn,
                dataset,
                uid=next(self._uids),
                project=self.project,
                name=str(uid),
                slug=str(uid),
                created_at=at,
            )
            made = _insert(
                conn,
                version,
                uid=uid,
                dataset=line,
                project=self.project,
                collection=self._collection,
                kind="files",
                state="ready",
                licence=self._licence,
                visibility="private",
                custom={},
                tags=[],
                properties={},
                created_at=at,
                updated_at=at,
            )
            if zero:
                entries.create_revision_zero(conn, made, author=self.author, at=at)
            return made

        return self.write(work)

    def content(self, text: str) -> int:
        """The number of the content with these bytes; placed in an object of its own when first asked for."""
        known = self.contents.get(text)
        if known is None:
            known = self.contents[text] = self.write(lambda conn: add_content(conn, text.encode(), self.clock))
        return known

    def event(self, conn: Connection) -> int:
        return _insert(conn, event, at=self.clock(), verb="revision.created", door="test")

    def commit(self, of: int, *changes: entries.RowChange, expected: int | None = None) -> entries.RevisionRow:
        def work(conn: Connection) -> entries.RevisionRow:
            return entries.commit(
                conn,
                of,
                changes,
                expected=expected,
                author=self.author,
                at=self.clock(),
                message="m",
                event=self.event(conn),
            )

        return self.write(work)

    def put(self, of: int, **texts: str) -> entries.RevisionRow:
        """Commit `name=text` files."""
        puts = [entries.Put(path.replace("__", "/"), self.content(text)) for path, text in texts.items()]
        return self.commit(of, *puts)

    def copy(self, source: int, rev: int, target: int) -> entries.RevisionRow:
        return self.write(
            lambda conn: entries.copy(conn, source, rev, target, author=self.author, at=self.clock(), message="copy")
        )

    def restore(self, of: int, to: int, *, expected: int | None = None) -> entries.RevisionRow:
        return self.write(
            lambda conn: entries.restore(
                conn,
                of,
                to,
                expected=expected,
                author=self.author,
                at=self.clock(),
                message="restore",
                event=self.event(conn),
            )
        )

    def merge(self, source: int, rev: int, target: int) -> entries.Merged:
        return self.write(
            lambda conn: entries.merge(
                conn,
                source,
                rev,
                target,
                rename=numbered,
                author=self.author,
                at=self.clock(),
                message="merge",
                event=self.event(conn),
            )
        )

    def purge(self, of: int) -> None:
        def work(conn: Connection) -> None:
            entries.purge(conn, of)
            conn.execute(version.delete().where(version.c.id == of))

        self.write(work)

    def trim(self, of: int, before: int) -> int:
        return self.write(lambda conn: entries.trim(conn, of, before=before))

    def listing(self, of: int, rev: int, *, size: int = 3) -> list[entries.EntryRow]:
        return list(entries.iterate(self.catalog, of, rev, size=size))

    def texts(self, of: int, rev: int) -> dict[str, str]:
        """path → the text put there."""
        names = {number: text for text, number in self.contents.items()}
        return {row.path: names[row.content] for row in self.listing(of, rev)}

    def newest(self, of: int) -> int:
        with self.catalog.read() as conn:
            return int(conn.execute(select(version.c.rev).where(version.c.id == of)).scalar_one())

    def rows(self, *tables: Table) -> int:
        """How many rows there are in these tables; of all that hold histories by default."""
        with self.catalog.read() as conn:
            return sum(len(conn.execute(select(table)).all()) for table in tables or (strand, revision, live, past))


def numbered(path: str, k: int) -> str:
    """`a/b.csv` → `a/b-0001.csv`: the number goes before the last suffix of the name."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return f"{folder}{slash}{stem}-{k:04}{dot}{suffix}"


def add_content(conn: Connection, data: bytes, clock: Clock) -> int:
    digest = hashlib.sha256(data).digest()
    made = _insert(
        conn,
        content,
        sha256=digest,
        size=len(data),
        crc32c=1,
        crc32=2,
        state=0,
        touched=clock(),
        created_at=clock(),
    )
    place = _insert(
        conn,
        object_,
        store="main",
        key=digest.hex(),
        size=len(data),
        kind="plain",
        state="placed",
        live_bytes=len(data),
        created_at=clock(),
    )
    conn.execute(insert(extent), {"content": made, "n": 0, "object": place, "off": 0, "len": len(data)})
    return made


def _insert(conn: Connection, table: Table, **values: Any) -> int:
    return int(conn.execute(insert(table).returning(table.c.id), values).scalar_one())
