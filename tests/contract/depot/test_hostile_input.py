"""What nobody sends by accident: every use case answers it with an error of the tree, or takes it and gives it back.

A driver's own exception would be a 500 to the sender, and a message about columns and bytes that helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from entrepot.catalog.versions import Filter
from entrepot.depot import (
    copies,
    entries,
    exports,
    history,
    objects,
    projects,
    relationships,
    resolving,
    search,
    slots,
    tasks,
    trash,
    uploads,
    versions,
)
from entrepot.depot.entries import Add, Describe, Remove, Rename
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.slots import NewSlot
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model import cursors
from entrepot.model.access import Actor
from entrepot.model.errors import BadCursor, EntrepotError, Invalid
from entrepot.model.json_values import same
from entrepot.model.references import Reference
from entrepot.model.values import Kind, Project, Version
from tests.support.house import House

TEXTS = ["", "\x00", "a\x00b", "\ud800", "a\udfffb", "\u202e", "x" * 300_000, "\U0001f600 " * 100_000, "'\"%_\\:*{}"]
NUMBERS = [-(2**63), -1, 0, 2**31, 2**53, 2**63 - 1, 2**63, 10**30]
NUL_JSON: list[Any] = [{"a": "\x00"}, {"\x00": 1}, {"a": ["\ud800"]}, {"a": float("nan")}, {"a": 2**70}, {"a": {1}}]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


JSON = [*NUL_JSON, deep(5_000), {"a": "x" * 1_100_000}, {"a": [0] * 1_100_000}, [], "text", None]
TIMES = [
    datetime(2026, 1, 1),  # noqa: DTZ001
    datetime.max,  # noqa: DTZ901
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
]


class Stage:
    """Something of everything to be attacked."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.depot = house.depot
        self.ann: Actor = house.user("ann")
        self.project: Project = house.project(self.ann, "Birds")
        self.version: Version = house.version(self.ann, self.project, "Penguins")
        self.other: Version = house.version(self.ann, self.project, "Auks")
        house.put(self.ann, self.version, {"a.txt": b"1", "d/b.txt": b"2"})
        self.collection = projects.create_collection(house.depot, self.ann, self.project.n, "far/away")

    def new(self, **more: Any) -> Version:
        more.setdefault("name", f"fresh {next(self.house._names)}")
        return versions.create(self.depot, self.ann, self.project.n, NewVersion(**more))

    def change(self, **more: Any) -> Version:
        return versions.update(self.depot, self.ann, self.version.n, VersionChanges(**more))

    def commit(self, *changes: Any, **more: Any) -> Any:
        return entries.commit(self.depot, self.ann, self.other.n, list(changes), **more)

    def link(self, **more: Any) -> Any:
        return relationships.create(
            self.depot,
            self.ann,
            NewRelationship(**({"source": self.version.n, "target": self.other.n, "verb": "from"} | more)),
        )


Attack = Callable[[Stage, Any], Any]

WITH_TEXT: Mapping[str, Attack] = {
    "version name": lambda s, t: s.new(name=t),
    "version description": lambda s, t: s.new(description=t),
    "version tag": lambda s, t: s.new(tags=[t]),
    "version alias": lambda s, t: s.new(alias=t),
    "version collection": lambda s, t: s.new(collection=t),
    "version slug": lambda s, t: s.new(slug=t),
    "version project": lambda s, t: versions.create(s.depot, s.ann, t, NewVersion(name="x")),
    "new name": lambda s, t: s.change(name=t),
    "new description": lambda s, t: s.change(description=t),
    "new alias": lambda s, t: s.change(alias=t),
    "new collection": lambda s, t: s.change(collection=t),
    "new project": lambda s, t: s.change(project=t),
    "set slug": lambda s, t: versions.set_slug(s.depot, s.ann, s.version.n, t),
    "list by name": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(name=t)),
    "list by tag": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(tags=(t,))),
    "list by alias": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(alias=t)),
    "list by data type": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(data_type=t)),
    "list by collection": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(collection_below=t)),
    "list cursor": lambda s, t: versions.list_versions(s.depot, s.ann, Filter(), cursor=t),
    "resolve reference": lambda s, t: versions.resolve(s.depot, s.ann, Reference("birds", t)),
    "resolve reference in": lambda s, t: versions.resolve(s.depot, s.ann, Reference(t, "penguins")),
    "resolve": lambda s, t: resolving.resolve(s.depot, s.ann, t),
    "resolve path": lambda s, t: resolving.resolve(s.depot, s.ann, f"birds/penguins/{t}"),
    "commit path": lambda s, t: s.commit(Add(t, source=(s.version.n, None, "a.txt"))),
    "commit source path": lambda s, t: s.commit(Add("x", source=(s.version.n, None, t))),
    "commit media type": lambda s, t: s.commit(Add("x", source=(s.version.n, None, "a.txt"), media_type=t)),
    "commit data type": lambda s, t: s.commit(Add("x", source=(s.version.n, None, "a.txt"), data_type=t)),
    "commit text": lambda s, t: s.commit(Add("x", source=(s.version.n, None, "a.txt"), metadata=t)),
    "commit message": lambda s, t: s.commit(Remove("nothing"), message=t),
    "remove": lambda s, t: s.commit(Remove(t)),
    "remove folder": lambda s, t: s.commit(Remove(t, recursive=True)),
    "rename from": lambda s, t: s.commit(Rename(t, "y")),
    "rename to": lambda s, t: s.commit(Rename("a.txt", t)),
    "describe": lambda s, t: s.commit(Describe(t, "text")),
    "get entry": lambda s, t: entries.get(s.depot, s.ann, s.version.n, t),
    "open entry": lambda s, t: entries.open_entry(s.depot, s.ann, s.version.n, t),
    "list below": lambda s, t: entries.list_entries(s.depot, s.ann, s.version.n, prefix=t),
    "list cursor of entries": lambda s, t: entries.list_entries(s.depot, s.ann, s.version.n, cursor=t),
    "folder": lambda s, t: entries.list_folder(s.depot, s.ann, s.version.n, t),
    "restore message": lambda s, t: entries.restore(s.depot, s.ann, s.version.n, 0, message=t),
    "copy name": lambda s, t: copies.copy(s.depot, s.ann, s.version.n, name=t),
    "copy project": lambda s, t: copies.copy(s.depot, s.ann, s.version.n, project=t),
    "copy collection": lambda s, t: copies.copy(s.depot, s.ann, s.version.n, collection=t),
    "copy path": lambda s, t: copies.copy(s.depot, s.ann, s.version.n, only_paths=[t, "a.txt"]),
    "export below": lambda s, t: exports.export(s.depot, s.ann, s.version.n, prefix=t),
    "export link": lambda s, t: objects.sign_entry(s.depot, s.ann, s.version.n, t),
    "open link": lambda s, t: objects.open_link(s.depot, t),
    "trash reason": lambda s, t: (
        trash.trash(s.depot, s.ann, s.other.n, reason=t),
        trash.reinstate(s.depot, s.ann, s.other.n),
    ),
    "project name": lambda s, t: projects.create(s.depot, s.ann, t),
    "project slug": lambda s, t: projects.create(s.depot, s.ann, "x", slug=t),
    "project description": lambda s, t: projects.update(s.depot, s.ann, s.project.n, ProjectChanges(description=t)),
    "project new slug": lambda s, t: projects.update(s.depot, s.ann, s.project.n, ProjectChanges(slug=t)),
    "project": lambda s, t: projects.get(s.depot, s.ann, t),
    "projects named": lambda s, t: projects.list_projects(s.depot, s.ann, name=t),
    "projects cursor": lambda s, t: projects.list_projects(s.depot, s.ann, cursor=t),
    "collection": lambda s, t: projects.create_collection(s.depot, s.ann, s.project.n, t),
    "new place of collection": lambda s, t: projects.rename_collection(s.depot, s.ann, s.collection.uid, t),
    "edge verb": lambda s, t: s.link(verb=t),
    "edge mode": lambda s, t: s.link(mode=t),
    "edge note": lambda s, t: s.link(note=t),
    "search": lambda s, t: search.search(s.depot, s.ann, t),
    "search in": lambda s, t: search.search(s.depot, s.ann, "penguins", project=t),
    "search cursor": lambda s, t: search.search(s.depot, s.ann, "penguins", cursor=t),
    "upload file name": lambda s, t: uploads.begin(s.depot, s.ann, NewUpload(file_name=t)),
    "upload media type": lambda s, t: uploads.begin(s.depot, s.ann, NewUpload(media_type=t)),
    "upload project": lambda s, t: uploads.begin(s.depot, s.ann, NewUpload(project=t)),
    "slot file name": lambda s, t: slots.create(
        s.depot, s.ann, s.project.n, NewVersion(name="t", kind=Kind.TABLE), [NewSlot(t)]
    ),
}

WITH_NUMBER: Mapping[str, Attack] = {
    "version": lambda s, n: versions.get(s.depot, s.ann, n),
    "version to trash": lambda s, n: trash.trash_many(s.depot, s.ann, [n], reason="x"),
    "licence": lambda s, n: s.new(licence=n),
    "new licence": lambda s, n: s.change(licence=n),
    "new project": lambda s, n: s.change(project=n),
    "list of project": lambda s, n: versions.list_versions(s.depot, s.ann, Filter(project=n, dataset=n, collection=n)),
    "list of creator": lambda s, n: versions.list_versions(s.depot, s.ann, Filter(creator=n)),
    "page": lambda s, n: versions.list_versions(s.depot, s.ann, Filter(), limit=n),
    "resolve number": lambda s, n: versions.resolve(s.depot, s.ann, Reference("birds", "penguins", n)),
    "resolve revision": lambda s, n: versions.resolve(s.depot, s.ann, Reference("birds", "penguins", 1, n)),
    "resolve ufdl": lambda s, n: resolving.resolve(s.depot, s.ann, f"ufdl:{n}"),
    "revision": lambda s, n: entries.revision(s.depot, s.ann, s.version.n, n),
    "revisions page": lambda s, n: history.revisions(s.depot, s.ann, s.version.n, limit=n),
    "entries of revision": lambda s, n: entries.list_entries(s.depot, s.ann, s.version.n, revision=n),
    "entry of revision": lambda s, n: entries.get(s.depot, s.ann, s.version.n, "a.txt", revision=n),
    "entry by position": lambda s, n: entries.open_entry(s.depot, s.ann, s.version.n, position=n),
    "diff": lambda s, n: list(entries.diff(s.depot, s.ann, (s.version.n, n), (s.version.n, None))),
    "restore": lambda s, n: entries.restore(s.depot, s.ann, s.version.n, n),
    "expected": lambda s, n: s.commit(Remove("nothing"), expected=n),
    "expected of restore": lambda s, n: entries.restore(s.depot, s.ann, s.version.n, 1, expected=n),
    "commit from version": lambda s, n: s.commit(Add("x", source=(n, None, "a.txt"))),
    "commit from revision": lambda s, n: s.commit(Add("x", source=(s.version.n, n, "a.txt"))),
    "copy revision": lambda s, n: copies.copy(s.depot, s.ann, s.version.n, revision=n),
    "merge from": lambda s, n: copies.merge(s.depot, s.ann, s.version.n, n),
    "export revision": lambda s, n: exports.export(s.depot, s.ann, s.version.n, revision=n),
    "link lifetime": lambda s, n: objects.sign_entry(
        s.depot, s.ann, s.version.n, "a.txt", expires_in=timedelta(seconds=max(min(n, 10**9), -(10**9)))
    ),
    "project": lambda s, n: projects.get(s.depot, s.ann, n),
    "project team": lambda s, n: projects.create(s.depot, s.ann, f"p{n}", team=n),
    "project licence": lambda s, n: projects.create(s.depot, s.ann, f"p{n}", default_licence=n),
    "allocation": lambda s, n: projects.update(s.depot, s.house.admin, s.project.n, ProjectChanges(allocation=n)),
    "retention": lambda s, n: projects.update(s.depot, s.ann, s.project.n, ProjectChanges(retention_s=n)),
    "default expiry": lambda s, n: (
        projects.update(s.depot, s.ann, s.project.n, ProjectChanges(default_expiry_s=n)),
        s.new(),
    ),
    "edge source": lambda s, n: s.link(source=n),
    "edge target": lambda s, n: s.link(target=n),
    "edge revision": lambda s, n: s.link(source_revision=n),
    "graph": lambda s, n: relationships.graph(s.depot, s.ann, n),
    "graph depth": lambda s, n: relationships.graph(s.depot, s.ann, s.version.n, depth=n),
    "search page": lambda s, n: search.search(s.depot, s.ann, "penguins", limit=n),
    "task": lambda s, n: tasks.get(s.depot, s.ann, n),
    "tasks of version": lambda s, n: tasks.list_tasks(s.depot, s.ann, version=n),
    "upload length": lambda s, n: uploads.begin(s.depot, s.ann, NewUpload(length=n)),
    "upload crc": lambda s, n: uploads.begin(s.depot, s.ann, NewUpload(crc32c=n)),
    "later length": lambda s, n: uploads.declare_length(
        s.depot, s.ann, uploads.begin(s.depot, s.ann, NewUpload()).uid, n
    ),
    "offset": lambda s, n: uploads.receive(s.depot, s.ann, uploads.begin(s.depot, s.ann, NewUpload()).uid, n).close(),
    "slot length": lambda s, n: slots.create(
        s.depot, s.ann, s.project.n, NewVersion(name=f"t{n}", kind=Kind.TABLE), [NewSlot("a.csv", length=n, crc32c=n)]
    ),
}

WITH_JSON: Mapping[str, Attack] = {
    "custom": lambda s, j: s.new(custom=j),
    "properties": lambda s, j: s.new(properties=j),
    "declared": lambda s, j: s.new(declared=j),
    "new custom": lambda s, j: s.change(custom=j),
    "new properties": lambda s, j: s.change(properties=j),
    "qualifiers": lambda s, j: s.link(qualifiers=j),
    "settings": lambda s, j: projects.update(s.depot, s.ann, s.project.n, ProjectChanges(settings=j)),
}

WITH_TIME: Mapping[str, Attack] = {
    "expiry": lambda s, t: s.new(expires_at=t),
    "new expiry": lambda s, t: s.change(expires_at=t),
    "time of edge": lambda s, t: s.link(at=t),
}


def attacks() -> Iterator[tuple[str, Attack, Any]]:
    for cases, values in ((WITH_TEXT, TEXTS), (WITH_NUMBER, NUMBERS), (WITH_JSON, JSON), (WITH_TIME, TIMES)):
        for name, attack in cases.items():
            for i, value in enumerate(values):
                yield f"{name} [{i}]", attack, value


def test_no_input_gets_past_the_errors_of_the_tree(house: House) -> None:
    stage = Stage(house)
    wrong = []
    for name, attack, value in attacks():
        try:
            attack(stage, value)
        except EntrepotError as error:
            if len(error.message) > 2_000:
                wrong.append(f"{name}: its message has {len(error.message)} characters")
            elif not _writable(error):
                wrong.append(f"{name}: its message or details cannot be written as UTF-8")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    assert not wrong, "\n".join(wrong)


def _writable(error: EntrepotError) -> bool:
    try:
        repr((error.message, error.details, error.errors)).encode()
        error.message.encode()
        for part in error.errors:
            for text in part.values():
                str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_what_was_taken_as_metadata_comes_back_equal(house: House) -> None:
    ann = house.user("ann")
    odd = {
        "": "",
        "π": [1, 1.5, True, None, {"deep": [[]]}],
        "big": 2**64 - 1,
        "small": -(2**63),
        "huge": 1e300,
        "tiny": 5e-324,
        "escape": r"\u0000 is only a text",
        "quote\"'%": "\u2028\U0001f427",
    }
    made = house.version(ann, name="Odd", custom=odd, declared=[odd], properties={"a.b": odd})
    assert made.custom == odd
    assert made.declared == [odd]
    assert made.properties == {"a.b": odd}
    again = versions.update(house.depot, ann, made.n, VersionChanges(custom=made.custom))
    assert again.edit == made.edit


def test_an_edit_of_one_to_true_is_an_edit(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, custom={"flag": 1})
    edited = versions.update(house.depot, ann, made.n, VersionChanges(custom={"flag": True}))
    assert same(dict(edited.custom), {"flag": True})


@pytest.mark.parametrize("place", [-1, 10**9])
def test_a_cursor_made_up_by_the_caller_is_refused(house: House, place: int) -> None:
    ann = house.user("ann")
    for i in range(3):
        house.version(ann, name=f"Penguins {i}")
    real = search.search(house.depot, ann, "penguins", limit=1).cursor
    assert real is not None
    forged = cursors.encode((place,), cursors.fingerprint("search:penguins:None"))
    with pytest.raises((BadCursor, Invalid)):
        search.search(house.depot, ann, "penguins", limit=1, cursor=forged)
