"""Statements written by hand, in the words of each database, and sent straight to its driver.

The entry tables are read and written by range scans whose plan matters, so their SQL is spelled out. They are also the
hot path: through Core a point read takes 77 µs of processor time, through the driver 5, and a commit sends ten of
them. So this is the one place of the catalogue that goes below Core; errors are translated here as they are there.

What differs between the two databases is a handful of phrases, put in braces:

    {paths}       a table `listed(value)` of the texts bound as :paths
    {ids}, {own}  the same of the integers bound as :ids and :own
    {in_paths}    "is one of the texts bound as :paths"
    {join}        a join whose left side must drive (SQLite's CROSS JOIN says so)
    {for_update}, {for_share}    row locks; SQLite has one writer and needs none
    {control}     the text of U+0001, which sorts before every character that a path may have
    {position}    the function that finds one text in another
    {octets:X}    how many bytes the text X has
    {json:X}      the JSON text bound as :X
    {by:INDEX}    name an index, where the planner of SQLite would take another one
    {plain:X}     the column X, but no reason to take an index: SQLite, which keeps no statistics here, believes that
                  any range is selective, and `vfrom < :seq` is true for nearly every row
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from entrepot.catalog.failures import translate

__all__ = ["Answer", "Sql", "cursor_of", "ensure_begun", "fetched", "sent", "sent_many"]

_PHRASES = {
    "sqlite": {
        "paths": "json_each(:paths) AS listed",
        "ids": "json_each(:ids) AS listed",
        "own": "json_each(:own) AS listed",
        "in_paths": "IN (SELECT value FROM json_each(:paths))",
        "join": "CROSS JOIN",
        "for_update": "",
        "for_share": "",
        "control": "char(1)",
        "position": "instr",
        "octets": "length(CAST(<> AS blob))",
        "json": ":<>",
        "by": "INDEXED BY <>",
        "plain": "+<>",
    },
    "postgresql": {
        "paths": "unnest(CAST(:paths AS text[])) AS listed(value)",
        "ids": "unnest(CAST(:ids AS bigint[])) AS listed(value)",
        "own": "unnest(CAST(:own AS bigint[])) AS listed(value)",
        "in_paths": "= ANY(CAST(:paths AS text[]))",
        "join": "JOIN",
        "for_update": "FOR UPDATE",
        "for_share": "FOR SHARE",
        "control": "chr(1)",
        "position": "strpos",
        "octets": "octet_length(<>)",
        "json": "CAST(:<> AS jsonb)",
        "by": "",
        "plain": "<>",
    },
}
_PHRASE = re.compile(r"\{(\w+)(?::([\w.]+))?\}")
_NAMED = re.compile(r"(?<!:):(\w+)")

#: Values that are lists: SQLite gets them as one JSON text.
_LISTS = ("paths", "ids", "own")


class Answer:
    """What a statement answered, all of it read: no cursor stays open behind it.

    Rows are tuples whose columns also go by name.
    """

    __slots__ = ("make", "rowcount", "tuples")

    def __init__(self, tuples: Sequence[tuple[Any, ...]], make: Callable[[Any], Any], rowcount: int) -> None:
        self.tuples = tuples
        self.make = make
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return map(self.make, self.tuples)

    def first(self) -> Any:
        """The first row, or None."""
        return self.make(self.tuples[0]) if self.tuples else None

    def scalar(self) -> Any:
        """The first column of the first row, or None."""
        return self.make(self.tuples[0])[0] if self.tuples else None


def ensure_begun(conn: Connection) -> Any:
    """The driver's connection, inside a transaction: Core begins by itself when it is asked something; below it
    somebody has to.
    """
    driver: Any = conn.connection.dbapi_connection
    # A write begins with Core, before its work: a transaction of its that was lost must not begin anew here.
    if not conn.in_transaction():
        if conn.dialect.name != "sqlite":
            conn.begin()
        elif not driver.in_transaction:
            # A read, without the objects that Core would put around it.
            driver.execute("BEGIN")
    return driver


def cursor_of(driver: Any) -> Any:
    """The cursor that a connection to PostgreSQL keeps: to make one takes a third of the time of a short statement.

    For one statement at a time whose rows are all read at once, which are all that are sent from here.
    """
    try:
        return driver.kept_cursor
    except AttributeError:
        driver.kept_cursor = driver.cursor()
        return driver.kept_cursor


def fetched(cursor: Any) -> Sequence[tuple[Any, ...]]:
    """All rows of what was sent to PostgreSQL; none of what answers none.

    Not asked of the cursor's description: psycopg makes an object of each column for it.
    """
    return () if cursor.rownumber is None else cursor.fetchall()


def sent(conn: Connection, statement: str, values: Sequence[Any]) -> None:
    """Run a statement of SQLite's that answers nothing."""
    driver = ensure_begun(conn)
    try:
        driver.execute(statement, values).close()
    except Exception as error:
        meaning = translate(error)
        if meaning is None:
            raise
        raise meaning from error


def sent_many(conn: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement of SQLite's for each of the rows."""
    driver = ensure_begun(conn)
    try:
        driver.executemany(statement, rows).close()
    except Exception as error:
        meaning = translate(error)
        if meaning is None:
            raise
        raise meaning from error


class Sql:
    """One statement for both databases; call it with a connection and its values.

    Args:
        template: The statement with the phrases above.
        replan: PostgreSQL plans it anew for its values every time. Otherwise it soon plans once for all values, which
            saves half of a short statement's time, but a range that may be a page or a million rows then gets a plan
            for neither.
    """

    __slots__ = ("_replan", "_rows", "_sent", "_sqlite")

    def __init__(self, template: str, *, replan: bool = False) -> None:
        self._replan = replan
        self._sqlite = _PHRASE.sub(lambda match: _phrase("sqlite", match), template)
        postgres = _PHRASE.sub(lambda match: _phrase("postgresql", match), template)
        # psycopg writes named values in another way than sqlite3.
        self._sent = _NAMED.sub(r"%(\1)s", postgres.replace("%", "%%"))
        self._rows: Callable[[Any], Any] | None = None

    @property
    def for_sqlite(self) -> str:
        """What SQLite is sent, for whoever asks for its plan."""
        return self._sqlite

    @property
    def for_postgresql(self) -> str:
        """What PostgreSQL is sent, likewise."""
        return self._sent

    def __call__(self, conn: Connection, **values: Any) -> Answer:
        try:
            driver = ensure_begun(conn)
            if conn.dialect.name == "sqlite":
                for name in _LISTS:
                    if name in values:
                        values[name] = json.dumps(values[name])
                cursor = driver.execute(self._sqlite, values)
                tuples = cursor.fetchall() if cursor.description else ()
            else:
                cursor = cursor_of(driver)
                cursor.execute(self._sent, values, prepare=False if self._replan else None)
                tuples = fetched(cursor)
        except Exception as error:
            meaning = translate(error)
            if meaning is None:
                raise
            raise meaning from error
        if self._rows is None and tuples:
            names = [column[0] for column in cursor.description]
            row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            self._rows = row._make
        return Answer(tuples, self._rows or tuple, cursor.rowcount)

    def each(self, conn: Connection, name: str, values: Iterable[Any]) -> Iterator[tuple[Any, ...] | None]:
        """The first row for each of the values bound as `name`, on SQLite only: there a question is a call, not a trip.

        Measured for 3 000 digests: a third of the time of asking for 500 at once, whose list has to be compiled in.
        """
        if not conn.in_transaction():
            conn.begin()
        driver: Any = conn.connection.dbapi_connection
        cursor = driver.cursor()
        try:
            for value in values:
                yield cursor.execute(self._sqlite, {name: value}).fetchone()
        except Exception as error:
            meaning = translate(error)
            if meaning is None:
                raise
            raise meaning from error
        finally:
            cursor.close()

    def scalar(self, conn: Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        tuples = self(conn, **values).tuples
        return tuples[0][0] if tuples else None


def _phrase(dialect: str, match: re.Match[str]) -> str:
    name, argument = match.groups()
    return _PHRASES[dialect][name].replace("<>", argument or "")
