"""Long work that somebody may wait for: seeing it, and asking it to stop."""

from __future__ import annotations

from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import tasks as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import lookup, paging
from entrepot.depot.abandoning import abandon
from entrepot.depot.context import Depot
from entrepot.depot.events import task_ended
from entrepot.model import ids
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import NotFound, WrongState
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Role, Task, TaskState

ENDED = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)


def get(depot: Depot, actor: Actor, key: UUID | int) -> Task:
    """One task, for its starter and for whoever may read what it works on.

    Raises:
        NotFound: There is none, it was forgotten (30 days after its end by default), or it is not for the caller.
    """
    with depot.catalog.read() as conn:
        return seen(conn, actor, key)


def seen(conn: Connection, actor: Actor, key: UUID | int) -> Task:
    """`get` inside the caller's transaction."""
    missing = NotFound(
        f"There is no task {ids.encode(Noun.TASK, key) if isinstance(key, UUID) else lookup.said(key)}, "
        "or it is not yours."
    )
    if not lookup.thinkable(key):
        raise missing
    task = rows.find(conn, uid=key) if isinstance(key, UUID) else rows.find(conn, n=key)
    if task is None:
        raise missing
    if _is_starter(actor, task):
        return task
    if not may(actor, Action.SEE_TASK, _standing(conn, actor, task)):
        raise missing
    return task


def _is_starter(actor: Actor, task: Task) -> bool:
    """Whether the actor began it, with a credential that reaches where it works."""
    return (
        actor.user is not None
        and task.starter == actor.user
        and (actor.projects is None or task.project in actor.projects)
    )


def _standing(conn: Connection, actor: Actor, task: Task) -> Standing:
    if task.project is None:
        return Standing()
    found = project_rows.find(conn, user=actor.user, n=task.project)
    return Standing(Role.NONE if found is None else found[1], task.project)


def list_tasks(
    depot: Depot,
    actor: Actor,
    *,
    version: lookup.Key | None = None,
    states: tuple[TaskState, ...] = (),
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Task]:
    """Newest first."""
    lookup.person(actor)
    size = paging.size(depot, limit)
    question = f"tasks:{version}:{states}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        n = None if version is None else lookup.version(conn, actor, version, Action.VIEW_RECORD).version.n
        found = rows.page(
            conn,
            lookup.sight(actor),
            version_n=n,
            states=states,
            before=None if after is None else after[0],
            limit=size + 1,
        )
    return paging.page(found, size, question, lambda task: (task.n,))


def cancel(depot: Depot, actor: Actor, key: UUID | int) -> Task:
    """Ask a task to stop: at once while it waits, at its next step while it runs. Repeating it is a success.

    Raises:
        WrongState: It has ended otherwise.
    """

    def work(conn: Connection) -> Task:
        task = stoppable(conn, actor, key)
        now = depot.now()
        ended = rows.ask_to_stop(conn, task.n, now)
        if ended is not None:
            # Nobody runs it any more, so nobody else will say that it came to nothing.
            abandon(conn, depot, ended)
            task_ended(conn, ended.n, now)
        after = rows.find(conn, n=task.n)
        assert after is not None
        return after

    return depot.catalog.write(work)


def stoppable(conn: Connection, actor: Actor, key: UUID | int, *, ended: bool = False) -> Task:
    """A task that has not ended, for whoever may stop it, with what it works on held.

    Args:
        ended: Also one that has.

    Raises:
        WrongState: It has ended otherwise.
    """
    task = seen(conn, actor, key)
    name = f"task {ids.encode(Noun.TASK, task.uid)}"
    stands = _standing(conn, actor, task)
    if _is_starter(actor, task):
        # Whoever began it may stop it, whatever they may do in the project by now; not by a token that only reads.
        stands = Standing(Role.WRITE, stands.project)
    require(actor, Action.CANCEL_TASK, stands, name, visible=True)
    if task.version is not None:
        version_rows.hold(conn, task.version)
    if task.state in (TaskState.DONE, TaskState.FAILED) and not ended:
        raise WrongState(f"Task {ids.encode(Noun.TASK, task.uid)} has ended already: {task.state}.")
    return task
