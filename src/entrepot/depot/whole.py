"""A version that is made with its files: nobody ever sees it without them, and a death leaves all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from entrepot.catalog.connection import Connection
from entrepot.depot import entries, lookup, versions
from entrepot.depot.changes import count
from entrepot.depot.context import Depot
from entrepot.depot.entries import Change, Committed
from entrepot.depot.lookup import Key
from entrepot.depot.projects import default_in
from entrepot.depot.readying import readied
from entrepot.depot.refusing import require_good_changes
from entrepot.depot.versions import NewVersion
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Invalid
from entrepot.model.values import Kind


def create(
    depot: Depot,
    actor: Actor,
    project: Key | str | None,
    new: NewVersion,
    changes: Sequence[Change],
    *,
    message: str = "",
) -> Committed:
    """Make a `files` version and its first revision in one transaction.

    Raises:
        NameTaken: The numbering rule refuses the name, or the alias or wished slug is in use.
        Invalid: It is of another kind, there are no changes, or one cannot be applied; `errors` names all of those.
        QuotaExceeded: The project has no room for it. No version is left.
    """
    if new.kind is not Kind.FILES:
        raise Invalid(f"A version of kind {new.kind.value} gets its content by slots, and is checked as a whole.")
    if not changes:
        raise Invalid("There is nothing to put into the version. Make an empty one, or name its files.")
    now = depot.now()
    text = names.text(message, max_length=10_000, field="Message")
    advice = "Make the version with some of them, and commit the others to it."
    clean = readied(depot, actor, changes, advice)

    def home(conn: Connection) -> int | None:
        with suppress(EntrepotError):
            if project is None:
                return default_in(conn, actor).n
            return lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n
        return None

    require_good_changes(depot, actor, home, clean)

    def work(conn: Connection) -> Committed:
        made = versions.create_in(conn, depot, actor, project, new, now)
        return entries.commit_in(conn, depot, actor, made.n, clean, expected=0, message=text, now=now)

    return depot.catalog.write(work, bulk=count(clean) > 2000)
