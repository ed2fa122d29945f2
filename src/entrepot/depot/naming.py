"""What an answer knows by number only: ids, and the caller's role. It grants nothing: whoever holds the answer was
allowed to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from entrepot.catalog import naming as rows
from entrepot.catalog import projects as project_rows
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.values import Event, Role, Task, Token, User


@dataclass(frozen=True, slots=True)
class Names:
    """Uids by number. What was purged is not in it."""

    projects: Mapping[int, UUID] = field(default_factory=dict)
    versions: Mapping[int, UUID] = field(default_factory=dict)
    nodes: Mapping[int, UUID] = field(default_factory=dict)


def _look(
    depot: Depot,
    *,
    projects: Iterable[int | None] = (),
    versions: Iterable[int | None] = (),
    nodes: Iterable[int | None] = (),
) -> Names:
    wanted = [{n for n in numbers if n is not None} for numbers in (projects, versions, nodes)]
    if not any(wanted):
        return Names()
    with depot.catalog.read() as conn:
        return Names(rows.projects(conn, wanted[0]), rows.versions(conn, wanted[1]), rows.nodes(conn, wanted[2]))


def of_numbers(depot: Depot, *, projects: Iterable[int | None] = (), versions: Iterable[int | None] = ()) -> Names:
    return _look(depot, projects=projects, versions=versions)


def of_tokens(depot: Depot, tokens: Iterable[Token]) -> Names:
    found = list(tokens)
    return _look(depot, projects=[n for t in found for n in t.projects or ()], nodes=[t.node for t in found])


def of_tasks(depot: Depot, tasks: Iterable[Task]) -> Names:
    return _look(depot, versions=[task.version for task in tasks])


def of_events(depot: Depot, events: Iterable[Event]) -> Names:
    found = list(events)
    return _look(depot, projects=[e.project for e in found], versions=[e.version for e in found])


def of_actor(depot: Depot, actor: Actor) -> Names:
    return _look(depot, nodes=[actor.node], projects=actor.projects or ())


def of_user(depot: Depot, user: User) -> Names:
    return _look(depot, projects=[user.default_project])


def of_users(depot: Depot, users: Iterable[User]) -> Names:
    return _look(depot, projects=[user.default_project for user in users])


def role(depot: Depot, actor: Actor, project: int) -> Role | None:
    """The caller's role in the team that owns a project; None when the project is not there any more."""
    with depot.catalog.read(snapshot=False) as conn:
        found = project_rows.find(conn, user=actor.user, n=project)
    return None if found is None else found[1]
