"""`entrepot records …`: files of newline-delimited JSON, and their items."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.cli.bars import task_shown
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, Reference, connected
from entrepot.cli.record import moment
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.wire.messages.versions import Version

app = typer.Typer(
    name="records",
    help="Files of newline-delimited JSON: every line is checked, and every item can be had by its number.",
    rich_markup_mode=None,
    add_completion=False,
)

#: Characters of an item that a table shows.
_SHOWN = 160

Count = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the dataset; a name in use gets the next version.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="NDJSON, one object a line; or a table (.csv, .tsv, .parquet, .arrow)."),
    ],
    project: Annotated[str | None, typer.Option(help="Id or slug; your default project otherwise.")] = None,
    schema: Annotated[Path | None, typer.Option(help="A file with a JSON Schema that every line has to fit.")] = None,
    lines: Annotated[str | None, typer.Option(help="A kind of lines, such as image.")] = None,
    description: Annotated[str, typer.Option()] = "",
    expires: Annotated[str | None, typer.Option(help="When it goes into the trash by itself.")] = None,
    wait: Annotated[bool, typer.Option(help="Until every line was checked.")] = True,
    as_json: AsJson = False,
) -> None:
    """Send a file and have every line of it checked. Bad lines are listed, and then the exit code is 6.

    \b
    Examples:
      entrepot records create "Batch 12" batch.ndjson --project lab
      entrepot records create Pictures pictures.ndjson --lines image --expires 2027-01-31
    """
    fields: dict[str, Any] = {}
    if project is not None:
        fields["project"] = project
    if description:
        fields["description"] = description
    if expires is not None:
        fields["expires_at"] = moment(expires)
    with connected() as client:
        made = client.records.create(name, file, schema=_schema(schema), lines=lines, **fields)
        _checked(client, made, wait, as_json)


@app.command("from-table")
def from_table(
    thing: Reference,
    name: Annotated[str, typer.Argument(help="Of the new records; a name in use gets the next version.")],
    path: Annotated[str | None, typer.Option(help="One of its files; all otherwise.")] = None,
    project: Annotated[str | None, typer.Option(help="Id or slug; where the table is otherwise.")] = None,
    schema: Annotated[Path | None, typer.Option(help="A file with a JSON Schema that every line has to fit.")] = None,
    wait: Annotated[bool, typer.Option(help="Until every line was checked.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make records of the tables that a version holds: a line for each row, a key for each column.

    \b
    Example:
      entrepot records from-table lab/measurements "Measured items" --path 2027/march.csv
    """
    with connected() as client:
        made = client.records.from_table(thing, name, path=path, project=project, schema=_schema(schema))
        _checked(client, made, wait, as_json)


@app.command("to-table")
def to_table(
    thing: Reference,
    name: Annotated[str, typer.Argument(help="Of the new table; a name in use gets the next version.")],
    project: Annotated[str | None, typer.Option(help="Id or slug; where the records are otherwise.")] = None,
    wait: Annotated[bool, typer.Option(help="Until every row was checked.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make a table of records. `entrepot records export` writes one into a file instead.

    \b
    Example:
      entrepot records to-table lab/batch-12 "Batch 12 as a table"
    """
    with connected() as client:
        made = client.records.to_table(thing, name, project=project)
        _checked(client, made, wait, as_json)


def _checked(client: Client, made: Version, wait: bool, as_json: bool) -> None:
    """Tell what became of a new version."""
    if wait:
        made = client.versions.wait(made)
    failed = made.state.value == "failed"
    if as_json:
        output.emit(made)
    elif not failed:
        _say(made)
    else:
        output.note(f"Nothing was published: {(made.report or {}).get('message')}")
        if made.kind.value == "records":
            output.table(["line", "byte", "what is wrong", "text"], _bad(client.records.rejects(made).errors))
    if failed:
        raise Partial


def _schema(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} is no JSON Schema: {error}.") from None
    if not isinstance(found, dict):
        raise Invalid(f"{file} is no JSON Schema: it is not an object.")
    return found


def _bad(errors: Any) -> Any:
    return ([bad.line, bad.offset, bad.detail, bad.excerpt] for bad in errors)


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option(help="Id or slug.")] = None,
    show_expired: Annotated[bool, typer.Option("--show-expired", help="Also those whose time is over.")] = False,
    limit: Count = 1000,
    page: Annotated[str | None, typer.Option(help="next_page or prev_page of another page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List records, newest first, a page at a time.

    \b
    Examples:
      entrepot records list --project lab
      entrepot records list --limit 20 --json
    """
    with connected() as client:
        found = client.records.list({"limit": limit, "page": page}, project=project, show_expired=show_expired)
    if as_json:
        output.emit({"data": found.data, "next_page": found.next_page, "prev_page": found.prev_page})
        return
    output.table(
        ["records", "name", "state", "items", "size", "expires"],
        ([one.id, one.name, one.state.value, one.items, output.size(one.size), one.expires_at] for one in found.data),
    )
    if found.next_page is not None:
        output.note(f"More: --page {found.next_page}")


@app.command()
def show(thing: Reference, as_json: AsJson = False) -> None:
    """Show the record: state, number of items, expiry, what its check said.

    \b
    Example:
      entrepot records show lab/batch-12
    """
    with connected() as client:
        found = client.records.get(thing)
    if as_json:
        output.emit(found)
    else:
        _say(found)


@app.command()
def wait(
    thing: Reference,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two questions at most.")] = 5.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 36_000.0,
    as_json: AsJson = False,
) -> None:
    """Wait until every line was found good; bad lines and a file that did not come are errors.

    \b
    Example:
      entrepot records wait ver_0190b2c4… --timeout 600
    """
    with connected() as client:
        found = client.records.wait_until_done(thing, interval, timeout)
    if as_json:
        output.emit(found)
    else:
        _say(found)


@app.command()
def delete(thing: Reference, as_json: AsJson = False) -> None:
    """Put records into the trash; `entrepot reinstate` brings them back.

    \b
    Example:
      entrepot records delete lab/batch-12
    """
    with connected() as client:
        done = client.records.delete(thing)
    if as_json:
        output.emit(done)
    else:
        output.line(f"{done.id} is in the trash. Bring it back: entrepot reinstate {done.id}")


@app.command()
def items(
    thing: Reference,
    first: Annotated[int, typer.Option(min=0, help="The number of the first, from 0.")] = 0,
    limit: Count = 100,
    where: Annotated[str | None, typer.Option(help="""Such as 'label.name == "cat" and score > 0.5'.""")] = None,
    as_json: AsJson = False,
) -> None:
    """Read items from a number on, or those that fit a condition.

    \b
    Examples:
      entrepot records items lab/batch-12 --first 10000000 --limit 5
      entrepot records items lab/batch-12 --where 'boxes[*].score > 0.9 and not reviewed' --json
    """
    with connected() as client:
        pages = client.records.item_pages(thing, first=first, where=where, limit=min(limit, 1000))
        rows = itertools.islice((row for page in pages for row in page.rows), limit)
        output.lines(rows, as_json, ["item", "text"], _row)


@app.command()
def sample(
    thing: Reference,
    count: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same items.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw items at random, the same ones for the same seed.

    \b
    Example:
      entrepot records sample lab/batch-12 --limit 20 --seed 7
    """
    with connected() as client:
        rows = client.records.sample(thing, count, seed=seed)
    output.lines(rows, as_json, ["item", "text"], _row)


def _row(row: Any) -> list[Any]:
    text = json.dumps(row.item, ensure_ascii=False)
    return [row.n, text if len(text) <= _SHOWN else text[:_SHOWN] + "…"]


@app.command()
def stats(
    thing: Reference,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="Items to look at; of more a sample.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Show which keys items have, how often, of which types and how far they reach.

    \b
    Example:
      entrepot records stats lab/batch-12
    """
    with connected() as client, task_shown("Reading") as told:
        found = client.records.statistics(thing, most=most, on_progress=told)
    if as_json:
        output.emit(found)
        return
    if found.looked_at < found.total:
        output.note(f"Of {found.looked_at:,} of {found.total:,} items, drawn at random.")
    output.table(
        ["key", "items", "types", "least", "most", "longest", "examples"],
        (
            [key.path, key.items, sorted(key.types), key.min, key.max, key.longest, key.examples[:3]]
            for key in found.keys
        ),
    )


@app.command()
def diff(
    thing: Reference,
    by: Annotated[str, typer.Option(help="The path of the key that tells items apart, such as id.")],
    base: Annotated[
        str | None, typer.Option(help="A revision number, or another version; the revision before otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which items were added, removed or changed.

    \b
    Example:
      entrepot records diff lab/batch@2 --by id --base lab/batch@1
    """
    with connected() as client:
        other = int(base) if base is not None and base.isdecimal() else base
        with task_shown("Reading") as told:
            found = client.records.diff(thing, by, base=other, on_progress=told)
    if as_json:
        output.emit(found)
        return
    output.table(
        ["change", "key", "before", "after"],
        ([row.change, row.key, row.before, row.after] for row in found.rows),
    )
    output.note(f"{found.added:,} added, {found.removed:,} removed, {found.changed:,} changed.")


@app.command()
def rejects(thing: Reference, as_json: AsJson = False) -> None:
    """List the bad lines of the newest check: number, place, reason.

    \b
    Example:
      entrepot records rejects ver_0190b2c4…
    """
    with connected() as client:
        found = client.records.rejects(thing)
    output.refused(found, as_json, ["line", "byte", "what is wrong", "text"], _bad(found.errors))


@app.command()
def export(
    thing: Reference,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A new file; .csv, .arrow and .parquet make a table, others lines.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write all items into a file: as a table with a column for each key, or as lines.

    \b
    Examples:
      entrepot records export lab/batch-12 batch.csv
      entrepot records export lab/batch-12 batch.parquet
    """
    if file.exists():
        raise Invalid(f"{file} is there already. Name a new file.")
    with connected() as client, task_shown("Reading") as told:
        size = client.records.export(thing, file, on_progress=told)
    if as_json:
        output.emit({"file": file, "bytes": size})
    else:
        output.line(f"{file}: {output.size(size)}")


def _say(found: Version) -> None:
    output.details(
        [
            ("records", found.id),
            ("name", f"{found.project_slug}/{found.label}"),
            ("state", found.state.value),
            ("items", found.items),
            ("size", output.size(found.size)),
            ("check", (found.report or {}).get("message")),
            ("expires", output.when(found.expires_at)),
            ("trash", found.trash.reason if found.trash else None),
        ]
    )
