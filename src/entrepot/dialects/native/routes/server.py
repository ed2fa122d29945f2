"""What this server is."""

from __future__ import annotations

from starlette.responses import Response

from entrepot._version import __version__
from entrepot.depot import direct, entries, installation
from entrepot.depot.context import Depot
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire.messages import server as m

routes = router("server")

FEATURES = ("archive:tar", "archive:tar.gz", "archive:zip", "idempotency", "links", "multirange", "ndjson", "tus")


@routes.get("/", response_model=m.Server, summary="What this server is and allows")
async def describe(ask: Ask) -> Response:
    def work(depot: Depot, _actor: Actor) -> m.Server:
        limits = depot.limits
        return m.Server(
            name="entrepot",
            version=__version__,
            installation=ids.encode(Noun.WORKSPACE, installation.uid(depot)),
            doors=list(ask.context.doors),
            anonymous=depot.policy.anonymous,
            features=sorted((*FEATURES, "direct") if direct.is_offered(depot) else FEATURES),
            limits=m.Limits(
                upload_size=limits.upload_size,
                entries_per_commit=limits.entries_per_commit,
                metadata_text=limits.metadata_text,
                custom_metadata=limits.custom_metadata,
                slots_per_version=limits.slots_per_version,
                page=limits.page,
                known_digests=entries.KNOWN_DIGESTS,
            ),
        )

    return await ask.answer(work)
