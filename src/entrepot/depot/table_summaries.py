"""What stands in the columns of a table, for those who look at a page: at once, or of a large table by a task.

    small                    counted while whoever asks waits
    large ──first who asks──► a task; its answer is kept beside the first file ──► everybody after

A revision never changes, so what was counted is right for as long as its files are there. Counting is a few passes over
all rows for each column: ten million rows of ten columns take a minute, which nobody waits for before a page appears.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from entrepot.catalog import derived as derived_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.work import Work
from entrepot.depot import table_checks, tables
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.tables import Pinned, Schema
from entrepot.depot.tabling import Effort, answer, files_of
from entrepot.model.access import Actor
from entrepot.model.errors import InProgress

__all__ = ["AT_ONCE", "JOB", "run", "summary"]

JOB: Final = "table.statistics"
#: Cells that are looked through while somebody waits.
AT_ONCE: Final = 2_000_000


def summary(
    depot: Depot,
    actor: Actor,
    key: Key,
    schema: Schema,
    *,
    columns: Sequence[str],
    revision: int | None = None,
    at_once: int = AT_ONCE,
) -> Mapping[str, Any]:
    """What `tables.statistics` says of some columns; of a large table what a task found out.

    Args:
        schema: Of the same revision.
        at_once: Rows times columns up to which nobody is made to wait for a task.

    Raises:
        InProgress: It is being counted; `details` names the task, and the first who asks begins it.
        TooLarge: The caller has too many tasks that wait or run.
    """
    if schema.rows * len(columns) <= at_once:
        return tables.statistics(depot, actor, key, columns=columns, revision=revision)[1]
    pinned = tables.pin_revision(depot, actor, key, revision)
    kind = _kind(pinned, columns)
    with depot.catalog.read() as conn:
        kept = derived_rows.find(conn, [pinned.sources[0]], kind).get(pinned.sources[0])
    if kept is not None:
        with open_content(depot, kept) as reader:
            found: Mapping[str, Any] = json.loads(reader.read_at(0, reader.size))
        return found
    further = {"columns": list(columns)}
    task = depot.catalog.write(lambda conn: tables.begin_in(conn, depot, actor, pinned, JOB, kind, further))
    raise InProgress(
        f"The values of {len(columns)} columns of {pinned.version.label} are being counted.",
        details={"task": task.uid.hex, "retry_after_s": 2},
    )


def _kind(pinned: Pinned, columns: Sequence[str]) -> str:
    said = json.dumps([pinned.form, pinned.sources, list(columns)])
    return "summary-" + hashlib.sha256(said.encode()).hexdigest()[:24]


def run(depot: Depot, work: Work) -> None:
    """Count what stands in columns, and keep it. A job handler."""
    said = work.payload
    with ExitStack() as stack:
        paths = files_of(depot, said["files"], stack)
        columns: list[Any] = []
        rows = 0
        # One at a time: whoever looks at the task sees how far it is, and who stops it is heard.
        for done, name in enumerate(said["columns"]):
            work.progress(done, len(said["columns"]))
            request = {"do": "statistics", "paths": paths, "columns": [name]}
            found = answer(depot, request, Effort.WORK)[0]
            rows = found["rows"]
            columns += found["columns"]
    told = {"rows": rows, "columns": columns}
    made = table_checks.put_object(depot, iter([json.dumps(told, ensure_ascii=False).encode()]))
    source = said["sources"][0]

    def facts(conn: Connection) -> Mapping[str, Any]:
        table_checks.name_derived(conn, made, source, said["kind"], depot.now())
        return {"columns": len(columns)}

    work.finish(facts)
