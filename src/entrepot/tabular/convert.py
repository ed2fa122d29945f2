"""From the files of a table to its canonical form, or to the list of what is wrong with them.

Types that are not declared are guessed from the first rows and written at once; the guess sees every value. Where it
turns out too narrow, the rest of the files is only looked at, and everything is written again with what came out: at
most two passes, and one for files whose beginning tells the truth.

As soon as a row is bad, and bad rows are not to be put aside, nothing more is written; the rest is still checked, so
that everything that is wrong is told at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from entrepot.model.columns import MOST_COLUMNS, Column, ColumnType, TableRules
from entrepot.model.errors import Invalid, TooLarge
from entrepot.tabular.bytesin import NotUtf8, Source
from entrepot.tabular.canonical import CanonicalWriter
from entrepot.tabular.faults import BadCell, Reject, Rejects, excerpt
from entrepot.tabular.guessing import Guess
from entrepot.tabular.jsontext import JsonGuess, declared_cells
from entrepot.tabular.opening import Batch, Cells, File, checked_name, open_source
from entrepot.tabular.values import arrow_type, fast, slow

__all__ = ["Converted", "Output", "convert"]

_SAMPLE: Final = 1 << 20


class Output(Protocol):
    """Where a conversion writes to and tells of itself."""

    def begin(self, part: int) -> BinaryIO:
        """A sink for the canonical form of a file."""
        ...

    def end(self, part: int, rows: int) -> None:
        """The file is whole."""
        ...

    def again(self) -> None:
        """Everything that was written is void: it comes anew."""
        ...

    def progress(self, done: int) -> None:
        """Bytes of the files, through all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it.

    Args:
        columns: As they were found or enforced.
        rows: Of each file; good ones.
        nulls: By column: rows without a value, of those that were read.
        notes: One sentence about each thing that could have been read in another way.
        good: Whether the canonical form was written.
    """

    columns: list[Column]
    rows: list[int]
    nulls: dict[str, int]
    rejects: Rejects
    notes: list[str]
    formats: list[str]
    good: bool


class _Again(Exception):
    """The types are known now: write everything anew."""

    def __init__(self, state: _State) -> None:
        super().__init__()
        self.state = state


@dataclass(slots=True)
class _State:
    """What is known of the columns, kept from one pass to the next."""

    names: list[str] = field(default_factory=list)
    guesses: dict[str, Any] = field(default_factory=dict)
    settled: dict[str, ColumnType] | None = None
    encodings: dict[str, str] = field(default_factory=dict)


def convert(sources: Sequence[Source], rules: TableRules, output: Output) -> Converted:
    """Check the files, which form one table in their order, and write their canonical form.

    Raises:
        Invalid: A file cannot be read at all, or its columns are not those of the others or of the declaration.
        Corrupt: Stored bytes are damaged.
    """
    encodings: dict[str, str] = {}
    settled: dict[str, ColumnType] | None = None
    while True:
        attempt = _Pass(sources, rules, output, encodings, settled)
        try:
            return attempt.run()
        except NotUtf8 as found:
            attempt.close()
            output.again()
            encodings[found.args[1]] = found.encoding
        except _Again as known:
            attempt.close()
            output.again()
            settled = known.state.settled
        finally:
            attempt.close()


class _Pass:
    def __init__(
        self,
        sources: Sequence[Source],
        rules: TableRules,
        output: Output,
        encodings: dict[str, str],
        settled: dict[str, ColumnType] | None,
    ) -> None:
        self._sources = sources
        self._rules = rules
        self._output = output
        self._encodings = encodings
        self._settled = settled
        self._names: list[str] = list(settled or ())
        self._declared: dict[str, Column] = {}
        self._guesses: dict[str, Guess | JsonGuess] = {}
        self._typed: dict[str, Column] = {}
        self._nulls: dict[str, int] = {}
        self._rejects = Rejects()
        self._notes: list[str] = []
        self._writer: CanonicalWriter | None = None
        #: The types that are being written; None once they turned out too narrow.
        self._writing: dict[str, Column] | None = {}
        self._too_narrow = False
        self._before = 0
        self._closed = threading.Event()

    def run(self) -> Converted:
        rows: list[int] = []
        formats: list[str] = []
        for i, source in enumerate(self._sources):
            file = open_source(source, self._rules, self._encodings)
            formats.append(file.format)
            self._notes += file.notes
            self._meet(source, file)
            count = 0
            for batch in self._ahead(file.batches):
                count += self._take(i, source, file, batch)
                self._output.progress(min(self._before + batch.read, sum(one.size for one in self._sources)))
            if self._writes and self._writer is None:
                self._begin(i)
            if self._writes:
                assert self._writer is not None
                self._writer.close(self._columns())
                self._output.end(i, self._writer.rows)
            self.close()
            self._before += source.size
            rows.append(count)
        if self._too_narrow:
            state = _State(settled={name: self._type_of(name) for name in self._names})
            raise _Again(state)
        columns = self._columns()
        for name in self._names:
            guess = self._guesses.get(name)
            if guess is not None and guess.note:
                self._notes.append(f"Column {name!r} is {guess.type.value if guess.type else 'text'}: {guess.note}.")
        return Converted(columns, rows, self._nulls, self._rejects, self._notes, formats, self._writing is not None)

    def _ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, read and parsed by a thread of its own while the one before is judged."""
        waiting: queue.Queue[Batch | BaseException | None] = queue.Queue(2)

        def read() -> None:
            try:
                for batch in batches:
                    if self._closed.is_set():
                        return
                    waiting.put(batch)
                waiting.put(None)
            except BaseException as error:
                waiting.put(error)

        reader = threading.Thread(target=read, name="reader", daemon=True)
        reader.start()
        try:
            while (found := waiting.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self._closed.set()
            while reader.is_alive():
                with contextlib.suppress(queue.Empty):
                    waiting.get(timeout=0.05)
            self._closed.clear()

    def close(self) -> None:
        """Nothing of this pass is written after this. May be repeated."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    @property
    def _writes(self) -> bool:
        return self._writing is not None and not self._too_narrow

    # --- columns ------------------------------------------------------------------------------------------------------

    def _meet(self, source: Source, file: File) -> None:
        """Compare the columns of a file with what is declared and with those of the files before it."""
        declared = self._rules.columns
        if file.names is not None and declared is not None and not self._declared:
            self._declare(source, file.names, declared)
        elif declared is not None and not self._declared and declared[0].name is not None:
            self._declare(source, [str(one.name) for one in declared], declared)
        if file.names is not None:
            if not self._names:
                self._names = [*self._declared] or list(file.names)
            missing = [name for name in self._names if name not in {*file.names, *self._rules.optional}]
            if missing or not set(file.names) <= set(self._names):
                more = [name for name in file.names if name not in set(self._names)]
                raise Invalid(
                    f"{source.name} has other columns than {'declared' if self._declared else 'the files before it'}: "
                    f"{_listed('lacks', missing)}{' and ' if missing and more else ''}{_listed('has besides', more)}."
                )
        for name, column in file.typed.items():
            self._typed_column(source, name, column)

    def _declare(self, source: Source, names: list[str], declared: Sequence[Column]) -> None:
        if declared[0].name is not None and self._rules.header:
            self._declared = {str(one.name): one for one in declared}
            if self._settled is None:
                self._names = list(self._declared)
            return
        if len(declared) != len(names):
            raise Invalid(f"{source.name} has {len(names)} columns; {len(declared)} are declared.")
        titles = [one.name or name for one, name in zip(declared, names, strict=True)]
        self._declared = {title: replace(one, name=title) for title, one in zip(titles, declared, strict=True)}

    def _typed_column(self, source: Source, name: str, column: Column) -> None:
        if name in self._declared:
            return
        known = self._typed.get(name)
        if known is None:
            self._typed[name] = column
        elif (known.type, known.list) != (column.type, column.list):
            raise Invalid(
                f"Column {name!r} is {column.type.value} in {source.name}, but {known.type.value} in files before it."
            )

    def _type_of(self, name: str) -> ColumnType:
        guess = self._guesses.get(name)
        return (guess.type if guess is not None else None) or ColumnType.STRING

    def _columns(self) -> list[Column]:
        found = []
        for name in self._names:
            if name in self._declared:
                found.append(replace(self._declared[name], name=name))
            elif name in self._typed:
                found.append(replace(self._typed[name], name=name, nullable=self._nulls.get(name, 0) > 0))
            else:
                guess = self._guesses.get(name)
                column = Column(name, ColumnType.STRING) if guess is None else guess.column(name)
                found.append(replace(column, nullable=column.nullable or self._nulls.get(name, 0) > 0))
        return found

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _begin(self, part: int) -> None:
        columns = self._columns()
        if self._settled is not None:
            columns = [
                one if one.name in self._declared else replace(one, type=self._settled.get(str(one.name), one.type))
                for one in columns
            ]
        if self._writing == {}:
            self._writing = {str(one.name): one for one in columns}
        assert self._writing is not None
        self._writer = CanonicalWriter(self._output.begin(part), list(self._writing.values()))

    def _take(self, part: int, source: Source, file: File, batch: Batch) -> int:
        """Check a batch and write what is good of it; answers how many rows that were."""
        for bad in batch.bad:
            self._rejects.rows += 1
            self._rejects.add(Reject(source.name, bad.row, None, bad.rule, bad.detail, bad.excerpt))
        count = len(batch.rows)
        refused = np.zeros(count, bool)
        for name in batch.cells:
            if name not in self._declared and name not in self._guesses and name not in self._typed:
                if self._declared:
                    self._unknown(source, batch, name, refused)
                    continue
                self._new_column(name, file)
        arrays: dict[str, pa.Array] = {}
        for name in self._names:
            cells = batch.cells.get(name)
            if cells is None:
                arrays[name] = self._missing(source, name, batch, refused)
            elif name in self._declared:
                arrays[name] = self._enforce(source, self._declared[name], name, cells, batch, refused)
            elif name in self._typed:
                self._nulls[name] = self._nulls.get(name, 0) + cells.null_count
                arrays[name] = cells
            else:
                found = self._guesses[name].see(cells)
                if found is None:
                    self._widen()
                else:
                    arrays[name] = found
        good = count - int(refused.sum())
        self._rejects.rows += count - good
        if (self._rejects.rows and not self._rules.quarantine) or self._writing is None:
            self._writing = None
            return good
        if self._too_narrow:
            return good
        if self._writer is None:
            self._begin(part)
        self._write(arrays, refused, count)
        return good

    def _widen(self) -> None:
        self._too_narrow = self._too_narrow or bool(self._writing)

    def _write(self, arrays: dict[str, pa.Array], refused: np.ndarray, count: int) -> None:
        assert self._writing is not None
        assert self._writer is not None
        columns = []
        for name, column in self._writing.items():
            array, kind = arrays.get(name), arrow_type(column)
            if array is None:
                array = pa.nulls(count, kind)
            elif array.type != kind:
                if array.null_count != len(array) and not (
                    column.type is ColumnType.FLOAT and array.type == pa.int64()
                ):
                    self._too_narrow = True
                    return
                array = pc.cast(array, kind) if array.null_count != len(array) else pa.nulls(len(array), kind)
            columns.append(array)
        if set(arrays) - set(self._writing):
            self._too_narrow = True
            return
        if refused.any():
            keep = pa.array(~refused)
            columns = [column.filter(keep) for column in columns]
        self._writer.write(columns)

    def _new_column(self, name: str, file: File) -> None:
        if len(self._names) >= MOST_COLUMNS:
            raise TooLarge(f"A table has at most {MOST_COLUMNS} columns.")
        if file.format == "ndjson":
            checked_name(name)
        settled = None if self._settled is None else self._settled.get(name)
        self._guesses[name] = JsonGuess(settled) if file.format == "ndjson" else Guess(settled=settled)
        if name not in self._names:
            self._names.append(name)
            if self._writing:
                self._too_narrow = True
        if self._rows_before(name):
            self._nulls[name] = 1

    def _rows_before(self, name: str) -> bool:
        return self._writer is not None and self._writer.rows > 0 and name not in (self._settled or ())

    def _missing(self, source: Source, name: str, batch: Batch, refused: np.ndarray) -> pa.Array:
        """A column that no row of this batch has."""
        count = len(batch.rows)
        self._nulls[name] = self._nulls.get(name, 0) + count
        column = self._declared.get(name)
        if column is not None and not column.nullable:
            for i in range(count):
                self._refuse(source, batch, i, name, BadCell("null", "is missing"), "", refused)
        kind = arrow_type(column or self._typed.get(name) or Column(name, self._type_of(name)))
        return pa.nulls(count, kind)

    def _unknown(self, source: Source, batch: Batch, name: str, refused: np.ndarray) -> None:
        for i, cell in enumerate(batch.cells[name]):
            if cell is not None:
                self._refuse(source, batch, i, name, BadCell("unknown", "is in no declared column"), cell, refused)

    def _enforce(
        self, source: Source, column: Column, name: str, cells: Cells, batch: Batch, refused: np.ndarray
    ) -> pa.Array:
        def bad(i: int, text: str, fault: BadCell) -> None:
            self._refuse(source, batch, i, name, fault, text, refused)

        if isinstance(cells, list):
            found = declared_cells(column, cells, bad)
            nulls = [i for i, raw in enumerate(cells) if raw is None]
        else:
            kind = arrow_type(column)
            nulls = (
                [] if not cells.null_count else np.flatnonzero(cells.is_null().to_numpy(zero_copy_only=False)).tolist()
            )
            if cells.type == kind and not (pa.types.is_string(kind) and column.type is not ColumnType.STRING):
                found = cells
            elif pa.types.is_nested(cells.type):
                raise Invalid(f"Column {name!r} of {source.name} holds {cells.type}; {column.type.value} is declared.")
            else:
                texts = cells if cells.type == pa.string() else pc.cast(cells, pa.string())
                quick = None if column.list else fast(column.type, texts)
                found = quick if quick is not None else slow(column, texts, exact=False, bad=bad)
        self._nulls[name] = self._nulls.get(name, 0) + len(nulls)
        if not column.nullable:
            for i in nulls:
                self._refuse(
                    source, batch, i, name, BadCell("null", "is missing, and the column takes no nulls"), "", refused
                )
        return found

    def _refuse(
        self, source: Source, batch: Batch, i: int, name: str, fault: BadCell, text: object, refused: np.ndarray
    ) -> None:
        refused[i] = True
        number, shown = int(batch.rows[i]), excerpt(text)
        column = self._declared.get(name)
        wanted = f" is {column.type.value}{' list' if column.list else ''}," if column is not None else ""
        value = "a value" if fault.rule == "null" else repr(shown)
        detail = f"Column {name!r}{wanted} row {number}: {value} {fault.why}."
        self._rejects.add(Reject(source.name, number, name, fault.rule, detail, shown))


def _listed(verb: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"it {verb} {', '.join(map(repr, names[:5]))}{more}"
