"""Hand-written statements go through the indexes they were written for.

SQLite keeps no statistics of ours, so its planner guesses: it believes that `strand = ?` finds ten rows, and so that
`vfrom < ?` is a better way in than a path. Such a plan passes every other test and reads a million rows to change one.
PostgreSQL has statistics, but not of a table that was just filled: a statement that asks something for each of many
paths must not depend on them. Of its other statements only the meaning is tested.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import entrepot.catalog
from entrepot.catalog import applying
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import Put
from entrepot.catalog.statements import Sql
from tests.support.histories import Histories, numbered

#: Statements that read a whole strand, or a whole stretch of its history, because that is what they are asked for.
WHOLE = {
    "applying._RETIRE_TEXTS",
    "applying._SET_TEXTS",
    "checking._TOTALS_OF",
    "copies._ADD_NEW",
    "copies._RETIRE_NEWER",
    "copies._DROP_NEWER",
    "copies._BRING_BACK",
    "comparison._CANDIDATES",
    "listing._BY_PATH[2]",
    "listing._BY_POSITION[2]",
    "listing._OF_HEADS",
    "reach._FREES",
    "reach._HELD",
    "strands._COPY_VISIBLE",
    "strands._DROP_LIVE",
    "strands._DROP_PAST",
    "strands._DROP_UNSEEN",
    "strands._MANY_LIVE",
    "strands._MANY_PAST",
    "sweeping._DROP_ALL_LIVE",
    "sweeping._DROP_ALL_PAST",
}
#: Those that take the first or the last rows of a range in its order.
FIRST = {
    "examinations._FIRST_FACTS",
    "strands._GREATEST",
    "strands._REACHED",
    "sweeping._DROP_NEWER",
    "sweeping._GREATEST",
    "sweeping._LIVE_BOUND",
}

#: What SQLite is never asked.
ELSEWHERE = {
    "contents._LOOK_MANY",
    "contents._SHARED",
    "listening._NOTIFY",
    "search._ADD_ROW",
    "search._DROP_ROWS",
}

TABLES = {"live", "past", "content", "extent", "object", "revision", "version", "strand", "upload", "event", "word"}


def statements() -> Iterator[tuple[str, Sql]]:
    for module in pkgutil.iter_modules(entrepot.catalog.__path__):
        if module.ispkg:
            continue
        for name, value in sorted(vars(importlib.import_module(f"entrepot.catalog.{module.name}")).items()):
            if isinstance(value, Sql):
                yield f"{module.name}.{name}", value
            elif isinstance(value, tuple):
                for i, part in enumerate(value):
                    if isinstance(part, Sql):
                        yield f"{module.name}.{name}[{i}]", part


#: Of few rows, that are looked through: histories that are not whole, and packs.
SMALL = {"ix_strand_state", "ix_object_pack"}


def plan(catalog: Catalog, statement: Sql) -> list[str]:
    sql = statement.for_sqlite
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    with catalog.read() as conn:
        return [row[3] for row in conn.connection.dbapi_connection.execute("EXPLAIN QUERY PLAN " + sql, values)]  # type: ignore[union-attr]


def real_tables(statement: Sql) -> set[str]:
    """What stands for a table in its plan, and not for an inner select of the same name."""
    sql = statement.for_sqlite
    named = {alias for table, alias in re.findall(r"\b(\w+) AS (\w+)", sql) if table in TABLES}
    return (TABLES | named) - set(re.findall(r"\) AS (\w+)", sql))


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_no_statement_reads_more_than_its_range(catalog: Catalog) -> None:
    wrong: dict[str, list[str]] = {}
    for name, statement in statements():
        if name in ELSEWHERE:
            continue
        for step in plan(catalog, statement):
            scan = re.match(r"SCAN (\w+)", step)
            if scan and scan[1] in real_tables(statement) and not SMALL & set(step.split()):
                wrong.setdefault(name, []).append(step)
            # One column of a key of the entry tables is a whole strand; a range of births is nearly one.
            broad = re.search(r"^SEARCH (live|past|l|p|s|t|f) .*\((strand=\?|strand=\? AND vfrom<\?)\)", step)
            if broad and name not in WHOLE | FIRST:
                wrong.setdefault(name, []).append(step)
    assert wrong == {}


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_the_lists_of_exceptions_name_statements_that_exist(catalog: Catalog) -> None:
    names = {name for name, _ in statements()}
    assert names >= WHOLE | FIRST | ELSEWHERE
    assert len(names) > 60


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_content_is_found_by_its_digest(catalog: Catalog) -> None:
    """Partial indexes are used only if the query says their condition word for word."""
    from entrepot.catalog import contents

    assert plan(catalog, contents._LOOK) == ["SEARCH content USING INDEX uq_content_sha256_live (sha256=?)"]


def rows_read(node: dict[str, Any], table: str) -> int:
    """How many rows of a table a plan that was carried out looked at."""
    own = 0
    if node.get("Relation Name") == table:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    elif node["Node Type"] == "Materialize":
        # It hands out again what was read once below it.
        own = node["Actual Rows"] * node["Actual Loops"]
    return int(own + sum(rows_read(part, table) for part in node.get("Plans", ())))


@pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
def test_many_paths_are_looked_up_one_by_one_in_a_table_without_statistics(histories: Histories) -> None:
    """The fill of a new installation outruns the statistics: a commit of 20,000 files took minutes."""
    h, v = histories, histories.version()
    content, paths = h.content("x"), [numbered("data/sample", n) for n in range(4000)]
    h.commit(v, *(Put(path, content) for path in paths))
    with h.catalog.read() as conn:
        strand = conn.exec_driver_sql("SELECT strand FROM live LIMIT 1").scalar()
        assert conn.exec_driver_sql("SELECT reltuples FROM pg_class WHERE relname = 'live'").scalar() == -1
        driver: Any = conn.connection.dbapi_connection
        told = driver.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + applying._ARE_FOLDERS.for_postgresql, {"strand": strand, "paths": paths}
        ).fetchone()[0]
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    assert rows_read(plan, "live") <= len(paths)
