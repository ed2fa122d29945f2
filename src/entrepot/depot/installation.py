"""What this installation is, and whether it can be used."""

from __future__ import annotations

from uuid import UUID

from entrepot.catalog import installation as rows
from entrepot.depot.context import Depot
from entrepot.model.errors import Unavailable


def uid(depot: Depot) -> UUID:
    """The installation's uid.

    Raises:
        Unavailable: The first start is not done.
    """
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.uid(conn)
    if found is None:
        raise Unavailable("This server has not been set up yet. Start it once.")
    return found


def probe(depot: Depot) -> None:
    """Prove that facts can be read and bytes be written.

    Raises:
        Unavailable, DiskFull, Corrupt: Which of the two cannot, and why.
    """
    uid(depot)
    depot.store.probe()
