"""Data objects: what one is, a look into it, its bytes."""

from __future__ import annotations

from typing import Any, Final

from entrepot.depot import credentials, data_types, entries, exports, sessions
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer
from entrepot.depot.entries import Opened
from entrepot.depot.exports import Export, Format
from entrepot.dialects.flow import encode, things
from entrepot.dialects.flow.context import COOKIE, DOOR, Asked
from entrepot.dialects.flow.things import Thing
from entrepot.http.content import Representation, send_content
from entrepot.http.credentials import Via, find
from entrepot.http.disposition import disposition
from entrepot.http.downloads import media_type_of, send_export
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound

#: Of a preview, as the original cuts it.
PAGE: Final = 10_240
#: What is looked at to tell text from other bytes.
HEAD: Final = 8 << 10

_FORMATS: Final[tuple[tuple[str, Format], ...]] = (
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar", "tar"),
    (".zip", "zip"),
)


async def get(asked: Asked) -> None:
    """One object."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        thing = things.locate(depot, actor, asked.found["id"])
        return encode.data(thing, is_binary=_is_binary(depot, actor, thing), data_type=_data_type(depot, thing))

    await asked.answer(work)


def _data_type(depot: Depot, thing: Thing) -> dict[str, Any] | None:
    found = thing.entry.data_type if thing.entry is not None else thing.version.data_type
    if found is None:
        return None
    try:
        known = data_types.find_type(depot, found)
    except NotFound:
        # Of a type that the settings do not have any more.
        return {"identifier": found, "name": found, "description": ""}
    return {"identifier": known.identifier, "name": known.name, "description": known.description}


def _is_binary(depot: Depot, actor: Actor, thing: Thing) -> bool:
    """Whether a file is no text; directories and what may not be read are called neither."""
    if thing.entry is None or not thing.is_readable:
        return False
    opened = _open(depot, actor, thing)
    with opened.reader as reader:
        return not is_text(reader.read_at(0, min(HEAD, reader.size)))


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text: UTF-8 without control characters that no text has."""
    if any(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as wrong:
        # A character may be cut by where the head ends.
        return wrong.start >= len(head) - 3 and wrong.reason == "unexpected end of data"
    return True


def _open(depot: Depot, actor: Actor, thing: Thing) -> Opened:
    assert thing.entry is not None
    return entries.open_entry(depot, actor, thing.version.n, thing.entry.path)


async def contents(asked: Asked) -> None:
    """A page of a text file."""
    position = asked.number("position", 0, least=0, most=2**40) or 0

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        thing = things.locate(depot, actor, asked.found["id"])
        if not thing.is_readable:
            raise NotFound("There is no such data, or you may not read it.")
        if thing.is_directory:
            raise Invalid("Data is directory")
        if thing.entry is None:
            raise NotFound("There is no such data any more.")
        with _open(depot, actor, thing).reader as reader:
            if not is_text(reader.read_at(0, min(HEAD, reader.size))):
                raise Invalid("Data is binary")
            start = min(position * PAGE, reader.size)
            end = min(start + PAGE, reader.size)
            # What a page cuts of a character at either end is shown as a replacement there.
            text = reader.read_at(start, end - start).decode("utf-8", "replace") if end > start else ""
            return {"contents": text, "has_more": end < reader.size}

    await asked.answer(work)


async def download(asked: Asked) -> None:
    """The bytes of a file, or an archive of a directory."""
    filename, inline = asked.found["filename"], asked.flag("direct")

    def work() -> tuple[Opened | None, Export | None]:
        depot = asked.context.depot
        actor = _who(asked)
        thing = things.locate(depot, actor, asked.found["id"])
        if not thing.is_readable or filename != thing.filename:
            raise NotFound("There is no such file.")
        if thing.entry is not None:
            return _open(depot, actor, thing), None
        lower = filename.lower()
        wanted: Format = next((found for suffix, found in _FORMATS if lower.endswith(suffix)), "zip")
        return None, exports.export(depot, actor, thing.version.n, format=wanted)

    opened, made = await in_thread(asked.context.executor, work)
    executor = asked.context.executor
    named = disposition("inline" if inline else "attachment", filename)
    if made is not None:
        shown = Representation(media_type=made.media_type, etag=made.etag, disposition=named)
        await send_export(asked.scope, asked.receive, asked.send, made, shown=shown, executor=executor)
        return
    assert opened is not None
    entry = opened.entry
    shown = Representation(media_type=media_type_of(entry), sha256=entry.sha256, disposition=named)
    await send_content(asked.scope, asked.receive, asked.send, opened.reader, entry.size, shown, executor=executor)


def _who(asked: Asked) -> Actor:
    """Whoever asks for bytes: by a token in the header or the query, else by the cookie of the login."""
    depot, address = asked.context.depot, asked.address
    shown = find(asked.scope, (Via.BEARER, Via.QUERY, Via.COOKIE), cookie=COOKIE)
    if shown is not None and shown.via is Via.COOKIE:
        return sessions.check(depot, shown.token, door=DOOR)
    credential = None if shown is None else Bearer(shown.token)
    return credentials.authenticate(depot, credential, door=DOOR, address=address)
