"""`entrepot ls`, `cat`, `rm`, `mv`, `cp`: files and folders of datasets, as a shell has them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Message, connected
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.client.pins import Pin
    from entrepot.wire.messages.entries import Change, Committed, Entry

app = typer.Typer(rich_markup_mode=None, add_completion=False)

File = Annotated[str, typer.Argument(metavar="FILE", help="project/dataset[@version]/path")]


@app.command()
def ls(
    thing: Annotated[
        str | None, typer.Argument(metavar="THING", help="Nothing, a project, or project/dataset[@v[.r]][/folder].")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All files below, not one level.")] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="With digests and types.")] = False,
    trashed: Annotated[bool, typer.Option("--trashed", help="Projects or versions in the trash instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List projects, the datasets of a project, or the files of a dataset.

    \b
    Examples:
      entrepot ls
      entrepot ls lab
      entrepot ls lab/penguins@3/raw
      entrepot ls -r -l lab/penguins
    """
    with connected() as client:
        if thing is None:
            output.lines(
                client.projects.list(trashed=True if trashed else None),
                as_json,
                ["project", "name", "role", "owner"],
                lambda project: [project.slug, project.name, project.role, project.team],
            )
        elif "/" not in thing.rstrip("/") and not _is_version(thing):
            project = thing.rstrip("/")
            found = (
                client.versions.list(project=project, trashed="only") if trashed else client.projects.datasets(project)
            )
            output.lines(
                found,
                as_json,
                ["dataset", "version", "kind", "state", "files", "size", "changed"],
                lambda row: [
                    row.slug,
                    f"{row.number or '?'}.{row.revision}",
                    row.kind.value,
                    row.state.value,
                    row.entries,
                    output.size(row.size),
                    row.updated_at,
                ],
            )
        elif recursive:
            pin = _pin(client, thing)
            output.lines(client.versions.entries(pin), as_json, _columns(long), lambda entry: _file_row(entry, long))
        else:
            _ls_level(client, _pin(client, thing), long, as_json)


def _is_version(text: str) -> bool:
    from entrepot.model import ids

    found = ids.parse_any(text)
    return bool(found) and found[0].noun is not ids.Noun.PROJECT


def _pin(client: Client, thing: str) -> Pin:
    from entrepot.client.pins import pin

    return pin(client.transport, thing)


def _ls_level(client: Client, pin: Pin, long: bool, as_json: bool) -> None:
    from entrepot.model.errors import EntryNotFound

    rows: list[Any] = []
    try:
        rows = list(client.versions.folder(pin))
    except EntryNotFound:
        if pin.path is None:
            raise
    if not rows and pin.path is not None:
        # A file by itself; when there is none either, its error says so.
        entry = client.versions.entry(pin)
        output.lines([entry], as_json, _columns(long), lambda row: _file_row(row, long))
        return
    output.lines(
        rows,
        as_json,
        _columns(long),
        lambda row: _file_row(row.entry, long, row.name) if row.entry is not None else [f"{row.name}/"],
    )


def _columns(long: bool) -> list[str]:
    return ["path", "size", "added", "type", "sha256"] if long else ["path", "size"]


def _file_row(entry: Entry, long: bool, name: str | None = None) -> list[Any]:
    row: list[Any] = [name or entry.path, output.size(entry.size)]
    return [*row, entry.added_at, entry.data_type or entry.media_type, entry.sha256] if long else row


@app.command()
def cat(
    file: File,
    start: Annotated[int | None, typer.Option("--from", help="First byte, counted from 0.")] = None,
    end: Annotated[int | None, typer.Option("--to", help="The byte to stop before.")] = None,
) -> None:
    """Write a file of a dataset to standard output.

    \b
    Examples:
      entrepot cat lab/penguins/README.txt
      entrepot cat lab/penguins@3.17/penguins.csv | head
    """
    out = sys.stdout.buffer
    with connected() as client, client.data.open(file) as opened:
        opened.seek(start or 0)
        left = None if end is None else max(0, end - (start or 0))
        while left is None or left > 0:
            block = opened.read(1 << 20 if left is None else min(1 << 20, left))
            if not block:
                break
            out.write(block)
            left = None if left is None else left - len(block)
        out.flush()


@app.command()
def rm(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="project/dataset[@version]/path")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders, with all below them.")] = False,
    message: Message = "",
    as_json: AsJson = False,
) -> None:
    """Remove files from a dataset, as one new revision. Older revisions keep them.

    All files have to be of one dataset. A whole version goes with `entrepot trash`.

    \b
    Examples:
      entrepot rm lab/penguins/notes.md
      entrepot rm -r lab/penguins/raw -m "Raw data moved to lab/penguins-raw"
    """
    from entrepot.wire.messages.entries import Remove

    with connected() as client:
        pins = [_pin(client, file) for file in files]
        changes: list[Change] = [
            Remove(op="remove", path=_path(pin, "entrepot trash"), recursive=recursive) for pin in pins
        ]
        if len({pin.version for pin in pins}) > 1:
            raise Invalid("These files are of several datasets, and a revision is of one. Do it dataset by dataset.")
        done = client.versions.commit(pins[0].version, changes, message=message)
    _say(done, as_json, f"removed {len(changes):,}")


@app.command()
def mv(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file, a folder or a whole dataset.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Its new place; of a file in the same dataset.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="FROM is a folder.")] = False,
    message: Message = "",
    as_json: AsJson = False,
) -> None:
    """Rename a file or folder of a dataset; or give a version another name or project.

    TO may be a path in the same dataset, or be written in full.

    \b
    Examples:
      entrepot mv lab/penguins/READ.ME README.txt
      entrepot mv -r lab/penguins/raw lab/penguins/original
      entrepot mv lab/penguins museum/penguins          to another project
    """
    from entrepot.wire.messages.entries import Rename

    with connected() as client:
        pin = _pin(client, source)
        if pin.path is None:
            _move_version(client, pin, target, as_json)
            return
        new = _target_path(client, pin, target)
        change = Rename(op="rename", source=pin.path, target=new, recursive=recursive)
        done = client.versions.commit(pin.version, [change], message=message)
    _say(done, as_json, f"{pin.path} is {new} now")


def _move_version(client: Client, pin: Pin, target: str, as_json: bool) -> None:
    from entrepot.model.references import parse_reference

    wished = parse_reference(target)
    if wished.path is not None or wished.version is not None:
        raise Invalid(f"{target!r} is no place for a whole dataset. Write project/name.")
    record = pin.record
    if wished.project == record.project_slug:
        moved = client.versions.update(pin, name=wished.dataset, numbering="keep_else_next")
    else:
        moved = client.versions.update(pin, project=wished.project, name=wished.dataset, numbering="keep_else_next")
    if as_json:
        output.emit(moved)
    else:
        output.line(f"{pin.reference} is {moved.project_slug}/{moved.label} now.")


@app.command()
def cp(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file, or a whole version.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="A path, or project/dataset for a whole version.")],
    message: Message = "",
    as_json: AsJson = False,
) -> None:
    """Copy at the server; no bytes travel and none are stored twice.

    A whole version becomes the next version of the dataset TO, or its first. Without write permission there the copy
    is a proposal.

    \b
    Examples:
      entrepot cp lab/penguins@3.17/penguins.csv museum/birds/penguins.csv
      entrepot cp lab/penguins/a.csv b.csv
      entrepot cp lab/penguins@2 lab/penguins-2009
    """
    from entrepot.model.references import parse_reference
    from entrepot.wire.messages.entries import Add, Source

    with connected() as client:
        pin = _pin(client, source)
        if pin.path is None:
            wished = parse_reference(target)
            same = (wished.project, wished.dataset) == (pin.record.project_slug, pin.record.slug)
            made = client.versions.copy(
                pin,
                revision=pin.revision,
                project=wished.project,
                name=None if same else wished.dataset,
                numbering="next",
            )
            if as_json:
                output.emit(made)
            else:
                output.line(f"{made.project_slug}/{made.label}{' (a proposal)' if made.proposal else ''}")
            return
        home = _pin(client, target) if "/" in target and _names_version(target) else pin.at(target)
        path = home.path or pin.path.rpartition("/")[2]
        content = Source(version=pin.version, revision=pin.revision, path=pin.path)
        change = Add(op="add", path=path, source=content)
        done = client.versions.commit(home.version, [change], message=message)
    _say(done, as_json, f"{path} is a copy of {pin.reference}")


def _names_version(text: str) -> bool:
    """Whether a target is written in full: `raw/a.csv` could be one, so the project has to be there."""
    from entrepot.client.pins import is_reference

    return is_reference(text)


def _target_path(client: Client, pin: Pin, target: str) -> str:
    """A new path in the dataset of `pin`, written short or in full."""
    prefixes = (f"{pin.record.project_slug}/{pin.record.slug}/", f"{pin.record.project_slug}/{pin.record.slug}@")
    if target.startswith(prefixes):
        found = _pin(client, target)
        if found.version != pin.version:
            raise Invalid("A file is renamed inside its dataset. Copy it with `entrepot cp`, then remove it.")
        return _path(found, "entrepot mv")
    if pin.at(target).path is None:
        raise Invalid("Name the new path.")
    return target


def _path(pin: Pin, instead: str) -> str:
    if pin.path is None:
        raise Invalid(f"{pin.reference} is a whole version, not a file in it. For that there is `{instead}`.")
    return pin.path


def _say(done: Committed, as_json: bool, what: str) -> None:
    if as_json:
        output.emit(done)
    else:
        output.line(f"{done.version.project_slug}/{done.version.label}: {what}.")
