"""What the nouns of the SDK share: how they reach the server, and how a thing becomes the id in an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrepot.client import pins
from entrepot.client.pins import Pin, Thing
from entrepot.client.transport import Transport, segment
from entrepot.model import ids
from entrepot.model.errors import Invalid, NotFound
from entrepot.wire.messages.versions import Version

if TYPE_CHECKING:
    from entrepot.client.client import Client

__all__ = ["Resource"]


class Resource:
    """One noun of a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def _transport(self) -> Transport:
        return self._client.transport

    def _version_id(self, thing: Thing) -> str:
        """The `ver_…` of a version; asks the server only for what is not one already."""
        if isinstance(thing, Version):
            return thing.id
        if isinstance(thing, Pin):
            return thing.version
        if isinstance(thing, str) and _is_native(thing):
            return thing
        return pins.pin(self._transport, thing).version

    def _version(self, thing: Thing, action: str = "") -> str:
        """The address of a version, or of something one can do with it."""
        return f"/versions/{segment(self._version_id(thing))}{action}"


def _is_native(text: str) -> bool:
    try:
        ids.decode(ids.Noun.VERSION, text)
    except NotFound:
        return False
    return True


def named(what: str, thing: object) -> str:
    """The id or name by which a person, team, project or licence is asked for: a text, or an answer with an `id`."""
    found = thing if isinstance(thing, str) else getattr(thing, "id", None)
    if not isinstance(found, str):
        raise Invalid(f"A {what} is named by its id or its name, not by {type(thing).__name__}.")
    return segment(found)
