"""`entrepot note …`: what whoever depends on a version should know."""

from __future__ import annotations

from typing import Annotated

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, Reference, connected

app = typer.Typer(
    name="note",
    help="Tell whoever depends on a version what they should know.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command()
def add(
    thing: Reference,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="At most 2,000 characters.")],
    as_json: AsJson = False,
) -> None:
    """Write a note at a version. Everything that came from it shows it too, also what is linked later.

    \b
    Example:
      entrepot note add lab/scans@3 "The detector was off by 2 % until May."
    """
    with connected() as client:
        found = client.versions.add_note(thing, text)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.project_slug}/{found.label} and whatever came from it show it from now on.")


@app.command("list")
def list_(thing: Reference, as_json: AsJson = False) -> None:
    """List the notes of a version, and those of all that it came from, nearest first.

    \b
    Example:
      entrepot note list lab/means
    """
    with connected() as client:
        found = client.versions.notes(thing)
    if as_json:
        output.emit(found)
        return
    columns = ["note", "of", "steps", "by", "when", "id"]
    rows = ([one.text, one.label, one.distance, one.author, one.written_at, one.id] for one in found.rows)
    output.table(columns, rows)
    if found.truncated:
        output.note("There may be more: the walk to its origins ended at the server's limit.")


@app.command()
def remove(
    thing: Reference,
    note: Annotated[str, typer.Argument(metavar="NOTE", help="Its id, as `entrepot note list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Remove a note at the version where it was written.

    \b
    Example:
      entrepot note remove lab/scans@3 0190b2c4…
    """
    with connected() as client:
        client.versions.remove_note(thing, note)
    if as_json:
        output.emit({"id": note, "deleted": True})
    else:
        output.line(f"{note} is gone.")
