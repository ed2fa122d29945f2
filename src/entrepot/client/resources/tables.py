"""Tables: typed columns and rows, made of files or frames, and read by page, condition, order and SQL.

Frames are those of pandas, Polars and Arrow. None of them is needed for anything else, so each is imported where it is
used, and a message says which is missing.
"""

from __future__ import annotations

import builtins
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, TypedDict, Unpack

from entrepot.client.pins import Pin, Thing, pin
from entrepot.client.resources.base import Resource
from entrepot.client.resources.frames import (
    FORMATS,
    ColumnLike,
    as_parquet,
    column_of,
    local_file,
    needs,
    until,
)
from entrepot.client.tree import read_blocks
from entrepot.model import names
from entrepot.model.columns import Column
from entrepot.model.errors import (
    InProgress,
    Invalid,
    KindMismatch,
    NotFound,
    TooLarge,
    Unavailable,
)
from entrepot.model.values import Kind, State, Visibility
from entrepot.wire.messages.slots import NewSlot, Slot
from entrepot.wire.messages.tables import (
    ChangedColumn,
    TableChange,
    TableDiff,
    TableFile,
    TableQueried,
    TableQuery,
    TableRejects,
    TableRow,
    TableRows,
    TableSchema,
    TableStatistics,
)
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.versions import Version, VersionWithSlots

__all__ = ["ColumnLike", "NewTableFields", "Tables"]

#: Rows that are fetched at a time.
_ROWS = 1000
_ARROW = "application/vnd.apache.arrow.stream"


class NewTableFields(TypedDict, total=False):
    """What a new table can be given besides name and files."""

    project: str
    description: str
    licence: str
    visibility: Visibility
    tags: builtins.list[str]
    custom: dict[str, Any]
    alias: str
    collection: str
    expires_at: datetime


class Tables(Resource):
    """Datasets of typed columns and rows."""

    # --- making -------------------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        files: Sequence[str],
        *,
        columns: Sequence[ColumnLike] | None = None,
        rules: Mapping[str, Any] | None = None,
        **fields: Unpack[NewTableFields],
    ) -> VersionWithSlots:
        """Make a table that waits for its files, which are to form one table in this order.

        `upload_bytes` or `upload_file` for each of them comes next, then `update`.

        Args:
            columns: What the columns are, by name, or by their order where none has a name. Found out without this.
            rules: How files are to be read: `delimiter`, `encoding`, `header`, `null_values`, `sheet`, `quarantine`;
                or a Frictionless Table Schema.
        """
        given: dict[str, Any] = {**fields}
        declared = dict(rules or {})
        if columns is not None:
            declared["columns"] = [column_of(one) for one in columns]
        if declared:
            given["declared"] = declared
        return self._client.versions.create(
            name, kind=Kind.TABLE, numbering="next", slots=[NewSlot(file_name=one) for one in files], **given
        )

    def create_from_file(
        self,
        name: str,
        path: str | Path | Sequence[str | Path],
        *,
        columns: Sequence[ColumnLike] | None = None,
        rules: Mapping[str, Any] | None = None,
        timeout_s: float | None = 3600,
        **fields: Unpack[NewTableFields],
    ) -> Version:
        """A table of a file, or of several that form one in their order; returns once every row was found good.

        Raises:
            NotFound: There is no such file.
            Invalid: Rows are bad; the message names the first, `errors` more of them.
            Unavailable: It is not done within `timeout_s`; the check goes on.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
        local = [local_file(one) for one in paths]
        made = self.create(name, [one.path for one in local], columns=columns, rules=rules, **fields)
        for slot, file in zip(made.slots, local, strict=True):
            self._put(slot, lambda file=file: read_blocks(file, 0, file.size), file.size)  # type: ignore[misc]
        return self._checked(made, timeout_s)

    def create_from_bytes(
        self,
        name: str,
        data: bytes | IO[bytes],
        file_name: str = "table.csv",
        *,
        columns: Sequence[ColumnLike] | None = None,
        rules: Mapping[str, Any] | None = None,
        timeout_s: float | None = 3600,
        **fields: Unpack[NewTableFields],
    ) -> Version:
        """A table of bytes; the name of the file says what they are where they do not say it themselves."""
        made = self.create(name, [file_name], columns=columns, rules=rules, **fields)
        self._put_bytes(made.slots[0], data)
        return self._checked(made, timeout_s)

    from_bytes = create_from_bytes
    from_file = create_from_file

    def create_from_dataframe(
        self,
        name: str,
        frame: Any,
        *,
        columns: Sequence[ColumnLike] | None = None,
        timeout_s: float | None = 3600,
        **fields: Unpack[NewTableFields],
    ) -> Version:
        """A table of a frame of pandas or Polars or a table of Arrow; its types come along. An index does not."""
        return self.create_from_bytes(
            name, as_parquet(frame), "table.parquet", columns=columns, timeout_s=timeout_s, **fields
        )

    from_dataframe = create_from_dataframe

    def upload_bytes(self, thing: Thing, data: bytes | IO[bytes], file_name: str | None = None) -> None:
        """Send one of the files that the table waits for; again before `update`, the later bytes count.

        Args:
            file_name: Needed where it waits for several.
        """
        self._put_bytes(self._slot(thing, file_name), data)

    def upload_file(self, thing: Thing, path: str | Path, file_name: str | None = None) -> None:
        """The same with a file.

        Args:
            file_name: What the table calls it; without it the file's own name tells where it waits for several.
        """
        file = local_file(Path(path))
        self._put(self._slot(thing, file_name, file.path), lambda: read_blocks(file, 0, file.size), file.size)

    def update(self, thing: Thing, *, start: bool = True, timeout_s: float | None = None, **changes: Any) -> Version:
        """Change the record of a table, and begin the check of the files that came.

        Args:
            start: Begin the check if it waits for that.
            timeout_s: Wait so long for the end of the check; None does not wait.
            changes: As `client.versions.update` takes them.

        Raises:
            Invalid: Files are missing, or, waiting, rows are bad.
        """
        found = self.get(thing)
        if changes:
            found = self._client.versions.update(found, **changes)
        if start and found.state in (State.EMPTY, State.RECEIVING):
            self._client.versions.ingest(found)
        if timeout_s is not None:
            return self.wait_until_done(found, timeout_s=timeout_s)
        return self.get(found.id)

    def get(self, thing: Thing) -> Version:
        """Its record: state, report of the check, number of rows.

        Raises:
            KindMismatch: It is something else than a table.
        """
        found = self._client.versions.get(thing)
        if found.kind is not Kind.TABLE:
            raise KindMismatch(f"{found.name} holds {found.kind.value}, no table.")
        return found

    def wait_until_done(self, thing: Thing, *, timeout_s: float | None = 3600) -> Version:
        """The record once every row was found good and published.

        Raises:
            Invalid: Rows are bad, or files did not come.
            Unavailable: Neither within `timeout_s`. The check goes on.
        """
        identity = self._version_id(thing)

        def look() -> Version | None:
            found = self.get(identity)
            if found.state is State.FAILED:
                report = found.report or {}
                raise Invalid(str(report.get("message", "The check failed.")), errors=report.get("errors", ()))
            return found if found.state is State.READY else None

        return until(look, timeout_s, "The table is still being checked")

    def rejects(self, thing: Thing) -> TableRejects:
        """What the newest check said of bad rows."""
        return self._transport.get(self._version(thing, "/table/rejects"), TableRejects)

    def download_rejects(self, thing: Thing, path: str | Path) -> int:
        """Write all bad cells that were told into a new file of NDJSON; answers its size."""
        return self._save(self._version(thing, "/table/rejects"), {"format": "file"}, Path(path))

    def append(
        self,
        thing: Thing,
        files: Any = (),
        *,
        columns: Sequence[Column | Mapping[str, Any]] = (),
        renamed: Mapping[str, str] | None = None,
        expected: int | None = None,
        replace: bool = False,
        timeout_s: float | None = 3600,
    ) -> Version:
        """Add rows behind those that are there, as a new revision; or only add, widen or rename columns.

        Args:
            files: A path, several of them, or a mapping of file names to bytes, in the order of their rows.
            columns: New columns, and columns as they are to be: an Int may become a Float, anything a String, and
                values may be missing where none was.
            renamed: The new name of each old column. Files from before keep their old names and are read with it.
            replace: The files take the place of those that are there.
            expected: Refuse if the table is at another revision by now.

        Raises:
            Invalid: Rows are bad, or columns cannot change so; the table stays as it was.
            PathTaken: The table has a file of that name.
            StaleRevision: It is at another revision than `expected`.
        """
        found = self.get(thing)
        sent = []
        for name, upload in self._uploads(files):
            sent.append(TableFile(file_name=name, upload=upload))
        given = [ChangedColumn(**{"nullable": True, **column_of(one)}) for one in columns]
        body = TableChange(files=sent, replace=replace, columns=given, renamed=dict(renamed or {}), expected=expected)
        task = self._transport.post(self._version(found, "/table/changes"), Task, body)
        done = self._client.tasks.wait(task.id, timeout=timeout_s)
        if done.error is not None:
            report = done.error.get("report") or {}
            raise Invalid(str(done.error.get("detail", "The change failed.")), errors=report.get("errors", ()))
        return self.get(found.id)

    def replace(self, thing: Thing, files: Any, **how: Any) -> Version:
        """Put other files in the place of those that are there, as a new revision; see `append`."""
        return self.append(thing, files, replace=True, **how)

    def _uploads(self, files: Any) -> Iterator[tuple[str, str]]:
        if isinstance(files, Mapping):
            for name, data in files.items():
                yield name, self._client.data.upload_bytes(data, name)
            return
        for one in [files] if isinstance(files, str | Path) else files:
            local = local_file(Path(one))
            yield local.path, self._client.data.upload(one, filename=local.path)

    def _checked(self, made: Version, timeout_s: float | None) -> Version:
        self._client.versions.ingest(made)
        return self.wait_until_done(made.id, timeout_s=timeout_s)

    def _slot(self, thing: Thing, file_name: str | None, usual: str | None = None) -> Slot:
        waiting = self._client.versions.slots(thing)
        if file_name is None and len(waiting) == 1:
            return waiting[0]
        wanted = file_name or usual
        found = [one for one in waiting if one.file_name == wanted]
        if not found:
            which = "for several files; name one of them" if wanted is None else f"for no file {wanted!r}"
            raise NotFound(f"The table waits {which}. It has {', '.join(one.file_name for one in waiting)}.")
        return found[0]

    def _put_bytes(self, slot: Slot, data: bytes | IO[bytes]) -> None:
        if not isinstance(data, bytes):
            data = data.read()
        self._put(slot, lambda: [data], len(data))

    def _put(self, slot: Slot, content: Callable[[], Iterable[bytes]], size: int) -> None:
        if slot.url is None:
            raise Unavailable(f"{slot.file_name} takes no bytes any more: the check of its table has begun.")
        self._transport.put_url(slot.url, content, {**slot.headers, "Content-Length": str(size)})

    # --- the files as they came ---------------------------------------------------------------------------------------

    def download_bytes(self, thing: Thing, *, timeout_s: float | None = 3600) -> builtins.list[bytes]:
        """The files as they were sent, byte for byte, in their order. Waits until the table is ready."""
        target = self._ready(thing, timeout_s)
        return [b"".join(self._content(target, path)) for path in self._paths(target)]

    def download_files(
        self, thing: Thing, destination: str | Path | None = None, *, timeout_s: float | None = 3600
    ) -> builtins.list[Path]:
        """Write the files as they were sent into a folder; answers where, in their order.

        Args:
            destination: A folder that is there; without one a new temporary folder, which the caller removes.

        Raises:
            NotADirectoryError: There is no such folder.
            FileExistsError: A file of the name is there already.
        """
        target = self._ready(thing, timeout_s)
        folder = Path(tempfile.mkdtemp(prefix="entrepot-")) if destination is None else Path(destination)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder.")
        found = []
        for path in self._paths(target):
            place = folder / Path(names.entry_path(path)).name
            with place.open("xb") as file:
                for block in self._content(target, path):
                    file.write(block)
            found.append(place)
        return found

    def _ready(self, thing: Thing, timeout_s: float | None) -> Pin:
        target = self._pinned(thing)
        if target.revision == 0:
            target = pin(self._transport, self.wait_until_done(target.version, timeout_s=timeout_s))
        return target

    def _paths(self, target: Pin) -> builtins.list[str]:
        entries = sorted(self._client.versions.entries(target), key=lambda one: one.position)
        return [one.path for one in entries]

    def _content(self, target: Pin, path: str) -> Iterator[bytes]:
        with self._client.data.open(target.at(path)) as file:
            while block := file.read(1 << 20):
                yield block

    # --- rows ---------------------------------------------------------------------------------------------------------

    def schema(self, thing: Thing) -> TableSchema:
        """The columns, also as a Frictionless Table Schema."""
        target = self._pinned(thing)
        return self._transport.get(self._version(target, "/table"), TableSchema, {"revision": target.revision})

    def page(
        self,
        thing: Thing,
        *,
        first: int = 0,
        limit: int = 100,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        sort: str | None = None,
        timeout_s: float = 600,
    ) -> TableRows:
        """Some rows, from number `first` on.

        Args:
            where: Such as `age >= 18 and name == "Ann" and note is null`.
            sort: A column, with `-` before it from the greatest on. The first time the server makes that order, which
                this waits for.
        """
        target = self._pinned(thing)
        asked = {
            "first": first,
            "limit": limit,
            "column": None if columns is None else builtins.list(columns),
            "where": where,
            "sort": sort,
            "revision": target.revision,
        }

        def look() -> TableRows | None:
            try:
                return self._transport.get(self._version(target, "/rows"), TableRows, asked)
            except InProgress:
                return None

        return until(look, timeout_s, "The rows are still being put in order")

    def rows(
        self,
        thing: Thing,
        *,
        first: int = 0,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        sort: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Every row as a mapping, fetched as it is needed."""
        target = self._pinned(thing)
        following: int | None = first
        while following is not None:
            found = self.page(target, first=following, limit=_ROWS, columns=columns, where=where, sort=sort)
            titles = [one.name for one in found.columns]
            yield from (dict(zip(titles, row.values, strict=True)) for row in found.rows)
            following = found.next

    def row(self, thing: Thing, n: int) -> TableRow:
        """Row `n`, from 0; as quick at the end as at the beginning."""
        found = self.page(thing, first=n, limit=1).rows if n >= 0 else []
        if not found:
            raise NotFound(f"There is no row {n}.")
        return found[0]

    def statistics(self, thing: Thing, columns: Sequence[str] | None = None) -> TableStatistics:
        """Of each column: nulls, bounds, mean, a histogram, the most frequent values."""
        target = self._pinned(thing)
        asked = {"column": None if columns is None else builtins.list(columns), "revision": target.revision}
        return self._transport.get(self._version(target, "/table/statistics"), TableStatistics, asked)

    def diff(
        self, thing: Thing, by: Sequence[str] | str = (), *, base: Thing | int | None = None, limit: int = 1000
    ) -> TableDiff:
        """Rows that were added, removed or changed, and in which cells.

        Args:
            by: The columns that tell rows apart; without any, whole rows are compared.
            base: A revision of the same version (the one before by default), or another version.
        """
        target = self._pinned(thing)
        asked: dict[str, Any] = {
            "by": [by] if isinstance(by, str) else builtins.list(by),
            "revision": target.revision,
            "limit": limit,
        }
        if isinstance(base, int):
            asked["base"] = base
        elif base is not None:
            other = self._pinned(base)
            asked |= {"base_version": other.version, "base": other.revision}
        return self._transport.get(self._version(target, "/table/diff"), TableDiff, asked)

    def query(self, sql: str, tables: Mapping[str, Thing] | None = None, *, limit: int | None = None) -> TableQueried:
        """Answer one SELECT over tables; at most 10,000 rows. `query_arrow` gives more, and exact types.

        Args:
            tables: By the name that the query calls it.

        Raises:
            Invalid: The query cannot be understood.
            Unsupported: It is more than one SELECT, or wants something else than tables.
            TooLarge: It takes more time or memory than queries have.
        """
        asked = self._asked(sql, tables, limit)
        return self._transport.post("/tables/query", TableQueried, asked, keyed=False, repeatable=True)

    def query_arrow(self, sql: str, tables: Mapping[str, Thing] | None = None, *, limit: int | None = None) -> Any:
        """The same as a `pyarrow.Table`; `.to_pandas()` and `polars.from_arrow` go on from there.

        Args:
            limit: Rows at most; there may be fewer where they are large.

        Raises:
            TooLarge: Without a limit: the answer has more rows than the server gives at a time.
        """
        arrow = needs("pyarrow")
        body = self._asked(sql, tables, limit).dump()
        answer = self._transport.send(
            "POST",
            "/tables/query",
            content=body,
            headers={"Content-Type": "application/json", "Accept": _ARROW},
        )
        with arrow.ipc.open_stream(arrow.BufferReader(answer.content)) as stream:
            found = stream.read_all()
        if limit is None and answer.headers.get("entrepot-more") == "true":
            raise TooLarge(
                f"The answer has more rows than the {len(found)} that the server gives at a time. "
                "Ask for fewer, or say how many with a limit."
            )
        return found

    def _asked(self, sql: str, tables: Mapping[str, Thing] | None, limit: int | None) -> TableQuery:
        given: dict[str, Any] = {"sql": sql, "tables": {}}
        for name, thing in (tables or {}).items():
            target = self._pinned(thing)
            given["tables"][name] = target.reference if target.record.number is not None else target.version
        if limit is not None:
            given["limit"] = limit
        return TableQuery(**given)

    # --- whole tables -------------------------------------------------------------------------------------------------

    def export(
        self,
        thing: Thing,
        path: str | Path,
        *,
        format: Literal["csv", "parquet", "arrow", "ndjson"] | None = None,
        columns: Sequence[str] | None = None,
    ) -> int:
        """Write all rows into a new file; its suffix says how. Answers its size in bytes.

        Raises:
            FileExistsError: There is such a file.
        """
        place = Path(path)
        chosen = format or FORMATS.get(place.suffix.lower())
        if chosen is None:
            raise Invalid(f"{place.name} does not say what it is to be. Give a format: csv, parquet, arrow, ndjson.")
        target = self._pinned(thing)
        asked = {"format": chosen, "column": None if columns is None else [*columns], "revision": target.revision}
        return self._save(self._version(target, "/table/export"), asked, place)

    def _save(self, address: str, asked: Mapping[str, Any], place: Path) -> int:
        size = 0
        with place.open("xb") as file:
            try:
                with self._transport.stream("GET", address, params=dict(asked)) as answer:
                    for block in answer.iter_bytes():
                        size += file.write(block)
            except BaseException:
                file.close()
                place.unlink()
                raise
        return size

    def to_arrow(self, thing: Thing, columns: Sequence[str] | None = None) -> Any:
        """All rows as a `pyarrow.Table`.

        Raises:
            Unsupported: pyarrow is not installed.
        """
        arrow = needs("pyarrow")
        target = self._pinned(thing)
        asked = {"format": "arrow", "column": None if columns is None else [*columns], "revision": target.revision}
        blocks = io.BytesIO()
        with self._transport.stream("GET", self._version(target, "/table/export"), params=asked) as answer:
            for block in answer.iter_bytes():
                blocks.write(block)
        with arrow.ipc.open_stream(arrow.py_buffer(blocks.getbuffer())) as stream:
            return stream.read_all()

    def to_pandas(self, thing: Thing, columns: Sequence[str] | None = None) -> Any:
        """All rows as a `pandas.DataFrame`."""
        needs("pandas")
        return self.to_arrow(thing, columns).to_pandas()

    def to_polars(self, thing: Thing, columns: Sequence[str] | None = None) -> Any:
        """All rows as a `polars.DataFrame`."""
        return needs("polars").from_arrow(self.to_arrow(thing, columns))

    def _pinned(self, thing: Thing) -> Pin:
        if isinstance(thing, Version) and thing.revision == 0:
            # As it was before its check was done: what is meant is what came of it.
            thing = self.get(thing.id)
        return pin(self._transport, thing)
