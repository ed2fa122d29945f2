"""`entrepot show`, `versions`, `resolve`: what a name or an id means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Reference, connected

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.wire.messages.data_types import Report
    from entrepot.wire.messages.projects import Project, ProjectDetail
    from entrepot.wire.messages.resolve import Resolved
    from entrepot.wire.messages.versions import Integrity, Version

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Anything = Annotated[
    str, typer.Argument(metavar="THING", help="A reference, a project, or the id of anything at any door (ufdl:12 …).")
]


@app.command()
def show(thing: Anything, as_json: AsJson = False) -> None:
    """Show a thing by any of its names: a reference, a project, or the id that any door knows it by.

    \b
    Examples:
      entrepot show lab/penguins
      entrepot show lab/penguins@3/penguins.csv
      entrepot show dset_0190b2c4… --json     "ids" has the id at every door
      entrepot show flow:12
    """
    with connected() as client:
        found, path = _resolved(client, thing)
        entry = integrity = report = None
        if path is not None and found.version is not None:
            entry = client.versions.entry(_pinned(found), path)
            report = client.data_types.report(_pinned(found), path).report
        elif found.version is not None:
            integrity = _integrity(client, _pinned(found))
        project = client.projects.get(found.project.id) if found.project is not None else None
    if as_json:
        answer = output.plain(found)
        answer |= {"path": path, "entry": output.plain(entry)} if entry is not None else {}
        answer |= {"integrity": output.plain(integrity)} if integrity is not None else {}
        answer |= {"report": output.plain(report)} if report is not None else {}
        answer |= {"project": output.plain(project)} if project is not None else {}
        output.emit(answer)
        return
    if entry is not None and found.version is not None:
        output.details(
            [
                ("file", entry.path),
                ("of", f"{found.version.project_slug}/{found.version.slug}@{found.version.number}.{entry.revision}"),
                ("size", f"{output.size(entry.size)} ({entry.size:,} bytes)"),
                ("sha256", entry.sha256),
                ("media type", entry.media_type),
                ("data type", entry.data_type),
                *report_details(report),
                ("text", entry.metadata),
                ("added", output.when(entry.added_at)),
                ("by", entry.added_by),
            ]
        )
    elif found.version is not None:
        output.details(version_details(found.version, found.revision))
        if integrity is not None:
            output.details(integrity_details(integrity))
    elif project is not None:
        output.details(project_details(project))
    else:
        output.details([("thing", found.thing), ("id", found.id)])
    output.details((f"id at {door}", identity) for door, identity in found.ids.items())


def _resolved(client: Client, thing: str) -> tuple[Resolved, str | None]:
    """What a thing is, and the path in it. A bare word is a project."""
    from entrepot.client.pins import split
    from entrepot.model import ids

    text = thing.rstrip("/")
    if "/" not in text and not ids.parse_any(text):
        return client.resolve(client.projects.get(text).id), None
    head, path = split(text)
    found = client.resolve(head)
    return found, path or found.path


def _pinned(found: Resolved) -> Any:
    from entrepot.client.pins import Pin

    assert found.version is not None
    revision = found.version.revision if found.revision is None else found.revision
    return Pin(found.version.id, revision, found.version)


def report_details(report: Report | None) -> Iterator[tuple[str, Any]]:
    """What was found out about a file's bytes, in a few lines."""
    if report is None:
        yield "check", "not examined yet"
        return
    yield "is really", report.recognised if report.recognised != report.examined_as else None
    yield "check", report.standing if not report.found else f"{report.standing}: {report.found} findings"
    for finding in report.findings[:5]:
        yield "", finding.message
    if isinstance(report.facts, dict):
        for name, value in report.facts.items():
            yield name.replace("_", " "), value


def version_details(version: Version, revision: int | None = None) -> Iterator[tuple[str, Any]]:
    """What a person wants to know of a version, first things first."""
    shown = version.revision if revision is None else revision
    yield "dataset", f"{version.project_slug}/{version.slug}"
    yield "name", version.name
    yield "version", f"{version.number if version.number is not None else 'none yet'}, revision {shown}"
    if shown != version.revision:
        yield "newest revision", version.revision
    yield "kind", version.kind.value
    state = version.state.value
    yield "state", f"{state} ({version.stage.value})" if version.stage is not None else state
    yield "holds", f"{version.entries:,} files, {output.size(version.size)}"
    yield "rows", f"{version.items:,}" if version.items is not None else None
    yield "data type", version.data_type
    yield "description", version.description
    yield "tags", version.tags
    yield "licence", version.licence
    yield "visibility", version.visibility.value
    yield "alias", version.alias
    yield "collection", version.collection_path
    yield "custom", version.custom
    yield "frozen", output.when(version.frozen_at)
    yield "proposal", "yes" if version.proposal else None
    yield "copied from version", version.previous_version
    yield "in the trash", f"since {output.when(version.trash.at)}: {version.trash.reason}" if version.trash else None
    yield "expires", output.when(version.expires_at)
    yield "made", f"{output.when(version.created_at)}{f' by {version.creator}' if version.creator else ''}"
    yield "changed", output.when(version.updated_at)
    yield "you may", version.role


def _integrity(client: Client, pinned: Any) -> Integrity | None:
    """None to whom only the record is shown."""
    from entrepot.model.errors import Forbidden, NotFound

    try:
        return client.versions.integrity(pinned)
    except (Forbidden, NotFound):
        return None


def integrity_details(found: Integrity) -> Iterator[tuple[str, Any]]:
    """When the stored bytes were last compared with their digests, and what came out."""
    if found.damaged:
        yield "damaged", f"{found.damaged:,} of {found.contents:,} contents; `entrepot verify` on the server names them"
    if not found.contents:
        return
    if found.last_checked is not None:
        yield "last checked", f"all of it since {output.when(found.last_checked)}"
    elif found.unread == found.contents:
        yield "last checked", "when it arrived, not again since"
    else:
        again = found.contents - found.unread
        yield "last checked", f"{again:,} of {found.contents:,} contents again since they arrived"


def project_details(project: Project | ProjectDetail) -> Iterator[tuple[str, Any]]:
    yield "project", project.slug
    yield "name", project.name
    yield "description", project.description
    yield "owner", project.team
    yield "default licence", project.default_licence
    yield "used", output.size(getattr(project, "used_bytes", None))
    yield "allocation", output.size(project.allocation)
    yield "in the trash", f"since {output.when(project.trash.at)}" if project.trash else None
    yield "made", output.when(project.created_at)
    yield "you may", project.role


@app.command()
def versions(
    thing: Reference,
    revisions: Annotated[
        bool, typer.Option("--revisions/--no-revisions", help="The revisions of each version too.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """List the versions of a dataset, newest first, with their revisions.

    \b
    Examples:
      entrepot versions lab/penguins
      entrepot versions lab/penguins@3            only version 3
      entrepot versions lab/penguins --no-revisions
    """
    from entrepot.client.pins import reference_of

    with connected() as client:
        reference = reference_of(thing)
        if reference is not None and reference.version is not None:
            rows = [client.versions.get(thing)]
        else:
            rows = sorted(client.datasets.get(thing).versions, key=lambda row: row.number or 0, reverse=True)
        history = {row.id: list(client.versions.revisions(row)) if revisions else [] for row in rows}
    if as_json:
        output.emit([{**output.plain(row), "revisions": output.plain(history[row.id])} for row in rows])
        return
    table: list[list[Any]] = []
    for row in rows:
        state = "frozen" if row.frozen_at else "proposal" if row.proposal else row.state.value
        latest = f"{row.number or '?'}.{row.revision}"
        if not revisions:
            table.append([latest, row.entries, output.size(row.size), row.updated_at, row.creator, state])
        table += [
            [
                f"{row.number or '?'}.{past.number}",
                past.entries,
                output.size(past.size),
                past.at,
                past.author,
                past.message if past.number != row.revision else f"{past.message}  [{state}]".strip(),
            ]
            for past in history[row.id]
        ]
    output.table(["version", "files", "size", "when", "who", "what"], table)


@app.command()
def resolve(thing: Anything, as_json: AsJson = False) -> None:
    """Say what an id or reference means, and the id by which each door knows it.

    \b
    Examples:
      entrepot resolve lab/penguins@3
      entrepot resolve dataset_0190b2c4-…  --json
    """
    with connected() as client:
        found, path = _resolved(client, thing)
    if as_json:
        output.emit({**output.plain(found), "path": path})
        return
    output.details([("thing", found.thing), ("id", found.id), ("revision", found.revision), ("path", path)])
    output.details((f"id at {door}", identity) for door, identity in found.ids.items())


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...")],
    project: Annotated[str | None, typer.Option(help="Only in this project.")] = None,
    kind: Annotated[str | None, typer.Option(help="files, table or records.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; may be given several times.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Find datasets by words in their names, descriptions, tags and metadata; best first.

    Conditions stand between the words: type:fastq and standing:bad (of files), facts.NAME: with a number, >1000,
    10..20, or a text (what was read out of files), kind:, tag:.

    \b
    Examples:
      entrepot search penguin flipper
      entrepot search adelie --project lab --tag antarctica
      entrepot search type:fastq 'facts.reads:>1000000' 'facts.read_length.max:150..300'
      entrepot search standing:bad --project lab
    """
    from itertools import islice

    with connected() as client:
        found = client.search(" ".join(words), project=project, kind=kind, tags=tag or [])
        output.lines(
            islice(found, limit),
            as_json,
            ["dataset", "kind", "description"],
            lambda row: [
                f"{row.version.project_slug}/{row.version.label}",
                row.version.kind.value,
                row.version.description.partition("\n")[0][:80],
            ],
        )
