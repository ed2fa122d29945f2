"""Batch jobs: every item of a dataset, sent to a webhook."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from entrepot.depot import batches, projects, versions
from entrepot.depot.context import Depot
from entrepot.dialects.datature import encode, encode_jobs
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound, Unsupported
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState
from entrepot.model.webhooks import Batch, Level

#: The year 9999, in milliseconds: what is later is no time.
_LATEST = 253_402_300_799_000

#: What the client asks for at once, and what it takes as the sign that there is more.
_MOST_LINES = 1_000

#: An equal create this soon is the client's own repeat of one whose answer was lost; its last comes after 7 s.
_REPEATED = timedelta(seconds=30)

#: How far clocks may be apart: a job that is to begin so soon begins at once.
_SOON = timedelta(minutes=1)

_LEVELS = {word.lower(): level for level, word in encode_jobs.LEVELS.items()}


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


async def create(asked: Asked) -> None:
    """Begin to send. Which deployment is named does not matter: items are sent as they are."""
    top = Fields(await asked.body())
    name, spec = top.text("name"), top.object("spec")
    dataset = spec.text("datasetId")
    destinations = spec.object("resultDelivery").objects("destinations", most=1)
    if not destinations:
        raise Invalid("spec.resultDelivery.destinations names no webhook.")
    destinations[0].word("kind", "Webhook")
    hook = destinations[0].text("webhookId")
    begins = _time(spec.optional_number("startAtTime", least=0, most=_LATEST))
    ends = _time(spec.optional_number("stopAtTime", least=0, most=_LATEST))

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        if begins is not None and begins > depot.now() + _SOON:
            raise Unsupported("Jobs begin at once here; spec.startAtTime lies in the future. Create it then.")
        home = projects.get(depot, actor, asked.project, trashed=False).project
        version = versions.get(depot, actor, ids.parse_datature_dataset(dataset), trashed=False).version
        if version.project != home.n:
            raise NotFound(f"There is no dataset {dataset[:80]} in this project, or you may not see it.")
        to = ids.decode(Noun.WEBHOOK, hook)
        known = _begun(depot, actor, version.n, name, hook)
        made = known or batches.start(depot, actor, version.n, to, name=name, stop_at=ends)
        return encode_jobs.job(made, asked.project)

    await asked.answer(work, status=201)


def _begun(depot: Depot, actor: Actor, version: int, name: str, hook: str) -> Batch | None:
    """The same job, begun a moment ago by the same person."""
    since = depot.now() - _REPEATED
    for one in batches.list_batches(depot, actor, version=version, limit=10).rows:
        same = (one.name, one.task.starter, ids.encode(Noun.WEBHOOK, one.webhook_uid)) == (name, actor.user, hook)
        if same and one.task.created_at > since and one.task.state is not TaskState.CANCELLED:
            return one
    return None


async def list_(asked: Asked) -> None:
    """Newest first, a page at a time."""
    limit, cursor = asked.limit(), asked.text("page")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        leaf = batches.leaf_batches(depot, actor, home.n, cursor=cursor, limit=limit)
        return encode.page(leaf, [encode_jobs.job(one, asked.project) for one in leaf.rows])

    await asked.answer(work)


async def get(asked: Asked) -> None:
    await asked.answer(lambda depot, actor: encode_jobs.job(_find(asked, depot, actor), asked.project))


async def update(asked: Asked) -> None:
    """Stop it, now or at a time to come: that is all that can be changed."""
    spec = Fields(await asked.body()).object("spec")
    at = _time(spec.number("stopAtTime", least=0, most=_LATEST))

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = _find(asked, depot, actor)
        if found.task.state is not TaskState.CANCELLED:
            # Clocks differ: what is to stop now stops now.
            later = at if at is not None and at > depot.now() + _SOON else None
            found = batches.stop(depot, actor, found.task.n, later)
        return encode_jobs.job(found, asked.project)

    await asked.answer(work)


async def delete(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        gone = batches.forget(depot, actor, _find(asked, depot, actor).task.n)
        return {"id": encode.job_id(gone.task.uid), "deleted": True}

    await asked.answer(work)


async def logs(asked: Asked) -> None:
    """What it said, newest first. `beforeTime` counts itself: lines of one millisecond must not be lost between pages,
    and the client leaves out what it has seen."""
    before, after = asked.number("beforeTime"), asked.number("afterTime")
    for time in (before, after):
        if time is not None and time > _LATEST:
            raise Invalid("beforeTime and afterTime are milliseconds since 1970.")
    least = asked.text("minLevel")
    level = Level.DEBUG if least is None else _LEVELS.get(least.lower())
    if level is None:
        raise Invalid(f"minLevel is one of {', '.join(encode_jobs.LEVELS.values())}.")
    limit = asked.number("maxEntries")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = _find(asked, depot, actor)
        lines = batches.log(
            depot,
            actor,
            found.task.n,
            before=_time(None if before is None else before + 1),
            after=_time(after),
            least=level,
            limit=_MOST_LINES if limit is None else limit,
        )
        return {
            "id": encode.job_id(found.task.uid),
            "object": "joblogs",
            "projectId": asked.found["project"],
            "entries": [encode_jobs.log_line(line) for line in lines.rows],
        }

    await asked.answer(work)


def _find(asked: Asked, depot: Depot, actor: Actor) -> Batch:
    """The job, if it works in the project that the path names."""
    home = projects.get(depot, actor, asked.project, trashed=False).project
    found = batches.get(depot, actor, encode.parse_job_id(asked.found["id"]))
    if found.task.project != home.n:
        raise NotFound(f"There is no job {asked.found['id'][:80]} in this project, or you may not see it.")
    return found
