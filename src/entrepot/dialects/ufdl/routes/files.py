"""Files of a dataset, their texts, and all of them as one archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException

from entrepot.depot import entries, exports, judging, putting, unpacking
from entrepot.depot.context import Depot
from entrepot.depot.entries import Describe, Opened, Remove
from entrepot.depot.exports import Export, Format
from entrepot.depot.putting import NewFile, Sink, put_whole
from entrepot.dialects.ufdl import encode, paths
from entrepot.dialects.ufdl.bodies import Body, Fields, invalid
from entrepot.dialects.ufdl.context import JSON, Asked, dumped
from entrepot.dialects.ufdl.routes.datasets import key
from entrepot.http.body import pump, read_small
from entrepot.http.content import Representation, send_content
from entrepot.http.disposition import disposition
from entrepot.http.doors import send_answer
from entrepot.http.downloads import send_export
from entrepot.http.errors import Answer
from entrepot.http.fields import content_length
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntryNotFound, InvalidName

#: The type of every stored byte on this wire, whatever it was sent as.
DATA: Final = "application/data"
_FORMATS: Final[Mapping[str, Format]] = {"zip": "zip", "tar.gz": "tar.gz"}

S = TypeVar("S", bound=Sink)


async def add(asked: Asked, found: Mapping[str, str]) -> None:
    """The body, whatever its type, becomes a file of a new name."""
    n, name = key(found), found["name"]

    def begin(depot: Depot, actor: Actor) -> putting.FilePut:
        try:
            with paths.bad_names(name):
                if name.endswith("/"):
                    raise InvalidName(
                        f"Bad name {name!r}: It ends with a slash. Name the file; only members of an archive are "
                        "numbered."
                    )
                # There is no overwriting here.
                length = content_length(asked.scope)
                new = NewFile(path=paths.normalised(name), length=length, condition="absent")
                return putting.put_file(depot, actor, n, new)
        except InvalidName:
            # Looked at only now, because it costs a question: a bad name is nobody's business who may not write.
            judging.on_version(depot, actor, n, Action.EDIT)
            raise

    def finish(sink: putting.FilePut) -> Any:
        with paths.bad_names(name):
            sha256 = sink.sha256()
            sink.finish()
            return encode.handle(sink.path, sha256)

    await _receive(asked, begin, finish)


async def add_many(asked: Asked, found: Mapping[str, str]) -> None:
    """The members of a zip archive become files: all of them or none."""
    n = key(found)

    def begin(depot: Depot, actor: Actor) -> unpacking.ArchivePut:
        judging.on_version(depot, actor, n, Action.EDIT)
        return unpacking.put_archive(depot, actor, n)

    def finish(sink: unpacking.ArchivePut) -> Any:
        with paths.bad_members():
            return [encode.handle(path, sha256) for path, sha256 in sink.finish().added]

    await _receive(asked, begin, finish)


async def _receive(asked: Asked, begin: Callable[[Depot, Actor], S], finish: Callable[[S], Any]) -> None:
    """Push the whole body into a sink and answer with what came of it; whatever goes wrong, nothing of it is left."""
    small = await read_small(asked.scope, asked.receive)
    if small is None:
        made = await _receive_long(asked, begin, finish)
    else:
        made = await asked.call_at_once(lambda depot, actor: dumped(put_whole(begin(depot, actor), small, finish)))
    await send_answer(asked.send, Answer(200, made, JSON, {"cache-control": "no-store"}))


async def _receive_long(asked: Asked, begin: Callable[[Depot, Actor], S], finish: Callable[[S], Any]) -> bytes:
    executor = asked.context.executor
    sink = await asked.call(begin)
    try:
        await pump(asked.receive, sink.write, executor=executor)
        return await in_thread(executor, lambda: dumped(finish(sink)))
    except BaseException:
        await in_thread(executor, sink.close)
        raise


async def get(asked: Asked, found: Mapping[str, str]) -> None:
    """The bytes of a file."""
    n, name = key(found), found["name"]

    def work(depot: Depot, actor: Actor) -> Opened:
        try:
            with paths.bad_names(name):
                return entries.open_entry(depot, actor, n, paths.normalised(name))
        except (EntryNotFound, InvalidName):
            # Looked at only now, because it costs a question: a version that was never ready is not there at all, and
            # whether a name is good is nobody's business who may not read.
            judging.on_version(depot, actor, n, Action.READ_CONTENT)
            raise

    await _send(asked, await asked.call_at_once(work))


async def get_by_handle(asked: Asked, found: Mapping[str, str]) -> None:
    """The bytes of the file that has this handle in this dataset, and in no other."""
    n, sha256 = key(found), ids.parse_ufdl_handle(found["name"])

    def work(depot: Depot, actor: Actor) -> Opened:
        try:
            return entries.open_entry(depot, actor, n, sha256=sha256)
        except EntryNotFound as missing:
            judging.on_version(depot, actor, n, Action.READ_CONTENT)
            raise EntryNotFound(f"Bad handle {found['name']!r}: Doesn't exist") from missing

    await _send(asked, await asked.call(work))


async def _send(asked: Asked, opened: Opened) -> None:
    shown = Representation(media_type=DATA, sha256=opened.entry.sha256)
    await send_content(
        asked.scope,
        asked.receive,
        asked.send,
        opened.reader,
        opened.entry.size,
        shown,
        accept_ranges=False,
        executor=asked.context.executor,
    )


async def delete(asked: Asked, found: Mapping[str, str]) -> None:
    """Take a file away; answers what it was."""
    n, name = key(found), found["name"]

    def work(depot: Depot, actor: Actor) -> Any:
        judging.on_version(depot, actor, n, Action.EDIT)
        with paths.bad_names(name):
            path = paths.normalised(name)
            entry = entries.get(depot, actor, n, path)[2]
            entries.commit(depot, actor, n, [Remove(path)])
        return encode.handle(entry.path, entry.sha256)

    await asked.answer(work)


async def all_metadata(asked: Asked, found: Mapping[str, str]) -> None:
    """The texts of all files."""
    n = key(found)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        judging.on_version(depot, actor, n, Action.READ_CONTENT)
        return encode.metadata(entries.iterate(depot, actor, n)[2])

    await asked.stream(work)


async def get_metadata(asked: Asked, found: Mapping[str, str]) -> None:
    """The text of a file; empty if it never had one."""
    n, name = key(found), found["name"]

    def work(depot: Depot, actor: Actor) -> Any:
        judging.on_version(depot, actor, n, Action.READ_CONTENT)
        with paths.bad_names(name):
            return {"metadata": entries.get(depot, actor, n, paths.normalised(name))[2].metadata}

    await asked.answer(work)


async def set_metadata(asked: Asked, found: Mapping[str, str]) -> None:
    """Give a file another text."""
    n, name, body = key(found), found["name"], await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.on_version(depot, actor, n, Action.EDIT)
        text = _metadata(body)
        with paths.bad_names(name):
            entries.commit(depot, actor, n, [Describe(paths.normalised(name), text)])
        return {"metadata": text}

    await asked.answer(work)


def _metadata(body: Body) -> str:
    fields = Fields(body)
    text = body.get("metadata")
    if "metadata" not in body:
        fields.wrong("metadata", "This field is required.")
    elif not isinstance(text, str):
        fields.wrong("metadata", "Not a valid string.")
    for unknown in sorted(set(body) - {"metadata"})[:10]:
        fields.wrong(unknown[:100], "There is no such field.")
    fields.check()
    return str(text)


async def download(asked: Asked, found: Mapping[str, str]) -> None:
    """All files as one archive, under their names."""
    await _download(asked, key(found), await asked.body())


async def download_by_query(asked: Asked, found: Mapping[str, str]) -> None:
    """The same as clients before 2023 ask for it (read in their source): the wishes are in the query."""
    given = dict(parse_qsl(asked.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    wanted = given.pop("filetype", "zip")
    await _download(asked, key(found), {"filetype": wanted, "params": given})


async def _download(asked: Asked, n: int, body: Body) -> None:
    def work(depot: Depot, actor: Actor) -> Export:
        judging.on_version(depot, actor, n, Action.READ_CONTENT)
        return exports.export(depot, actor, n, format=_format(body))

    made = await asked.call(work)
    version = made.version
    shown = Representation(
        media_type=DATA,
        etag=made.etag,
        disposition=disposition("attachment", f"{version.name}.v{version.number}.{made.format}".replace("/", "_")),
    )
    await send_export(
        asked.scope, asked.receive, asked.send, made, shown=shown, accept_ranges=False, executor=asked.context.executor
    )


def _format(body: Body) -> Format:
    """The kind of archive that is asked for.

    Raises:
        Invalid: Something is of a wrong type.
        HTTPException: 415 for a kind that is not made here, 422 for parameters, which no kind has.
    """
    wanted, parameters = body.get("filetype", "zip"), body.get("params", {})
    if not isinstance(wanted, str):
        raise invalid({"filetype": ["Not a valid string."]})
    if not isinstance(parameters, dict) or not all(_is_parameter(value) for value in parameters.values()):
        raise invalid({"params": ["Expected an object of texts or lists of texts."]})
    if wanted not in _FORMATS:
        raise HTTPException(415, f'Unsupported media type "{wanted[:60]}" in request.')
    if parameters:
        said = ", ".join(f"{name}={value}" for name, value in parameters.items())
        raise HTTPException(422, f"Unknown parameters: {said[:200]}")
    return _FORMATS[wanted]


def _is_parameter(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
