"""Dataset records: each is one version of the product, under its number in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException

from entrepot.depot import copies, entries, judging, licences, selecting, trash, versions
from entrepot.depot.context import Depot
from entrepot.depot.projects import KEEP
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.dialects.ufdl import encode, filters
from entrepot.dialects.ufdl.bodies import Body, Fields, invalid, not_unique
from entrepot.dialects.ufdl.context import Asked
from entrepot.model import ids, tag_text
from entrepot.model.access import Action, Actor
from entrepot.model.errors import (
    Forbidden,
    Invalid,
    KindMismatch,
    NameTaken,
    NotFound,
    StaleRevision,
    Unauthenticated,
)
from entrepot.model.values import Entry, Kind, Numbering, Version, Visibility

#: Longer names come from other doors and are shown, but none is made here.
MAX_NAME = 200
#: What a purge answers with is read before it, and so is held: of more entries than this the names are left out.
_MOST_PURGED = 100_000
#: How often a change is tried when somebody else changes the visibility between the look and the change.
_TRIES = 5


def key(found: Mapping[str, str], name: str = "pk") -> int:
    """The number in the path.

    Raises:
        NotFound: It is none.
    """
    return ids.parse_ufdl_pk(found[name])


def record(depot: Depot, actor: Actor, version: Version) -> Iterator[bytes]:
    """A version's record as it is shown to this caller: without files where these are not for them."""
    return encode.dataset(version, _entries(depot, actor, version))


def _entries(depot: Depot, actor: Actor, version: Version) -> Iterator[Entry]:
    if not version.n_entries:
        return iter(())
    try:
        return entries.iterate(depot, actor, version.n)[2]
    except (Forbidden, Unauthenticated):
        return iter(())


async def list_(asked: Asked, _found: Mapping[str, str]) -> None:
    """All datasets that the caller may see and that the filter leaves."""
    query = filters.parse(await asked.json(), filters.DATASETS)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        found = selecting.with_entries(depot, actor, query)
        return encode.joined(encode.dataset(one.version, files) for one, files in found)

    await asked.stream(work)


async def create(asked: Asked, _found: Mapping[str, str]) -> None:
    """Version 1 of a new name. The body is judged before the caller, as in the original."""
    body = await asked.body()

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        judging.logged_in(actor)
        fields = Fields(body)
        name, description, tags, is_public = _texts(fields, default="", public=False)
        project, licence = _keys(depot, actor, fields)
        fields.check()
        assert name is not None
        assert tags is not None
        split = tag_text.split(tags)
        new = NewVersion(
            name=name,
            kind=Kind.FILES,
            numbering=Numbering.FIRST,
            description=description or "",
            licence=licence,
            visibility=Visibility.LISTED if is_public else Visibility.PRIVATE,
            tags=split,
            properties={name: value for name, value in tag_text.kept(tags, split).items() if value is not None},
        )
        try:
            made = versions.create(depot, actor, project, new)
        except NameTaken as taken:
            raise not_unique("name", "version", "project") from taken
        return record(depot, actor, made)

    await asked.stream(work, status=201)


def _texts(
    fields: Fields, *, default: str | None = None, public: bool | None = None
) -> tuple[str | None, str | None, str | None, bool | None]:
    return (
        fields.text("name", most=MAX_NAME),
        fields.text("description", blank=True, default=default, trim=False),
        fields.text("tags", blank=True, trim=False),
        fields.flag("is_public", default=public),
    )


def _keys(depot: Depot, actor: Actor, fields: Fields) -> tuple[int | None, int | None]:
    """Project and licence, which have to exist; whether they may be used is another question."""
    project, licence = fields.key("project"), fields.key("licence")
    if project is not None and not judging.project_exists(depot, actor, project):
        fields.unknown_key("project", project)
    if licence is not None:
        try:
            licences.get(depot, actor, licence)
        except NotFound:
            fields.unknown_key("licence", licence)
    return project, licence


async def retrieve(asked: Asked, found: Mapping[str, str]) -> None:
    """One dataset, soft-deleted or not."""
    n = key(found)
    await asked.stream(
        lambda depot, actor: record(depot, actor, judging.on_version(depot, actor, n, Action.VIEW_RECORD))
    )


async def update(asked: Asked, found: Mapping[str, str]) -> None:
    """The whole record anew."""
    await _change(asked, found, partial=False)


async def partial_update(asked: Asked, found: Mapping[str, str]) -> None:
    """The fields that are given."""
    await _change(asked, found, partial=True)


async def _change(asked: Asked, found: Mapping[str, str], *, partial: bool) -> None:
    n, body = key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        for _ in range(_TRIES):
            seen = judging.on_version(depot, actor, n, Action.EDIT)
            try:
                changed = versions.update(
                    depot, actor, n, _changes(depot, actor, seen, body, partial), check=_unless_moved(seen)
                )
            except StaleRevision:
                continue
            except NameTaken as taken:
                raise not_unique("name", "version", "project") from taken
            return record(depot, actor, changed)
        raise Invalid(f"Dataset {n} is being changed by somebody else all the time. Try again.")

    await asked.stream(work)


def _unless_moved(seen: Version) -> Any:
    def check(now: Version) -> None:
        if now.visibility is not seen.visibility:
            raise StaleRevision("The visibility was changed at the same moment.")

    return check


def _changes(depot: Depot, actor: Actor, seen: Version, body: Body, partial: bool) -> VersionChanges:
    fields = Fields(body, partial=partial)
    # What may be left out of a whole record keeps its value, as in the original.
    name, description, tags, is_public = _texts(fields, default=seen.description, public=_is_public(seen))
    project, licence = _keys(depot, actor, fields)
    fields.check()
    split = None if tags is None else tag_text.split(tags)
    return VersionChanges(
        name=KEEP if name is None else name,
        description=KEEP if description is None else description,
        licence=KEEP if licence is None else licence,
        project=KEEP if project is None else project,
        tags=KEEP if split is None else split,
        properties=KEEP if tags is None or split is None else tag_text.kept(tags, split),
        # Between listed and public this wire makes no difference, so it changes nothing there.
        visibility=KEEP
        if is_public is None or is_public == _is_public(seen)
        else (Visibility.LISTED if is_public else Visibility.PRIVATE),
        numbering=Numbering.KEEP,
    )


def _is_public(version: Version) -> bool:
    return version.visibility is not Visibility.PRIVATE


async def destroy(asked: Asked, found: Mapping[str, str]) -> None:
    """Into the trash; a second time too."""
    n = key(found)

    def work(depot: Depot, actor: Actor) -> None:
        judging.on_version(depot, actor, n, Action.TRASH)
        trash.trash(depot, actor, n)

    await asked.nothing(work)


async def hard_delete(asked: Asked, found: Mapping[str, str]) -> None:
    """Gone for good; answers the last record."""
    n = key(found)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        last = judging.on_version(depot, actor, n, Action.PURGE)
        shown: Sequence[Entry] = [] if last.n_entries > _MOST_PURGED else list(_entries(depot, actor, last))
        return encode.dataset(trash.purge(depot, actor, n), shown)

    await asked.stream(work)


async def reinstate(asked: Asked, found: Mapping[str, str]) -> None:
    """Back from the trash, under its number."""
    n = key(found)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        judging.on_version(depot, actor, n, Action.REINSTATE)
        try:
            back = trash.reinstate(depot, actor, n, numbering=Numbering.KEEP)
        except NameTaken as taken:
            raise not_unique("name", "version", "project") from taken
        return record(depot, actor, back)

    await asked.stream(work)


async def clear(asked: Asked, found: Mapping[str, str]) -> None:
    """Every file's text becomes empty."""
    n = key(found)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        judging.on_version(depot, actor, n, Action.EDIT)
        return record(depot, actor, entries.clear(depot, actor, n).version)

    await asked.stream(work)


async def copy(asked: Asked, found: Mapping[str, str]) -> None:
    """The next version, or version 1 of another name."""
    n, body = key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        judging.on_version(depot, actor, n, Action.COPY)
        unknown = sorted(set(body) - {"new_name", "only_files"})
        if unknown:
            raise HTTPException(422, f"Unknown parameters: {unknown[0][:100]}")
        name, only = body.get("new_name"), _only_files(body)
        if name is not None and (not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME):
            raise Invalid(f"Bad name {str(name)[:60]!r}: A name is a text of 1 to {MAX_NAME} characters")
        try:
            made = copies.copy(
                depot,
                actor,
                n,
                name=name,
                numbering=Numbering.NEXT if name is None else Numbering.FIRST,
                only_paths=only,
                keep=(tag_text.TEXT, tag_text.MEANT),
            )
        except NameTaken as taken:
            raise Invalid(f"Bad name {name!r}: New dataset name is already taken") from taken
        return record(depot, actor, made)

    await asked.stream(work)


def _only_files(body: Body) -> list[str] | None:
    """Exact names; a form cannot say a list of one, so a text is taken as that."""
    only = body.get("only_files")
    if only is None:
        return None
    names = [only] if isinstance(only, str) else only
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise invalid({"only_files": ["Expected a list of file names."]})
    return names


async def merge(asked: Asked, found: Mapping[str, str]) -> None:
    """The files of another dataset into this one."""
    target, source, body = key(found), key(found, "other"), await asked.body()

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        into = judging.on_version(depot, actor, target, Action.EDIT)
        leaving = judging.on_version(depot, actor, source, Action.MERGE_SOURCE)
        fields = Fields(body)
        delete, hard = fields.flag("delete"), fields.flag("hard", default=False)
        for unknown in sorted(set(body) - {"delete", "hard"})[:10]:
            fields.wrong(unknown[:100], "There is no such field.")
        fields.check()
        try:
            merged = copies.merge(depot, actor, into.n, leaving.n, delete=bool(delete), hard=bool(hard)).version
        except KindMismatch as mismatch:
            raise HTTPException(406, f"Cannot perform merge:\n{mismatch.message}") from mismatch
        return record(depot, actor, merged)

    await asked.stream(work)
