"""Slots with the signed URLs that fill them, for callers who may."""

from __future__ import annotations

from collections.abc import Sequence

from entrepot.depot import objects
from entrepot.depot.context import Depot
from entrepot.depot.slots import Slot
from entrepot.dialects.native import encode
from entrepot.model.access import Actor
from entrepot.wire.messages import slots as m


def shown_slots(depot: Depot, actor: Actor, found: Sequence[Slot], base_url: str) -> list[m.Slot]:
    """Slots that still take bytes with a URL; full ones and those whose time is over without."""
    now = depot.now()
    return [
        encode.slot(
            one,
            objects.sign_slot(depot, actor, one) if one.url_expires_at > now and not (one.full and one.once) else None,
            base_url,
        )
        for one in found
    ]
