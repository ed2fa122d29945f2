"""Asking the judge before a request is looked at any closer.

Each use case judges for itself, and that counts. Some clients are promised, besides, that somebody who may not do a
thing hears that, and not what is wrong with what they sent; their door asks here first.
"""

from __future__ import annotations

from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import Forbidden, NotFound, Unauthenticated
from entrepot.model.values import Version

__all__ = ["logged_in", "may_at_all", "on_version", "project_exists"]


def logged_in(actor: Actor) -> int:
    """The number of the user behind the actor.

    Raises:
        Unauthenticated: Nobody is.
    """
    return lookup.person(actor)


def may_at_all(actor: Actor, action: Action, what: str) -> None:
    """Judge what lies in no project and belongs to no team.

    Args:
        what: The things, as the message names them.

    Raises:
        Unauthenticated, Forbidden
    """
    require(actor, action, Standing(), what, visible=True)


def on_version(depot: Depot, actor: Actor, key: Key, action: Action) -> Version:
    """A version that was ever ready, in the trash or not, on which the actor may do `action`.

    Raises:
        NotFound, Hidden, Unauthenticated, Forbidden
    """
    with depot.catalog.read(snapshot=False) as conn:
        found = lookup.version(conn, actor, key, action).version
    if found.number is None:
        raise NotFound(f"There is no {lookup.name_of(key)}, or you may not see it.")
    return found


def project_exists(depot: Depot, actor: Actor, key: Key) -> bool:
    """Whether there is a project of that number at all: where numbers are counted through, that is no secret."""
    try:
        with depot.catalog.read(snapshot=False) as conn:
            lookup.project(conn, actor, key, Action.VIEW_PROJECT)
    except NotFound:
        return False
    except (Forbidden, Unauthenticated):
        return True
    return True
