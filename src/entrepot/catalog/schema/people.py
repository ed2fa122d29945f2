"""Who may do what: accounts, teams, tokens, nodes, and what belongs to them alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text

from entrepot.catalog.schema.types import Id, Instant, Json, Uid, metadata

#: Facts about this installation itself: its uid, when it was made.
installation = Table(
    "installation",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Json, nullable=False),
)

user = Table(
    "user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    Column("first_name", Text, nullable=False, default=""),
    Column("last_name", Text, nullable=False, default=""),
    Column("password", Text),
    Column("is_staff", Boolean, nullable=False, default=False),
    Column("is_active", Boolean, nullable=False, default=True),
    # Raised to end every session and every signed token of this user at once.
    Column("epoch", Integer, nullable=False, default=0),
    Column("default_project", Id),
    Column("settings", Json, nullable=False, default=dict),
    Column("created_at", Instant, nullable=False),
    Column("last_login_at", Instant),
    # Numbers are shown to the world as primary keys: they are never given out twice.
    sqlite_autoincrement=True,
)
Index("ix_user_email", user.c.email)

team = Table(
    "team",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    # Set on the hidden team that stands behind one person.
    Column("personal_of", Id, ForeignKey("user.id"), unique=True),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    Column("trashed_at", Instant),
    Column("trashed_by", Id, ForeignKey("user.id")),
    Column("trash_reason", Text),
    sqlite_autoincrement=True,
)
Index(
    "uq_team_name_active",
    team.c.name,
    unique=True,
    sqlite_where=team.c.trashed_at.is_(None),
    postgresql_where=team.c.trashed_at.is_(None),
)

membership = Table(
    "membership",
    metadata,
    Column("team", Id, ForeignKey("team.id"), primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("role", SmallInteger, nullable=False),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_membership_user", membership.c.user)

node = Table(
    "node",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("creator", Id, ForeignKey("user.id")),
    Column("created_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

token = Table(
    "token",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("name", Text, nullable=False, default=""),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    # Project numbers this token is limited to; null is no limit.
    Column("projects", Json),
    Column("node", Id, ForeignKey("node.id")),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    sqlite_autoincrement=True,
)
Index("ix_token_user", token.c.user)

session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", Json, nullable=False, default=dict),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
Index("ix_session_user", session.c.user)
Index("ix_session_expires_at", session.c.expires_at)

#: Who somebody is at a provider of identities, which gives a subject to one person for ever.
identity = Table(
    "identity",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    # What the provider calls them for people; decides nothing.
    Column("shown", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
)
Index("ix_identity_user", identity.c.user)

#: Failed logins, for the limit on guessing: rows, not memory, because several servers share one account.
login_failure = Table(
    "login_failure",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_login_failure_account", login_failure.c.account, login_failure.c.address, login_failure.c.at)

licence = Table(
    "licence",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False, default=""),
    Column("permissions", Json, nullable=False, default=list),
    Column("conditions", Json, nullable=False, default=list),
    Column("limitations", Json, nullable=False, default=list),
    Column("domains", Json, nullable=False, default=list),
    Column("standard", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

#: Answers already given to a request that named a key: a retry after a lost answer gets the same one.
idempotency = Table(
    "idempotency",
    metadata,
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("holder", LargeBinary, nullable=False),
    Column("done", Json),
    Column("status", BigInteger),
    Column("headers", Json),
    Column("body", LargeBinary),
    Column("created_at", Instant, nullable=False),
)
Index("ix_idempotency_created_at", idempotency.c.created_at)
