"""What is in a version, and changing it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import entries, objects, whole
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.changes import as_sent, spread
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, VersionId
from entrepot.dialects.native.ndjson import NDJSON, Lines, wants_lines
from entrepot.dialects.native.routes.versions import wish
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.digests import sha256_text
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.wire.messages import entries as m

routes = router("entries")


@routes.get(
    "/versions/{version}/entries",
    response_model=m.EntryPage,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
    summary="Entries in path order",
)
async def list_entries(
    ask: Ask,
    version: VersionId,
    revision: RevisionQuery = None,
    prefix: Annotated[str | None, Query(description="Only below this folder.")] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Response:
    key = decode.version(version)
    if wants_lines(ask):
        of, pinned, rows = await ask.call(
            lambda depot, actor: entries.iterate(depot, actor, key, revision=revision, prefix=prefix)
        )
        headers = (("entrepot-version", ids.encode(Noun.VERSION, of.uid)), ("entrepot-revision", str(pinned)))
        return Lines((encode.entry(one) for one in rows), ask.context.executor, headers)

    def work(depot: Depot, actor: Actor) -> bytes:
        found = entries.list_entries(depot, actor, key, revision=revision, prefix=prefix, cursor=cursor, limit=limit)
        return encode.entry_page(*found)

    return await ask.answer(work)


@routes.get("/versions/{version}/folder", response_model=m.FolderPage, summary="One level of the tree")
async def list_folder(
    ask: Ask,
    version: VersionId,
    path: Annotated[str, Query(description="The folder; empty is the top.")] = "",
    revision: RevisionQuery = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.FolderPage:
        of, pinned, page = entries.list_folder(depot, actor, key, path, revision=revision, cursor=cursor, limit=limit)
        return m.FolderPage(
            version=ids.encode(Noun.VERSION, of.uid),
            revision=pinned,
            path=path,
            rows=[encode.folder_row(one) for one in page.rows],
            next=page.cursor,
        )

    return await ask.answer(work)


@routes.get("/versions/{version}/entry", response_model=m.EntryDetail, summary="One entry")
async def get_entry(
    ask: Ask, version: VersionId, path: Annotated[str, Query()], revision: RevisionQuery = None
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.EntryDetail:
        of, pinned, one = entries.get(depot, actor, key, path, revision=revision)
        return encode.entry_detail(of, pinned, one)

    return await ask.answer(work)


@routes.post(
    "/versions/{version}/commits",
    response_model=m.Committed,
    status_code=201,
    summary="Make one revision of any number of changes",
)
async def commit(ask: Ask, version: VersionId, new: m.NewCommit) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.Committed:
        with as_sent(new.changes):
            done = entries.commit(depot, actor, key, spread(new.changes), expected=new.expected, message=new.message)
        return written.committed(depot, actor, done)

    return await ask.answer(work, status=201)


@routes.post(
    "/commits",
    response_model=m.Committed,
    status_code=201,
    summary="Make a version together with its files, all of it or nothing",
)
async def create_whole(ask: Ask, new: m.NewWholeVersion) -> Response:
    if new.version.slots is not None:
        raise Invalid("A version that is made with its files waits for none. Leave slots out.")
    home, wanted = decode.optional_project(new.version.project), wish(new.version)

    def work(depot: Depot, actor: Actor) -> m.Committed:
        with as_sent(new.changes):
            done = whole.create(depot, actor, home, wanted, spread(new.changes), message=new.message)
        return written.committed(depot, actor, done)

    return await ask.answer(work, status=201)


@routes.post("/versions/{version}/links", response_model=m.Link, status_code=201, summary="A signed URL of bytes")
async def create_link(ask: Ask, version: VersionId, new: m.NewLink) -> Response:
    key = decode.version(version)
    if (new.path is None) == (new.archive is None):
        raise Invalid("A link leads either to a path or to an archive. Give exactly one of the two.")
    if new.prefix is not None and new.archive is None:
        raise Invalid("A prefix says which folder an archive holds; a link to a path has none.")

    def work(depot: Depot, actor: Actor) -> m.Link:
        lifetime = decode.seconds(new.expires_in_s)
        if new.path is not None:
            link = objects.sign_entry(depot, actor, key, new.path, revision=new.revision, expires_in=lifetime)
        else:
            link = objects.sign_export(
                depot,
                actor,
                key,
                format=new.archive or "zip",
                revision=new.revision,
                prefix=new.prefix,
                expires_in=lifetime,
            )
        return m.Link(url=ask.base_url + link.path, expires_at=link.expires_at)

    return await ask.answer(work, status=201)


@routes.post("/contents/known", response_model=m.Known, summary="Which bytes need not be sent")
async def known(ask: Ask, asked: m.KnownRequest) -> Response:
    def work(depot: Depot, actor: Actor) -> m.Known:
        digests = [decode.digest(text) for text in asked.sha256]
        found = entries.known(depot, actor, digests)
        return m.Known(known=[sha256_text(one) for one in digests if one in found])

    return await ask.answer(work)
