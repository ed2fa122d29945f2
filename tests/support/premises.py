"""A depot that dies and is opened again on the same files, and a look at everything it shows.

What a process leaves that is killed: the files of SQLite are copied as they lie there (closing would tidy them up), the
disk or the memory of the store lets go of its handles, connections to PostgreSQL end. What a power cut takes besides is
the faulty disk's business, or the memory store's.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from entrepot.catalog.database import Catalog
from entrepot.catalog.gate import Gate
from entrepot.catalog.schema import content, extent, object_, upload
from entrepot.catalog.versions import Filter
from entrepot.depot import entries, history, projects, relationships, uploads, versions
from entrepot.depot import members as team_members
from entrepot.depot.context import Depot
from entrepot.depot.uploads import UploadRow
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.values import Page, Role, State, Version
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Faults, FaultyStaging, FaultyStore
from entrepot.testing.faulty_catalog import faulty_catalog
from entrepot.testing.faulty_disk import FaultyDisk
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.depot_facts import Edge
from tests.support.depot_model import Model
from tests.support.house import House
from tests.support.postgres import PostgresServer

PEOPLE = ("ann", "bob", "cid", "dan")
TEAMS = {
    "lab": {"ann": Role.ADMIN, "bob": Role.WRITE, "cid": Role.READ},
    "ops": {"bob": Role.ADMIN, "ann": Role.WRITE},
}


def _inhabit(url: str | Path) -> None:
    catalog = Catalog.open(url, clock=Clock())
    store = MemoryStore()
    house = House(catalog, store, store.staging, Clock(), policy=CHEAP_PASSWORDS)
    for name in PEOPLE:
        house.user(name)
    for team, roles in TEAMS.items():
        house.team(team, **roles)
    catalog.close()


def _upgrade_and_inhabit(url: str) -> None:
    catalog = Catalog.open(url, clock=Clock())
    catalog.upgrade()
    catalog.close()
    _inhabit(url)


@cache
def _inhabited_sqlite(folder: Path) -> bytes:
    with new_catalog_url("sqlite", folder, _none) as path:
        _inhabit(path)
        assert isinstance(path, Path)
        return path.read_bytes()


def _none() -> PostgresServer:
    raise AssertionError("not asked for")


class Premises:
    """Where a depot lives, one life after the other.

    Args:
        on_disk: The store is a folder on a faulty disk; else it is in memory.
        shared: A folder for what all premises have in common.
    """

    def __init__(
        self, folder: Path, stack: ExitStack, *, server: PostgresServer | None, on_disk: bool, shared: Path
    ) -> None:
        self._folder = folder
        self._lives = 0
        self._boots = 1
        self._on_disk = on_disk
        self.clock = Clock()
        self._actors: dict[str | None, Actor] = {}
        self._url: str | Path
        if server is None:
            self._url = folder / "life0" / "catalog.db"
            self._url.parent.mkdir()
            self._url.write_bytes(_inhabited_sqlite(shared))
        else:
            self._url = server.url(stack.enter_context(server.lent("inhabited", _upgrade_and_inhabit)))
        self._disk = FaultyDisk(folder / "spare")
        self._memory = MemoryStore(boot=self._boot)
        self.faults = Faults()
        #: Entries of a page; and whether a revision that is not the newest is looked at.
        self.page = 3
        self.wants: Callable[[], bool] = lambda: True
        self._open()

    def _boot(self) -> str:
        return f"boot {self._boots}"

    def _open(self) -> None:
        self.faults = self._disk.faults if self._on_disk else Faults()
        self._catalog = faulty_catalog(self._url, clock=self.clock, faults=self.faults)
        if self._on_disk:
            disk = FilesystemStore(self._folder / "store", disk=self._disk, boot=self._boot, open_files=2)
            store: Any = disk
            staging: Any = disk.staging
        else:
            store = FaultyStore(self._memory, self.faults)
            staging = FaultyStaging(self._memory.staging, self.faults)
        self.house = House(self._catalog, store, staging, self.clock, policy=CHEAP_PASSWORDS, boot=self._boot)

    @property
    def depot(self) -> Depot:
        return self.house.depot

    def die(self, *, power: int | None) -> None:
        """Everything in this process is gone; a new one opens what there is.

        Args:
            power: The whole machine loses it; the number decides what that takes along.
        """
        self.faults.dead = True
        if power is not None:
            self._boots += 1
        if self._on_disk:
            if power is None:
                self._disk.die()
            else:
                self._disk.cut_power(self._folder / "store", random.Random(power), ordered=bool(power % 2))
            self._disk = self._disk.restart()
        elif power is None:
            self._memory.crash()
        else:
            self._memory.lose_power()
        if isinstance(self._url, Path):
            self._url = self._leave(self._url)
        self._catalog.close()
        self._open()

    def _leave(self, old: Path) -> Path:
        self._lives += 1
        new = self._folder / f"life{self._lives}" / old.name
        new.parent.mkdir()
        # The writer thread of the old life may be moving its log into the database: not while that is copied.
        gate = Gate(old.parent, old.name)
        gate.enter()
        for suffix in ("", "-wal"):
            if old.with_name(old.name + suffix).exists():
                shutil.copyfile(old.with_name(old.name + suffix), new.with_name(new.name + suffix))
        gate.leave()
        gate.close()
        return new

    def close(self) -> None:
        self._catalog.close()
        self._disk.die()

    # ------------------------------------------------------------------ what it shows

    def records(self) -> dict[str, Any]:
        """Projects and versions, as staff sees them: cheap enough to look at after every step."""
        depot, admin = self.depot, self.house.admin
        homes = {
            one.project.n: (
                one.project.name,
                one.project.slug,
                one.project.team_name,
                one.project.trash is not None,
                one.project.allocation,
                one.project.default_expiry_s,
                one.project.retention_s,
            )
            for trashed in (False, True)
            for one in projects.list_projects(depot, admin, limit=1000, trashed=trashed).rows
        }
        found = versions.list_versions(depot, admin, Filter(trashed=None), limit=1000).rows
        return {"projects": homes, "versions": {one.version.n: _record(one.version) for one in found}}

    def uids(self) -> dict[int, UUID]:
        """Of all versions that are there."""
        found = versions.list_versions(self.depot, self.house.admin, Filter(trashed=None), limit=1000).rows
        return {one.version.n: one.version.uid for one in found}

    def everything(self, uids: dict[int, Any]) -> dict[str, Any]:
        """All that can be seen of the depot through its use cases.

        Args:
            uids: Of every version that there ever was; those that are new are added.
        """
        depot, admin = self.depot, self.house.admin
        shown = self.records()
        found = versions.list_versions(depot, admin, Filter(trashed=None), limit=1000).rows
        uids |= {one.version.n: one.version.uid for one in found}
        holding = {one.version.project for one in found}
        shown["used"] = {n: projects.usage(depot, admin, n) for n in holding}
        shown["collections"] = {
            n: {one.path for one in projects.list_collections(depot, admin, n).rows} - {""} for n in holding
        }
        shown["revisions"] = {}
        shown["verbs"] = {}
        edges: dict[Any, Any] = {}
        read: dict[bytes, bytes] = {}
        for one in found:
            n = one.version.n
            for revision in range(one.version.revision + 1):
                if revision == one.version.revision or self.wants():
                    shown["revisions"][n, revision] = self.state(n, revision, read)
            verbs = [event.verb for event in history.version_events(depot, admin, n, limit=1000).rows]
            shown["verbs"][n] = [verb for verb in reversed(verbs) if verb != "version.expiring"]
            edges |= {edge.uid: edge for edge in relationships.list_relationships(depot, admin, n, limit=1000).rows}
        numbers = {uid: n for n, uid in uids.items()}
        shown["uploads"] = {uid: (row.state, row.received) for uid, row in self.uploads().items()}
        shown["edges"] = {_edge(edge, numbers) for edge in edges.values()}
        shown["members"] = {
            team: {one.user_name: one.role for one in team_members.list_members(depot, admin, team, limit=1000).rows}
            for team in TEAMS
        }
        return shown

    def state(self, n: int, revision: int, read: dict[bytes, bytes] | None = None) -> dict[str, tuple[bytes, str, int]]:
        """The entries of a revision with their bytes.

        Args:
            read: Bytes that were read before, by digest.
        """
        depot, admin = self.depot, self.house.admin
        read = {} if read is None else read
        state = {}
        for entry in paged(
            lambda at: entries.list_entries(depot, admin, n, revision=revision, cursor=at, limit=self.page)[2]
        ):
            if entry.sha256 not in read:
                with entries.open_entry(depot, admin, n, entry.path, revision=revision).reader as reader:
                    read[entry.sha256] = reader.read_at(0, reader.size)
                assert self.house.sha256(read[entry.sha256]) == entry.sha256
            assert entry.size == len(read[entry.sha256])
            state[entry.path] = (read[entry.sha256], entry.metadata, entry.position)
        return state

    def uploads(self) -> dict[UUID, UploadRow]:
        """Everybody's, with what has arrived of each."""
        return {
            row.uid: row for name in ("admin", *PEOPLE) for row in paged(partial(self._uploads_of, self.actor(name)))
        }

    def _uploads_of(self, owner: Actor, cursor: str | None) -> Page[UploadRow]:
        return uploads.list_uploads(self.depot, owner, cursor=cursor)

    def check_bytes(self, *, settled: bool = False) -> None:
        """No fact without bytes, no bytes that no row knows; once everything is settled, no bytes too many either."""
        store, staging = self.depot.store, self.depot.staging
        with self.depot.catalog.read() as conn:
            contents = {row.id: row.size for row in conn.execute(select(content.c.id, content.c.size))}
            places = conn.execute(
                select(
                    extent.c.content,
                    extent.c.off,
                    extent.c.len,
                    extent.c.object,
                    object_.c.key,
                    object_.c.state,
                    object_.c.size,
                    object_.c.kind,
                    object_.c.live_bytes,
                ).join_from(extent, object_, extent.c.object == object_.c.id)
            ).all()
            objects = {row.key: row.state for row in conn.execute(select(object_.c.key, object_.c.state))}
            sent = {row.key for row in conn.execute(select(upload.c.key))}
        assert {place.content for place in places} == contents.keys(), "a content without extents"
        needed: Counter[str] = Counter()
        for place in places:
            assert place.state == "placed", f"content {place.content} lies in an object that is {place.state}"
            assert store.stat(place.key) == place.size, f"object {place.key} is not whole"
            assert place.len == contents[place.content], f"content {place.content} is not whole"
            if place.kind == "pack":
                assert place.off + place.len <= place.size, f"content {place.content} ends behind its pack"
                needed[place.key] += place.len
            else:
                assert (place.off, place.size) == (0, place.len), f"object {place.key} is not its content"
        for place in places:
            if place.kind == "pack":
                assert needed[place.key] == place.live_bytes, f"pack {place.key} counts other bytes than are needed"
        there = set(store.keys())
        assert there <= objects.keys() | sent, "an object that no row knows"
        assert set(staging.keys()) <= sent, "staged bytes that no row knows"
        if settled:
            assert there == objects.keys(), "an object that nothing refers to was left"
            assert not set(staging.keys()), "staged bytes of no upload were left"

    def contents(self) -> set[bytes]:
        """Digests of everything that is kept."""
        with self.depot.catalog.read() as conn:
            return {row.sha256 for row in conn.execute(select(content.c.sha256))}

    def actor(self, name: str | None) -> Actor:
        """Somebody, as after a password."""
        if name not in self._actors:
            self._actors[name] = ANONYMOUS if name is None else self.house.log_in(name, staff=name == "admin")
        return self._actors[name]


def paged(page: Callable[[str | None], Page[Any]]) -> Iterator[Any]:
    """All rows of a list, page by page."""
    cursor = None
    while True:
        got = page(cursor)
        yield from got.rows
        cursor = got.cursor
        if cursor is None:
            return


def _record(version: Version) -> tuple[Any, ...]:
    assert version.state is State.READY
    return (
        version.project,
        version.name,
        version.slug,
        version.number,
        version.visibility,
        version.creator_name,
        version.collection_path,
        version.description,
        version.tags,
        version.alias,
        version.frozen_at is not None,
        version.is_proposal,
        None if version.trash is None else version.trash.reason,
        version.expires_at,
        version.previous_version,
        version.revision,
        version.n_entries,
        version.n_bytes,
        version.project_trashed,
    )


def _edge(edge: Any, numbers: dict[Any, int]) -> Edge:
    source, target = (numbers[end.uid] * (-1 if end.purged else 1) for end in (edge.source, edge.target))
    return Edge(source, edge.source.revision, target, edge.target.revision, edge.verb)


def expected_records(model: Model) -> dict[str, Any]:
    """`Premises.records`, as the model has it."""
    return {
        "projects": {
            h.n: (h.name, h.slug, h.team, h.trashed, h.allocation, h.default_expiry_s, h.retention_s)
            for h in model.homes.values()
        },
        "versions": {
            r.n: (
                r.project,
                r.name,
                model.lines[r.project, r.name],
                r.number,
                r.visibility,
                r.creator,
                r.collection,
                r.description,
                r.tags,
                r.alias,
                r.frozen,
                r.proposal,
                r.trash,
                r.expires_at,
                r.previous,
                r.newest,
                len(r.head),
                sum(len(file.content) for file in r.head.values()),
                model.homes[r.project].trashed,
            )
            for r in model.records.values()
        },
    }


def expected(model: Model, shown: dict[str, Any]) -> dict[str, Any]:
    """`Premises.everything`, as the model has it; of revisions that are not the newest, those that are shown."""
    looked = shown["revisions"]
    return expected_records(model) | {
        "used": {r.project: model.used(r.project) for r in model.records.values()},
        "collections": {r.project: model.homes[r.project].collections for r in model.records.values()},
        "revisions": {
            (r.n, i): {path: (file.content, file.meta, file.pos) for path, file in state.items()}
            for r in model.records.values()
            for i, state in enumerate(r.revisions)
            if i == r.newest or (r.n, i) in looked
        },
        "verbs": {r.n: r.verbs for r in model.records.values()},
        "uploads": {one.uid: ("finished" if one.finished else "open", len(one.arrived)) for one in model.sendings},
        # An edge whose both ends were purged is nowhere listed.
        "edges": {edge for edge in model.edges if edge.source > 0 or edge.target > 0},
        "members": {team: roles for team, roles in model.teams.items() if not team.startswith("~")},
    }


def difference(want: dict[str, Any], have: dict[str, Any]) -> str:
    """Where two of them differ, for people; empty when they do not."""
    lines = []
    for part in want:
        if isinstance(want[part], dict):
            for key in want[part].keys() | have[part].keys():
                one, other = want[part].get(key, "nothing"), have[part].get(key, "nothing")
                if one != other:
                    lines.append(f"{part} {key}:\n    model {one!r}\n    depot {other!r}")
        elif want[part] != have[part]:
            lines.append(
                f"{part}:\n    model has {want[part] - have[part]!r}\n    depot has {have[part] - want[part]!r}"
            )
    return "\n".join(sorted(lines))
