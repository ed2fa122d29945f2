"""Worker nodes: programs for which members with the role execute may write to existing versions.

Staff registers them. A request acts for a node when it names the node's number, or when its token is bound to one.
"""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from entrepot.catalog import nodes as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.people import logged_in
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import Forbidden, Invalid, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Node, Page

#: The catalogue's number, the uid, or what people write: `node_…` or a name.
NodeKey: TypeAlias = int | UUID | str

MAX_NODE_NAME = 255


def create(depot: Depot, actor: Actor, name: str) -> Node:
    """Register a node. Staff only.

    Raises:
        NameTaken
    """
    _require(actor)
    wanted = names.label(name, MAX_NODE_NAME, "Node name")
    now = depot.now()

    def work(conn: Connection) -> Node:
        taken = NameTaken(f"There is already a node named {wanted}. Choose another name.", details={"field": "name"})
        if rows.find(conn, name=wanted) is not None:
            raise taken
        try:
            n = rows.insert_node(conn, uid=depot.new_uid(), name=wanted, creator=logged_in(actor), at=now)
        except ConstraintViolated as clash:
            raise taken from clash
        made = rows.find(conn, n=n)
        assert made is not None
        record(conn, actor, "node.created", at=now, subject=_id(made), after={"name": wanted})
        return made

    return depot.catalog.write(work)


def get(depot: Depot, actor: Actor, key: NodeKey) -> Node:
    """One node. Staff only."""
    _require(actor)
    with depot.catalog.read() as conn:
        return locate(conn, key)


def list_nodes(depot: Depot, actor: Actor, *, cursor: str | None = None, limit: int = 100) -> Page[Node]:
    """All nodes in order of registration, deactivated ones too. Staff only."""
    _require(actor)

    def fetch(after: int | None, size: int) -> list[Node]:
        with depot.catalog.read() as conn:
            return rows.page(conn, after=after, limit=size)

    return paging.numbered(depot, "nodes", cursor, limit, fetch, lambda node: node.n)


def deactivate(depot: Depot, actor: Actor, key: NodeKey) -> Node:
    """From now on nobody acts for this node, and tokens bound to it are refused. Staff only; may be repeated."""
    return _switch(depot, actor, key, active=False)


def reactivate(depot: Depot, actor: Actor, key: NodeKey) -> Node:
    return _switch(depot, actor, key, active=True)


def resolve_node(depot: Depot, key: NodeKey) -> Node:
    """The active node that a request's header names.

    Raises:
        Invalid: There is none, or it is deactivated.
    """
    try:
        if isinstance(key, int) and not 0 < key <= ids.MAX_N:
            raise NotFound(f"There is no node {key}.")
        with depot.catalog.read() as conn:
            found = locate(conn, key)
    except NotFound:
        raise _unusable(key, "there is no such node") from None
    if not found.is_active:
        raise _unusable(key, "the node is deactivated")
    return found


def _unusable(key: NodeKey, why: str) -> Invalid:
    shown = ids.encode(Noun.NODE, key) if isinstance(key, UUID) else key
    return Invalid(f"Node {shown} cannot be acted for: {why}.", details={"field": "node", "node": shown})


def acting_for(depot: Depot, actor: Actor, key: NodeKey) -> Actor:
    """The actor, on behalf of a node.

    Raises:
        Invalid: There is no such node, or it is deactivated.
        Forbidden: The actor's token is bound to another node.
    """
    node = resolve_node(depot, key)
    if actor.node is not None and actor.node != node.n:
        raise Forbidden(f"This token is bound to another node; it cannot act for node {node.name}.")
    return actor.acting_for(node.n)


def locate(conn: Connection, key: NodeKey, *, lock: bool = False) -> Node:
    """A node by any key, for use cases that have asked the judge.

    Raises:
        NotFound
    """
    uid = key if isinstance(key, UUID) else _uid(key) if isinstance(key, str) else None
    by_name = isinstance(key, str) and uid is None
    found = (
        None
        if by_name and not names.storable(str(key))
        else rows.find(
            conn,
            n=key if isinstance(key, int) else None,
            uid=uid,
            name=str(key) if by_name else None,
            lock=lock,
        )
    )
    if found is None:
        shown = ids.encode(Noun.NODE, key) if isinstance(key, UUID) else key
        raise NotFound(f"There is no node {shown}.")
    return found


def _require(actor: Actor) -> None:
    require(actor, Action.MANAGE_NODES, Standing(), "nodes", visible=True)


def _switch(depot: Depot, actor: Actor, key: NodeKey, *, active: bool) -> Node:
    now = depot.now()

    def work(conn: Connection) -> Node:
        _require(actor)
        found = locate(conn, key, lock=True)
        if found.is_active == active:
            return found
        rows.change(conn, found.n, {"is_active": active})
        verb = "node.reactivated" if active else "node.deactivated"
        record(conn, actor, verb, at=now, subject=_id(found), before={"active": not active}, after={"active": active})
        return locate(conn, found.n)

    return depot.catalog.write(work)


def _id(node: Node) -> str:
    return ids.encode(Noun.NODE, node.uid)


def _uid(text: str) -> UUID | None:
    try:
        return ids.decode(Noun.NODE, text)
    except NotFound:
        return None
