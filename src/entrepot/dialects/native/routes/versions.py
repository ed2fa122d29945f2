"""Versions: the record, and what is done with a version as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Header, Query
from starlette.responses import Response

from entrepot.depot import browse, checking, collection, conversions, copies, entries, slots, trash, versions
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.context import Asked
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.dialects.native.slot_links import shown_slots
from entrepot.http import conditional
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Numbering, State, Version, Visibility
from entrepot.wire.messages import entries as entry_messages
from entrepot.wire.messages import versions as m

routes = router("versions")

IfMatch = Annotated[str | None, Header(description="The record's ETag; 412 when it was edited since.")]
_TRASHED: dict[str, bool | None] = {"no": False, "only": True, "include": None}


def etag(version: m.Version) -> dict[str, str]:
    """The tag of a record: it changes with every edit and every revision."""
    return {"etag": encode.record_tag(version.edit, version.revision, version.updated_at)}


@routes.get("/versions", response_model=m.VersionPage, summary="Versions whose record the caller may see")
async def list_versions(
    ask: Ask,
    project: Annotated[str | None, Query(description="Id or slug.")] = None,
    dataset: Annotated[str | None, Query(description="`ds_…`")] = None,
    name: Annotated[str | None, Query(description="Exactly this name.")] = None,
    kind: Kind | None = None,
    state: Annotated[list[State], Query(description="Any of these.")] = [],  # noqa: B006 - the framework copies it
    tag: Annotated[list[str], Query(description="All of these.")] = [],  # noqa: B006
    creator: Annotated[str | None, Query(description="Id or user name.")] = None,
    visibility: Visibility | None = None,
    data_type: str | None = None,
    alias: str | None = None,
    collection: Annotated[str | None, Query(description="`coll_…`: in it or below it.")] = None,
    trashed: Literal["no", "only", "include"] = "no",
    proposals: Annotated[bool | None, Query(description="Only these, or none of them.")] = None,
    ready: Annotated[bool, Query(description="Only those that were ready once.")] = False,
    order: Literal["newest", "oldest"] = "newest",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    wanted = Wanted(
        project=decode.optional_project(project),
        dataset=None if dataset is None else ids.decode(Noun.DATASET, dataset),
        collection=None if collection is None else ids.decode(Noun.COLLECTION, collection),
        name=name,
        kind=kind,
        states=tuple(state),
        tags=tuple(tag),
        creator=creator,
        visibility=visibility,
        data_type=data_type,
        alias=alias,
        trashed=_TRASHED[trashed],
        proposals=proposals,
        ready_only=ready,
    )

    def work(depot: Depot, actor: Actor) -> m.VersionPage:
        page = browse.list_versions(depot, actor, wanted, cursor=cursor, limit=limit, newest_first=order == "newest")
        return m.VersionPage(rows=[encode.found_version(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/versions", response_model=m.VersionWithSlots, status_code=201, summary="Make a version")
async def create_version(ask: Ask, new: m.NewVersion) -> Response:
    wanted = wish(new)
    home = decode.optional_project(new.project)

    def work(depot: Depot, actor: Actor) -> m.VersionWithSlots:
        if new.slots is None:
            return written.version_with_slots(depot, actor, versions.create(depot, actor, home, wanted), [])
        waiting = [
            slots.NewSlot(
                file_name=one.file_name,
                length=one.length,
                crc32c=decode.crc32c(one.crc32c),
                upload=None if one.upload is None else ids.decode(Noun.UPLOAD, one.upload),
            )
            for one in new.slots
        ]
        made, found = slots.create(depot, actor, home, wanted, waiting)
        return written.version_with_slots(depot, actor, made, shown_slots(depot, actor, found, ask.base_url))

    return await ask.answer(work, status=201, headers=etag)


def wish(new: m.NewVersion) -> NewVersion:
    """A new version as the depot takes it."""
    return NewVersion(
        name=new.name,
        kind=new.kind,
        numbering=Numbering(new.numbering),
        description=new.description,
        licence=new.licence,
        visibility=new.visibility,
        tags=new.tags,
        custom=new.custom,
        alias=new.alias,
        collection=None if new.collection is None else decode.collection(new.collection),
        expires_at=new.expires_at,
        slug=new.slug,
        declared=new.declared,
    )


@routes.get("/versions/{version}", response_model=m.Version, summary="The record of a version")
async def get_version(ask: Ask, version: VersionId) -> Response:
    return await answer_record(ask, version)


async def answer_record(ask: Asked, version: str) -> Response:
    """The record of one version, for the framework and for who asks past it."""
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: encode.found_version(versions.get(depot, actor, key)), headers=etag)


@routes.patch("/versions/{version}", response_model=m.Version, summary="Edit the record, or move the version")
async def update_version(ask: Ask, version: VersionId, changes: m.VersionChanges, if_match: IfMatch = None) -> Response:
    key = decode.version(version)
    given: dict[str, Any] = changes.given()
    if "project" in given:
        given["project"] = decode.project(given["project"])
    if "collection" in given:
        given["collection"] = decode.collection(given["collection"])
    if "numbering" in given:
        given["numbering"] = Numbering(given["numbering"])
    wanted = VersionChanges(**given)

    def work(depot: Depot, actor: Actor) -> m.Version:
        return written.version(
            depot, actor, versions.update(depot, actor, key, wanted, check=_unchanged(ask, if_match))
        )

    return await ask.answer(work, headers=etag)


def _unchanged(ask: Asked, if_match: str | None) -> Callable[[Version], None] | None:
    """A test of the record as it is inside the transaction, from the request's conditions."""
    if if_match is None:
        return None

    def check(record: Version) -> None:
        tag = encode.record_tag(record.edit, record.revision, record.updated_at)
        conditional.require(ask.scope, etag=tag)

    return check


@routes.post("/versions/{version}/trash", response_model=m.Version, summary="Put a version in the trash")
async def trash_version(ask: Ask, version: VersionId, why: m.TrashVersion | None = None) -> Response:
    key = decode.version(version)
    reason = (why or m.TrashVersion()).reason
    return await ask.answer(
        lambda depot, actor: written.version(depot, actor, trash.trash(depot, actor, key, reason=reason))
    )


@routes.post("/versions/{version}/reinstate", response_model=m.Version, summary="Take a version out of the trash")
async def reinstate_version(ask: Ask, version: VersionId, how: m.ReinstateVersion | None = None) -> Response:
    key = decode.version(version)
    rule = Numbering((how or m.ReinstateVersion()).numbering)
    return await ask.answer(
        lambda depot, actor: written.version(depot, actor, trash.reinstate(depot, actor, key, numbering=rule))
    )


@routes.get("/versions/{version}/purge", response_model=m.PurgePreview, summary="What a purge would free")
async def preview_purge(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: m.PurgePreview(frees=collection.frees(depot, actor, key).n_bytes))


@routes.get(
    "/versions/{version}/integrity",
    response_model=m.Integrity,
    summary="When the stored bytes were last compared with their digests",
)
async def get_integrity(ask: Ask, version: VersionId, revision: RevisionQuery = None) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.Integrity:
        found, number, totals = checking.of_version(depot, actor, key, revision=revision)
        return m.Integrity(
            version=ids.encode(Noun.VERSION, found.uid),
            revision=number,
            contents=totals.contents,
            size=totals.n_bytes,
            unread=totals.unread,
            damaged=totals.damaged,
            last_checked=None if totals.unread else totals.oldest,
        )

    return await ask.answer(work)


@routes.post("/versions/{version}/purge", response_model=m.Version, summary="Remove a version for good")
async def purge_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.version(depot, actor, trash.purge(depot, actor, key)))


@routes.post("/versions/{version}/freeze", response_model=m.Version, summary="Accept no more content changes")
async def freeze_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.version(depot, actor, versions.freeze(depot, actor, key)))


@routes.post("/versions/{version}/unfreeze", response_model=m.Version, summary="Accept content changes again")
async def unfreeze_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.version(depot, actor, versions.unfreeze(depot, actor, key)))


@routes.post("/versions/{version}/accept", response_model=m.Version, summary="Make a proposal an ordinary version")
async def accept_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.version(depot, actor, versions.accept(depot, actor, key)))


@routes.post("/versions/{version}/clear", response_model=entry_messages.Committed, summary="Empty all metadata texts")
async def clear_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.committed(depot, actor, entries.clear(depot, actor, key)))


@routes.post(
    "/versions/{version}/copy", response_model=m.Version, status_code=201, summary="Copy a version by reference"
)
async def copy_version(ask: Ask, version: VersionId, how: m.CopyVersion | None = None) -> Response:
    key = decode.version(version)
    wish = how or m.CopyVersion()

    def work(depot: Depot, actor: Actor) -> m.Version:
        made = copies.copy(
            depot,
            actor,
            key,
            revision=wish.revision,
            project=decode.optional_project(wish.project),
            name=wish.name,
            collection=None if wish.collection is None else decode.collection(wish.collection),
            numbering=Numbering(wish.numbering),
            only_paths=wish.only_paths,
        )
        return written.version(depot, actor, made)

    return await ask.answer(work, status=201, headers=etag)


@routes.post(
    "/versions/{version}/convert", response_model=m.Version, status_code=201, summary="Make records or a table of files"
)
async def convert_version(ask: Ask, version: VersionId, wish: m.ConvertVersion) -> Response:
    """The new version takes the very files of this one through its check, and names this one as what it was made of.
    Tables (`.csv`, `.tsv`, `.parquet`, `.arrow`) become lines on their way into records. Wait for it as for any ingest.
    """
    key = decode.version(version)
    new = NewVersion(
        name=wish.name,
        kind=Kind(wish.kind),
        numbering=Numbering(wish.numbering),
        description=wish.description,
        declared=wish.declared,
    )
    home = decode.optional_project(wish.project)

    def work(depot: Depot, actor: Actor) -> m.Version:
        made, _ = conversions.convert(depot, actor, key, new, project=home, path=wish.path, revision=wish.revision)
        return written.version(depot, actor, made)

    return await ask.answer(work, status=201, headers=etag)


@routes.post(
    "/versions/{version}/merge", response_model=entry_messages.Committed, summary="Bring in the files of another"
)
async def merge_version(ask: Ask, version: VersionId, what: m.MergeVersion) -> Response:
    key, source = decode.version(version), decode.version(what.source)
    return await ask.answer(
        lambda depot, actor: written.committed(
            depot, actor, copies.merge(depot, actor, key, source, delete=what.delete or what.hard, hard=what.hard)
        )
    )


@routes.put("/versions/{version}/slug", response_model=m.Version, summary="Give the dataset another slug")
async def set_slug(ask: Ask, version: VersionId, wanted: m.SetSlug) -> Response:
    key = decode.version(version)
    return await ask.answer(
        lambda depot, actor: written.version(depot, actor, versions.set_slug(depot, actor, key, wanted.slug))
    )


@routes.get("/datasets/{dataset}", response_model=m.DatasetDetail, summary="A line of versions")
async def get_dataset(ask: Ask, dataset: str) -> Response:
    uid = ids.decode(Noun.DATASET, dataset)

    def work(depot: Depot, actor: Actor) -> m.DatasetDetail:
        line, home, found = browse.get_dataset(depot, actor, uid)
        return encode.dataset(line, home, found)

    return await ask.answer(work)
