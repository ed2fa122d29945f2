"""`entrepot licence …`: the terms under which data may be used."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.options import AsJson, connected
from entrepot.model.errors import Invalid

app = typer.Typer(name="licence", help="Licences.", rich_markup_mode=None, add_completion=False)

Licence = Annotated[str, typer.Argument(metavar="LICENCE", help="Name or id.")]
Url = Annotated[str | None, typer.Option(help="Where its text is.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the licences that datasets can have.

    \b
    Example:
      entrepot licence list
    """
    with connected() as client:
        output.lines(client.licences.list(), as_json, ["licence", "text"], lambda row: [row.name, row.url])


@app.command()
def show(licence: Licence, as_json: AsJson = False) -> None:
    """Show what a licence permits, asks for and excludes.

    \b
    Example:
      entrepot licence show "MIT"
    """
    with connected() as client:
        found = client.licences.get(licence)
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("licence", found.name),
            ("text", found.url),
            ("permits", found.permissions),
            ("asks for", found.conditions),
            ("excludes", found.limitations),
            ("for", found.domains),
            ("id", found.id),
        ]
    )


@app.command()
def create(name: Annotated[str, typer.Argument(metavar="NAME")], url: Url = None, as_json: AsJson = False) -> None:
    """Add a licence. Staff only.

    \b
    Example:
      entrepot licence create "Lab terms 2026" --url https://example.org/terms
    """
    with connected() as client:
        made = client.licences.create(name, url=url or "")
    if as_json:
        output.emit(made)
    else:
        output.line(f"Made licence {made.name} ({made.id}).")


@app.command("set")
def set_(
    licence: Licence,
    name: Annotated[str | None, typer.Option()] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Edit a licence. Staff only.

    \b
    Example:
      entrepot licence set "Lab terms 2026" --url https://example.org/terms-2
    """
    given = {"name": name, "url": url}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise Invalid("Nothing to change was given: --name or --url.")
    with connected() as client:
        found = client.licences.update(licence, **changes)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found.name}: changed.")


@app.command()
def delete(licence: Licence, as_json: AsJson = False) -> None:
    """Remove a licence that nothing uses. Staff only.

    \b
    Example:
      entrepot licence delete "Lab terms 2026"
    """
    with connected() as client:
        client.licences.delete(licence)
    if as_json:
        output.emit({"licence": licence, "deleted": True})
    else:
        output.line(f"{licence} is gone.")
