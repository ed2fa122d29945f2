"""Finding versions by words and conditions, among those whose record the caller may see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from entrepot.catalog import examinations as examination_rows
from entrepot.catalog import many, queue
from entrepot.catalog import search as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.bulk import chunks
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.catalog.work import UPKEEP, Work
from entrepot.depot import lookup, paging
from entrepot.depot.context import Depot
from entrepot.model import cursors, names, search_terms
from entrepot.model.access import Action, Actor
from entrepot.model.errors import BadCursor
from entrepot.model.values import Kind, Page, Version

LINE_JOB = "search.line"
MANY_JOB = "search.many"

#: Versions whose texts are written in one transaction.
_SLICE = 100

#: Of those that change together: whose files are asked for facts in the transaction of the change.
_READ_AT_ONCE = 20

#: Nobody reads further; ranking deeper would cost more and more.
_DEEPEST = 10_000


@dataclass(frozen=True, slots=True)
class Result:
    found: Found
    score: float


def write(conn: Connection, version: Version, *, new: bool = False) -> None:
    """Bring the index up to date with a record, in the record's own transaction.

    Args:
        new: This transaction made it, and nothing of it is in the index yet.
    """
    if version.trash is not None:
        rows.remove(conn, [version.n])
        return
    rows.write(conn, [_document(conn, version)], new=new)


def _document(conn: Connection, version: Version) -> rows.Document:
    return rows.Document(
        version=version.n,
        project=version.project,
        visibility=version.visibility,
        name=" ".join(filter(None, (version.name, version.slug, version.alias))),
        tags=" ".join(version.tags),
        columns=" ".join((*_columns(version.declared), *_read_out(conn, version))),
        description=version.description,
        metadata=" ".join(_texts(version.custom)),
    )


def write_all(conn: Connection, depot: Depot, versions: Sequence[Version]) -> None:
    """`write` for many that are not in the trash.

    What was read out of files takes several questions a version: beyond the first of those a job does it, which this
    transaction enqueues.
    """
    slow = [one.n for one in versions if _has_facts(one)][_READ_AT_ONCE:]
    later = set(slow)
    rows.write(conn, [_document(conn, one) for one in versions if one.n not in later])
    if slow:
        queue.enqueue(
            conn,
            uid=depot.new_uid(),
            queue=UPKEEP,
            kind=MANY_JOB,
            payload={"versions": slow},
            now=depot.now(),
            shown=False,
        )


def rewrite_line(conn: Connection, depot: Depot, dataset: int) -> None:
    """Bring every version of a line up to date with its new slug, in the transaction that changes it.

    A line may have thousands of versions, and every writer would wait for all of them: beyond the first slice a job
    does it, which this transaction enqueues.
    """
    last = _rewrite_slice(conn, dataset, 0)
    if last is not None:
        queue.enqueue(
            conn,
            uid=depot.new_uid(),
            queue=UPKEEP,
            kind=LINE_JOB,
            payload={"dataset": dataset, "after": last},
            now=depot.now(),
            shown=False,
        )


def _rewrite_slice(conn: Connection, dataset: int, after: int) -> int | None:
    """Where the next slice begins, if there may be one."""
    found = version_rows.active_in_line(conn, dataset, after=after, limit=_SLICE)
    for version in found:
        write(conn, version)
    return found[-1].n if len(found) == _SLICE else None


def run_line(depot: Depot, work: Work) -> None:
    """Bring the rest of a line up to date. A job handler; done again from the start it does the same."""
    last: int | None = int(work.payload["after"])
    while last is not None:
        last = depot.catalog.write(partial(_rewrite_slice, dataset=int(work.payload["dataset"]), after=last))
    work.finish(lambda _conn: {})


def run_many(depot: Depot, work: Work) -> None:
    """Bring these versions up to date. A job handler; done again from the start it does the same."""
    for part in chunks([int(n) for n in work.payload["versions"]], _SLICE):
        depot.catalog.write(partial(_rewrite, numbers=part))
    work.finish(lambda _conn: {})


def _rewrite(conn: Connection, numbers: Sequence[int]) -> None:
    # In order of number, as everybody does; what is held is not put in the trash or changed meanwhile.
    many.hold(conn, numbers)
    for found in version_rows.find_all(conn, numbers, asking=None).values():
        write(conn, found.version)


def remove(conn: Connection, versions: Sequence[int]) -> None:
    rows.remove(conn, versions)


def _columns(declared: Any) -> list[str]:
    if isinstance(declared, Mapping):
        declared = declared.get("columns")
    if not isinstance(declared, list):
        return []
    return [str(column["name"]) for column in declared if isinstance(column, Mapping) and "name" in column]


def _has_facts(version: Version) -> bool:
    """Whether something may have been read out of its files that is searched."""
    return version.n_entries > 0 and version.kind is Kind.FILES


def _read_out(conn: Connection, version: Version) -> list[str]:
    """Names of columns, samples, contigs and the like that were read out of the first entries."""
    if not _has_facts(version):
        return []
    words: dict[str, None] = {}
    for told in examination_rows.first_facts(conn, version.n, version.revision):
        words |= dict.fromkeys(_strings(told))
    return list(words)


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, (list, tuple)):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []


def _texts(value: Any) -> list[str]:
    """Keys and values of custom metadata as words."""
    if isinstance(value, Mapping):
        return [text for key, inner in value.items() for text in (str(key), *_texts(inner))]
    if isinstance(value, (list, tuple)):
        return [text for inner in value for text in _texts(inner)]
    return [value if isinstance(value, str) else json.dumps(value)]


def search(
    depot: Depot,
    actor: Actor,
    query: str,
    *,
    project: lookup.Key | str | None = None,
    kind: Kind | None = None,
    tags: Sequence[str] = (),
    cursor: str | None = None,
    limit: int = 20,
) -> Page[Result]:
    """Versions outside the trash that contain all words and fulfil all conditions (`model.search_terms`), best first.

    The last word may be unfinished. Conditions on what is inside of files only find what the caller may read.

    Raises:
        Invalid: A condition cannot be read.
    """
    size = paging.size(depot, limit, most=100)
    wanted = names.text(query, max_length=1000, field="Query")
    terms = search_terms.parse(wanted, kind=kind, tags=tags)
    question = f"search:{wanted}:{project}:{kind}:{sorted(tags)}"
    # Ranks move with every write, so there is no key to continue from: a cursor counts, up to a bound.
    seen = paging.after(cursor, question, int)
    offset = 0 if seen is None else seen[0]
    if not 0 <= offset <= _DEEPEST:
        raise BadCursor("This page cursor is not one that this server makes. Ask for the first page again.")
    sight = lookup.sight(actor, content=terms.of_files)
    with depot.catalog.read() as conn:
        home = None
        if project is not None:
            home = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n
        hits = rows.find(conn, sight, terms, project_n=home, limit=size + 1, offset=offset)
        found = version_rows.by_numbers(conn, sight, [hit.version for hit in hits[:size]])
    shown = tuple(
        Result(found[hit.version], hit.score)
        for hit in hits[:size]
        # The versions of a large project leave the index behind it; until then they are as gone as it is.
        if hit.version in found and not found[hit.version].version.project_trashed
    )
    more = len(hits) > size and offset + size < _DEEPEST
    return Page(shown, cursors.encode((offset + size,), cursors.fingerprint(question)) if more else None)
