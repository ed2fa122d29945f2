"""From what a request shows to whose it is: one indexed read, however it was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, select

from entrepot.catalog import installation, tokens, users
from entrepot.catalog.prepared import FirstRow, Prepared
from entrepot.catalog.schema import installation as installation_table
from entrepot.catalog.schema import node, session, token, user
from entrepot.model.values import Token, User


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a credential is. `node_active` is None unless the token is bound to a node."""

    user: User
    token: Token | None = None
    node_active: bool | None = None


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    user: User
    data: Mapping[str, Any]
    expires_at: datetime


def _identity(row: Any) -> Identity:
    cells = row._asdict()
    owner = users.value(cells, "user_")
    found = tokens.value(cells, owner.name, "token_") if row.token_id is not None else None
    return Identity(owner, found, None if found is None or found.node is None else bool(row.node_active))


def _select(first: Table, onto: Table, condition: ColumnElement[bool], *, outer: bool = False) -> Select[Any]:
    return (
        select(*users.columns("user_"), *tokens.columns("token_"), node.c.is_active.label("node_active"))
        .join_from(first, onto, condition, isouter=outer)
        .outerjoin(node, node.c.id == token.c.node)
    )


_BY_TOKEN = FirstRow(
    Prepared(_select(token, user, token.c.user == user.c.id).where(token.c.digest == bindparam("digest"))), _identity
)
_BY_UID = FirstRow(
    Prepared(
        _select(user, token, (token.c.user == user.c.id) & (token.c.uid == bindparam("token_uid")), outer=True)
        .add_columns(
            select(installation_table.c.value)
            .where(installation_table.c.key == installation.UID)
            .scalar_subquery()
            .label("installation")
        )
        .where(user.c.uid == bindparam("user_uid"))
    ),
    lambda row: (_identity(row), row.installation),
)
_BY_SESSION = Prepared(
    select(*users.columns(), session.c.data.label("session_data"), session.c.expires_at.label("session_expires_at"))
    .join_from(session, user, session.c.user == user.c.id)
    .where(session.c.digest == bindparam("digest"))
)


def by_token(conn: Connection, digest: bytes) -> Identity | None:
    """The token with this digest, and its user; neither is judged here."""
    return _BY_TOKEN(conn, {"digest": digest})


def by_uid(conn: Connection, user_uid: UUID, token_uid: UUID | None) -> tuple[Identity, str | None] | None:
    """A user and, if a token is named, that token of theirs; and the installation's uid as 32 hex digits.

    With a token named that is not there, the identity has none.
    """
    return _BY_UID(conn, {"user_uid": user_uid, "token_uid": token_uid})


def by_session(conn: Connection, digest: bytes) -> SessionIdentity | None:
    """The session with this digest, and its user; neither is judged here."""
    row = _BY_SESSION(conn, {"digest": digest}).first()
    if row is None:
        return None
    return SessionIdentity(users.value(row._asdict()), row.session_data, row.session_expires_at)
