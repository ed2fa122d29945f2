"""Lists by conditions of the caller's own, whole and in any order: for doors whose clients know no pages.

Each function judges, finds the numbers of all rows in one moment, and then gives the rows while they are asked for.
What is wrong with a condition is raised at once, before the first row.
"""

from __future__ import annotations

from collections.abc import Iterator

from entrepot.catalog import filtering
from entrepot.catalog.versions import Found
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.lookup import FoundProject
from entrepot.depot.people import logged_in
from entrepot.depot.teams import FoundTeam
from entrepot.model.access import Action, Actor, Standing, effective_role, may, require
from entrepot.model.queries import Query
from entrepot.model.values import Licence, Node, Role, User

__all__ = ["licences", "nodes", "projects", "teams", "users", "versions"]


def versions(depot: Depot, actor: Actor, asked: Query) -> Iterator[Found]:
    """Versions that were ever ready and whose record the caller may see, with the caller's role.

    Raises:
        Invalid: A condition or an order is wrong; `details["at"]` says where.
    """
    with depot.catalog.read() as conn:
        found = filtering.versions(conn, asked, lookup.sight(actor), lookup.sight(actor, content=True))
    return filtering.read_pages(depot.catalog, found)


def projects(depot: Depot, actor: Actor, asked: Query) -> Iterator[FoundProject]:
    """The caller's projects; for staff all.

    Raises:
        Unauthenticated: Nobody is logged in.
        Invalid
    """
    user = logged_in(actor)
    inside = Standing(Role.ADMIN, actor.projects[0] if actor.projects else None)
    if not actor.staff and effective_role(actor, inside) < Role.READ:
        return iter(())
    with depot.catalog.read() as conn:
        found = filtering.projects(conn, asked, user_n=user, everything=actor.staff, only=actor.projects)
    return (FoundProject(*row) for row in filtering.read_pages(depot.catalog, found))


def teams(depot: Depot, actor: Actor, asked: Query) -> Iterator[FoundTeam]:
    """The caller's teams, the personal one included; for staff all.

    Raises:
        Unauthenticated: Nobody is logged in.
        Invalid
    """
    user = logged_in(actor)
    everything = may(actor, Action.VIEW_TEAM, Standing())
    # A token limited to projects has no standing in a team as such.
    if not everything and not may(actor, Action.VIEW_TEAM, Standing(Role.ADMIN)):
        return iter(())
    with depot.catalog.read() as conn:
        found = filtering.teams(conn, asked, user_n=user, everything=everything)
    return (FoundTeam(*row) for row in filtering.read_pages(depot.catalog, found))


def users(depot: Depot, actor: Actor, asked: Query) -> Iterator[User]:
    """Accounts, whole. Staff only.

    Raises:
        Unauthenticated, Forbidden, Invalid
    """
    require(actor, Action.MANAGE_USERS, Standing(), "users", visible=True)
    with depot.catalog.read() as conn:
        found = filtering.users(conn, asked)
    return filtering.read_pages(depot.catalog, found)


def licences(depot: Depot, actor: Actor, asked: Query) -> Iterator[Licence]:
    """Licences. Anybody who is logged in.

    Raises:
        Unauthenticated, Invalid
    """
    require(actor, Action.VIEW_LICENCES, Standing(), "licences", visible=True)
    with depot.catalog.read() as conn:
        found = filtering.licences(conn, asked)
    return filtering.read_pages(depot.catalog, found)


def nodes(depot: Depot, actor: Actor, asked: Query) -> Iterator[Node]:
    """Worker nodes. Staff only.

    Raises:
        Unauthenticated, Forbidden, Invalid
    """
    require(actor, Action.MANAGE_NODES, Standing(), "nodes", visible=True)
    with depot.catalog.read() as conn:
        found = filtering.nodes(conn, asked)
    return filtering.read_pages(depot.catalog, found)
