"""The gate for times from outside."""

from __future__ import annotations

from datetime import UTC, datetime

from entrepot.model.errors import Invalid

__all__ = ["instant"]


def instant(value: datetime, field: str) -> datetime:
    """The same moment in UTC.

    Args:
        field: What it is called in the message, such as "The expiry".

    Raises:
        Invalid: It does not say its offset from UTC, or lies outside the years 1 to 9999 there.
    """
    if value.tzinfo is None:
        raise Invalid(f"{field} has no offset from UTC. Write it as in 2030-01-31T00:00:00Z.")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{field} lies outside the years 1 to 9999 in UTC.") from None
