"""Data types: which there are on this server."""

from __future__ import annotations

from entrepot.catalog import versions as version_rows
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.data_types import DataType

__all__ = ["count_versions", "find_type", "list_types"]


def list_types(depot: Depot) -> tuple[DataType, ...]:
    """All types, those of the program first. Everybody may know what this server knows."""
    return depot.types.all()


def count_versions(depot: Depot, actor: Actor) -> dict[str, int]:
    """How many versions that the caller may know of are of which type: those whose entries all share it."""
    with depot.catalog.read() as conn:
        return version_rows.count_types(conn, lookup.sight(actor))


def find_type(depot: Depot, identifier: str) -> DataType:
    """One type by its identifier, however its letters are cased.

    Raises:
        NotFound: There is none; the message names the closest.
    """
    return depot.types.find(identifier)
