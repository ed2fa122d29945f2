"""Projects and the collections in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import browse, projects
from entrepot.depot.context import Depot
from entrepot.depot.projects import ProjectChanges
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.decode import Cursor, Limit, ProjectId
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.model.values import Role
from entrepot.wire.messages import projects as m
from entrepot.wire.messages import versions as version_messages

routes = router("projects")


@routes.get("/projects", response_model=m.ProjectPage, summary="Projects of the caller; all for staff")
async def list_projects(
    ask: Ask,
    trashed: Annotated[bool, Query(description="Those in the trash instead.")] = False,
    writable: Annotated[bool, Query(description="Only those where the caller may write.")] = False,
    name: Annotated[str | None, Query(description="Exactly this name.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    def work(depot: Depot, actor: Actor) -> m.ProjectPage:
        page = projects.list_projects(
            depot,
            actor,
            cursor=cursor,
            limit=limit,
            least=Role.WRITE if writable else Role.READ,
            trashed=trashed,
            name=name,
        )
        return m.ProjectPage(rows=[encode.found_project(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/projects", response_model=m.Project, status_code=201, summary="Make a project")
async def create_project(ask: Ask, new: m.NewProject) -> Response:
    def work(depot: Depot, actor: Actor) -> m.Project:
        made = projects.create(
            depot,
            actor,
            new.name,
            team=new.team,
            description=new.description,
            slug=new.slug,
            default_licence=new.default_licence,
        )
        return written.project(depot, actor, made)

    return await ask.answer(work, status=201)


@routes.get("/projects/{project}", response_model=m.ProjectDetail, summary="One project")
async def get_project(ask: Ask, project: ProjectId) -> Response:
    key = decode.project(project)

    def work(depot: Depot, actor: Actor) -> m.ProjectDetail:
        found, used = projects.get_with_usage(depot, actor, key)
        return encode.project_detail(found, used)

    return await ask.answer(work)


@routes.patch("/projects/{project}", response_model=m.Project, summary="Change a project")
async def update_project(ask: Ask, project: ProjectId, changes: m.ProjectChanges) -> Response:
    key = decode.project(project)
    return await ask.answer(
        lambda depot, actor: written.project(
            depot, actor, projects.update(depot, actor, key, ProjectChanges(**changes.given()))
        )
    )


@routes.delete("/projects/{project}", response_model=m.Project, summary="Put a project and its versions in the trash")
async def trash_project(ask: Ask, project: ProjectId) -> Response:
    key = decode.project(project)
    return await ask.answer(lambda depot, actor: written.project(depot, actor, projects.trash(depot, actor, key)))


@routes.post("/projects/{project}/reinstate", response_model=m.Project, summary="Take a project out of the trash")
async def reinstate_project(ask: Ask, project: ProjectId) -> Response:
    key = decode.project(project)
    return await ask.answer(lambda depot, actor: written.project(depot, actor, projects.reinstate(depot, actor, key)))


@routes.post("/projects/{project}/purge", response_model=m.Project, summary="Remove an empty project for good")
async def purge_project(ask: Ask, project: ProjectId) -> Response:
    key = decode.project(project)
    return await ask.answer(lambda depot, actor: written.project(depot, actor, projects.purge(depot, actor, key)))


@routes.get("/projects/{project}/tags", response_model=m.Tags, summary="Tags in use")
async def list_tags(ask: Ask, project: ProjectId) -> Response:
    key = decode.project(project)
    return await ask.answer(lambda depot, actor: m.Tags(rows=projects.tags_in_use(depot, actor, key)))


@routes.get(
    "/projects/{project}/datasets",
    response_model=version_messages.DatasetPage,
    summary="Of each dataset the version that its bare name means",
)
async def list_datasets(ask: Ask, project: ProjectId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    key = decode.project(project)

    def work(depot: Depot, actor: Actor) -> version_messages.DatasetPage:
        page = browse.list_heads(depot, actor, key, cursor=cursor, limit=limit)
        return version_messages.DatasetPage(rows=[encode.found_version(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/projects/{project}/collections", response_model=m.CollectionPage, summary="Collections in path order")
async def list_collections(ask: Ask, project: ProjectId, limit: Limit = 1000, cursor: Cursor = None) -> Response:
    key = decode.project(project)

    def work(depot: Depot, actor: Actor) -> m.CollectionPage:
        page = projects.list_collections(depot, actor, key, cursor=cursor, limit=limit)
        return m.CollectionPage(rows=[encode.collection(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post(
    "/projects/{project}/collections",
    response_model=m.Collection,
    status_code=201,
    summary="Make a collection, and those above it",
)
async def create_collection(ask: Ask, project: ProjectId, new: m.NewCollection) -> Response:
    key = decode.project(project)
    return await ask.answer(
        lambda depot, actor: encode.collection(projects.create_collection(depot, actor, key, new.path)), status=201
    )


@routes.get("/collections/{collection}", response_model=m.Collection, summary="One collection")
async def get_collection(ask: Ask, collection: str) -> Response:
    uid = ids.decode(Noun.COLLECTION, collection)
    return await ask.answer(lambda depot, actor: encode.collection(projects.get_collection(depot, actor, uid)))


@routes.patch("/collections/{collection}", response_model=m.Collection, summary="Move a collection and all below it")
async def move_collection(ask: Ask, collection: str, changes: m.CollectionChanges) -> Response:
    uid = ids.decode(Noun.COLLECTION, collection)
    return await ask.answer(
        lambda depot, actor: encode.collection(projects.rename_collection(depot, actor, uid, changes.path))
    )


@routes.delete("/collections/{collection}", status_code=204, summary="Remove an empty collection")
async def delete_collection(ask: Ask, collection: str) -> Response:
    uid = ids.decode(Noun.COLLECTION, collection)
    return await ask.nothing(lambda depot, actor: projects.delete_collection(depot, actor, uid))
