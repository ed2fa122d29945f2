"""What was found out about contents: one row for each content and each type that it was examined as.

A report belongs to the bytes, so that equal files are examined once, however many entries of however many people point
at them. It goes when the content goes, and can be made again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from entrepot.catalog import bulk, facts, queue
from entrepot.catalog.listing import page_at
from entrepot.catalog.schema import examination
from entrepot.catalog.schema.types import to_micros
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import point
from entrepot.catalog.words import word_texts
from entrepot.model import ids
from entrepot.model.data_types import Finding, Report, Standing

__all__ = ["JOB", "QUEUE", "ask", "find_many", "first_facts", "known", "put", "put_many"]

JOB = "examine"
QUEUE = "examine"

#: Of so many entries of a revision what was read out is told.
FIRST = 200
#: What a content of no type was examined as.
_NONE = ""


_NEWEST = Sql("SELECT id, kind, state, attempt, payload FROM job WHERE version = :version ORDER BY id DESC LIMIT 1")
_GO_ON = Sql("UPDATE job SET payload = {json:payload} WHERE id = :job AND state = 'ready' AND attempt = 0")


def ask(conn: Connection, version: int, revision: int, at: datetime) -> None:
    """Have the entries that this revision brought examined, once the transaction that makes it is durable.

    The caller holds the version. A job that waits for the revisions before is told to go on up to this one: whoever
    sends a thousand files one by one has few jobs of it, and whoever sends the next does not wait for theirs.
    """
    waiting = _NEWEST(conn, version=version).first()
    if waiting is not None and waiting.kind == JOB and waiting.state == "ready" and waiting.attempt == 0:
        # PostgreSQL parses its JSON by itself.
        payload = json.loads(waiting.payload) if isinstance(waiting.payload, str) else waiting.payload
        if "since" in payload:
            grown = json.dumps({**payload, "revision": revision})
            if _GO_ON(conn, job=waiting.id, payload=grown).rowcount == 1:
                return
    uid = ids.new_uid(at, secrets.token_bytes(10))
    payload = {"version": version, "since": revision - 1, "revision": revision}
    queue.enqueue(conn, uid=uid, queue=QUEUE, kind=JOB, payload=payload, now=at, version=version, shown=False)


def put(conn: Connection, content: int, wanted: str | None, report: Report, *, edition: int, at: datetime) -> None:
    """Write a report down; what was found before is replaced.

    Args:
        wanted: The type that the entry carries; None if it carries none.
        edition: Of the checks.
    """
    put_many(conn, {(content, wanted): report}, edition=edition, at=at)


_COLUMNS = (
    "content",
    "wanted",
    "standing",
    "recognised",
    "examined_as",
    "compression",
    "found",
    "findings",
    "facts",
    "checked_with",
    "edition",
    "at",
)
_ON_KNOWN = "(content, wanted) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])


def put_many(conn: Connection, reports: Mapping[tuple[int, str | None], Report], *, edition: int, at: datetime) -> None:
    """`put` of many: statement by statement they would take longer to write down than most take to be found out.

    Args:
        reports: By content and the type that the entry carries.
    """
    now = to_micros(at)
    rows = [
        (
            content,
            wanted or _NONE,
            report.standing.value,
            report.recognised,
            report.examined_as,
            report.compression,
            report.found,
            json.dumps([{k: v for k, v in asdict(one).items() if v is not None} for one in report.findings]),
            json.dumps(dict(report.facts)),
            json.dumps(report.checked_with),
            edition,
            now,
        )
        for (content, wanted), report in reports.items()
    ]
    bulk.insert_rows(conn, examination, _COLUMNS, rows, _ON_KNOWN)
    facts.put_many(conn, {(content, kind or _NONE): report.facts for (content, kind), report in reports.items()})


def find_many(
    conn: Connection, wanted: Iterable[tuple[int, str | None]], *, edition: int | None = None
) -> dict[tuple[int, str | None], tuple[Report, datetime]]:
    """The reports of (content, type that the entry carries), of those that have one, and when they were made.

    Args:
        edition: Only what this edition of the checks said.
    """
    pairs = {(content, kind or _NONE): (content, kind) for content, kind in wanted}
    found: dict[tuple[int, str | None], tuple[Report, datetime]] = {}
    for part in bulk.chunks(sorted({content for content, _ in pairs}), 500):
        for row in conn.execute(select(examination).where(examination.c.content.in_(part))):
            pair = pairs.get((row.content, row.wanted))
            if pair is not None and edition in (None, row.edition):
                found[pair] = _report(row), row.at
    return found


_FACTS = Sql(
    "SELECT e.content, e.wanted, e.facts FROM {ids} {join} examination AS e ON e.content = listed.value "
    "WHERE CAST(e.facts AS text) <> '{}'"
)


#: The same, and which entries they are, of the first ones of a strand. The number is written out: PostgreSQL takes a
#: bound one for a tenth of the table, and reads all of the other one.
_FIRST_FACTS = Sql(
    "SELECT l.content, l.dtype, e.wanted, e.facts FROM ("  # noqa: S608 - a number of this module
    f"SELECT path, content, dtype FROM live WHERE strand = :strand ORDER BY path LIMIT {FIRST}) AS l "
    "{join} examination AS e ON e.content = l.content WHERE CAST(e.facts AS text) <> '{}' ORDER BY l.path"
)


def first_facts(conn: Connection, version: int, revision: int) -> list[Any]:
    """What was read out of the first `FIRST` entries of a revision as the types they carry: each once, in order."""
    at = point(conn, version, revision)
    if at.strand is None:
        return []
    if at.at_head:
        rows = _FIRST_FACTS(conn, strand=at.strand).tuples
        texts = word_texts(conn, {dtype for _, dtype, _, _ in rows})
        told = {
            (content, wanted): facts
            for content, dtype, wanted, facts in rows
            if wanted == (_NONE if dtype is None else texts[dtype])
        }
    else:
        pairs = [(row.content, row.dtype or _NONE) for row in page_at(conn, at, limit=FIRST)]
        found = {(n, wanted): facts for n, wanted, facts in _FACTS(conn, ids=sorted({n for n, _ in pairs})).tuples}
        told = {pair: found[pair] for pair in pairs if pair in found}
    # PostgreSQL parses its JSON by itself.
    return [json.loads(one) if isinstance(one, str) else one for one in told.values()]


_KNOWN = Sql(
    "SELECT e.content, e.wanted FROM {ids} {join} examination AS e ON e.content = listed.value "
    "WHERE e.edition = :edition"
)


def known(conn: Connection, wanted: Sequence[tuple[int, str | None]], edition: int) -> set[tuple[int, str | None]]:
    """Those of (content, type) that were examined by this edition of the checks, to an end."""
    pairs = {(content, kind or _NONE): (content, kind) for content, kind in wanted}
    found = _KNOWN(conn, ids=sorted({content for content, _ in pairs}), edition=edition).tuples
    return {pairs[pair] for pair in found if pair in pairs}


def _report(row: Row[Any]) -> Report:
    findings: list[Mapping[str, Any]] = row.findings
    return Report(
        Standing(row.standing),
        row.recognised,
        row.examined_as,
        row.compression,
        row.found,
        tuple(Finding(**one) for one in findings),
        row.facts,
        tuple(row.checked_with),
    )
