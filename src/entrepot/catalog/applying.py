"""Applying the changes of one commit to the rows of its strand.

The changes are simultaneous: each speaks of the entries as they were before the commit, whatever the order in the list.
What is removed and what is renamed leaves; then what is renamed and what is put arrives. So two paths can be swapped by
two renames, and `a` can be removed and `a/b` put, in any order.

- Where a removal and a rename, or two of them, cover one entry, the one that names the longer path counts.
- A path is arrived at once, and only if nothing remains there; a `Put` also replaces what remains.
- `absent` asks whether anything remains at the path, `present` whether anything was there.
- `DescribeAll` speaks of what was there before, `Describe` of the result. A `Put` without a text keeps the old one.
- No path is both a file and a folder in the result.

In the tables: what leaves or is replaced moves from `live` to `past`; what arrives is written to `live`. The cost
follows the change: single paths go through the program in bulk, whole folders stay inside the database.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from entrepot.catalog import bulk
from entrepot.catalog.entry_values import Describe, DescribeAll, EntryRow, Faults, Put, Remove, Rename, RowChange
from entrepot.catalog.listing import folder_bounds, rows_at
from entrepot.catalog.schema import live
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import COLUMNS, Point
from entrepot.catalog.words import word_ids
from entrepot.model.names import MAX_PATH_BYTES

__all__ = ["Application", "check_tree", "put_rows"]

_RETIRE = (
    f"INSERT INTO past (strand, path, vto, vfrom, {COLUMNS}) SELECT strand, path, :seq, vfrom, {COLUMNS} "
    "FROM live WHERE strand = :strand AND {plain:vfrom} < :seq AND "
)
_RETIRE_PATHS = Sql(_RETIRE + "path {in_paths}")
_RETIRE_RANGE = Sql(_RETIRE + "path >= :first AND path < :end", replan=True)
_DELETE_PATHS = Sql("DELETE FROM live WHERE strand = :strand AND path {in_paths}")
_DELETE_RANGE = Sql("DELETE FROM live WHERE strand = :strand AND path >= :first AND path < :end", replan=True)
_ANY_IN_RANGE = Sql("SELECT path FROM live WHERE strand = :strand AND path >= :first AND path < :end LIMIT 1")

_RETIRE_TEXTS = Sql(_RETIRE + "coalesce(meta, '') <> :meta", replan=True)
_SET_TEXTS = Sql(
    "UPDATE live SET meta = nullif(CAST(:meta AS text), ''), vfrom = :seq "
    "WHERE strand = :strand AND {plain:vfrom} < :seq AND coalesce(meta, '') <> :meta",
    replan=True,
)

_ARE_FILES = Sql("SELECT path FROM live WHERE strand = :strand AND path {in_paths}")
# Not EXISTS: PostgreSQL makes a join of that, and before it has statistics (a table that has just been filled) it reads
# all rows for every path. A subquery with a limit of its own stays one step in the index for each.
_FIRST_BELOW = (
    "(SELECT l.path FROM live AS l WHERE l.strand = :strand AND l.path > {0} || '/' AND l.path < {0} || '0' "
    "ORDER BY l.path LIMIT 1)"
)
_ARE_FOLDERS = Sql(
    f"SELECT listed.value AS path FROM {{paths}} WHERE {_FIRST_BELOW.format('listed.value')} IS NOT NULL"
)
_BOTH = Sql(
    "SELECT f.path FROM live AS f WHERE f.strand = :strand AND f.path >= :first AND f.path < :end "
    f"AND {_FIRST_BELOW.format('f.path')} IS NOT NULL ORDER BY f.path LIMIT 100",
    replan=True,
)

_PUT_COLUMNS = ("strand", "path", "vfrom", "content", "media", "dtype", "meta", "pos", "added")
_PATH = itemgetter(1)
_PUT_CONFLICT = "(strand, path) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _PUT_COLUMNS[2:])


def put_rows(conn: Connection, rows: Sequence[Sequence[Any]], *, alone: bool = False) -> None:
    """Write live rows (strand, path, vfrom, content, media, dtype, meta, pos, added) over those that are there.

    Args:
        rows: Of one strand.
        alone: Nothing is there.
    """
    # In the order in which they lie in the table: a thousand files of a few folders touch few of its pages.
    bulk.insert_rows(conn, live, _PUT_COLUMNS, sorted(rows, key=_PATH), "" if alone else _PUT_CONFLICT)


def ancestors(path: str) -> Iterator[str]:
    """The folders that a path lies in, the innermost first; the top is not among them."""
    cut = path.rfind("/")
    while cut > 0:
        yield path[:cut]
        cut = path.rfind("/", 0, cut)


def check_tree(conn: Connection, strand: int, arrived: Sequence[str], faults: Faults) -> None:
    """Note every path of `live` that the arrival of these made both a file and a folder."""
    for part in bulk.chunks(arrived):
        folders = {folder for path in part for folder in ancestors(path)}
        for some in bulk.chunks(sorted(folders)):
            for row in _ARE_FILES(conn, strand=strand, paths=list(some)):
                faults.taken(row.path, f"{row.path!r} is a file, so nothing can be below it.")
        for row in _ARE_FOLDERS(conn, strand=strand, paths=list(part)):
            faults.taken(row.path, f"{row.path!r} is a folder, so it cannot be a file.")


def check_alone(arrived: Sequence[str], faults: Faults) -> None:
    """`check_tree` of paths beside which there are no others."""
    # Many files lie in one folder, so the folders above are looked for once for each of those.
    inner = {path[: path.rfind("/")] for path in arrived if "/" in path}
    folders = inner | {folder for one in inner for folder in ancestors(one)}
    for folder in sorted(folders & set(arrived)):
        faults.taken(folder, f"{folder!r} is a file, so nothing can be below it.")
        faults.taken(folder, f"{folder!r} is a folder, so it cannot be a file.")


@dataclass(slots=True)
class _Move:
    """A folder being renamed, but for what leaves it by a change of its own."""

    source: str
    target: str
    but_paths: list[str] = field(default_factory=list)
    but_folders: list[str] = field(default_factory=list)

    def values(self, strand: int, seq: int) -> dict[str, Any]:
        first, end = folder_bounds(self.source)
        values: dict[str, Any] = {"strand": strand, "seq": seq, "first": first, "end": end, "paths": self.but_paths}
        values |= {"target": folder_bounds(self.target)[0], "skip": len(first) + 1}
        for i, folder in enumerate(self.but_folders):
            values[f"first{i}"], values[f"end{i}"] = folder_bounds(folder)
        return values


@cache
def _move_statements(but_folders: int) -> tuple[Sql, Sql, Sql]:
    """What is in the way of a move, which of its paths get too long, and the move itself.

    The rows were retired already, so they are found in `past` under the seq of this commit.
    """
    moved = "past WHERE strand = :strand AND vto = :seq AND path >= :first AND path < :end AND NOT path {in_paths}"
    moved += "".join(f" AND NOT (path >= :first{i} AND path < :end{i})" for i in range(but_folders))
    target = "CAST(:target AS text) || substr(path, :skip)"
    occupied = Sql(
        f"SELECT m.path FROM (SELECT {target} AS path FROM {moved}) AS m {{join}} live AS l "
        "ON l.strand = :strand AND l.path = m.path ORDER BY m.path LIMIT 100",
        replan=True,
    )
    long = Sql(
        f"SELECT m.path FROM (SELECT {target} AS path FROM {moved}) AS m "
        "WHERE {octets:m.path} > :most ORDER BY m.path LIMIT 100",
        replan=True,
    )
    arrive = Sql(
        f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT strand, {target}, :seq, content, media, dtype, "
        "CASE WHEN CAST(:meta AS text) IS NULL THEN meta ELSE nullif(CAST(:meta AS text), '') END, pos, added "
        f"FROM {moved}",
        replan=True,
    )
    return occupied, long, arrive


class Application:
    """One commit; `live` shows the entries from before it until `apply`."""

    def __init__(self, conn: Connection, strand: int, seq: int, next_pos: int, event: int) -> None:
        self._conn = conn
        self._strand = strand
        self._seq = seq
        self._next_pos = next_pos
        self._event = event
        self._faults = Faults()
        self._head = Point(0, 0, strand, seq, seq, 0, 0, {})
        # A strand begins with what its first commit puts there; a fork begins one later.
        self._is_new = seq == 1
        self._before: dict[str, EntryRow] = {}
        # Of these, what no change takes away.
        self._staying: dict[str, EntryRow] = {}
        self._puts: dict[str, Put] = {}
        self._texts: dict[str, str] = {}
        self._all_texts: str | None = None
        # What leaves, by itself and with its folder.
        self._gone: set[str] = set()
        self._gone_folders: set[str] = set()
        self._renames: dict[str, str] = {}
        self._moves: dict[str, _Move] = {}

    def apply(self, changes: Sequence[RowChange]) -> int:
        """Write the changes; the next free position.

        Raises:
            PathTaken, EntryNotFound, Invalid: Some cannot be made; the caller rolls back.
        """
        removals, renames = self._sort(changes)
        self._look(removals, renames)
        self._resolve(removals, renames)
        self._staying = {path: row for path, row in self._before.items() if self._stays(path)}
        self._judge()
        self._faults.check()
        put = self._prepare_puts()
        self._faults.check()
        self._leave()
        self._describe_all()
        # After all texts were set: what that retired is not retired again.
        self._retire([path for path in put if path in self._staying])
        moved, crowded = self._move_folders()
        arrived = [path for path in put if path not in self._staying] + list(self._renames.values())
        self._refuse_second_arrivals(arrived)
        self._faults.check()
        put_rows(self._conn, list(put.values()) + self._renamed_rows(), alone=self._is_new)
        if self._is_new:
            check_alone(arrived, self._faults)
        else:
            check_tree(self._conn, self._strand, arrived, self._faults)
        self._check_moved(moved, crowded)
        self._describe()
        self._faults.check()
        return self._next_pos

    # What the changes say

    def _sort(self, changes: Sequence[RowChange]) -> tuple[list[Remove], list[Rename]]:
        removals: list[Remove] = []
        renames: list[Rename] = []
        for change in changes:
            if isinstance(change, Put):
                if change.path in self._puts:
                    self._claim(True, change.path)
                self._puts[change.path] = change
            elif isinstance(change, Remove):
                removals.append(change)
            elif isinstance(change, Rename):
                renames.append(change)
            elif isinstance(change, Describe):
                self._claim(change.path in self._texts, change.path)
                self._texts[change.path] = change.meta or ""
            elif isinstance(change, DescribeAll):
                self._claim(self._all_texts is not None, "")
                self._all_texts = change.meta or ""
        return removals, renames

    def _claim(self, taken: bool, path: str) -> None:
        if taken:
            self._faults.wrong(path, f"Two changes of this commit claim {path!r}.")

    def _look(self, removals: Sequence[Remove], renames: Sequence[Rename]) -> None:
        if self._is_new:
            return
        named = set(self._puts)
        named.update(change.path for change in removals)
        for change in renames:
            named.update((change.source, change.target))
        for part in bulk.chunks(sorted(named)):
            self._before |= rows_at(self._conn, self._head, part)

    def _resolve(self, removals: Sequence[Remove], renames: Sequence[Rename]) -> None:
        """Find out what is a file, what a folder and what is not there."""
        for removal in removals:
            if removal.path in self._before:
                self._gone.add(removal.path)
            elif removal.recursive and self._is_folder(removal.path):
                self._gone_folders.add(removal.path)
            elif removal.condition == "present":
                self._not_there(removal.path, removal.recursive)
        arriving = set(self._puts)
        for rename in renames:
            self._claim(rename.source in self._renames or rename.source in self._moves, rename.source)
            if rename.source in self._before:
                if not rename.target:
                    self._faults.wrong(rename.source, f"{rename.source!r} is a file; only a folder can become the top.")
                self._claim(rename.target in arriving, rename.target)
                arriving.add(rename.target)
                self._renames[rename.source] = rename.target
            elif rename.recursive and self._is_folder(rename.source):
                self._moves[rename.source] = _Move(rename.source, rename.target)
            else:
                self._not_there(rename.source, rename.recursive)
        for path in self._gone & self._renames.keys():
            self._claim(True, path)
        for path in self._gone_folders & self._moves.keys():
            self._claim(True, path)
        singles = self._gone | self._renames.keys()
        folders = self._gone_folders | self._moves.keys()
        for move in self._moves.values():
            first, end = folder_bounds(move.source)
            move.but_paths = [path for path in singles if first <= path < end]
            move.but_folders = [path for path in folders if path != move.source and first <= path < end]

    def _is_folder(self, path: str) -> bool:
        first, end = folder_bounds(path)
        return _ANY_IN_RANGE.scalar(self._conn, strand=self._strand, first=first, end=end) is not None

    def _not_there(self, path: str, recursive: bool) -> None:
        if recursive:
            self._faults.missing(path, f"There is no entry and no folder {path!r}.")
        elif self._is_folder(path):
            self._faults.missing(path, f"{path!r} is a folder, not an entry; say that all below it is meant.")
        else:
            self._faults.missing(path, f"There is no entry {path!r}.")

    def _stays(self, path: str) -> bool:
        """Whether no change takes away the entry that was at `path`."""
        if path in self._gone or path in self._renames:
            return False
        if not self._gone_folders and not self._moves:
            return True
        around = {"", *ancestors(path)}
        return around.isdisjoint(self._gone_folders) and around.isdisjoint(self._moves)

    def _judge(self) -> None:
        for path, put in self._puts.items():
            if put.condition == "absent" and path in self._staying:
                self._faults.taken(path, f"There is an entry {path!r} already.")
            elif put.condition == "present" and path not in self._before:
                self._faults.missing(path, f"There is no entry {path!r} to replace.")
        for source, target in self._renames.items():
            if target in self._staying:
                self._faults.taken(target, f"There is an entry {target!r} already; {source!r} cannot be renamed to it.")

    # Leaving

    def _retire(self, paths: Sequence[str]) -> None:
        for part in bulk.chunks(sorted(paths)):
            _RETIRE_PATHS(self._conn, strand=self._strand, seq=self._seq, paths=list(part))

    def _leave(self) -> None:
        going = sorted(self._gone | self._renames.keys())
        self._retire(going)
        for part in bulk.chunks(going):
            _DELETE_PATHS(self._conn, strand=self._strand, paths=list(part))
        for folder in sorted(self._gone_folders | self._moves.keys()):
            first, end = folder_bounds(folder)
            _RETIRE_RANGE(self._conn, strand=self._strand, seq=self._seq, first=first, end=end)
            _DELETE_RANGE(self._conn, strand=self._strand, first=first, end=end)

    def _describe_all(self) -> None:
        if self._all_texts is not None:
            _RETIRE_TEXTS(self._conn, strand=self._strand, seq=self._seq, meta=self._all_texts)
            _SET_TEXTS(self._conn, strand=self._strand, seq=self._seq, meta=self._all_texts)

    # Arriving

    def _prepare_puts(self) -> dict[str, tuple[Any, ...]]:
        """The row of each put that changes something, by path."""
        numbers = word_ids(self._conn, {word for put in self._puts.values() for word in (put.media, put.dtype)})
        positions = self._positions()
        rows: dict[str, tuple[Any, ...]] = {}
        for path, put in self._puts.items():
            old = self._staying.get(path)
            meta = put.meta
            if meta is None and old is not None:
                meta = old.meta if self._all_texts is None else self._all_texts
            meta = meta or None
            pos = positions[path]
            if old is not None:
                as_before = (old.content, old.media, old.dtype, old.meta, old.pos)
                if as_before == (put.content, put.media, put.dtype, meta, pos):
                    continue
            media, dtype = numbers[put.media], numbers[put.dtype]
            rows[path] = (self._strand, path, self._seq, put.content, media, dtype, meta, pos, self._event)
        return rows

    def _positions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        given: set[int] = set()
        first_free = self._next_pos
        for path, put in self._puts.items():
            old = self._staying.get(path)
            if old is not None and put.pos in (None, old.pos):
                found[path] = old.pos
                continue
            if put.pos is None:
                continue
            if put.pos < first_free or put.pos in given:
                self._faults.wrong(
                    path, f"Position {put.pos} of {path!r} was given out already; the next free one is {first_free}."
                )
            given.add(put.pos)
            found[path] = put.pos
            self._next_pos = max(self._next_pos, put.pos + 1)
        for path in self._puts:
            if path not in found:
                found[path] = self._next_pos
                self._next_pos += 1
        return found

    def _renamed_rows(self) -> list[tuple[Any, ...]]:
        old = [self._before[source] for source in self._renames]
        numbers = word_ids(self._conn, {word for row in old for word in (row.media, row.dtype)})
        rows = []
        for row in old:
            meta = row.meta if self._all_texts is None else self._all_texts or None
            media, dtype = numbers[row.media], numbers[row.dtype]
            target = self._renames[row.path]
            rows.append((self._strand, target, self._seq, row.content, media, dtype, meta, row.pos, row.added))
        return rows

    def _move_folders(self) -> tuple[list[_Move], list[_Move]]:
        """Write the folders under their new names; those that had something left to bring, and of them those whose new
        place was not empty.
        """
        moved, crowded = [], []
        for move in self._moves.values():
            first, end = folder_bounds(move.target)
            is_crowded = _ANY_IN_RANGE.scalar(self._conn, strand=self._strand, first=first, end=end) is not None
            occupied, long, arrive = _move_statements(len(move.but_folders))
            values = move.values(self._strand, self._seq)
            in_the_way = list(occupied(self._conn, **values))
            for row in in_the_way:
                self._faults.taken(row.path, f"There is an entry {row.path!r} already.")
            if len(move.target) > len(move.source):
                for row in long(self._conn, most=MAX_PATH_BYTES, **values):
                    self._faults.wrong(row.path, f"{row.path!r} would be longer than {MAX_PATH_BYTES} bytes.")
            # All that was in it may leave by changes of its own.
            if not in_the_way and arrive(self._conn, meta=self._all_texts, **values).rowcount > 0:
                moved.append(move)
                crowded += [move] * is_crowded
        return moved, crowded

    def _refuse_second_arrivals(self, arriving: Sequence[str]) -> None:
        if self._moves:
            for part in bulk.chunks(arriving):
                for row in _ARE_FILES(self._conn, strand=self._strand, paths=list(part)):
                    self._claim(True, row.path)

    def _check_moved(self, moved: Sequence[_Move], crowded: Sequence[_Move]) -> None:
        for move in moved:
            around = [move.target, *ancestors(move.target)]
            for row in _ARE_FILES(self._conn, strand=self._strand, paths=around):
                self._faults.taken(row.path, f"{row.path!r} is a file, so nothing can be below it.")
        for move in crowded:
            first, end = folder_bounds(move.target)
            for row in _BOTH(self._conn, strand=self._strand, first=first, end=end):
                self._faults.taken(row.path, f"{row.path!r} would be a file and a folder.")

    def _describe(self) -> None:
        if not self._texts:
            return
        here: dict[str, EntryRow] = {}
        for part in bulk.chunks(sorted(self._texts)):
            here |= rows_at(self._conn, self._head, part)
        changed = []
        for path, meta in self._texts.items():
            row = here.get(path)
            if row is None:
                self._not_there(path, recursive=False)
            elif (row.meta or "") != meta:
                changed.append(row)
        self._retire([row.path for row in changed])
        numbers = word_ids(self._conn, {word for row in changed for word in (row.media, row.dtype)})
        put_rows(
            self._conn,
            [
                (
                    self._strand,
                    row.path,
                    self._seq,
                    row.content,
                    numbers[row.media],
                    numbers[row.dtype],
                    self._texts[row.path] or None,
                    row.pos,
                    row.added,
                )
                for row in changed
            ],
        )
