"""The check of records: what the worker does with NDJSON files before they become a revision.

    content ──► every line is judged ──► the report ─────────────────────┐
                     └──► index of lines ──► an object of its own ───────┴─► one transaction publishes all

The index is made on the way, without reading the file a second time. Its bytes are durable before the transaction that
names them; a check that is killed leaves a reserved object that is swept away, and begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from entrepot.catalog import contents as content_rows
from entrepot.catalog import derived as derived_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog.connection import Connection
from entrepot.depot.contents import ContentReader, open_content
from entrepot.depot.context import Depot
from entrepot.depot.ingests import Checker, Part, Verdict
from entrepot.depot.record_tables import Converted, convert, is_table, lines_name
from entrepot.model.digests import Digests
from entrepot.model.errors import Invalid
from entrepot.model.values import Version
from entrepot.records.check import LISTED, Check, Checked, Rule
from entrepot.records.index import IndexWriter
from entrepot.records.rules import rule_of

__all__ = ["DATA_TYPE", "LINES", "MEDIA_TYPE", "build_index", "checker"]

#: The kind of derived content that an index of lines is.
LINES: Final = "lines"
MEDIA_TYPE: Final = "application/x-ndjson"
DATA_TYPE: Final = "ndjson"

#: What a bad line is called, of files of lines and of tables.
_WHERE: Final = ("Line {line}", "Row {line}")

#: Bytes read at a time.
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Made:
    """An index whose bytes are durable and that nothing names yet."""

    source: int
    number: int
    digests: Digests


class _Refused(Exception):
    """The file has bad lines, so there is no index of it."""


def checker(depot: Depot) -> Checker:
    """What judges ingests of kind `records`."""
    return partial(_check, depot)


def _check(depot: Depot, version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
    rule = rule_of(_declared(depot, version))
    total = sum(part.size for part in parts)
    before = 0
    results: list[tuple[Part, Checked]] = []
    made: list[_Made] = []
    turned: dict[str, _Turned] = {}
    _check_names(parts)
    for part in parts:
        further = partial(_further, progress, before, total)
        if is_table(part.name):
            checked, lines = _turn(depot, part, rule, further)
            if lines is not None:
                turned[part.name] = lines
        else:
            checked, index = _pass(depot, part, rule, further)
            if index is not None:
                made.append(index)
        results.append((part, checked))
        before += part.size
    report = _report(results)
    good = all(checked.good for _, checked in results)
    return Verdict(
        accepted=good,
        report=report,
        item_count=sum(checked.items for _, checked in results) if good else None,
        media_types={part.name: MEDIA_TYPE for part in parts},
        data_type=DATA_TYPE,
        also=partial(_name_all, depot=depot, made=made) if made else None,
        instead=partial(_name_turned, depot=depot, turned=turned) if turned else None,
    )


@dataclass(frozen=True, slots=True)
class _Turned:
    """Lines that were made of a table, and their index."""

    lines: Converted
    index: _Made


def _check_names(parts: Sequence[Part]) -> None:
    """
    Raises:
        Invalid: Two files would be called the same.
    """
    seen: dict[str, str] = {}
    for part in parts:
        name = lines_name(part.name)
        if name in seen:
            raise Invalid(f"The lines of {part.name} would be called {name}, as those of {seen[name]}. Rename one.")
        seen[name] = part.name


def _turn(
    depot: Depot, part: Part, rule: Rule | None, progress: Callable[[int], None]
) -> tuple[Checked, _Turned | None]:
    """Make lines of a table, check them, and keep them with their index if they are good."""
    checked, lines = convert(depot, part, rule, progress)
    if lines is None:
        return checked, None
    with lines.reader(depot) as reader:
        writer = IndexWriter()
        check = Check(index=writer, max_line=depot.limits.record_line)
        whole = Part(part.name, 0, reader.size, reader)
        return checked, _Turned(lines, _store(depot, whole, check, writer, lambda _: progress(part.size)))


def _name_turned(conn: Connection, *, depot: Depot, turned: Mapping[str, _Turned]) -> dict[str, tuple[str, int]]:
    """What stands for each table: the name and the content of its lines."""
    found: dict[str, tuple[str, int]] = {}
    for name, one in turned.items():
        content = one.lines.name(conn, depot)
        _name(conn, replace(one.index, source=content), depot.now())
        found[name] = (lines_name(name), content)
    return found


def _further(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _declared(depot: Depot, version: Version) -> object:
    """What the version says its lines are, or else what its project says of all records."""
    if version.declared is not None:
        return version.declared
    with depot.catalog.read() as conn:
        home = project_rows.find(conn, user=None, n=version.project)
    return None if home is None else home[0].settings.get("records")


def _pass(depot: Depot, part: Part, rule: Rule | None, progress: Callable[[int], None]) -> tuple[Checked, _Made | None]:
    """Check one file from its first byte to its last, and keep the index if it has none and is good."""
    with depot.catalog.read() as conn:
        known = derived_rows.find(conn, [part.content], LINES)
    if known:
        check = Check(rule=rule, max_line=depot.limits.record_line)
        for block in _blocks(part.reader, progress):
            check.feed(block)
        return check.finish(), None
    writer = IndexWriter()
    check = Check(rule=rule, index=writer, max_line=depot.limits.record_line)
    try:
        made = _store(depot, part, check, writer, progress)
    except _Refused:
        made = None
    return check.finish(), made


def _store(depot: Depot, part: Part, check: Check, writer: IndexWriter, progress: Callable[[int], None]) -> _Made:
    def index() -> Iterator[bytes]:
        for block in _blocks(part.reader, progress):
            check.feed(block)
            if not check.bad and (piece := writer.drain()):
                yield piece
        if not check.finish().good:
            raise _Refused
        yield writer.finish(part.size)

    key = depot.new_key()
    # A row before the first byte: what is never named is swept away by it.
    number = depot.catalog.write(
        lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
    )
    return _Made(part.content, number, depot.store.put(key, index()))


def _blocks(reader: ContentReader, progress: Callable[[int], None]) -> Iterator[bytes]:
    at = 0
    while at < reader.size:
        progress(at)
        block = reader.read_at(at, min(_BLOCK, reader.size - at))
        at += len(block)
        yield block
    progress(at)


def _name_all(conn: Connection, *, depot: Depot, made: Sequence[_Made]) -> None:
    for one in made:
        _name(conn, one, depot.now())


def _name(conn: Connection, made: _Made, now: datetime) -> None:
    members = {0: made.digests}
    found = content_rows.insert_packed(conn, made.number, made.digests.size, members, at=now)
    derived_rows.name(conn, made.source, LINES, found[made.digests.sha256], at=now)


def build_index(depot: Depot, content: int) -> int | None:
    """Make the index of a content that lacks one, by checking it once more; answers the content that holds it.

    None when the content has bad lines, and so was never accepted as records here.
    """
    with open_content(depot, content) as reader:
        part = Part("", content, reader.size, reader)
        _, made = _pass(depot, part, None, lambda _: None)
    if made is not None:
        depot.catalog.write(lambda conn: _name(conn, made, depot.now()))
    with depot.catalog.read() as conn:
        return derived_rows.find(conn, [content], LINES).get(content)


def _report(results: Sequence[tuple[Part, Checked]]) -> Mapping[str, Any]:
    """What people read: a sentence that names the first bad line, the counts, and the bad lines that are told."""
    items = sum(checked.items for _, checked in results)
    bad = sum(checked.bad for _, checked in results)
    if not bad:
        return {"message": f"{items} items, every line good.", "items": items, "bad_lines": 0}
    listed = [
        line.as_json(part.name, _WHERE[is_table(part.name)]) for part, checked in results for line in checked.listed
    ][:LISTED]
    part, first = next((part, checked.listed[0]) for part, checked in results if checked.listed)
    where = _WHERE[is_table(part.name)] + (f" of {part.name}" if len(results) > 1 else "")
    rest = "" if bad == 1 else f" {bad} of {items + bad} lines are bad; the first {len(listed)} are in the report."
    return {
        "message": first.told(where) + rest,
        "items": items,
        "bad_lines": bad,
        "listed": len(listed),
        "errors": listed,
    }
