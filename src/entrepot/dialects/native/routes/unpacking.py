"""Archives that become files of a version: the answer comes at once, the files with the task."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import crates, naming
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.decode import VersionId
from entrepot.dialects.native.routes.versions import wish
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire.messages import tasks as task_messages
from entrepot.wire.messages import unpacking as m

routes = router("unpacking")


@routes.post(
    "/versions/{version}/unpack",
    response_model=task_messages.Task,
    status_code=202,
    summary="Add the files of an archive, as one revision",
)
async def unpack_into(ask: Ask, version: VersionId, wanted: m.Unpack) -> Response:
    key, upload = decode.version(version), ids.decode(Noun.UPLOAD, wanted.upload)

    def work(depot: Depot, actor: Actor) -> task_messages.Task:
        task = crates.add(depot, actor, key, upload, name=wanted.file_name)
        return encode.task(task, naming.of_tasks(depot, [task]))

    return await ask.answer(work, status=202)


@routes.post("/unpack", response_model=m.Unpacking, status_code=202, summary="Make a version of an archive's files")
async def unpack_new(ask: Ask, wanted: m.UnpackNew) -> Response:
    upload = ids.decode(Noun.UPLOAD, wanted.upload)
    new, home = wish(wanted.version), decode.optional_project(wanted.version.project)

    def work(depot: Depot, actor: Actor) -> m.Unpacking:
        made, task = crates.create(depot, actor, home, new, upload, name=wanted.file_name)
        return m.Unpacking(
            version=written.version(depot, actor, made), task=encode.task(task, naming.of_tasks(depot, [task]))
        )

    return await ask.answer(work, status=202)
