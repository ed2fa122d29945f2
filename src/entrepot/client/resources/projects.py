"""Projects, the collections in them, and licences."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

from entrepot.client.resources.base import Resource, named
from entrepot.wire.messages.licences import Licence, LicenceChanges, LicencePage, NewLicence
from entrepot.wire.messages.projects import (
    Collection,
    CollectionChanges,
    CollectionPage,
    NewCollection,
    NewProject,
    Project,
    ProjectChanges,
    ProjectDetail,
    ProjectPage,
    Tags,
)
from entrepot.wire.messages.versions import DatasetPage, Version

__all__ = ["Collections", "LicenceFields", "Licences", "ProjectFields", "Projects"]


class ProjectFields(TypedDict, total=False):
    """What of a project can be changed; what is not given stays, None clears."""

    name: str
    slug: str
    description: str
    team: str
    default_licence: str
    allocation: int | None
    default_expiry_s: int | None
    retention_s: int | None
    settings: dict[str, Any]


class Projects(Resource):
    """Where data lives."""

    def list(
        self, *, name: str | None = None, writable: bool | None = None, trashed: bool | None = None
    ) -> Iterator[Project]:
        """The projects that the caller may see."""
        asked = {"name": name, "writable": writable, "trashed": trashed}
        yield from self._transport.rows("/projects", ProjectPage, asked)

    def get(self, project: str) -> ProjectDetail:
        """By id or slug."""
        return self._transport.get(f"/projects/{named('project', project)}", ProjectDetail)

    def create(
        self,
        name: str,
        *,
        team: str | None = None,
        description: str = "",
        slug: str | None = None,
        default_licence: str | None = None,
    ) -> Project:
        """Make a project: of a team, or one's own.

        Raises:
            NameTaken: The owner has one of this name, or the wished slug is taken.
        """
        new = NewProject(name=name, team=team, description=description, slug=slug, default_licence=default_licence)
        return self._transport.post("/projects", Project, new)

    def update(self, project: str, **changes: Unpack[ProjectFields]) -> Project:
        return self._transport.patch(f"/projects/{named('project', project)}", Project, ProjectChanges(**changes))

    def trash(self, project: str) -> Project:
        """Put it into the trash, and its versions with it."""
        return self._transport.delete(f"/projects/{named('project', project)}", Project)

    def reinstate(self, project: str) -> Project:
        """Bring the project back; its versions are brought back one by one."""
        return self._transport.post(f"/projects/{named('project', project)}/reinstate", Project)

    def purge(self, project: str) -> Project:
        return self._transport.post(f"/projects/{named('project', project)}/purge", Project)

    def tags(self, project: str) -> builtins.list[str]:
        """The tags in use."""
        return self._transport.get(f"/projects/{named('project', project)}/tags", Tags).rows

    def datasets(self, project: str) -> Iterator[Version]:
        """Of each dataset the version that its bare name means."""
        yield from self._transport.rows(f"/projects/{named('project', project)}/datasets", DatasetPage)


class Collections(Resource):
    """Folders of versions inside a project."""

    def list(self, project: str) -> Iterator[Collection]:
        yield from self._transport.rows(f"/projects/{named('project', project)}/collections", CollectionPage)

    def get(self, collection: str) -> Collection:
        return self._transport.get(f"/collections/{named('collection', collection)}", Collection)

    def create(self, project: str, path: str) -> Collection:
        """Make the collection `a/b/c`, and those above it that are missing."""
        body = NewCollection(path=path)
        return self._transport.post(f"/projects/{named('project', project)}/collections", Collection, body)

    def rename(self, collection: str, path: str) -> Collection:
        body = CollectionChanges(path=path)
        return self._transport.patch(f"/collections/{named('collection', collection)}", Collection, body)

    def delete(self, collection: str) -> None:
        self._transport.send("DELETE", f"/collections/{named('collection', collection)}")


class LicenceFields(TypedDict, total=False):
    name: str
    url: str
    permissions: list[str]
    conditions: list[str]
    limitations: list[str]
    domains: list[str]


class Licences(Resource):
    """The terms under which data may be used."""

    def list(self) -> Iterator[Licence]:
        yield from self._transport.rows("/licences", LicencePage)

    def get(self, licence: str) -> Licence:
        return self._transport.get(f"/licences/{named('licence', licence)}", Licence)

    def create(
        self,
        name: str,
        *,
        url: str = "",
        permissions: Sequence[str] = (),
        conditions: Sequence[str] = (),
        limitations: Sequence[str] = (),
        domains: Sequence[str] = (),
    ) -> Licence:
        new = NewLicence(
            name=name,
            url=url,
            permissions=[*permissions],
            conditions=[*conditions],
            limitations=[*limitations],
            domains=[*domains],
        )
        return self._transport.post("/licences", Licence, new)

    def update(self, licence: str, **changes: Unpack[LicenceFields]) -> Licence:
        return self._transport.patch(f"/licences/{named('licence', licence)}", Licence, LicenceChanges(**changes))

    def delete(self, licence: str) -> None:
        self._transport.send("DELETE", f"/licences/{named('licence', licence)}")
