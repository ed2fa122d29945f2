"""The check of tables: what the worker does with the files of a table before they become a revision.

    files ──child process──► every row is judged ──► the report ─────────────┐
                      └──► canonical Parquet, an object for each file ───────┴─► one transaction publishes all

Files form one table in their order. The canonical form is derived: it is kept beside the file under the name of its
form, that is, of the columns and rules by which it was made, and can be made again from them. The bytes that came stay
what they were. A check that is killed leaves reserved objects, which are swept away, and begins again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from entrepot.catalog import contents as content_rows
from entrepot.catalog import derived as derived_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.depot.ingests import Checker, Part, Verdict
from entrepot.depot.tabling import Effort, Frames, answer, ask, files_of, lend, refuse
from entrepot.model.columns import Column, TableRules, rules_of
from entrepot.model.digests import Digests
from entrepot.model.errors import Corrupt
from entrepot.model.values import Version

__all__ = ["FORM", "REJECTS", "checker", "form_of", "keep", "name_derived", "put_object"]

#: The kinds of derived contents that canonical forms are begin with this, those that lists of bad rows are with that.
FORM: Final = "table-"
REJECTS: Final = "rejects-"

_MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
#: Bad rows of the report itself; the file of them has more.
_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Made:
    """An object whose bytes are durable and that nothing names yet."""

    number: int
    key: str
    digests: Digests


@dataclass(slots=True)
class Converted:
    """What a conversion gave.

    Args:
        files: By the number of the file: its canonical form.
        rejects: The list of bad rows, if there are some.
    """

    said: Mapping[str, Any] = field(default_factory=dict)
    files: dict[int, Made] = field(default_factory=dict)
    rejects: Made | None = None


def checker(depot: Depot) -> Checker:
    """What judges ingests of kind `table`."""
    return partial(_check, depot)


def _check(depot: Depot, version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
    rules = rules_of(version.declared)
    kept = _kept(depot, version, parts, rules)
    fresh = [part for part in parts if part.content not in kept]
    total = sum(part.size for part in fresh)
    done = Converted()
    if fresh:
        done = convert(depot, fresh, _lenient(rules), lambda read: progress(min(read, total), total))
    said = _all_said(depot, parts, fresh, kept, rules, done)
    rows = sum(said["rows"])
    columns = rules_of({"columns": said["columns"]}).columns or ()
    if rules.found:
        columns = tuple(_as_missing(columns, rules, said["nulls"]))
        said["columns"] = [one.as_json() for one in columns]
    form = form_of(columns, rules)
    report = _report(version, parts, said, form)
    if done.rejects is not None:
        rejects = done.rejects
        depot.catalog.write(lambda conn: name_derived(conn, rejects, parts[0].content, report["rejects"], depot.now()))
    if not said["good"]:
        return Verdict(accepted=False, report=report)
    formats = {one for one in said["formats"] if one}
    return Verdict(
        accepted=True,
        report=report,
        item_count=rows,
        declared=replace(rules.with_columns(columns), found=rules.found or rules.columns is None).as_json()
        | {"form": form},
        media_types={
            part.name: _media_type(part.name, one) for part, one in zip(parts, said["formats"], strict=True) if one
        },
        data_type=formats.pop() if len(formats) == 1 else None,
        also=partial(keep, made=[(fresh[i].content, one) for i, one in done.files.items()], form=form, at=depot.now()),
    )


def _kept(depot: Depot, version: Version, parts: Sequence[Part], rules: TableRules) -> dict[int, int]:
    """Files that were checked by these rules for an earlier revision: the canonical form of each."""
    if not version.revision or rules.columns is None:
        return {}
    kind = FORM + form_of(rules.columns, rules)
    with depot.catalog.read() as conn:
        held = {row.content for row in entry_rows.page(conn, version.n, version.revision, limit=10_000)}
        return derived_rows.find(conn, [part.content for part in parts if part.content in held], kind)


def _lenient(rules: TableRules) -> TableRules:
    """Columns that were found out bind those of later files to their types, not to having values everywhere."""
    if not rules.found or rules.columns is None:
        return rules
    return rules.with_columns([replace(one, nullable=True) for one in rules.columns])


def _as_missing(columns: Sequence[Column], rules: TableRules, nulls: Mapping[str, int]) -> list[Column]:
    before = {one.name: one.nullable for one in rules.columns or ()}
    return [replace(one, nullable=before.get(one.name, True) or nulls.get(str(one.name), 0) > 0) for one in columns]


def _all_said(
    depot: Depot,
    parts: Sequence[Part],
    fresh: Sequence[Part],
    kept: Mapping[int, int],
    rules: TableRules,
    done: Converted,
) -> dict[str, Any]:
    """What the conversion said, with the files that needed none in their places."""
    said: dict[str, Any] = {
        "good": True,
        "columns": [one.as_json() for one in rules.columns or ()],
        "nulls": {},
        "notes": [],
        "rejects": {"rejected_rows": 0, "faults": 0, "by_rule": {}, "listed": 0, "errors": []},
        **done.said,
    }
    places = {part.name: i for i, part in enumerate(fresh)}
    rows, formats = [], []
    with ExitStack() as stack:
        for part in parts:
            i = places.get(part.name)
            if i is not None:
                rows.append(done.said["rows"][i])
                formats.append(done.said["formats"][i])
            else:
                paths = files_of(depot, [kept[part.content]], stack)
                rows.append(answer(depot, {"do": "about", "paths": paths}, Effort.READ)[0]["rows"])
                formats.append("")
    return said | {"rows": rows, "formats": formats}


def _media_type(name: str, format: str) -> str:
    if format == "csv" and name.lower().endswith((".tsv", ".tab")):
        return "text/tab-separated-values"
    return _MEDIA_TYPES[format]


def form_of(columns: Sequence[Column], rules: TableRules) -> str:
    """The name of what is made by these columns and rules. Whether values may be missing changes nothing of it."""
    said = {
        "columns": [[one.name, one.type.value, one.list] for one in columns],
        "rules": {name: value for name, value in rules.as_json().items() if name not in ("columns", "found")},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]


def convert(depot: Depot, parts: Sequence[Part], rules: TableRules, progress: Callable[[int], None]) -> Converted:
    """Have the files checked and their canonical forms stored. Nothing names them yet.

    Raises:
        Invalid: A file cannot be read at all, or its columns are not the others'.
        Unavailable: The process that did it was ended.
    """
    with ExitStack() as stack:
        lent = lend(depot, [part.content for part in parts], stack)
        request = {
            "do": "convert",
            "sources": [{"name": part.name, **one} for part, one in zip(parts, lent, strict=True)],
            "rules": rules.as_json(),
            "listed": _LISTED,
        }
        frames = stack.enter_context(ask(depot, request, Effort.WORK))
        done = Converted()
        try:
            _collect(depot, frames, done, progress)
        except BaseException:
            _discard(depot, done)
            raise
        if not done.said.get("good"):
            _discard(depot, done, but_rejects=True)
        return done


class _Void(Exception):
    """What was being stored is not wanted; `frame` came instead of its end."""

    def __init__(self, frame: tuple[str, bytes]) -> None:
        super().__init__()
        self.frame = frame


def _collect(depot: Depot, frames: Frames, done: Converted, progress: Callable[[int], None]) -> None:
    waiting: tuple[str, bytes] | None = None
    while True:
        letter, body = waiting or next(frames, ("", b""))
        waiting = None
        if letter == "B":
            part = json.loads(body)
            try:
                made = put_object(depot, _until_whole(frames, progress))
            except _Void as instead:
                waiting = instead.frame
                continue
            if part < 0:
                done.rejects = made
            else:
                done.files[part] = made
        elif letter == "V":
            _discard(depot, done)
        elif letter == "P":
            progress(int(body))
        elif letter == "R":
            done.said = json.loads(body)
            return
        elif letter == "X":
            refuse(body)
        else:
            raise Corrupt("The process that reads tables ended without an answer.")


def _until_whole(frames: Frames, progress: Callable[[int], None]) -> Iterator[bytes]:
    for letter, body in frames:
        if letter == "D":
            yield body
        elif letter == "P":
            progress(int(body))
        elif letter == "E":
            return
        else:
            raise _Void((letter, body))


def put_object(depot: Depot, blocks: Iterator[bytes]) -> Made:
    """Store bytes as an object that nothing names yet."""
    key = depot.new_key()
    # A row before the first byte: what is never named is swept away by it.
    number = depot.catalog.write(
        lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
    )
    return Made(number, key, depot.store.put(key, blocks))


def _discard(depot: Depot, done: Converted, *, but_rejects: bool = False) -> None:
    """Give the room back at once; the reservations expire by themselves."""
    for made in done.files.values():
        depot.store.delete(made.key)
    done.files.clear()
    if not but_rejects:
        done.rejects = None


def keep(conn: Connection, *, made: Sequence[tuple[int, Made]], form: str, at: datetime) -> None:
    """Name canonical forms, each as that of the content it was made of."""
    for source, one in made:
        name_derived(conn, one, source, FORM + form, at)


def name_derived(conn: Connection, made: Made, source: int, kind: str, at: datetime) -> None:
    found = content_rows.insert_packed(conn, made.number, made.digests.size, {0: made.digests}, at=at)
    derived_rows.name(conn, source, kind, found[made.digests.sha256], at=at)


def _report(version: Version, parts: Sequence[Part], said: Mapping[str, Any], form: str) -> dict[str, Any]:
    """What people read: a sentence that names the first bad row, the counts, the columns, and the bad rows told."""
    rows, rejects = sum(said["rows"]), said["rejects"]
    bad = rejects["rejected_rows"]
    report: dict[str, Any] = {
        "message": _message(rows, bad, rejects, good=said["good"]),
        "rows": rows,
        "rejected_rows": bad,
        "faults": rejects["faults"],
        "columns": said["columns"],
        "notes": said["notes"],
        "parts": [
            {"name": part.name, "rows": count, "format": format}
            for part, count, format in zip(parts, said["rows"], said["formats"], strict=True)
        ],
    }
    if said["good"]:
        # By which of its forms a revision is read: that of the newest ingest not after it.
        report |= {"form": form, "revision": version.revision + 1}
    if bad:
        where = hashlib.sha256(f"{version.uid.hex} {version.edit} {version.revision}".encode()).hexdigest()[:24]
        report |= {
            "by_rule": rejects["by_rule"],
            "listed": rejects["listed"],
            "errors": rejects["errors"],
            "rejects": REJECTS + where,
            "rejects_of": parts[0].content,
        }
    return report


def _message(rows: int, bad: int, rejects: Mapping[str, Any], *, good: bool) -> str:
    if not bad:
        return f"{rows} rows, every one good."
    first = rejects["errors"][0]["detail"] if rejects["errors"] else ""
    if good:
        return f"{rows} rows are good, {bad} were left out. {first}"
    rest = "" if bad == 1 else f" {bad} of {rows + bad} rows are bad; the first are in the report."
    return first + rest
