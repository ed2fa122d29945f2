"""Administration: how the house is, what it works on, and what collection would free.

Nobody but operators is told that these pages are there: the depot says so, at the first step of each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from entrepot.depot import administration, collection, naming, tasks
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState
from entrepot.web.context import Asked

__all__ = ["ROUTES", "operator"]

_PAGE: Final = 50
#: Reads of some thousand contents each: a page is not to keep a thread for minutes.
_LOOKS: Final = 100

T = TypeVar("T")
Call: TypeAlias = Callable[[Asked], Awaitable[None]]


def operator(work: Callable[[Depot, Actor], T]) -> Callable[[Depot, Actor], T]:
    """The same work, for operators."""

    def judged(depot: Depot, actor: Actor) -> T:
        administration.enter(depot, actor)
        return work(depot, actor)

    return judged


async def overview(asked: Asked) -> None:
    """Everything at a glance, with what to do where something is wrong."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {
            "tab": "overview",
            "found": administration.overview(depot, actor),
            "health": asked.context.health(),
            "open_doors": asked.context.doors,
            "grace": depot.policy.collection_grace,
        }

    await asked.page("admin/overview.html", operator(work))


async def preview_collection(asked: Asked) -> None:
    """What collection would free now. Nothing is changed by looking."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {
            "tab": "overview",
            "found": collection.gc(depot, actor, dry_run=True, looks=_LOOKS),
            "grace": depot.policy.collection_grace,
        }

    await asked.page("admin/collection.html", operator(work))


async def list_jobs(asked: Asked) -> None:
    """Background work, the newest first, by state and queue."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        state, queue, hidden = asked.text("state"), asked.text("queue"), asked.text("all") == "1"
        if state is not None and state not in set(TaskState):
            raise Invalid(f"There is no state {state[:40]!r}. Choose one of the list.")
        page = administration.list_jobs(
            depot,
            actor,
            state=None if state is None else TaskState(state),
            queue=queue,
            hidden=hidden,
            cursor=asked.text("cursor"),
            limit=_PAGE,
        )
        return {
            "tab": "jobs",
            "page": page,
            "queues": administration.queues(actor),
            "states": [one.value for one in TaskState],
            "chosen": {"state": state, "queue": queue, "all": "1" if hidden else None},
        }

    await asked.page("admin/jobs.html", operator(work))


async def show_job(asked: Asked) -> None:
    """One job with everything that is known of it."""
    uid = ids.decode(Noun.TASK, asked.found["job"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        job = administration.get_job(depot, actor, uid)
        return {
            "tab": "jobs",
            "job": job,
            "version": naming.of_numbers(depot, versions=[job.version]).versions.get(job.version or 0),
            "is_open": job.state in (TaskState.READY, TaskState.RUNNING),
        }

    await asked.page("admin/job.html", operator(work))


async def cancel_job(asked: Asked) -> None:
    """Ask a task to stop."""
    await asked.form()
    uid = ids.decode(Noun.TASK, asked.found["job"])
    await asked.call(operator(lambda depot, actor: tasks.cancel(depot, actor, uid)))
    await asked.go(f"/ui/admin/jobs/{asked.found['job']}", notice="cancelled")


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/admin": {"GET": overview},
    "/admin/collection": {"GET": preview_collection},
    "/admin/jobs": {"GET": list_jobs},
    "/admin/jobs/{job}": {"GET": show_job},
    "/admin/jobs/{job}/cancel": {"POST": cancel_job},
}
