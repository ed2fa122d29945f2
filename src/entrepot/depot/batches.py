"""Batch jobs: every item of a version, in order, to a webhook of a project.

The revision is pinned at the start, so a job sends what was there then, whatever is written meanwhile. How it is sent,
and goes on after a kill, is in `sending`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from entrepot.catalog import batches as rows
from entrepot.catalog import queue
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import webhooks as hook_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import lookup, paging, tasks
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.events import task_ended
from entrepot.depot.sending import JOB, QUEUE
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import KindMismatch, NotFound, TooLarge, WrongState
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Leaf, Page, Task, TaskState
from entrepot.model.webhooks import Batch, Level, LogLine, Webhook

MAX_NAME = 255
#: A worker that dies again and again must not end a job that gets on.
_TIRELESS = 1_000_000


# Beginning, seeing, stopping


def start(
    depot: Depot,
    actor: Actor,
    version: lookup.Key,
    webhook: lookup.Key,
    *,
    name: str = "",
    revision: int | None = None,
    stop_at: datetime | None = None,
) -> Batch:
    """Send every item of a version to a webhook. Whoever may read the content, and write in the webhook's project.

    Args:
        revision: None pins the newest.
        stop_at: The job stops at this time, wherever it is.

    Raises:
        Trashed: The version is.
        WrongState: The version has no content yet, or the webhook is switched off.
        KindMismatch: It is a table.
        TooLarge: The caller has too many tasks that wait or run.
    """
    label = names.label(name, MAX_NAME, "Job name", may_be_empty=True)
    now = depot.now()

    def work(conn: Connection) -> Batch:
        found, wanted = pin(conn, actor, version, revision, action=Action.READ_CONTENT)
        hook = _destination(conn, actor, webhook)
        source = lookup.editable(found)
        if source.kind is Kind.TABLE:
            raise KindMismatch(f"{source.name} is a table; its lines are no items. Convert it to records first.")
        if source.number is None:
            raise WrongState(f"{source.name} has no content yet ({source.state}). Send it when it is ready.")
        if not hook.enabled:
            raise WrongState(f"{ids.encode(Noun.WEBHOOK, hook.uid)} is switched off. Have it switched on first.")
        if actor.user is not None and task_rows.count_open(conn, actor.user) >= depot.limits.tasks_per_user:
            raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
        n = queue.enqueue(
            conn,
            uid=depot.new_uid(),
            queue=QUEUE,
            kind=JOB,
            payload={"version": source.n, "door": actor.door, "token": actor.token, "node": actor.node},
            now=now,
            starter=actor.user,
            project=source.project,
            version=source.n,
            max_attempts=_TIRELESS,
        )
        rows.insert_batch(
            conn,
            {
                "job": n,
                "name": label,
                "webhook": hook.n,
                "webhook_uid": hook.uid,
                "version_uid": source.uid,
                "revision": wanted,
                "total": source.item_count if wanted == source.revision else None,
                "stop_at": stop_at,
            },
        )
        rows.say(conn, n, [(now, Level.INFO, f"Waits to send {source.slug}@{source.number}.{wanted}.", None)])
        depot.catalog.after_commit(conn, lambda: depot.wake(QUEUE))
        return _of(conn, task_rows.find(conn, n=n))

    return depot.catalog.write(work)


def _destination(conn: Connection, actor: Actor, key: lookup.Key) -> Webhook:
    named = f"webhook {ids.encode(Noun.WEBHOOK, key) if isinstance(key, UUID) else lookup.said(key)}"
    found = None
    if lookup.thinkable(key):
        found = hook_rows.find(conn, uid=key) if isinstance(key, UUID) else hook_rows.find(conn, n=key)
    if found is None:
        raise NotFound(f"There is no {named}, or you may not see it.")
    lookup.active_project(conn, actor, found[0].project, Action.START_BATCHES, named=named)
    return found[0]


def get(depot: Depot, actor: Actor, key: UUID | int) -> Batch:
    """One batch job, by the number or uid of its task; for whoever may see the task.

    Raises:
        NotFound
    """
    with depot.catalog.read() as conn:
        return _of(conn, tasks.seen(conn, actor, key))


def list_batches(
    depot: Depot,
    actor: Actor,
    *,
    project: lookup.Key | str | None = None,
    version: lookup.Key | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Batch]:
    """Newest first: what the caller started, and what works on versions in projects they belong to."""
    lookup.person(actor)
    size = paging.size(depot, limit)
    question = f"batches:{project}:{version}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = task_rows.page(
            conn,
            lookup.sight(actor),
            kind=JOB,
            version_n=None if version is None else lookup.version(conn, actor, version, Action.VIEW_RECORD).version.n,
            project_n=None if project is None else lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n,
            before=None if after is None else after[0],
            limit=size + 1,
        )
        listed = rows.of_tasks(conn, found)
    return paging.page(listed, size, question, lambda one: (one.task.n,))


def leaf_batches(
    depot: Depot, actor: Actor, project: lookup.Key | str, *, cursor: str | None = None, limit: int = 100
) -> Leaf[Batch]:
    """As `list_batches` of a project, to be leafed through in both directions."""
    with depot.catalog.read() as conn:
        n = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n

        def fetch(after: int | None, limit: int, *, onward: bool) -> list[Batch]:
            sight = lookup.sight(actor)
            page = task_rows.page(conn, sight, kind=JOB, project_n=n, before=after, limit=limit, newest_first=onward)
            return rows.of_tasks(conn, page)

        return paging.leaf(depot, f"batches:{n}:leaf", cursor, limit, fetch, lambda one: one.task.n, falling=True)


def forget(depot: Depot, actor: Actor, key: UUID | int) -> Batch:
    """Let nobody see a job any more; one that has not ended is asked to stop first. Whoever may stop it.

    Raises:
        WrongState: It is about to stop; forget it when it has.
    """
    now = depot.now()

    def work(conn: Connection) -> Batch:
        batch = _of(conn, tasks.stoppable(conn, actor, key, ended=True))
        if batch.task.state not in tasks.ENDED:
            ended = task_rows.ask_to_stop(conn, batch.task.n, now)
            if ended is None:
                return batch
            task_ended(conn, ended.n, now)
        task_rows.hide(conn, batch.task.n)
        return batch

    done = depot.catalog.write(work)
    if done.task.state is TaskState.RUNNING:
        raise WrongState(f"Job {done.name or done.task.n} was asked to stop. Delete it when it has ended.")
    return done


def stop(depot: Depot, actor: Actor, key: UUID | int, at: datetime | None = None) -> Batch:
    """Stop a job: now (at its next item, while it runs), or at a time to come. Repeating it is a success.

    Its starter, and whoever may write in the version's project.

    Raises:
        WrongState: It has ended otherwise.
    """
    now = depot.now()

    def work(conn: Connection) -> Batch:
        batch = _of(conn, tasks.stoppable(conn, actor, key))
        rows.stop_at(conn, batch.task.n, now if at is None else at)
        if at is None or at <= now:
            ended = task_rows.ask_to_stop(conn, batch.task.n, now)
            if ended is not None:
                task_ended(conn, ended.n, now)
        return _of(conn, task_rows.find(conn, n=batch.task.n))

    return depot.catalog.write(work)


def log(
    depot: Depot,
    actor: Actor,
    key: UUID | int,
    *,
    before: datetime | None = None,
    after: datetime | None = None,
    least: Level = Level.INFO,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[LogLine]:
    """What a job said, newest first; for whoever may see the task."""
    size = paging.size(depot, limit)
    question = f"batch log:{key}:{before}:{after}:{least}"
    seen = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        batch = _of(conn, tasks.seen(conn, actor, key))
        found = rows.log(
            conn,
            batch.task.n,
            before=before,
            after=after,
            least=least,
            seen=None if seen is None else seen[0],
            limit=size + 1,
        )
    return paging.page(found, size, question, lambda line: (line.n,))


def _of(conn: Connection, task: Task | None) -> Batch:
    found = [] if task is None else rows.of_tasks(conn, [task])
    if not found:
        raise NotFound("This task sends nothing to a webhook.")
    return found[0]
