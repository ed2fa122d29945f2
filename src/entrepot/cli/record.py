"""`entrepot set`, `tag`, `freeze`, `trash` and their like: the record of a version, and its life."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Reference, Yes, confirm, connected
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.wire.messages.versions import Version

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("set")
def set_(
    thing: Reference,
    name: Annotated[str | None, typer.Option(help="Move it to the dataset of this name.")] = None,
    project: Annotated[str | None, typer.Option(help="Move it to this project.")] = None,
    collection: Annotated[str | None, typer.Option(help="A path in the project; '' is its root.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    licence: Annotated[str | None, typer.Option(help="Name or id.")] = None,
    visibility: Annotated[str | None, typer.Option(help="private, listed (record only) or public.")] = None,
    tags: Annotated[str | None, typer.Option(help="All tags, with commas between them; '' for none.")] = None,
    custom: Annotated[str | None, typer.Option(help="Custom metadata as a JSON object; replaces the whole.")] = None,
    alias: Annotated[str | None, typer.Option(help="A short name in the project; '' for none.")] = None,
    slug: Annotated[str | None, typer.Option(help="The dataset's name in references.")] = None,
    expires: Annotated[str | None, typer.Option(help="A time, or '' for never.")] = None,
    as_json: AsJson = False,
) -> None:
    """Edit the record of a version; what is not given stays as it is. Its files do not change.

    \b
    Examples:
      entrepot set lab/penguins --description "Palmer Station, 2007-2009" --tags birds,antarctica
      entrepot set lab/penguins --visibility public --licence "CC0 1.0"
      entrepot set lab/penguins --custom '{"station": "Palmer"}'
    """
    from entrepot.model.values import Visibility

    changes: dict[str, Any] = {}
    for field, value in (
        ("name", name),
        ("project", project),
        ("collection", collection),
        ("description", description),
        ("licence", licence),
    ):
        if value is not None:
            changes[field] = value
    if name is not None or project is not None:
        changes["numbering"] = "keep_else_next"
    if visibility is not None:
        if visibility not in {known.value for known in Visibility}:
            raise Invalid(f"{visibility!r} is no visibility. Use private, listed or public.")
        changes["visibility"] = Visibility(visibility)
    if tags is not None:
        changes["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    if custom is not None:
        changes["custom"] = _object(custom)
    if alias is not None:
        changes["alias"] = alias or None
    if expires is not None:
        changes["expires_at"] = moment(expires) if expires else None
    if not changes and slug is None:
        raise Invalid("Nothing to change was given. `entrepot set --help` lists what can be.")
    with connected() as client:
        record = client.versions.get(thing)
        if slug is not None:
            record = client.versions.set_slug(record, slug)
        if changes:
            record = client.versions.update(record, **changes)
    _say(record, as_json, "changed")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Invalid(f"--custom is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Invalid('--custom is not a JSON object. Write it as in \'{"station": "Palmer"}\'.')
    return found


def moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise Invalid(f"{text!r} is no time. Write it as in 2027-01-31 or 2027-01-31T12:00.") from None


@app.command()
def tag(
    thing: Reference,
    add: Annotated[list[str] | None, typer.Option("--add", "-a", help="May be given several times.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", "-r", help="May be given several times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show, add and remove tags.

    \b
    Examples:
      entrepot tag lab/penguins
      entrepot tag lab/penguins --add birds --remove draft
    """
    with connected() as client:
        record, seen = client.versions.get_tagged(thing)
        if add or remove:
            kept = [known for known in record.tags if known not in (remove or [])]
            kept += [new for new in add or [] if new not in kept]
            # Somebody else may edit between our reading and our writing: then nothing is written, and they keep theirs.
            record = client.versions.update(record, if_match=seen, tags=kept)
    if as_json:
        output.emit(record)
    else:
        output.line(", ".join(record.tags) or "no tags")


@app.command()
def freeze(thing: Reference, as_json: AsJson = False) -> None:
    """Let a version take no more content. Its record can still be edited; the next push starts the next version.

    \b
    Example:
      entrepot freeze lab/penguins@3
    """
    with connected() as client:
        _say(client.versions.freeze(thing), as_json, "frozen")


@app.command()
def unfreeze(thing: Reference, as_json: AsJson = False) -> None:
    """Let a frozen version take content again. Needs admin permission.

    \b
    Example:
      entrepot unfreeze lab/penguins@3
    """
    with connected() as client:
        _say(client.versions.unfreeze(thing), as_json, "takes content again")


@app.command()
def accept(thing: Reference, as_json: AsJson = False) -> None:
    """Make a reader's proposal an ordinary version, which bare names then mean if it is the newest.

    \b
    Example:
      entrepot accept lab/penguins@4
    """
    with connected() as client:
        _say(client.versions.accept(thing), as_json, "accepted")


@app.command()
def merge(
    target: Annotated[str, typer.Argument(metavar="INTO", help="The version that takes the files.")],
    source: Annotated[str, typer.Argument(metavar="FROM", help="The version whose files are added.")],
    delete: Annotated[bool, typer.Option("--delete", help="Put FROM into the trash afterwards.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add the files of one version to another, as one revision.

    \b
    Example:
      entrepot merge lab/penguins lab/penguins-2009
    """
    with connected() as client:
        done = client.versions.merge(target, source, delete=delete)
    if as_json:
        output.emit(done)
    else:
        output.line(f"{done.version.project_slug}/{done.version.label} holds {done.revision.entries:,} files now.")


@app.command()
def trash(
    things: Annotated[list[str], typer.Argument(metavar="THING...", help="Versions.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "deleted",
    as_json: AsJson = False,
) -> None:
    """Put versions into the trash: hidden from lists, nothing lost, `entrepot reinstate` brings them back.

    \b
    Examples:
      entrepot trash lab/penguins@2
      entrepot trash lab/old-run --reason "superseded by lab/new-run"
    """
    with connected() as client:
        records = [client.versions.trash(thing, reason) for thing in things]
    if as_json:
        output.emit(records if len(records) != 1 else records[0])
        return
    for record in records:
        output.line(
            f"{record.project_slug}/{record.label} is in the trash. Bring it back: entrepot reinstate {record.id}"
        )


@app.command()
def reinstate(thing: Reference, as_json: AsJson = False) -> None:
    """Take a version out of the trash, by its id.

    \b
    Examples:
      entrepot ls lab --trashed
      entrepot reinstate ver_0190b2c4…
    """
    with connected() as client:
        _say(client.versions.reinstate(thing), as_json, "is back")


@app.command()
def purge(
    thing: Reference,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many bytes that frees.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a version for good: record, files and history. Needs admin permission.

    Bytes that another version shares stay. What becomes free is given back by `entrepot gc`, which a worker runs.

    \b
    Examples:
      entrepot purge ver_0190b2c4… --dry-run
      entrepot purge lab/penguins@2 --yes
    """
    with connected() as client:
        record = client.versions.get(thing)
        frees = client.versions.frees(record)
        label = f"{record.project_slug}/{record.label}"
        if dry_run:
            if as_json:
                output.emit({**output.plain(record), "frees": frees})
            else:
                output.line(f"{label} would be gone; frees {output.size(frees)}.")
            return
        confirm(f"Remove {label} for good? That frees {output.size(frees)}.", yes)
        gone = client.versions.purge(record)
    if as_json:
        output.emit({**output.plain(gone), "frees": frees})
    else:
        output.line(f"{label} is gone; {output.size(frees)} become free.")


def _say(record: Version, as_json: bool, what: str) -> None:
    if as_json:
        output.emit(record)
    else:
        output.line(f"{record.project_slug}/{record.label}: {what}.")
