"""`entrepot table …`: typed tables, their rows, and SQL over them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from entrepot.cli import output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, Reference, connected
from entrepot.model.columns import rules_of
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.wire.messages.versions import Version

app = typer.Typer(
    name="table",
    help="Tables of typed columns and rows: made of files, checked row by row, read by page and by SQL.",
    rich_markup_mode=None,
    add_completion=False,
)

#: Characters of a cell that a table shows.
_SHOWN = 40

Columns = Annotated[list[str] | None, typer.Option("--column", "-c", help="Only this column; may be repeated.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the dataset; a name in use gets the next version.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="One table in this order.")],
    project: Annotated[str | None, typer.Option(help="Id or slug; your default project otherwise.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="A file with columns, or with a Frictionless Table Schema, as JSON.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the fields; found out otherwise.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as windows-1252; found out otherwise.")] = None,
    null: Annotated[list[str] | None, typer.Option("--null", help="A cell that means no value, such as NA.")] = None,
    header: Annotated[bool, typer.Option(help="The first row names the columns.")] = True,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook; the first otherwise.")] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Publish the good rows without the bad ones.")
    ] = False,
    description: Annotated[str, typer.Option()] = "",
    as_json: AsJson = False,
) -> None:
    """Send files and have every row of them checked. Bad rows are listed, and then the exit code is 6.

    \b
    Examples:
      entrepot table create "Plate 7" plate7.csv --project lab
      entrepot table create Readings jan.csv feb.csv --null NA --schema readings.json
    """
    rules: dict[str, Any] = _schema(schema)
    given = {"delimiter": delimiter, "encoding": encoding, "null_values": null, "sheet": sheet}
    rules |= {key: value for key, value in given.items() if value}
    rules |= {} if header else {"header": False}
    rules |= {"quarantine": True} if quarantine else {}
    fields: dict[str, Any] = {"project": project} if project is not None else {}
    fields |= {"description": description} if description else {}
    with connected() as client, _bad_rows_listed(as_json):
        made = client.tables.create_from_file(name, list(files), rules=rules or None, timeout_s=None, **fields)
    if as_json:
        output.emit(made)
    else:
        _say(made)
        for note in (made.report or {}).get("notes", ()):
            output.note(note)


@app.command()
def append(
    thing: Reference,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Rows, in this order.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="A file with new columns, and with those that are to be wider, as JSON.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Of a column; may be repeated.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The files take the place of those that are there.")
    ] = False,
    expected: Annotated[int | None, typer.Option(help="Refuse if the table is at another revision by now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add rows behind those that are there, as a new revision; or only add, widen or rename columns.

    Bad rows are listed, the table stays as it was, and the exit code is 6.

    \b
    Examples:
      entrepot table append lab/plate-7 march.csv april.csv
      entrepot table append lab/plate-7 --rename sig=signal --schema wider.json
      entrepot table append lab/plate-7 all.csv --replace --expected 3
    """
    renamed = {}
    for said in rename or ():
        old, found, new = said.partition("=")
        if not (old and found and new):
            raise Invalid(f"--rename {said!r} is not OLD=NEW.")
        renamed[old] = new
    with connected() as client, _bad_rows_listed(as_json):
        made = client.tables.append(
            thing,
            list(files or ()),
            columns=rules_of(_schema(schema)).columns or (),
            renamed=renamed,
            replace=replace,
            expected=expected,
            timeout_s=None,
        )
    if as_json:
        output.emit(made)
    else:
        _say(made)


@contextlib.contextmanager
def _bad_rows_listed(as_json: bool) -> Iterator[None]:
    """Show the rows because of which nothing was published, and end with the code that says so."""
    try:
        yield
    except Invalid as error:
        if not error.errors:
            raise
        if as_json:
            output.emit({"message": str(error), "errors": error.errors})
        else:
            output.note(f"Nothing was published: {error}")
            output.table(["file", "row", "column", "rule", "value"], _bad(error.errors))
        raise Partial from None


def _schema(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} is no schema: {error}.") from None
    if isinstance(found, list):
        return {"columns": found}
    if not isinstance(found, dict):
        raise Invalid(f"{file} is no schema: it is neither an object nor a list.")
    return found


def _bad(errors: Any) -> Any:
    return ([bad["part"], bad["row"], bad["column"], bad["rule"], bad["excerpt"]] for bad in errors if "rule" in bad)


@app.command()
def show(thing: Reference, as_json: AsJson = False) -> None:
    """Show what a table is: its columns and types, how many rows, what its check said.

    \b
    Example:
      entrepot table show lab/plate-7
    """
    with connected() as client:
        found = client.tables.get(thing)
        schema = client.tables.schema(thing) if found.revision else None
    if as_json:
        output.emit({"version": found, "schema": schema})
        return
    _say(found)
    if schema is not None:
        output.table(
            ["column", "type", "values"],
            (
                [one.name, f"{one.type} list" if one.list else one.type, "may be missing" if one.nullable else "always"]
                for one in schema.columns
            ),
        )


@app.command()
def head(
    thing: Reference,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many rows.")] = 10,
    first: Annotated[int, typer.Option(min=0, help="The number of the first, from 0.")] = 0,
    where: Annotated[str | None, typer.Option(help="""Such as 'age >= 18 and name == "Ann"'.""")] = None,
    sort: Annotated[str | None, typer.Option(help="A column; -column begins with the greatest.")] = None,
    column: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Look at some rows.

    \b
    Examples:
      entrepot table head lab/plate-7
      entrepot table head lab/plate-7 --first 1000000 -n 5 -c well -c signal
      entrepot table head lab/plate-7 --sort=-signal --where 'well is not null'
    """
    with connected() as client:
        found = client.tables.page(thing, first=first, limit=limit, columns=column, where=where, sort=sort)
    if as_json:
        output.emit(found)
        return
    output.table(
        ["row", *(one.name for one in found.columns)], ([row.n, *map(_cell, row.values)] for row in found.rows)
    )
    output.note(f"{len(found.rows):,} of {found.total:,} rows.")


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT.")],
    table: Annotated[
        list[str] | None, typer.Option("--table", "-t", help="NAME=REFERENCE: what the query calls a table.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many rows.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask tables with SQL: one SELECT, which can read the tables that are named and nothing else.

    \b
    Example:
      entrepot table query "SELECT well, avg(signal) FROM p GROUP BY well" -t p=lab/plate-7
    """
    named: dict[str, Any] = {}
    for one in table or ():
        name, equals, reference = one.partition("=")
        if not equals or not reference:
            raise Invalid(f"{one!r} does not say what a table is called. Write NAME=REFERENCE.")
        named[name] = reference
    with connected() as client:
        found = client.tables.query(sql, named, limit=limit)
    if as_json:
        output.emit(found)
        return
    output.table(found.columns, (list(map(_cell, row)) for row in found.rows))
    if found.more:
        output.note("There are more rows.")


@app.command()
def diff(
    thing: Reference,
    by: Annotated[list[str] | None, typer.Option(help="A column that tells rows apart; may be repeated.")] = None,
    base: Annotated[
        str | None, typer.Option(help="A revision number, or another version; the revision before otherwise.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=1000, help="Rows that are shown.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show which rows were added, removed or changed, and in which cells.

    \b
    Example:
      entrepot table diff lab/plate-7@2 --by well --base lab/plate-7@1
    """
    with connected() as client:
        other = int(base) if base is not None and base.isdecimal() else base
        found = client.tables.diff(thing, by or (), base=other, limit=limit)
    if as_json:
        output.emit(found)
        return
    output.table(
        ["change", "key", "cells"],
        (
            [row.change, _cell(row.key), ", ".join(f"{name}: {_change(cell)}" for name, cell in row.cells.items())]
            for row in found.rows
        ),
    )
    for name in found.columns_added:
        output.note(f"Column {name!r} was added.")
    for name in found.columns_removed:
        output.note(f"Column {name!r} was removed.")
    output.note(f"{found.added:,} rows added, {found.removed:,} removed, {found.changed:,} changed.")


def _change(cell: dict[str, Any]) -> str:
    if "before" in cell and "after" in cell:
        return f"{_cell(cell['before'])} → {_cell(cell['after'])}"
    return _cell(cell.get("before", cell.get("after")))


@app.command()
def export(
    thing: Reference,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file: .csv, .parquet, .arrow or .ndjson.")],
    format: Annotated[str | None, typer.Option(help="Where the suffix does not say it.")] = None,
    column: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Write all rows into a file.

    \b
    Example:
      entrepot table export lab/plate-7 plate7.parquet
    """
    if file.exists():
        raise Invalid(f"{file} is there already. Name a new file.")
    if format not in (None, "csv", "parquet", "arrow", "ndjson"):
        raise Invalid(f"There is no format {format!r}. There are csv, parquet, arrow and ndjson.")
    chosen = cast("Literal['csv', 'parquet', 'arrow', 'ndjson'] | None", format)
    with connected() as client:
        size = client.tables.export(thing, file, format=chosen, columns=column)
    if as_json:
        output.emit({"file": file, "bytes": size})
    else:
        output.line(f"{file}: {output.size(size)}")


@app.command()
def stats(thing: Reference, column: Columns = None, as_json: AsJson = False) -> None:
    """Show what columns hold: missing and different values, bounds, means, a histogram.

    \b
    Example:
      entrepot table stats lab/plate-7 -c signal
    """
    with connected() as client:
        found = client.tables.statistics(thing, column)
    if as_json:
        output.emit(found)
        return
    output.table(
        ["column", "type", "missing", "different", "least", "most", "mean", "values"],
        (
            [
                one.name,
                one.type,
                one.nulls,
                one.distinct,
                _cell(one.min),
                _cell(one.max),
                "" if one.mean is None else f"{one.mean:g}",
                _bars(one.histogram) or ", ".join(_cell(v["value"]) for v in one.frequent[:3]),
            ]
            for one in found.columns
        ),
    )


def _bars(histogram: list[dict[str, Any]]) -> str:
    most = max((bar["rows"] for bar in histogram), default=0)
    return "".join("▁▂▃▄▅▆▇█"[min(7, bar["rows"] * 8 // (most + 1))] for bar in histogram)


@app.command()
def rejects(thing: Reference, as_json: AsJson = False) -> None:
    """List the bad rows of the newest check.

    \b
    Example:
      entrepot table rejects ver_0190b2c4…
    """
    with connected() as client:
        found = client.tables.rejects(thing)
    bad = ([one.part, one.row, one.column, one.rule, one.excerpt] for one in found.errors)
    output.refused(found, as_json, ["file", "row", "column", "rule", "value"], bad)


def _say(found: Version) -> None:
    output.details(
        [
            ("table", found.id),
            ("name", f"{found.project_slug}/{found.label}"),
            ("state", found.state.value),
            ("rows", found.items),
            ("size", output.size(found.size)),
            ("check", (found.report or {}).get("message")),
            ("trash", found.trash.reason if found.trash else None),
        ]
    )
