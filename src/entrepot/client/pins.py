"""From what people write to what is read: a reference or any door's id becomes version, revision and path.

References move (`lab/penguins` is another revision after the next push). A transfer, an open file or a script that
reads twice asks once and then stays with the pin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from entrepot.client.transport import Transport
from entrepot.model import ids, names
from entrepot.model.errors import EntrepotError, Invalid, InvalidName, KindMismatch
from entrepot.model.references import Reference, parse_reference
from entrepot.wire.messages.resolve import Resolved
from entrepot.wire.messages.versions import Version

__all__ = ["Pin", "Thing", "pin", "resolve", "split"]


@dataclass(frozen=True, slots=True)
class Pin:
    """A revision of a version, and maybe a file or folder in it.

    Args:
        version: `ver_…`.
        path: Entry path of a file or folder; None for the whole version.
        record: The version as it was when it was asked for.
    """

    version: str
    revision: int
    record: Version
    path: str | None = None

    @property
    def reference(self) -> str:
        """As people write it: `lab/penguins@3.17/raw/a.csv`."""
        number = f"@{self.record.number}.{self.revision}" if self.record.number is not None else ""
        path = "" if self.path is None else f"/{self.path}"
        return f"{self.record.project_slug}/{self.record.slug}{number}{path}"

    def at(self, path: str | None) -> Pin:
        return replace(self, path=None if path is None else names.entry_path(path))


Thing: TypeAlias = str | Version | Pin
"""What methods take for "this version": a reference, an id of any door, a record, or a pin."""


def split(text: str) -> tuple[str, str | None]:
    """What the server has to resolve, and the path in it: `lab/penguins@3/raw` is `lab/penguins@3` and `raw`.

    An id may have a path after it too: `ver_0190…/raw/a.csv`.
    """
    head, slash, rest = text.removesuffix("/").partition("/")
    if ids.parse_any(head):
        return head, names.entry_path(rest) if slash else None
    reference = parse_reference(text)
    return str(replace(reference, path=None)), reference.path


def resolve(transport: Transport, text: str) -> Resolved:
    """What an id or a reference means, whatever kind of thing it is."""
    return transport.get("/resolve", Resolved, {"id": text})


def pin(transport: Transport, thing: Thing, path: str | None = None) -> Pin:
    """Ask once what is meant.

    Args:
        path: A path in it, when `thing` itself names none.

    Raises:
        NotFound: There is no such thing, or the caller may not see it.
        KindMismatch: It is something else than a version, such as a project.
    """
    if isinstance(thing, Pin):
        return thing if path is None else thing.at(path)
    if isinstance(thing, Version):
        return Pin(thing.id, thing.revision, thing).at(path)
    head, within = split(_text(thing))
    if path is not None and within is not None:
        raise Invalid(f"{thing!r} names a path already, and {path!r} is another one. Give one of them.")
    found = resolve(transport, head)
    if found.version is None:
        raise KindMismatch(f"{thing!r} is a {found.thing}, not a version. Name one, as in project/dataset.")
    revision = found.version.revision if found.revision is None else found.revision
    chosen = within or path or found.path
    return Pin(found.version.id, revision, found.version).at(chosen)


def reference_of(text: str) -> Reference | None:
    """The reference in a text; None when it is an id."""
    head = text.partition("/")[0]
    return None if ids.parse_any(head) else parse_reference(text)


def is_reference(text: str) -> bool:
    try:
        split(text)
    except (InvalidName, EntrepotError):
        return False
    return True


def _text(thing: object) -> str:
    if not isinstance(thing, str):
        raise Invalid(f"A version is named by a text such as 'lab/penguins@3', not by {type(thing).__name__}.")
    return thing
