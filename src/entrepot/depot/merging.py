"""What a merge would do, before anybody does it: read, and nothing held."""

from __future__ import annotations

from dataclasses import dataclass

from entrepot.catalog import entries as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import history, lookup
from entrepot.depot.context import Depot
from entrepot.depot.copies import mergeable, numbered_name
from entrepot.depot.lookup import Key
from entrepot.model.access import Action, Actor
from entrepot.model.values import Entry, Version

#: Differences that are gone through for one preview, and how many at a time.
LOOK, STEP = 10_000, 1000


@dataclass(frozen=True, slots=True)
class Preview:
    """What `copies.merge` would do to these two as they are now.

    Args:
        added: Files whose path the target does not have.
        renamed: Files whose path the target has with other bytes, and the path under which they would come.
        blocked: Paths that would be a file and a folder at once: with any of them the merge is refused as a whole.
        same: Files that the target has already; None if not everything was looked at.
        n_added, n_renamed: How many there are; of those above only the first are listed.
        is_whole: Whether everything was looked at.
    """

    target: Version
    source: Version
    added: tuple[Entry, ...]
    renamed: tuple[tuple[Entry, str], ...]
    blocked: tuple[str, ...]
    same: int | None
    n_added: int
    n_renamed: int
    is_whole: bool


def preview(depot: Depot, actor: Actor, target: Key, source: Key, *, shown: int = 100) -> Preview:
    """What bringing the files of `source` into `target` would do. For whoever may do it.

    Args:
        shown: How many of each sort to list.

    Raises:
        KindMismatch, Frozen, Trashed, WrongState: As the merge itself would.
    """
    with depot.catalog.read() as conn:
        into = lookup.version(conn, actor, target, Action.EDIT)
        leaving = lookup.version(conn, actor, source, Action.MERGE_SOURCE)
    mergeable(into, leaving)
    here, there = into.version, leaving.version
    added: list[Entry] = []
    clashing: list[Entry] = []
    looked, cursor = 0, None
    while True:
        page = history.diff_page(
            depot, actor, (here.n, here.revision), (there.n, there.revision), cursor=cursor, limit=STEP
        )
        for one in page.rows:
            if one.after is None:
                continue
            if one.before is None or one.before.path != one.after.path:
                # A rename is no such thing here: what the target has stays where it is.
                added.append(one.after)
            elif one.before.sha256 != one.after.sha256:
                clashing.append(one.after)
        looked, cursor = looked + len(page.rows), page.cursor
        if cursor is None or looked >= LOOK:
            break
    with depot.catalog.read() as conn:
        renamed = _named(conn, here, there, clashing[:shown])
        blocked = _blocked(conn, here, added[:shown])
    is_whole = cursor is None
    return Preview(
        here,
        there,
        tuple(added[:shown]),
        renamed,
        blocked,
        there.n_entries - len(added) - len(clashing) if is_whole else None,
        len(added),
        len(clashing),
        is_whole,
    )


def _named(conn: Connection, here: Version, there: Version, clashing: list[Entry]) -> tuple[tuple[Entry, str], ...]:
    """Each with the first of its other names that neither version has."""
    names: dict[str, str] = {}
    waiting = [one.path for one in clashing]
    k = 1
    while waiting:
        wanted = {path: numbered_name(path, k) for path in waiting}
        taken = {
            path
            for one in (here, there)
            for path in rows.get_many(conn, one.n, one.revision, sorted(set(wanted.values())))
        }
        names |= {path: name for path, name in wanted.items() if name not in taken}
        waiting, k = [path for path in waiting if path not in names], k + 1
    return tuple((one, names[one.path]) for one in clashing)


def _blocked(conn: Connection, here: Version, added: list[Entry]) -> tuple[str, ...]:
    """Paths that are a file here and a folder there, or the other way round."""
    above = {one.path[:at] for one in added for at, letter in enumerate(one.path) if letter == "/"}
    files = set(rows.get_many(conn, here.n, here.revision, sorted(above))) if above else set()
    folders = {one.path for one in added if rows.folder(conn, here.n, here.revision, one.path, limit=1)}
    return tuple(sorted(files | folders))
