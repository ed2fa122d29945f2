"""From the model to the native API's answers: pure functions, one per noun."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from entrepot.depot.browse import Found
from entrepot.depot.direct import Arrival
from entrepot.depot.entries import Committed, FolderItem
from entrepot.depot.history import Attempt, Difference
from entrepot.depot.lookup import FoundProject
from entrepot.depot.naming import Names
from entrepot.depot.notes import Notes
from entrepot.depot.objects import Link
from entrepot.depot.packing import Packed
from entrepot.depot.relationships import Graph
from entrepot.depot.resolving import Resolved
from entrepot.depot.search import Result
from entrepot.depot.slots import Slot
from entrepot.depot.teams import FoundTeam
from entrepot.depot.tokens import NewToken
from entrepot.depot.uploads import UploadRow
from entrepot.model import ids, values
from entrepot.model.digests import crc32c_base64, sha256_text
from entrepot.model.ids import Noun
from entrepot.wire.messages import (
    base,
    entries,
    events,
    licences,
    nodes,
    projects,
    relationships,
    resolve,
    search,
    slots,
    tasks,
    teams,
    tokens,
    uploads,
    users,
    versions,
)
from entrepot.wire.messages import notes as note_messages


def role_name(role: values.Role) -> base.RoleName:
    names: Mapping[values.Role, base.RoleName] = {
        values.Role.NONE: "none",
        values.Role.READ: "read",
        values.Role.EXECUTE: "execute",
        values.Role.WRITE: "write",
        values.Role.ADMIN: "admin",
    }
    return names[role]


def _id(noun: Noun, uid: UUID | None) -> str | None:
    return None if uid is None else ids.encode(noun, uid)


def _trash(trash: values.Trash | None) -> base.Trash | None:
    return None if trash is None else base.Trash(at=trash.at, reason=trash.reason)


def _object(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else dict(value)


# People


def user(one: values.User, names: Names) -> users.User:
    return users.User(
        id=ids.encode(Noun.USER, one.uid),
        name=one.name,
        email=one.email,
        first_name=one.first_name,
        last_name=one.last_name,
        staff=one.is_staff,
        active=one.is_active,
        has_password=one.has_password,
        default_project=_id(Noun.PROJECT, names.projects.get(one.default_project or 0)),
        created_at=one.created_at,
        last_login_at=one.last_login_at,
    )


def session(one: values.Session) -> users.Session:
    return users.Session(
        id=one.id,
        address=str(one.detail.get("address", "")),
        agent=str(one.detail.get("agent", "")),
        created_at=one.created_at,
        expires_at=one.expires_at,
    )


def person(one: values.User | values.Person) -> users.Person:
    return users.Person(
        id=ids.encode(Noun.USER, one.uid), name=one.name, first_name=one.first_name, last_name=one.last_name
    )


def _token(one: values.Token, names: Names) -> dict[str, Any]:
    limited = None if one.projects is None else [names.projects[n] for n in one.projects if n in names.projects]
    return {
        "id": ids.encode(Noun.TOKEN, one.uid),
        "user": one.user_name,
        "name": one.name,
        "scope": one.scope,
        "projects": None if limited is None else [ids.encode(Noun.PROJECT, uid) for uid in limited],
        "node": _id(Noun.NODE, names.nodes.get(one.node or 0)),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "revoked_at": one.revoked_at,
    }


def token(one: values.Token, names: Names) -> tokens.Token:
    return tokens.Token(**_token(one, names))


def token_created(made: NewToken, names: Names) -> tokens.TokenCreated:
    return tokens.TokenCreated(token=made.text, **_token(made.token, names))


def team(one: values.Team, role: values.Role) -> teams.Team:
    return teams.Team(
        id=ids.encode(Noun.TEAM, one.uid),
        name=one.name,
        personal=one.personal_of is not None,
        role=role_name(role),
        created_at=one.created_at,
        trash=_trash(one.trash),
    )


def found_team(found: FoundTeam) -> teams.Team:
    return team(found.team, found.role)


def member(one: values.Membership) -> teams.Member:
    return teams.Member(user=one.user_name, role=role_name(one.role), created_at=one.created_at)


def node(one: values.Node) -> nodes.Node:
    return nodes.Node(id=ids.encode(Noun.NODE, one.uid), name=one.name, active=one.is_active, created_at=one.created_at)


def licence(one: values.Licence) -> licences.Licence:
    return licences.Licence(
        id=ids.encode(Noun.LICENCE, one.uid),
        name=one.name,
        url=one.url,
        permissions=list(one.permissions),
        conditions=list(one.conditions),
        limitations=list(one.limitations),
        domains=list(one.domains),
        standard=one.standard,
    )


# Projects


def _project(one: values.Project, role: values.Role | None) -> dict[str, Any]:
    return {
        "id": ids.encode(Noun.PROJECT, one.uid),
        "name": one.name,
        "slug": one.slug,
        "description": one.description,
        "team": one.team_name,
        "personal": one.personal,
        "role": None if role is None else role_name(role),
        "default_licence": one.default_licence_name,
        "allocation": one.allocation,
        "default_expiry_s": one.default_expiry_s,
        "retention_s": one.retention_s,
        "settings": dict(one.settings),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "trash": _trash(one.trash),
    }


def project(one: values.Project, role: values.Role | None = None) -> projects.Project:
    return projects.Project(**_project(one, role))


def found_project(found: FoundProject) -> projects.Project:
    return project(found.project, found.role)


def project_detail(found: FoundProject, used_bytes: int) -> projects.ProjectDetail:
    return projects.ProjectDetail(used_bytes=used_bytes, **_project(found.project, found.role))


def collection(one: values.Collection) -> projects.Collection:
    return projects.Collection(
        id=ids.encode(Noun.COLLECTION, one.uid),
        project=ids.encode(Noun.PROJECT, one.project_uid),
        path=one.path,
        created_at=one.created_at,
    )


# Versions


def _version(one: values.Version, role: values.Role | None) -> dict[str, Any]:
    return {
        "id": ids.encode(Noun.VERSION, one.uid),
        "dataset": ids.encode(Noun.DATASET, one.dataset_uid),
        "name": one.name,
        "slug": one.slug,
        "project": ids.encode(Noun.PROJECT, one.project_uid),
        "project_slug": one.project_slug,
        "collection": ids.encode(Noun.COLLECTION, one.collection_uid),
        "collection_path": one.collection_path,
        "number": one.number,
        "revision": one.revision,
        "label": one.label,
        "kind": one.kind,
        "state": one.state,
        "stage": one.stage,
        "report": _object(one.report),
        "description": one.description,
        "licence": one.licence_name,
        "visibility": one.visibility,
        "tags": list(one.tags),
        "custom": dict(one.custom),
        "alias": one.alias,
        "properties": dict(one.properties),
        "declared": one.declared,
        "unpacked_from": _object(one.unpacked_from),
        "proposal": one.is_proposal,
        "previous_version": one.previous_version,
        "frozen_at": one.frozen_at,
        "edit": one.edit,
        "entries": one.n_entries,
        "size": one.n_bytes,
        "items": one.item_count,
        "data_type": one.data_type,
        "role": None if role is None else role_name(role),
        "creator": one.creator_name,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "ready_at": one.ready_at,
        "expires_at": one.expires_at,
        "trash": _trash(one.trash),
    }


def record_tag(edit: int, revision: int, updated_at: datetime) -> str:
    """The entity tag of a record: every edit, revision and change of state moves one of these."""
    return f'"{edit}.{revision}.{int(updated_at.timestamp() * 1_000_000):x}"'


def version(one: values.Version, role: values.Role | None = None) -> versions.Version:
    # Values of the model keep these rules already; checking them again would double the cost of a read.
    return versions.Version.model_construct(None, **_version(one, role))


def found_version(found: Found) -> versions.Version:
    return version(found.version, found.role)


def version_with_slots(
    one: values.Version, shown: list[slots.Slot], role: values.Role | None
) -> versions.VersionWithSlots:
    return versions.VersionWithSlots(slots=shown, **_version(one, role))


def dataset(one: values.Dataset, home: UUID, line: list[Found]) -> versions.DatasetDetail:
    return versions.DatasetDetail(
        id=ids.encode(Noun.DATASET, one.uid),
        project=ids.encode(Noun.PROJECT, home),
        name=one.name,
        slug=one.slug,
        created_at=one.created_at,
        versions=[found_version(found) for found in line],
    )


def slot(one: Slot, link: Link | None, base_url: str) -> slots.Slot:
    waiting: slots.SlotState = "full" if one.full else "waiting"
    return slots.Slot(
        file_name=one.file_name,
        method="PUT",
        url=None if link is None else base_url + link.path,
        headers={},
        expires_at=one.url_expires_at,
        state=waiting,
        length=one.length,
        received=one.size or 0,
    )


# Content


def revision(version_uid: UUID, one: values.Revision) -> entries.Revision:
    return entries.Revision(
        id=ids.revision_id(version_uid, one.number),
        number=one.number,
        author=one.author_name,
        at=one.at,
        message=one.message,
        entries=one.n_entries,
        size=one.n_bytes,
    )


def committed(done: Committed, role: values.Role | None) -> entries.Committed:
    return entries.Committed(version=version(done.version, role), revision=revision(done.version.uid, done.revision))


def _entry(one: values.Entry) -> dict[str, Any]:
    return {
        "path": one.path,
        "size": one.size,
        "sha256": sha256_text(one.sha256),
        "crc32c": crc32c_base64(one.crc32c),
        "media_type": one.media_type,
        "data_type": one.data_type,
        "metadata": one.metadata,
        "position": one.position,
        "added_at": one.added_at,
        "added_by": one.added_by,
    }


def entry(one: values.Entry) -> entries.Entry:
    return entries.Entry.model_construct(None, **_entry(one))


def entry_page(of: values.Version, revision: int, page: values.Page[values.Entry]) -> bytes:
    """An `EntryPage` as it is sent. A model for each row would take twice as long to make as the row to find."""
    times: dict[datetime, str] = {}
    rows = []
    for one in page.rows:
        row, at = _entry(one), one.added_at
        if at is not None:
            # What came in one commit came at one time.
            if at not in times:
                times[at] = base.format_instant(at)
            row["added_at"] = times[at]
        rows.append(row)
    told = {"version": ids.encode(Noun.VERSION, of.uid), "revision": revision, "rows": rows, "next": page.cursor}
    return msgspec.json.encode(told)


def entry_detail(of: values.Version, revision: int, one: values.Entry) -> entries.EntryDetail:
    return entries.EntryDetail(version=ids.encode(Noun.VERSION, of.uid), revision=revision, **_entry(one))


def folder_row(one: FolderItem) -> entries.FolderRow:
    return entries.FolderRow(name=one.name, folder=one.is_folder, entry=None if one.entry is None else entry(one.entry))


def difference(one: Difference) -> entries.DiffRow:
    return entries.DiffRow(
        change=one.change,
        path=one.path,
        old_path=one.before.path if one.change == "renamed" and one.before is not None else None,
        old=None if one.before is None else entry(one.before),
        new=None if one.after is None else entry(one.after),
    )


def upload(one: UploadRow) -> uploads.Upload:
    digest = one.content_sha256 or one.sha256
    state: uploads.UploadState = (
        "finished" if one.state == "finished" else "aborted" if one.state == "aborted" else "open"
    )
    return uploads.Upload(
        id=ids.encode(Noun.UPLOAD, one.uid),
        state=state,
        offset=one.received,
        length=one.content_size if one.length is None else one.length,
        file_name=one.file_name,
        media_type=one.media,
        sha256=None if digest is None else sha256_text(digest),
        purpose=one.purpose,
        created_at=one.created_at,
        expires_at=one.expires_at,
    )


def arrival(one: Arrival) -> uploads.DirectUpload:
    return uploads.DirectUpload(upload=upload(one.upload), url=one.url, expires_at=one.expires_at)


def packed(one: Packed) -> bytes:
    """A `Packed` as it is sent, for the same reason as `entry_page`."""
    files = [{"name": f.name, "size": f.size, "sha256": sha256_text(f.sha256)} for f in one.files]
    told = {"upload": upload(one.upload).model_dump(mode="json"), "files": files}
    return msgspec.json.encode(told)


# Work and history


def task(one: values.Task, names: Names) -> tasks.Task:
    return tasks.Task(
        id=ids.encode(Noun.TASK, one.uid),
        kind=one.kind,
        state=one.state,
        progress=_object(one.progress),
        result=_object(one.result),
        error=_object(one.error),
        cancel_requested=one.cancel_requested,
        version=_id(Noun.VERSION, names.versions.get(one.version or 0)),
        attempt=one.attempt,
        created_at=one.created_at,
        started_at=one.started_at,
        ended_at=one.ended_at,
    )


def event(one: values.Event, names: Names) -> events.Event:
    return events.Event(
        n=one.n,
        at=one.at,
        verb=one.verb,
        actor=one.actor_name,
        door=one.door,
        token=_id(Noun.TOKEN, one.token_uid),
        project=_id(Noun.PROJECT, names.projects.get(one.project or 0)),
        version=_id(Noun.VERSION, names.versions.get(one.version or 0)),
        revision=one.revision,
        subject=one.subject,
        before=_object(one.before),
        after=_object(one.after),
        detail=_object(one.detail),
    )


def ingest(one: Attempt) -> slots.Ingest:
    return slots.Ingest(
        id=one.uid.hex,
        task=_id(Noun.TASK, one.task),
        state=one.state,
        stage=one.stage,
        report=_object(one.report),
        created_at=one.created_at,
        started_at=one.started_at,
        ended_at=one.ended_at,
    )


def _end(one: values.VersionRef | None) -> relationships.End | None:
    if one is None:
        return None
    return relationships.End(
        version=ids.encode(Noun.VERSION, one.uid),
        revision=one.revision,
        name=one.name,
        number=one.number,
        purged=one.purged,
    )


def relationship(one: values.Relationship) -> relationships.Relationship:
    return relationships.Relationship(
        id=ids.encode(Noun.RELATIONSHIP, one.uid),
        source=_end(one.source),
        target=_end(one.target),
        verb=one.verb,
        mode=one.mode,
        note=one.note,
        at=one.at,
        qualifiers=dict(one.qualifiers),
        created_at=one.created_at,
    )


def graph(found: Graph, roles: Mapping[int, values.Role | None]) -> relationships.Graph:
    """`roles` are the caller's, by the number of the project."""
    shown = [found.versions[n] for n in sorted(found.versions)]
    return relationships.Graph(
        versions=[version(one, roles.get(one.project)) for one in shown],
        edges=[relationship(edge) for edge in found.edges],
        truncated=found.truncated,
    )


def notes(found: Notes) -> note_messages.NoteList:
    return note_messages.NoteList(
        rows=[
            note_messages.Note(
                id=one.id,
                text=one.text,
                version=ids.encode(Noun.VERSION, one.about.uid),
                label=f"{one.about.project_slug}/{one.about.slug}@{one.about.number}",
                revision=one.revision,
                author=one.author,
                written_at=one.written_at,
                distance=one.distance,
            )
            for one in found.rows
        ],
        truncated=found.truncated,
    )


def search_row(result: Result) -> search.SearchRow:
    return search.SearchRow(version=found_version(result.found), score=result.score)


def resolved(found: Resolved, role: values.Role | None) -> resolve.Resolved:
    # An entry has no id of its own here: it is a path of a version at a revision.
    native = found.ids.get("native") or (None if found.version is None else ids.encode(Noun.VERSION, found.version.uid))
    return resolve.Resolved(
        thing=found.noun.value,
        id=native or "",
        revision=found.revision,
        path=None if found.entry is None else found.entry.path,
        ids=dict(found.ids),
        version=None if found.version is None else version(found.version, role),
        project=None if found.project is None else project(found.project, role),
    )
