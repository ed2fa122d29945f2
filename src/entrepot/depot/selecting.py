"""Lists by conditions of the caller's own, whole and in any order: for doors whose clients know no pages.

Each function judges, finds the numbers of all rows in one moment, and then gives the rows while they are asked for.
What is wrong with a condition is raised at once, before the first row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import filtering
from entrepot.catalog.entry_values import EntryRow
from entrepot.catalog.versions import Found
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_of, iterate
from entrepot.depot.lookup import FoundProject
from entrepot.depot.people import logged_in
from entrepot.depot.teams import FoundTeam
from entrepot.model.access import Action, Actor, Standing, effective_role, may, require
from entrepot.model.queries import Query
from entrepot.model.values import Entry, Licence, Node, Role, User

__all__ = ["licences", "nodes", "projects", "teams", "users", "versions", "with_entries"]

#: Entries of a version that are read together with those of others, versions read so at once, and their entries in all.
_SMALL = 1_000
_AT_ONCE = 200
_HELD = 5_000


def versions(depot: Depot, actor: Actor, asked: Query) -> Iterator[Found]:
    """Versions that were ever ready and whose record the caller may see, with the caller's role.

    Raises:
        Invalid: A condition or an order is wrong; `details["at"]` says where.
    """
    with depot.catalog.read() as conn:
        found = filtering.versions(conn, asked, lookup.sight(actor), lookup.sight(actor, content=True))
    return filtering.read_pages(depot.catalog, found)


def with_entries(depot: Depot, actor: Actor, asked: Query) -> Iterator[tuple[Found, Iterable[Entry]]]:
    """`versions`, each with its entries in path order; without any where the content is not for the caller.

    The entries of many versions are read with one question, so a list of small versions costs a few questions however
    long it is. Those of large ones are read page by page, when they are asked for.
    """
    # Conditions are judged at once, not with the first row.
    return _with_entries(depot, actor, versions(depot, actor, asked))


def _with_entries(depot: Depot, actor: Actor, listed: Iterator[Found]) -> Iterator[tuple[Found, Iterable[Entry]]]:
    for batch in _batches(listed):
        shown = [one.version for one in batch if may(actor, Action.READ_CONTENT, lookup.standing_of(one))]
        small = [one.n for one in shown if 0 < one.n_entries <= _SMALL]
        near: dict[int, list[EntryRow]] = {}
        if small:
            with depot.catalog.read() as conn:
                near = entry_rows.of_heads(conn, small)
        readable = {one.n for one in shown if one.n_entries}
        for one in batch:
            n = one.version.n
            if n in near:
                yield one, map(entry_of, near[n])
            else:
                yield one, iterate(depot, actor, n)[2] if n in readable else ()


def _batches(listed: Iterator[Found]) -> Iterator[list[Found]]:
    """Some versions at a time, of which the small ones have not more entries than may be held."""
    batch: list[Found] = []
    held = 0
    for one in listed:
        batch.append(one)
        held += one.version.n_entries if one.version.n_entries <= _SMALL else 0
        if len(batch) >= _AT_ONCE or held > _HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


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
