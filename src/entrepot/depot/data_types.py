"""Data types: which there are on this server."""

from __future__ import annotations

from entrepot.depot.context import Depot
from entrepot.model.data_types import DataType

__all__ = ["find_type", "list_types"]


def list_types(depot: Depot) -> tuple[DataType, ...]:
    """All types, those of the program first. Everybody may know what this server knows."""
    return depot.types.all()


def find_type(depot: Depot, identifier: str) -> DataType:
    """One type by its identifier, however its letters are cased.

    Raises:
        NotFound: There is none; the message names the closest.
    """
    return depot.types.find(identifier)
