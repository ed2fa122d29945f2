"""The line of versions behind a name: its slug, its numbers, and what hangs on a version when it leaves.

Whoever calls what gives or takes a name here holds the names of the project (`depot.lookup`): the look that finds a
number or an alias free is then still true when the row is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import leaving, many
from entrepot.catalog import projects as project_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.depot.events import tasks_ended
from entrepot.model import names
from entrepot.model.errors import NameTaken, QuotaExceeded
from entrepot.model.values import Dataset, Numbering, Project, Stage, Version


def open_line(
    conn: Connection, depot: Depot, project: Project, name: str, *, slug: str | None = None, now: datetime
) -> Dataset:
    """The dataset of that name in the project, made when it is the first of its name.

    Raises:
        NameTaken: A wished slug belongs to another dataset or is an alias.
    """
    wanted = names.dataset_name(name)
    found = dataset_rows.find(conn, project=project.n, name=wanted)
    if found is not None:
        return found
    if slug is not None:
        chosen = names.slug(slug)
        if dataset_rows.slug_taken(conn, project.n, chosen):
            raise NameTaken(f"Project {project.name} already uses the slug or alias {chosen}. Choose another.")
    else:
        chosen = names.next_slug(names.derive_slug(wanted), lambda s: dataset_rows.slug_taken(conn, project.n, s))
    made = dataset_rows.insert_row(conn, uid=depot.new_uid(), project=project.n, name=wanted, slug=chosen, at=now)
    leaving.forget_slug(conn, project.n, chosen)
    return made


def number_for(
    conn: Connection,
    line: Dataset,
    rule: Numbering,
    *,
    ready: bool,
    keep: int | None = None,
    but: int | None = None,
) -> int | None:
    """The number a version gets in this line, or None while it was never ready.

    Args:
        keep: The number it had, for the two rules that keep.
        but: A version that does not count as taking a number: the one being moved.

    Raises:
        NameTaken: The rule refuses.
    """
    if rule is Numbering.ONLY and rows.has_active(conn, line.n, but=but):
        raise NameTaken(
            f"There is already a dataset named {line.name!r} here. Choose another name, or make its next version.",
            details={"dataset": line.slug},
        )
    if rule is Numbering.FIRST:
        if rows.number_taken(conn, line.n, 1, but=but):
            raise NameTaken(f"{line.name!r} already has a version 1 here. Choose another name, or copy it.")
        return 1 if ready else None
    if not ready:
        return None
    if rule in (Numbering.KEEP, Numbering.KEEP_ELSE_NEXT) and keep is not None:
        if not rows.number_taken(conn, line.n, keep, but=but):
            return keep
        if rule is Numbering.KEEP:
            raise NameTaken(f"{line.name!r} already has an active version {keep} here.")
    return rows.highest_active_number(conn, line.n) + 1


def numbers_back(conn: Connection, versions: Sequence[Version], rule: Numbering) -> dict[int, int | None]:
    """The numbers that these versions get, which come back from the trash one after the other; as `number_for`.

    Raises:
        NameTaken: The rule refuses one of them.
    """
    known = many.lines(conn, {one.dataset for one in versions})
    taken = many.numbers_taken(conn, [one.n for one in versions])
    given: set[tuple[int, int]] = set()
    found: dict[int, int | None] = {}
    for one in versions:
        line = known[one.dataset]
        number = None
        if one.number is not None:
            keeps = one.n not in taken and (one.dataset, one.number) not in given
            number = _number_back(one, one.number if keeps else None, line, rule)
            given.add((one.dataset, number))
            line.highest = max(line.highest, number)
            line.has_first |= number == 1
        line.lives = True
        found[one.n] = number
    return found


def _number_back(version: Version, kept: int | None, line: many.Line, rule: Numbering) -> int:
    match rule:
        case Numbering.ONLY if line.lives:
            raise NameTaken(f"There is already a dataset named {version.name!r} here. Choose another name.")
        case Numbering.FIRST if line.has_first:
            raise NameTaken(f"{version.name!r} already has a version 1 here. Choose another name, or copy it.")
        case Numbering.FIRST:
            return 1
        case Numbering.KEEP if kept is None:
            raise NameTaken(f"{version.name!r} already has an active version {version.number} here.")
    # Coming back is not a reason for another number while the old one is free.
    return kept if kept is not None and rule is not Numbering.ONLY else line.highest + 1


def free_alias(conn: Connection, project_n: int, wished: str, *, but: int | None = None) -> str:
    """The alias, if no active version and no dataset slug of the project has it."""
    clean = names.alias(wished)
    if rows.alias_taken(conn, project_n, clean, but=but):
        raise NameTaken(f"The alias {clean!r} is already used in this project. Choose another.")
    return clean


def rename_slug(conn: Connection, version: Version, wanted: str) -> None:
    if dataset_rows.slug_taken(conn, version.project, wanted):
        raise NameTaken(f"The slug or alias {wanted} is already used in this project. Choose another.")
    leaving.forget_slug(conn, version.project, wanted)
    project_rows.keep_slug(conn, version.project, version.slug, dataset=version.dataset)
    dataset_rows.set_slug(conn, version.dataset, wanted)


def close_if_empty(conn: Connection, left: Version) -> None:
    """Drop the line that `left` was the last version of; its slugs then lead to where the version went, if it lives."""
    if not rows.is_empty_line(conn, left.dataset):
        return
    lives = rows.find(conn, asking=None, n=left.n) is not None
    if lives:
        project_rows.lead_on(conn, left.dataset, left.n)
    dataset_rows.delete_row(conn, left.dataset)
    if lives:
        project_rows.keep_slug(conn, left.project, left.slug, version=left.n)


def room_for(conn: Connection, project: Project, more: int) -> None:
    """Refuse what would pass the project's allocation. The last step of a write: others wait for it from here on.

    Raises:
        QuotaExceeded
    """
    if project.allocation is None:
        return
    project_rows.hold_room(conn, project.n)
    look_for_room(conn, project, more)


def look_for_room(conn: Connection, project: Project, more: int) -> None:
    """As `room_for`, of this moment and holding nothing: a look before bytes are taken, that are judged again after.

    Raises:
        QuotaExceeded
    """
    if project.allocation is None:
        return
    used = project_rows.used_bytes(conn, project.n) + more
    if used > project.allocation:
        raise QuotaExceeded(
            f"Project {project.name} may hold {project.allocation} bytes; this would make it {used}. "
            "Delete something, or ask an administrator for more.",
            details={"allocation": project.allocation, "would_be": used},
        )


def stop_work(conn: Connection, versions: Sequence[int], now: datetime) -> dict[int, Stage]:
    """Close the versions' slots, ask their running ingests to stop, and fail the attempts that were under way.

    Otherwise a version that is reinstated would wait for ever for a check that nobody makes. Answers the stage at
    which those failed by this that were never ready.
    """
    leaving.close_slots(conn, versions, now)
    tasks_ended(conn, [one.n for one in task_rows.ask_all_to_stop(conn, versions, now)], now)
    return leaving.fail_attempts(conn, versions, now, {"message": "It was deleted before its content was checked."})


def entomb(conn: Connection, version: Version) -> None:
    """Leave on every edge of the version what it was, and who may be told of it: those who could see it last."""
    stone: dict[str, Any] = {
        "uid": version.uid.hex,
        "name": version.name,
        "number": version.number,
        "project": version.project,
        "visibility": version.visibility.value,
    }
    leaving.entomb_edges(conn, version.n, stone)


def forget(conn: Connection, version: Version, now: datetime) -> None:
    """Remove what belongs to the version alone: uploads, ingests."""
    leaving.delete_uploads(conn, version.n, now)
    leaving.delete_ingests(conn, version.n)
