"""Statements built with Core, compiled once for each database, and from then on sent straight to its driver.

Core takes several times as long to pass a statement on as SQLite takes to answer it: it looks the compiled form up by
everything the statement is made of, and surrounds each call with objects for cases that do not occur here. What a small
upload or download asks goes this way; so does what every request asks. Everything else may stay with Core.

For statements whose text never changes: no lists of values inside, no columns that depend on the call.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from entrepot.catalog.failures import translate
from entrepot.catalog.statements import Answer, cursor_of, ensure_begun, fetched

__all__ = ["FirstRow", "Prepared"]

Processor = Callable[[Any], Any]
T = TypeVar("T")

#: Rows whose values are kept at hand, for each statement.
_KEPT = 256


class Prepared:
    """One statement; call it with a connection and its values.

    Args:
        columns: Of an insert whose values are given with each call: which.
    """

    __slots__ = ("_columns", "_forms", "_statement")

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._forms: dict[str, _Form] = {}

    def __call__(self, conn: Connection, values: Mapping[str, Any]) -> Answer:
        """Send it with values by the names of its parameters; one that is missing has the value it was built with."""
        dialect = conn.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            # Two threads may both compile it; what they get is the same.
            form = self._forms[dialect.name] = _Form(self._statement, dialect, self._columns)
        driver: Any = ensure_begun(conn)
        try:
            if dialect.name == "sqlite":
                cursor = driver.execute(form.text, form.bound(values))
                tuples = cursor.fetchall() if cursor.description else ()
            else:
                cursor = cursor_of(driver)
                cursor.execute(form.text, form.bound(values))
                tuples = fetched(cursor)
        except Exception as error:
            meaning = translate(error)
            if meaning is None:
                raise
            raise meaning from error
        return Answer(tuples, form.reader(cursor) if tuples else tuple, cursor.rowcount)


class FirstRow(Generic[T]):
    """The first row of a statement as a value that nobody changes.

    The row is read every time. When it is the same as one before, to the last column, the value that was made of it is
    given again: taking forty columns apart costs several times what reading them does.

    Args:
        shared: Whether a value, and the row that it was made of, may be kept for others; all by default.
    """

    __slots__ = ("_known", "_make", "_shared", "_statement")

    def __init__(
        self,
        statement: Prepared,
        make: Callable[[Any], T],
        shared: Callable[[T, tuple[Any, ...]], bool] = lambda _value, _row: True,
    ) -> None:
        self._statement = statement
        self._make = make
        self._shared = shared
        self._known: dict[Any, T] = {}

    def __call__(self, conn: Connection, values: Mapping[str, Any]) -> T | None:
        answer = self._statement(conn, values)
        if not answer.tuples:
            return None
        row = answer.tuples[0]
        try:
            found = self._known.get((answer.make, row))
        except TypeError:
            # What PostgreSQL parses by itself, such as a list in JSON, can be no key.
            return self._make(answer.make(row))
        if found is None:
            found = self._make(answer.make(row))
            if self._shared(found, row):
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[answer.make, row] = found
        return found


class _Form:
    """A statement as one database is sent it."""

    def __init__(self, statement: Any, dialect: Dialect, columns: Sequence[str] | None) -> None:
        compiled: SQLCompiler = statement.compile(dialect=dialect, column_keys=columns)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise RuntimeError(f"this statement has another text each time: {compiled.string}")
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise RuntimeError(f"this statement has values that Core would make up: {compiled.string}")
        self._compiled = compiled
        self._dialect = dialect
        self.text = compiled.string
        processors: Mapping[str, Any] = compiled._bind_processors
        names = compiled.positiontup if compiled.positional else list(compiled.binds)
        self._parameters: list[tuple[str, str, Any, Processor | None]] = []
        for name in names or ():
            bind = compiled.binds[name]
            self._parameters.append((name, bind.key, bind.effective_value, processors.get(name)))
        self._is_positional = compiled.positional
        self._make: Callable[[Any], Any] | None = None

    def bound(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        if self._is_positional:
            return [
                values.get(key, built) if process is None else process(values.get(key, built))
                for _, key, built, process in self._parameters
            ]
        return {
            name: values.get(key, built) if process is None else process(values.get(key, built))
            for name, key, built, process in self._parameters
        }

    def reader(self, cursor: Any) -> Callable[[Any], Any]:
        """What makes a row of what the driver gives: values as Core would give them, by name and by place."""
        if self._make is not None:
            return self._make
        names = [column.keyname for column in self._compiled._result_columns]
        named: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        of_tuple: Callable[[Any], Any] = named._make
        changing = [
            (at, process)
            for at, (column, found) in enumerate(zip(self._compiled._result_columns, cursor.description, strict=True))
            if (process := column.type._cached_result_processor(self._dialect, found[1])) is not None
        ]

        def make(raw: Any) -> Any:
            row = list(raw)
            for at, process in changing:
                # No type of ours makes anything of nothing, and most columns are empty.
                if row[at] is not None:
                    row[at] = process(row[at])
            return of_tuple(row)

        self._make = make if changing else of_tuple
        return self._make
