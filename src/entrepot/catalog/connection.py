"""The handle of a transaction, as use cases pass it on from `Catalog.read` and `Catalog.write` to the row modules.

Named here, so that no floor above has to name the driver.
"""

from __future__ import annotations

from sqlalchemy import Connection

__all__ = ["Connection"]
