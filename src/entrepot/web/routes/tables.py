"""A table's pages: its rows, what stands in its columns, questions in SQL, other forms, and why rows were refused.

Each is whole without a script; with one, the rows become a window over all of them, however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, cast
from uuid import UUID

from entrepot.depot import table_summaries, tables
from entrepot.depot.context import Depot
from entrepot.http.content import Representation, send_stream
from entrepot.http.disposition import disposition
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import InProgress, Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.ids import Noun
from entrepot.web import shown
from entrepot.web.about import about, key
from entrepot.web.context import Asked

__all__ = ["ROUTES"]

_ROWS: Final = 100
#: Rows of an answer to SQL that a page shows; a download has no such bound.
_ANSWER: Final = 500
#: Columns of one page of statistics.
_COLUMNS: Final = 50
#: The largest table that a browser is asked to send back for a change of cells, in bytes of its files.
_EDITABLE: Final = 64 << 20
_FORMS: Final = ("csv", "parquet", "arrow", "ndjson")


async def show(asked: Asked) -> None:
    """Rows from a number on, those that fit a condition, in an order."""
    wanted = key(asked.found["version"])
    first = asked.number("first") or 0
    where, sort, revision = asked.text("where"), asked.text("sort"), asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        top = about(depot, actor, wanted, "table")
        given: dict[str, Any] = {
            **top,
            "first": first,
            "where": where,
            "sort": sort,
            "revision": revision,
            "columns": (),
            "rows": (),
            "total": None,
            "next": None,
            "previous": max(0, first - _ROWS) if first and not where else None,
            "problem": None,
            "busy": False,
            "editable": False,
            "grid": {"id": ids.encode(Noun.VERSION, wanted), "types": ()},
        }
        try:
            schema = tables.schema(depot, actor, wanted, revision=revision)
        except NotFound as missing:
            return {**given, "problem": missing.message, "empty": True}
        given["columns"] = schema.columns
        given["total"] = schema.rows
        given["grid"]["types"] = [shown.type_name(one.type, many=one.list) for one in schema.columns]
        given["editable"] = (
            top["can_edit"]
            and revision in (None, top["v"].revision)
            and top["v"].frozen_at is None
            and top["v"].n_bytes <= _EDITABLE
        )
        try:
            page = tables.rows(
                depot, actor, wanted, first=first, limit=_ROWS, where=where, sort=sort, revision=revision
            )
        except InProgress as busy:
            return {**given, "problem": busy.message, "busy": True}
        except Invalid as wrong:
            return {**given, "problem": wrong.message}
        found = json.loads(page.body)
        types = [str(one.type) for one in schema.columns]
        given["rows"] = [
            (row["n"], [shown.cell(value, kind) for value, kind in zip(row["values"], types, strict=True)])
            for row in found["rows"]
        ]
        given["next"] = found["next"]
        return given

    await asked.page("table.html", work, public=True)


async def columns(asked: Asked) -> None:
    """What stands in the columns."""
    wanted = key(asked.found["version"])
    start, revision = asked.number("first") or 0, asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        top = about(depot, actor, wanted, "table")
        schema = tables.schema(depot, actor, wanted, revision=revision)
        names = [one.name or "" for one in schema.columns]
        chosen = names[start : start + _COLUMNS]
        said: Mapping[str, Any] = {"rows": schema.rows, "columns": []}
        busy: InProgress | None = None
        if chosen:
            try:
                said = table_summaries.summary(depot, actor, wanted, schema, columns=chosen, revision=revision)
            except InProgress as waiting:
                busy = waiting
        return {
            **top,
            "revision": revision,
            "rows": said["rows"],
            "columns": [_column(one, said["rows"]) for one in said["columns"]],
            "busy": None if busy is None else busy.message,
            "task": None if busy is None else ids.encode(Noun.TASK, UUID(str(busy.details["task"]))),
            "chosen": chosen,
            "all": len(names),
            "first": start,
            "next": start + _COLUMNS if start + _COLUMNS < len(names) else None,
        }

    await asked.page("table_columns.html", work, public=True)


def _column(one: Mapping[str, Any], rows: int) -> dict[str, Any]:
    histogram = one["histogram"]
    often = one["frequent"]
    # Of what is different in every row nothing is frequent.
    told = [] if often and int(often[0]["rows"]) <= 1 else often
    numeric = one["type"] in ("Int", "Float") and not one["list"]
    return {
        **one,
        "type": shown.type_name(one["type"], many=one["list"]),
        "filled": rows - int(one["nulls"]),
        "bars": shown.bars(histogram),
        "said": shown.in_words(histogram),
        "low": _bound(one["min"], numeric),
        "high": _bound(one["max"], numeric),
        "mean": shown.number(one["mean"]) if one["mean"] is not None else None,
        "deviation": shown.number(one["standard_deviation"]) if one["standard_deviation"] is not None else None,
        "frequent": [
            {"text": shown.cell(f["value"], one["type"], most=60), "rows": f["rows"], "part": 100 * f["rows"] / rows}
            for f in told[:8]
        ],
    }


def _bound(value: Any, numeric: bool) -> str | None:
    if value is None:
        return None
    return shown.number(value) if numeric and isinstance(value, (int, float)) else shown.cell(value, "", most=60).text


async def sql(asked: Asked) -> None:
    """A question and its answer. The table is called `t` in it."""
    wanted = key(asked.found["version"])
    question, revision = asked.text("sql"), asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        top = about(depot, actor, wanted, "table")
        schema = tables.schema(depot, actor, wanted, revision=revision)
        given: dict[str, Any] = {
            **top,
            "revision": revision,
            "sql": question,
            "columns": schema.columns,
            "names": (),
            "rows": (),
            "more": False,
            "problem": None,
            "example": _example(schema),
        }
        if question is None:
            return given
        try:
            answered = tables.query(depot, actor, question, {"t": (wanted, revision)}, limit=_ANSWER, arrow=False)
        except (Invalid, Unsupported, TooLarge) as wrong:
            return {**given, "problem": wrong.message}
        found = json.loads(answered.body)
        given["names"] = found["columns"]
        given["rows"] = [[shown.cell(value, _type_of(value)) for value in row] for row in found["rows"]]
        given["more"] = found["more"]
        return given

    await asked.page("table_sql.html", work, public=True)


def _type_of(value: Any) -> str:
    return "Float" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _example(schema: tables.Schema) -> str:
    """A question that this table can answer."""
    plain = [one for one in schema.columns if one.name and str(one.type) == "String" and not one.list]
    if not plain:
        return "SELECT * FROM t LIMIT 20"
    name = '"' + str(plain[0].name).replace('"', '""') + '"'
    return f"SELECT {name}, count(*) AS n\nFROM t\nGROUP BY {name}\nORDER BY n DESC\nLIMIT 20"


async def rejects(asked: Asked) -> None:
    """Why the newest check refused rows."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        top = about(depot, actor, wanted, "table")
        try:
            report: Mapping[str, Any] = tables.rejects(depot, actor, wanted).report
        except NotFound:
            report = {}
        return {
            **top,
            "message": str(report.get("message", "")),
            "good": int(report.get("rows", 0)),
            "bad": int(report.get("rejected_rows", 0)),
            "by_rule": dict(report.get("by_rule", {})),
            "notes": [str(one) for one in report.get("notes", ())],
            "errors": [bad for bad in report.get("errors", ()) if "rule" in bad],
        }

    await asked.page("table_rejects.html", work, public=True)


async def reject_file(asked: Asked) -> None:
    """All that is known of refused rows, as lines."""
    wanted = key(asked.found["version"])
    found = await asked.call(lambda depot, actor: tables.rejects(depot, actor, wanted))
    shape = Representation(media_type="application/x-ndjson", disposition=disposition("attachment", "rejects.ndjson"))
    await send_stream(asked.scope, asked.receive, asked.send, found.blocks, shape, executor=asked.context.executor)


async def export(asked: Asked) -> None:
    """All rows in another form."""
    wanted, revision = key(asked.found["version"]), asked.number("revision")
    form = asked.text("format") or "csv"
    if form not in _FORMS:
        raise Invalid(f"A table can be had as {', '.join(_FORMS)}, not as {form[:40]!r}.")
    chosen = cast(Literal["csv", "parquet", "arrow", "ndjson"], form)
    found = await asked.call(lambda depot, actor: tables.export(depot, actor, wanted, format=chosen, revision=revision))
    shape = Representation(
        media_type=tables.MEDIA_TYPES[chosen], disposition=disposition("attachment", found.file_name)
    )
    await send_stream(asked.scope, asked.receive, asked.send, found.blocks, shape, executor=asked.context.executor)


#: For the table of pages.
ROUTES: Final = {
    "/versions/{version}/table": {"GET": show},
    "/versions/{version}/table/columns": {"GET": columns},
    "/versions/{version}/table/sql": {"GET": sql},
    "/versions/{version}/table/rejects": {"GET": rejects},
    "/versions/{version}/table/rejects.ndjson": {"GET": reject_file},
    "/versions/{version}/table/export": {"GET": export},
}
