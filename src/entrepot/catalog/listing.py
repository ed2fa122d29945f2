"""Reading the entries of one revision: pages in path order or position order, one level of a folder, single paths.

All of it is index ranges of `live` and `past`, whatever the size of the version. At the head of a strand `live` alone
is asked. At an older point both halves are cut to the page first and merged then; rows of the range that were not valid
then are skipped, which costs little a row, but a small revision under a large strand would skip all of it for every
page: it is found through the index of birth instead.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from entrepot.catalog.entry_values import EntryRow, FolderItem
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import COLUMNS, Point, point
from entrepot.catalog.words import word_texts
from entrepot.model.names import MAX_PATH_BYTES

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = [
    "entry_rows",
    "folder",
    "folder_bounds",
    "get",
    "get_by_content",
    "get_by_position",
    "get_many",
    "iterate",
    "of_heads",
    "page",
    "page_by_position",
    "rows_at",
]

#: A revision is sparse in its strand, and read whole for each page, when the strand's newest one has this many times
#: its entries; unless it is too many to be read whole.
SPARSE = 10
WHOLE = 10_000

_SHOWN = "l.path, l.content, l.media, l.dtype, l.meta, l.pos, l.added, c.sha256, c.size, c.crc32c, c.crc32"
_ROW = f"path, {COLUMNS}"

#: Sorts after every path, which has at most 1024 bytes: the greatest character once more than fits in.
_END = "\U0010ffff" * (MAX_PATH_BYTES // 4 + 1)


def folder_bounds(folder: str) -> tuple[str, str]:
    """The range of all paths below a folder: from the first, inclusive, to the end, exclusive. "" is everything."""
    # "0" is the character after "/".
    return (f"{folder}/", f"{folder}0") if folder else ("", _END)


def _shown(rows: str, order: str) -> str:
    return f"SELECT {_SHOWN} FROM ({rows}) AS l {{join}} content AS c ON c.id = l.content ORDER BY l.{order}"


def _page_statements(order: str, window: str) -> tuple[Sql, Sql, Sql]:
    """The page at the head, at an older point, and at an older point that is sparse; `window` cuts the range."""
    tail = f"ORDER BY {order} LIMIT :limit"
    head = (
        f"SELECT {_SHOWN} FROM live AS l {{join}} content AS c ON c.id = l.content "
        f"WHERE l.strand = :strand {window.replace('AND ', 'AND l.')} ORDER BY l.{order} LIMIT :limit"
    )
    old = (
        f"SELECT * FROM (SELECT {_ROW} FROM live WHERE strand = :strand AND {{plain:vfrom}} <= :seq "
        f"{window} {tail}) AS a UNION ALL SELECT * FROM "
        f"(SELECT {_ROW} FROM past WHERE strand = :strand AND {{plain:vfrom}} <= :seq AND {{plain:vto}} > :seq "
        f"{window} {tail}) AS b {tail}"
    )
    sparse = (
        f"SELECT * FROM (SELECT {_ROW} FROM live {{by:ix_live_strand_vfrom}} "
        f"WHERE strand = :strand AND vfrom <= :seq {window} "
        f"UNION ALL SELECT {_ROW} FROM past {{by:ix_past_strand_vfrom}} "
        f"WHERE strand = :strand AND vfrom <= :seq AND vto > :seq {window}) AS v {tail}"
    )
    return Sql(head), Sql(_shown(old, order)), Sql(_shown(sparse, order))


_BY_PATH = _page_statements("path", "AND path > :after AND path < :end")
_BY_POSITION = _page_statements("pos", "AND pos > :after")


def _page(conn: Connection, statements: tuple[Sql, Sql, Sql], at: Point, limit: int, **window: Any) -> list[EntryRow]:
    if at.strand is None or at.n_entries == 0 or limit <= 0:
        return []
    head, old, sparse = statements
    if at.at_head:
        return entry_rows(conn, head(conn, strand=at.strand, limit=limit, **window).tuples)
    statement = sparse if at.n_entries * SPARSE < at.crowd and at.n_entries <= WHOLE else old
    return entry_rows(conn, statement(conn, strand=at.strand, seq=at.seq, limit=limit, **window).tuples)


def page(
    conn: Connection, version: int, rev: int, *, after: str | None = None, limit: int, prefix: str | None = None
) -> list[EntryRow]:
    """The next entries in path order (byte-wise).

    Args:
        after: The last path of the page before.
        prefix: Only what is below this folder.

    Raises:
        NotFound: There is no such revision.
    """
    return page_at(conn, point(conn, version, rev), after=after, limit=limit, prefix=prefix)


def page_at(
    conn: Connection, at: Point, *, after: str | None = None, limit: int, prefix: str | None = None
) -> list[EntryRow]:
    first, end = folder_bounds((prefix or "").strip("/"))
    # No path ends with "/", so the folder's own first bound may be exclusive too.
    return _page(conn, _BY_PATH, at, limit, after=max(after or "", first), end=end)


def page_by_position(
    conn: Connection, version: int, rev: int, *, after: int | None = None, limit: int
) -> list[EntryRow]:
    """The next entries in order of first addition; `after` is the last position of the page before.

    Raises:
        NotFound: There is no such revision.
    """
    return _page(conn, _BY_POSITION, point(conn, version, rev), limit, after=-1 if after is None else after)


def iterate(
    catalog: Catalog, version: int, rev: int, *, prefix: str | None = None, size: int = 1_000
) -> Iterator[EntryRow]:
    """All entries of a revision in path order; no read outlives a page of `size`."""
    after: str | None = None
    while True:
        with catalog.read() as conn:
            found = page(conn, version, rev, after=after, limit=size, prefix=prefix)
        yield from found
        if len(found) < size:
            return
        after = found[-1].path


def _one(key: str) -> Sql:
    def half(table: str, more: str = "") -> str:
        index = {"pos": f"{{by:ix_{table}_strand_pos}}", "content": f"{{by:ix_{table}_content}}"}.get(key, "")
        return (
            f"SELECT {_SHOWN} FROM revision AS r {{join}} {table} AS l {index} "
            f"ON l.strand = r.strand AND l.{key} = :key AND {{plain:l.vfrom}} <= r.seq {more} "
            "{join} content AS c ON c.id = l.content WHERE r.version = :version AND r.num = :num"
        )

    # A content may be at any number of paths; the bytes are the same at each.
    first = " LIMIT 1" if key == "content" else ""
    return Sql(f"{half('live')} UNION ALL {half('past', 'AND {plain:l.vto} > r.seq')}{first}")


_GET = _one("path")
_GET_BY_POSITION = _one("pos")
_GET_BY_CONTENT = _one("content")


def get(conn: Connection, version: int, rev: int, path: str) -> EntryRow | None:
    """The entry at `path`; None if this revision has none, or is not kept."""
    rows = _GET(conn, key=path, version=version, num=rev).tuples
    return entry_rows(conn, rows)[0] if rows else None


def get_by_position(conn: Connection, version: int, rev: int, position: int) -> EntryRow | None:
    """The entry with this position; None if this revision has none."""
    rows = _GET_BY_POSITION(conn, key=position, version=version, num=rev).tuples
    return entry_rows(conn, rows)[0] if rows else None


def get_by_content(conn: Connection, version: int, rev: int, content: int) -> EntryRow | None:
    """One of the entries with this content; None if this revision has none."""
    rows = _GET_BY_CONTENT(conn, key=content, version=version, num=rev).tuples
    return entry_rows(conn, rows)[0] if rows else None


_AT_HEAD = Sql(
    f"SELECT {_SHOWN} FROM {{paths}} {{join}} live AS l ON l.strand = :strand AND l.path = listed.value "
    "{join} content AS c ON c.id = l.content"
)
_AT_POINT = Sql(
    f"SELECT {_SHOWN} FROM {{paths}} {{join}} live AS l "
    "ON l.strand = :strand AND l.path = listed.value AND {plain:l.vfrom} <= :seq "
    "{join} content AS c ON c.id = l.content "
    f"UNION ALL SELECT {_SHOWN} FROM {{paths}} {{join}} past AS l "
    "ON l.strand = :strand AND l.path = listed.value AND {plain:l.vfrom} <= :seq AND {plain:l.vto} > :seq "
    "{join} content AS c ON c.id = l.content"
)


_OF_HEADS = Sql(
    f"SELECT v.id, {_SHOWN} FROM {{ids}} {{join}} version AS v ON v.id = listed.value "
    "{join} revision AS r ON r.version = v.id AND r.num = v.rev "
    "{join} strand AS s ON s.id = r.strand AND s.head = r.seq "
    "{join} live AS l ON l.strand = r.strand {join} content AS c ON c.id = l.content ORDER BY v.id, l.path"
)


def of_heads(conn: Connection, versions: Sequence[int]) -> dict[int, list[EntryRow]]:
    """All entries of the newest revisions of these versions, in path order, with one question.

    Only of those whose newest revision is the newest of its history, which nearly all are; the others are left out.
    """
    found = _OF_HEADS(conn, ids=list(versions)).tuples if versions else []
    rows: dict[int, list[EntryRow]] = {}
    for owner, row in zip((one[0] for one in found), entry_rows(conn, [one[1:] for one in found]), strict=True):
        rows.setdefault(int(owner), []).append(row)
    return rows


def rows_at(conn: Connection, at: Point, paths: Sequence[str]) -> dict[str, EntryRow]:
    """The entries at these paths, those that there are."""
    if at.strand is None or not paths:
        return {}
    if at.at_head:
        rows = _AT_HEAD(conn, strand=at.strand, paths=list(paths)).tuples
    else:
        rows = _AT_POINT(conn, strand=at.strand, seq=at.seq, paths=list(paths)).tuples
    return {row.path: row for row in entry_rows(conn, rows)}


def get_many(conn: Connection, version: int, rev: int, paths: Sequence[str]) -> dict[str, EntryRow]:
    """The entries at these paths in one question, those that there are; each path once.

    Raises:
        NotFound: There is no such revision.
    """
    return rows_at(conn, point(conn, version, rev), paths)


# One level of a folder: from each name found the next seek starts behind everything below it, so that a level costs
# one seek for each name and not one row for each file.

_CURSOR = (
    "CASE WHEN {position}(substr(step.path, :skip), '/') > 0 "
    # Behind a folder: its name and the character after "/".
    "THEN substr(step.path, 1, :skip + {position}(substr(step.path, :skip), '/') - 2) || '0' "
    # Behind a file: no path has control characters, so this is the least text after it.
    "ELSE step.path || {control} END"
)


def _levels(seek: str) -> Sql:
    return Sql(
        f"WITH RECURSIVE step(path) AS (SELECT ({seek.replace('<from>', ':first')}) "
        f"UNION ALL SELECT ({seek.replace('<from>', _CURSOR)}) FROM step WHERE step.path IS NOT NULL) "
        "SELECT path FROM step WHERE path IS NOT NULL LIMIT :limit"
    )


_LEVEL_HEAD = _levels(
    "SELECT s.path FROM live AS s WHERE s.strand = :strand AND s.path >= <from> AND s.path < :end "
    "ORDER BY s.path LIMIT 1"
)
# At an older point each half has a seek of its own, and only the one that stood first goes on: rows of the other that
# were not valid then are skipped once for the level, and not once for each name.
_OLD_LIVE = (
    "SELECT s.path FROM live AS s WHERE s.strand = :strand AND s.path >= <from> AND s.path < :end "
    "AND {plain:s.vfrom} <= :seq ORDER BY s.path LIMIT 1"
)
_OLD_PAST = (
    "SELECT s.path FROM past AS s WHERE s.strand = :strand AND s.path >= <from> AND s.path < :end "
    "AND {plain:s.vfrom} <= :seq AND {plain:s.vto} > :seq ORDER BY s.path LIMIT 1"
)
_FIRST = "(CASE WHEN step.b IS NULL OR step.a < step.b THEN step.a ELSE step.b END)"


def _onward(seek: str, half: str) -> str:
    behind = _CURSOR.replace("step.path", _FIRST)
    return (
        f"CASE WHEN step.{half} IS NULL OR step.{half} >= {behind} THEN step.{half} "
        f"ELSE ({seek.replace('<from>', behind)}) END"
    )


_LEVEL_OLD = Sql(
    f"WITH RECURSIVE step(a, b) AS (SELECT ({_OLD_LIVE.replace('<from>', ':first')}), "
    f"({_OLD_PAST.replace('<from>', ':first')}) UNION ALL "
    f"SELECT {_onward(_OLD_LIVE, 'a')}, {_onward(_OLD_PAST, 'b')} FROM step "
    "WHERE step.a IS NOT NULL OR step.b IS NOT NULL) "
    f"SELECT {_FIRST} AS path FROM step WHERE step.a IS NOT NULL OR step.b IS NOT NULL LIMIT :limit"
)


def folder(
    conn: Connection, version: int, rev: int, folder: str, *, after: str | None = None, limit: int
) -> list[FolderItem]:
    """One level: the files and folders directly in `folder` ("" is the top), in the order of their paths.

    Args:
        after: The name of the last item of the page before.

    Raises:
        NotFound: There is no such revision.
    """
    at = point(conn, version, rev)
    if at.strand is None or at.n_entries == 0 or limit <= 0:
        return []
    first, end = folder_bounds(folder)
    start = len(first)
    if after is not None:
        # A file of this name and a folder of this name sort at different places; there is only one of them.
        last = first + after
        first = last + "\x01" if last in rows_at(conn, at, [last]) else last + "0"
    values: dict[str, Any] = {"strand": at.strand, "first": first, "end": end, "skip": start + 1, "limit": limit}
    if at.at_head:
        found = [row.path for row in _LEVEL_HEAD(conn, **values)]
    else:
        found = [row.path for row in _LEVEL_OLD(conn, seq=at.seq, **values)]
    files = rows_at(conn, at, [path for path in found if "/" not in path[start:]])
    return [
        FolderItem(path[start:], files[path], False)
        if path in files
        else FolderItem(path[start : path.index("/", start)], None, True)
        for path in found
    ]


def entry_rows(conn: Connection, rows: Sequence[Any]) -> list[EntryRow]:
    """Values of rows that have the columns of an entry and its content."""
    words = word_texts(conn, {number for row in rows for number in (row[2], row[3])})
    return [
        EntryRow(path, content, _word(words, media), _word(words, dtype), meta, pos, added, bytes(sha256), size, c, z)
        for path, content, media, dtype, meta, pos, added, sha256, size, c, z in rows
    ]


def _word(words: Mapping[int, str], number: int | None) -> str | None:
    return None if number is None else words[number]
