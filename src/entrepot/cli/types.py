"""`entrepot type …` and `entrepot check`: what files are, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, Reference, connected

if TYPE_CHECKING:
    from entrepot.wire.messages.data_types import EntryReport

group = typer.Typer(name="type", help="Data types: list, show, set.", rich_markup_mode=None, add_completion=False)
app = typer.Typer(rich_markup_mode=None, add_completion=False)
app.add_typer(group, name="type")


@group.command()
def ls(as_json: AsJson = False) -> None:
    """List the data types that the server knows, and how many datasets are of each.

    \b
    Example:
      entrepot type ls
    """
    with connected() as client:
        listed, counts = client.data_types.list(), client.data_types.counts()
    if as_json:
        output.emit([{**output.plain(one), "versions": counts.get(one.identifier, 0)} for one in listed])
        return
    output.table(
        ["type", "name", "suffixes", "versions"],
        ([one.identifier, one.name, one.suffixes, counts.get(one.identifier, 0)] for one in listed),
    )


@group.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="TYPE", help="Such as fastq.")], as_json: AsJson = False
) -> None:
    """Show a data type.

    \b
    Example:
      entrepot type show ome-tiff
    """
    with connected() as client:
        found = client.data_types.get(identifier)
    if as_json:
        output.emit(found)
        return
    output.details(
        [
            ("type", found.identifier),
            ("name", found.name),
            ("description", found.description),
            ("suffixes", found.suffixes),
            ("media type", found.media_type),
            ("text", found.is_text),
            ("from", "the program" if found.is_own else "this server's settings"),
        ]
    )


@group.command("set")
def set_(
    thing: Reference,
    identifier: Annotated[str, typer.Argument(metavar="TYPE", help="Such as fastq.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what a file is, as a new revision of its dataset.

    \b
    Example:
      entrepot type set lab/run42/reads.txt fastq
    """
    from entrepot.client.pins import split
    from entrepot.model.errors import Invalid

    head, path = split(thing)
    if not path:
        raise Invalid(f"{thing!r} names no file. Write project/dataset/path.")
    with connected() as client:
        done = client.data_types.declare(head, {path: identifier}, message=message)
    if as_json:
        output.emit(done)
    else:
        output.line(f"{path} is {identifier.lower()} since revision {done.revision.number}.")


@app.command()
def check(
    thing: Reference,
    again: Annotated[
        bool, typer.Option("--again", help="Have every file examined once more, and wait for it.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="List good files too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which files of a dataset are not what they should be. The exit code is 6 if there are any.

    \b
    Examples:
      entrepot check lab/run42
      entrepot check lab/run42 --again --json
    """
    with connected() as client:
        if again:
            client.tasks.wait(client.data_types.check(thing))
        found = list(client.data_types.reports(thing))
    bad = [one for one in found if one.report is not None and one.report.standing in ("bad", "unfinished")]
    waiting = sum(one.report is None for one in found)
    shown = found if every else bad
    if as_json:
        output.emit(shown)
    else:
        output.table(["file", "type", "standing", "found", "first"], (_row(one) for one in shown))
        output.note(f"{len(found)} files: {len(bad)} with findings, {waiting} not examined yet.")
    if bad:
        raise Partial


def _row(one: EntryReport) -> list[Any]:
    if one.report is None:
        return [one.entry.path, one.entry.data_type, "not examined yet", "", ""]
    first = one.report.findings[0].message if one.report.findings else ""
    return [one.entry.path, one.entry.data_type, one.report.standing, one.report.found, first]
