"""Files from a form of a browser: as they come, a block at a time, into one revision or none.

    csrf │ project, name, … │ file │ file │ …      the order in which the form has them, and in which they arrive

The fields come before the first file, so what can be refused is refused before any byte of one is kept. A form in a
browser without scripts takes up to 90 files; whoever has more uses the page's script or the command line.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from uuid import UUID

from entrepot.depot import browse, entries, ingests, licences, projects, putting, slots, table_looks, whole
from entrepot.depot.context import Depot
from entrepot.depot.entries import Add
from entrepot.depot.slots import NewSlot
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.http.body import pump, read_all
from entrepot.http.browser import TOKEN_FIELD
from entrepot.http.fields import field
from entrepot.http.multipart import MultipartReader, Part, is_multipart
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import (
    Forbidden,
    Frozen,
    Invalid,
    KindMismatch,
    Malformed,
    NameTaken,
    Trashed,
    Unsupported,
)
from entrepot.model.values import Kind, Numbering, Role, Version
from entrepot.web import links, shown
from entrepot.web.about import about, key
from entrepot.web.context import Asked, Form
from entrepot.web.routes.editing import tags_of
from entrepot.web.routes.projects import key as project_key

_FIELD: Final = 256 << 10
#: What a dataset can be made as.
_KINDS: Final = {one.value: one for one in (Kind.FILES, Kind.TABLE, Kind.RECORDS)}
#: What a browser says when it knows nothing.
_UNTYPED: Final = frozenset({"", "application/octet-stream"})


async def new_form(asked: Asked) -> None:
    """Where a new dataset begins."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {
            "projects": projects.list_projects(depot, actor, least=Role.WRITE, limit=1000).rows,
            "chosen": asked.text("project") or "",
            "name": asked.text("name") or "",
            "kind": asked.text("kind") if asked.text("kind") in _KINDS else Kind.FILES.value,
            "licences": licences.list_licences(depot, actor, limit=1000).rows,
        }

    await asked.page("upload_new.html", work)


async def new(asked: Asked) -> None:
    """A dataset made of what was sent, in one step: all of it or nothing. A task checks rows and lines first."""
    form, added = await _receive(asked)
    home = form.optional("project")
    kind = _KINDS.get(form.text("kind", Kind.FILES.value))
    if kind is None:
        raise Invalid("Say what it is: files, a table or records.")
    wanted = NewVersion(
        name=form.text("name"),
        kind=kind,
        # Of what is checked an attempt that failed may be in the way, and a next one of its name is no harm.
        numbering=Numbering.ONLY if kind is Kind.FILES else Numbering.NEXT,
        description=form.lines("description"),
        licence=form.optional("licence"),
        tags=tags_of(form),
        declared=rules_of(form) if kind is Kind.TABLE else None,
    )
    message = form.text("message")

    def work(depot: Depot, actor: Actor) -> Version:
        place = None if home is None else project_key(home)
        if kind is Kind.FILES:
            return whole.create(depot, actor, place, wanted, added, message=message).version
        _require_free(depot, actor, place, wanted.name)
        version, _ = slots.create(depot, actor, place, wanted, [NewSlot(one.path, upload=one.upload) for one in added])
        ingests.start(depot, actor, version.n)
        return version

    version = await asked.call(work)
    await asked.go(links.version(version), notice="uploaded" if kind is Kind.FILES else "checking")


def _require_free(depot: Depot, actor: Actor, place: Any, name: str) -> None:
    """Refuse a name that a dataset has; a new version of that one is made elsewhere, and on purpose.

    Raises:
        NameTaken
    """
    wanted = browse.Wanted(project=place, name=name.strip(), ready_only=True)
    if place is not None and browse.list_versions(depot, actor, wanted, limit=1).rows:
        raise NameTaken(f"There is already a dataset named {name.strip()!r} here. Choose another name.")


def rules_of(form: Form) -> dict[str, Any] | None:
    """How the files of a table are to be read, by the fields of the form; what is as usual is not said."""
    rules: dict[str, Any] = {}
    if words := [one for one in (word.strip() for word in form.text("null_values").split(",")) if one]:
        rules["null_values"] = words
    if form.flag("quarantine"):
        rules["quarantine"] = True
    if form.flag("headless"):
        rules["header"] = False
    return rules or None


async def look(asked: Asked) -> None:
    """What the beginning of a file would be as a table: a piece of the page on which somebody chooses it."""
    asked.require_here()
    asked.require_token(field(asked.scope, TOKEN_FIELD) or "")
    body = await read_all(asked.receive, table_looks.LOOKED_AT)
    form = Form(list(asked.query.items()))
    name, size = form.text("file"), form.number("size") or 0

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given: dict[str, Any] = {"name": name, "found": None, "problem": None, "columns": (), "rows": ()}
        try:
            found = table_looks.look(depot, actor, name, body, whole=size <= len(body), rules=rules_of(form))
        except Invalid as wrong:
            return {**given, "problem": wrong.message}
        if found is None:
            return given
        types = [str(one["type"]) for one in found["columns"]]
        return {
            **given,
            "found": found,
            "beginning": size > len(body),
            "columns": [
                {**one, "type": shown.type_name(one["type"], many=one["list"]), "num": one["type"] in ("Int", "Float")}
                for one in found["columns"]
            ],
            "rows": [
                [shown.cell(value, kind, most=60) for value, kind in zip(row, types, strict=True)]
                for row in found["rows"]
            ],
        }

    await asked.page("look.html", work)


async def add_form(asked: Asked) -> None:
    """More files for a version. Who may not send any is told so here, and not after choosing them."""
    wanted = key(asked.found["version"])
    path = asked.query.get("path", "")
    await asked.page("upload.html", lambda depot, actor: _may(depot, actor, wanted) | {"path": path})


async def add(asked: Asked) -> None:
    """The files become part of a version, as one revision."""
    wanted = key(asked.found["version"])
    form, added = await _receive(asked, wanted)
    message = form.text("message")

    def work(depot: Depot, actor: Actor) -> tuple[Version, bool]:
        before = about(depot, actor, wanted)["v"].revision
        done = entries.commit(depot, actor, wanted, added, message=message)
        return done.version, done.version.revision == before

    version, same = await asked.call(work)
    folder = form.text("path").strip().strip("/")
    await asked.go(links.version(version, "files", path=folder), notice="nothing" if same else "uploaded")


async def _receive(asked: Asked, version: UUID | None = None) -> tuple[Form, list[Add]]:
    """Fields and files of a form, the files kept as uploads of whoever sent them.

    Raises:
        Forbidden: The form is not one of ours.
        Invalid: It has no file.
        Unsupported, Malformed, TooLarge
    """
    asked.require_here()
    typed = field(asked.scope, b"content-type") or ""
    if not is_multipart(typed):
        raise Unsupported("This address takes files as the form of its page sends them.")
    reader = MultipartReader(asked.receive, typed)
    pairs: list[tuple[str, str]] = []
    added: list[Add] = []
    checked = False
    form = Form(pairs)
    while (part := await reader.next()) is not None:
        if part.filename is None:
            pairs.append((part.name, (await read_all(part.receive, _FIELD)).decode("utf-8", errors="replace")))
            continue
        if not checked:
            asked.require_token(form.text("csrf"))
            if version is not None:
                await asked.call(partial(_may, wanted=version))
            checked = True
        if part.filename:
            added.append(await _keep(asked, part, form))
    if not checked:
        asked.require_token(form.text("csrf"))
    if not added:
        raise Invalid("There was no file in the form. Go back and choose at least one.")
    return form, added


def _may(depot: Depot, actor: Actor, wanted: UUID) -> dict[str, Any]:
    """What the page shows; refuses before the first byte whoever may not send any. The commit asks again, and counts.

    Raises:
        Forbidden, Frozen, Trashed, KindMismatch
        NotFound, Hidden
    """
    given = about(depot, actor, wanted, "files")
    version: Version = given["v"]
    if version.trash is not None or version.project_trashed:
        raise Trashed(f"{version.label} is in the trash. Take it out before you add files.")
    if not given["can_edit"]:
        raise Forbidden(
            f"You may read {version.label} but not change it, so no file was sent. Ask an administrator of its team "
            "for the right to write, or copy it into a project of your own."
        )
    if version.frozen_at is not None:
        raise Frozen(f"{version.label} is frozen. Copy it to the next version and add the files there.")
    if version.kind is not Kind.FILES:
        raise KindMismatch(f"{version.name} is of kind {version.kind}: it changes as a whole, not file by file.")
    return given


async def _keep(asked: Asked, part: Part, form: Form) -> Add:
    """One file, as an upload that the commit names."""
    name = (part.filename or "").replace("\\", "/").lstrip("/")
    folder = form.text("path").strip().strip("/")
    path = f"{folder}/{name}" if folder else name
    home = form.optional("project")
    place = None if home is None else project_key(home)
    executor = asked.context.executor
    sink = await asked.call(lambda depot, actor: putting.put_upload(depot, actor, NewUpload(project=place)))
    try:
        await pump(part.receive, sink.write, executor=executor)
        row = await in_thread(executor, sink.finish)
    except BaseException:
        await in_thread(executor, sink.close)
        raise
    if not path:
        raise Malformed("A file of the form has no name.")
    typed = (part.media_type or "").strip()
    return Add(path, upload=row.uid, media_type=None if typed.lower() in _UNTYPED else typed)
