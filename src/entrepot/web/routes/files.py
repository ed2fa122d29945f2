"""The files of a version: folders, one file, its bytes, and all of it as an archive."""

from __future__ import annotations

from typing import Any, Final, get_args

from entrepot.depot import entries, exports, reports
from entrepot.depot.context import Depot
from entrepot.depot.exports import Format
from entrepot.http.content import Representation, send_content
from entrepot.http.disposition import disposition
from entrepot.http.downloads import send_entry, send_export
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Malformed
from entrepot.model.values import Version
from entrepot.web import links, snippets
from entrepot.web.about import about, key
from entrepot.web.context import Asked
from entrepot.web.previews import PDF_LIMIT, PICTURES, preview

_PAGE: Final = 200
_FORMATS: Final[dict[str, Format]] = {name: name for name in get_args(Format)}


async def show_folder(asked: Asked) -> None:
    """One level of the tree, a page at a time, of whatever revision."""
    wanted = key(asked.found["version"])
    path, revision = asked.query.get("path", "").strip("/"), asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "files")
        version: Version = given["v"]
        _, pinned, page = entries.list_folder(
            depot, actor, version.n, path, revision=revision, cursor=asked.text("cursor"), limit=_PAGE
        )
        old = None if pinned == version.revision else pinned
        return given | {
            "page": page,
            "path": path,
            "pinned": pinned,
            "old": old,
            "crumbs": _crumbs(version, path, old),
            "more_url": links.version(version, "files", path=path, revision=old),
        }

    await asked.page("files.html", work, public=True)


def _crumbs(version: Version, path: str, revision: int | None) -> list[tuple[str, str]]:
    """Each folder on the way, with its address."""
    parts = path.split("/") if path else []
    return [
        (part, links.version(version, "files", path="/".join(parts[: at + 1]), revision=revision))
        for at, part in enumerate(parts)
    ]


async def show_file(asked: Asked) -> None:
    """One file: its beginning as people can read it, and everything that is known about it."""
    wanted = key(asked.found["version"])
    path, revision = asked.query.get("path", ""), asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "files")
        version: Version = given["v"]
        _, pinned, told = reports.report(depot, actor, version.n, path, revision=revision)
        opened = entries.open_entry(depot, actor, version.n, path, revision=pinned)
        try:
            shown = preview(path, opened.entry.size, opened.reader.read_at)
        finally:
            opened.reader.close()
        old = None if pinned == version.revision else pinned
        folder = path.rpartition("/")[0]
        return given | {
            "entry": told.entry,
            "report": told.report,
            "examined_at": told.examined_at,
            "shown": shown,
            "pdf_limit": PDF_LIMIT,
            "pinned": pinned,
            "old": old,
            "crumbs": _crumbs(version, folder, old),
            "raw": links.version(version, "raw", path=path, revision=pinned),
            "ids_of_file": ids.all_entry_ids(version.n, version.uid, told.entry.position),
            "snippets": snippets.of_file(version, told.entry, asked.base_url),
        }

    await asked.page("file.html", work, public=True)


async def raw(asked: Asked) -> None:
    """The bytes of a file. A picture may stand in a page of ours; everything else is only ever saved.

    Whatever it is, it comes under a policy by which it runs nothing and belongs to no site.
    """
    wanted = key(asked.found["version"])
    path, revision = asked.query.get("path", ""), asked.number("revision")
    opened = await asked.call(lambda depot, actor: entries.open_entry(depot, actor, wanted, path, revision=revision))
    picture = PICTURES.get(path.rpartition(".")[2].lower())

    if picture is None or asked.text("save"):
        await send_entry(asked.scope, asked.receive, asked.send, opened, executor=asked.context.executor)
        return
    shown = Representation(
        media_type=picture,
        sha256=opened.entry.sha256,
        disposition=disposition("inline", path),
        headers=(("cross-origin-resource-policy", "same-origin"),),
    )
    await send_content(
        asked.scope, asked.receive, asked.send, opened.reader, opened.entry.size, shown, executor=asked.context.executor
    )


async def archive(asked: Asked) -> None:
    """A revision, or a folder of it, as one file to save."""
    wanted = key(asked.found["version"])
    format_, revision = asked.text("format") or "zip", asked.number("revision")
    if format_ not in _FORMATS:
        raise Malformed(f"{format_[:40]!r} is none of {', '.join(_FORMATS)}.")
    made = await asked.call(
        lambda depot, actor: exports.export(
            depot, actor, wanted, format=_FORMATS[format_], revision=revision, prefix=asked.text("path")
        )
    )
    await send_export(asked.scope, asked.receive, asked.send, made, executor=asked.context.executor)
