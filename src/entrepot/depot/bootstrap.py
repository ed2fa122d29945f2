"""The first start: what a server needs before anybody can log in.

One transaction: uid of the installation, the standard licences, the administrator with everything that stands behind a
user. It is there whole or not at all, and two processes that start at once do it once: the second one meets the row of
the first. Licences that staff removes later stay removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from entrepot.catalog import installation
from entrepot.catalog import licences as licence_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import secrets, users
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.model.access import Actor
from entrepot.model.ids import Noun, encode
from entrepot.model.licences import STANDARD_LICENCES

ADMIN = "admin"
#: Events of the first start come through no door of the world.
DOOR = "setup"


@dataclass(frozen=True, slots=True)
class Started:
    """What the start found or made.

    `first`: this call did it. `generated_password`: that of `admin`, if it had to be made up; told this once only.
    """

    installation: UUID
    first: bool
    generated_password: str | None = field(default=None, repr=False)


def bootstrap(depot: Depot, *, admin_password: str | None = None) -> Started:
    """Make the server ready for its first login, unless that is done. May be called at every start.

    Args:
        admin_password: For the first start; at others it changes nothing. None makes one up.

    Raises:
        Invalid: The password is too short.
    """
    found = _known(depot)
    if found is not None:
        return Started(found, first=False)
    generated = secrets.new_password(depot) if admin_password is None else None
    password = generated if admin_password is None else admin_password
    wish = users.new_user(depot, ADMIN, password=password, is_staff=True)
    mine = depot.new_uid()
    actor = Actor(door=DOOR)

    def work(conn: Connection) -> Started:
        earlier = installation.uid(conn)
        if earlier is not None:
            return Started(earlier, first=False)
        now = depot.now()
        # First, so that of two processes the second waits here, and leaves the rest alone.
        installation.put_new(conn, installation.UID, mine.hex)
        installation.put_new(conn, installation.CREATED_AT, now.isoformat())
        for licence in STANDARD_LICENCES:
            licence_rows.insert_licence(
                conn,
                uid=depot.new_uid(),
                name=licence.name,
                url=licence.url,
                permissions=licence.permissions,
                conditions=licence.conditions,
                limitations=licence.limitations,
                standard=True,
            )
        record(conn, actor, "server.installed", at=now, subject=encode(Noun.WORKSPACE, mine))
        users.insert(depot, conn, actor, wish)
        return Started(mine, first=True, generated_password=generated)

    try:
        return depot.catalog.write(work)
    except ConstraintViolated:
        found = _known(depot)
        if found is None:
            raise
        return Started(found, first=False)


def _known(depot: Depot) -> UUID | None:
    with depot.catalog.read() as conn:
        return installation.uid(conn)
