"""A whole depot for tests: a real catalogue, a store in memory or on disk, and a clock that only tests move."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import Any

from entrepot.catalog.database import Catalog
from entrepot.depot import bootstrap, entries, packing, projects, teams, uploads, users, versions
from entrepot.depot import members as team_members
from entrepot.depot.context import Depot
from entrepot.depot.credentials import as_operator
from entrepot.depot.entries import Add, Committed
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.values import Project, Role, Scope, Version
from entrepot.store.base import ObjectStore, Staging
from entrepot.wire import frames
from tests.support.catalogs import ADMIN_PASSWORD, Clock


class House:
    """A depot with an administrator, and short ways to what tests need again and again."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        staging: Staging,
        clock: Clock,
        **depot: Any,
    ) -> None:
        self.clock = clock
        self.depot = Depot(catalog=catalog, store=store, staging=staging, secret=b"k" * 32, clock=clock, **depot)
        bootstrap.bootstrap(self.depot, admin_password=ADMIN_PASSWORD)
        self.admin = self.log_in("admin", staff=True)
        self._names = itertools.count(1)

    def log_in(self, name: str, *, scope: Scope = Scope.ADMIN, staff: bool = False, **more: Any) -> Actor:
        """The actor that a user of this name is, without a password being typed."""
        actor = as_operator(self.depot, name)
        return replace(actor, scope=scope, staff=staff, door="native", **more)

    def user(self, name: str | None = None) -> Actor:
        """A new person."""
        wanted = name or f"person{next(self._names)}"
        users.create(self.depot, self.admin, wanted, password="password")
        return self.log_in(wanted)

    def project(self, owner: Actor, name: str | None = None, **more: Any) -> Project:
        return projects.create(self.depot, owner, name or f"Project {next(self._names)}", **more)

    def team(self, name: str | None = None, **roles: Role) -> int:
        """A team with members, by user name."""
        made = teams.create(self.depot, self.admin, name or f"team{next(self._names)}")
        for who, role in roles.items():
            team_members.add(self.depot, self.admin, made.n, who, role)
        return made.n

    def version(self, owner: Actor, project: Project | None = None, name: str | None = None, **more: Any) -> Version:
        return versions.create(
            self.depot,
            owner,
            None if project is None else project.n,
            NewVersion(name=name or f"dataset {next(self._names)}", **more),
        )

    def upload(self, owner: Actor, data: bytes, **more: Any) -> uploads.UploadRow:
        """Bytes as a finished upload."""
        row = uploads.begin(self.depot, owner, NewUpload(length=len(data), **more))
        with uploads.receive(self.depot, owner, row.uid, 0) as receiver:
            if data:
                receiver.write(data)
        return uploads.finish(self.depot, owner, row.uid)[0]

    def put(self, owner: Actor, version: Version, files: dict[str, bytes], **more: Any) -> Committed:
        """A commit that adds or replaces these files."""
        adds = [Add(path, upload=self.upload(owner, data).uid) for path, data in files.items()]
        return entries.commit(self.depot, owner, version.n, adds, **more)

    def put_batch(self, owner: Actor, version: Version, files: dict[str, bytes]) -> Committed:
        """A commit that adds or replaces these files, which come together and share an object."""
        sink = packing.put_batch(self.depot, owner)
        for path, data in files.items():
            sink.write(frames.header(path, len(data), self.sha256(data)) + data)
        batch = sink.finish().upload.uid
        adds = [Add(path, upload=batch, sha256=self.sha256(data)) for path, data in files.items()]
        return entries.commit(self.depot, owner, version.n, adds)

    def of(self, reader: Actor, n: int) -> Version:
        """A version by its number."""
        return versions.get(self.depot, reader, n).version

    def tree(self, reader: Actor, version: int, revision: int | None = None) -> dict[str, bytes]:
        """Everything that is in a version: path to bytes."""
        found: dict[str, bytes] = {}
        for entry in entries.iterate(self.depot, reader, version, revision=revision)[2]:
            with entries.open_entry(self.depot, reader, version, entry.path, revision=revision).reader as opened:
                found[entry.path] = opened.read_at(0, opened.size)
        return found

    def sha256(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()
