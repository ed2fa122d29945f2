"""What an id of any door, or a reference that a person wrote, names here."""

from __future__ import annotations

from dataclasses import dataclass, field

from entrepot.catalog import contents as content_rows
from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Filter, Found
from entrepot.depot import lookup, relationships, tasks
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_at, entry_number, entry_of
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Forbidden, InvalidName, NotFound, Unauthenticated
from entrepot.model.ids import Candidate, Noun
from entrepot.model.references import Reference, parse_reference
from entrepot.model.values import Collection, Dataset, Entry, Project, Task, Version


@dataclass(frozen=True, slots=True)
class Resolved:
    """One thing, with what stands around it, and the id by which each door knows it."""

    noun: Noun
    ids: dict[str, str] = field(default_factory=dict)
    version: Version | None = None
    revision: int | None = None
    entry: Entry | None = None
    project: Project | None = None
    dataset: Dataset | None = None
    collection: Collection | None = None
    task: Task | None = None


def resolve(depot: Depot, actor: Actor, text: str) -> Resolved:
    """The thing that `text` names: an id of any door, `ufdl:12`, or `project/dataset[@v[.r]][/path]`.

    A project's slug alone names the project. A bare name stands for something that is ready. Where there is nothing
    but a version that never was, nothing is found; whoever may see that version is told of it in `details`: `unready`
    is its id, and `state` and `kind` say what it waits for.

    Raises:
        NotFound: Nothing, or nothing that the caller may see.
    """
    missing = NotFound(f"There is nothing named {lookup.said(text)!r}, or you may not see it.")
    candidates = ids.parse_any(text)
    with depot.catalog.read() as conn:
        for candidate in candidates:
            try:
                found = _candidate(conn, actor, candidate)
            except (NotFound, Forbidden, Unauthenticated):
                continue
            if found is not None:
                return found
        if candidates:
            raise missing
        try:
            if "/" not in text:
                return _project(lookup.project(conn, actor, names.slug(text), Action.VIEW_PROJECT).project)
            reference = parse_reference(text)
        except InvalidName as wrong:
            raise missing from wrong
        try:
            one, revision = lookup.resolve(conn, actor, reference)
        except NotFound as nothing:
            draft = _never_ready(conn, actor, reference)
            if draft is None:
                raise
            own = ids.encode(Noun.VERSION, draft.uid)
            raise NotFound(
                f"{lookup.said(reference)} was never ready: a {draft.kind} that is {draft.state}. Its id is {own}.",
                details={"unready": own, "state": draft.state.value, "kind": draft.kind.value},
            ) from nothing
        if reference.path is None:
            return _version(one, revision)
        return _entry(conn, actor, one, revision, path=reference.path)


def _never_ready(conn: Connection, actor: Actor, reference: Reference) -> Version | None:
    """The newest version of a line that has only such as were never ready, if the caller may see it."""
    home = project_rows.find(conn, user=actor.user, slug=reference.project)
    line = None if home is None else dataset_rows.find(conn, project=home[0].n, slug=reference.dataset)
    if line is None or reference.version is not None:
        return None
    found = version_rows.page(conn, lookup.sight(actor), Filter(dataset=line.n), after=None, limit=1)
    return found[0].version if found and found[0].version.number is None else None


def _project(project: Project) -> Resolved:
    return Resolved(Noun.PROJECT, ids.all_project_ids(project.n, project.uid), project=project)


def _version(found: Found, revision: int, noun: Noun = Noun.VERSION) -> Resolved:
    version = found.version
    named = ids.all_ids(version.n, version.uid, revision=revision)
    return Resolved(noun, named, version=version, revision=revision)


def _entry(
    conn: Connection, actor: Actor, found: Found, revision: int, *, path: str | None = None, position: int | None = None
) -> Resolved:
    lookup.judge(actor, Action.READ_CONTENT, found)
    version = found.version
    row = (
        entry_at(conn, version, revision, path)
        if path is not None
        else entry_number(conn, version, revision, position or 0)
    )
    named = ids.all_entry_ids(version.n, version.uid, row.pos)
    return Resolved(Noun.ENTRY, named, version=version, revision=revision, entry=entry_of(row))


def _candidate(conn: Connection, actor: Actor, one: Candidate) -> Resolved | None:
    key = one.uid if one.uid is not None else one.n
    if one.noun in (Noun.VERSION, Noun.REVISION, Noun.ENTRY) and key is not None:
        found = lookup.version(conn, actor, key, Action.VIEW_RECORD)
        revision = found.version.revision if one.revision is None else one.revision
        if revision > found.version.revision:
            return None
        if one.noun is Noun.ENTRY:
            return _entry(conn, actor, found, revision, position=one.position)
        return _version(found, revision, one.noun)
    if one.noun is Noun.PROJECT and key is not None:
        return _project(lookup.project(conn, actor, key, Action.VIEW_PROJECT).project)
    if one.noun is Noun.COLLECTION and one.uid is not None:
        place = project_rows.collection_by_uid(conn, one.uid)
        if place is None:
            return None
        home = lookup.project(conn, actor, place.project, Action.VIEW_PROJECT).project
        named = {
            "native": ids.encode(Noun.COLLECTION, place.uid),
            "benchling": ids.benchling_folder(place.uid, home.uid),
        }
        return Resolved(Noun.COLLECTION, named, project=home, collection=place)
    if one.noun is Noun.DATASET and one.uid is not None:
        line = dataset_rows.find(conn, uid=one.uid)
        head = None if line is None else version_rows.bare(conn, line.n, lookup.sight(actor))
        if line is None or head is None:
            return None
        shown = lookup.version(conn, actor, head, Action.VIEW_RECORD)
        named = {"native": ids.encode(Noun.DATASET, line.uid)}
        return Resolved(Noun.DATASET, named, version=shown.version, revision=shown.version.revision, dataset=line)
    if one.noun is Noun.TASK and one.uid is not None:
        task = tasks.seen(conn, actor, one.uid)
        return Resolved(Noun.TASK, {"native": ids.encode(Noun.TASK, task.uid)}, task=task)
    if one.noun is Noun.RELATIONSHIP and one.uid is not None:
        relationships.seen(conn, actor, one.uid)
        return Resolved(Noun.RELATIONSHIP, {"native": ids.encode(Noun.RELATIONSHIP, one.uid)})
    if one.noun is Noun.CONTENT and one.sha256 is not None:
        return _content(conn, actor, one.sha256)
    return None


def _content(conn: Connection, actor: Actor, sha256: bytes) -> Resolved | None:
    """Some bytes, for those who may read an entry that holds them."""
    content = content_rows.find(conn, sha256)
    if content is None or not content_rows.readable(conn, content, lookup.sight(actor, content=True)):
        return None
    return Resolved(Noun.CONTENT, {"ufdl": ids.ufdl_handle(sha256)})
