"""Lists of versions as people and programs filter them: by names and ids, not by the catalogue's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Filter, Found
from entrepot.depot import lookup, paging, people
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.people import UserKey
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Dataset, Kind, Leaf, Page, State, Visibility

__all__ = ["Found", "Wanted", "get_dataset", "leaf_versions", "list_heads", "list_versions"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions a list asks for; None means any.

    Args:
        project: By number, uid or slug.
        collection: In it or below it.
        states: Any of these.
        tags: All of these.
        trashed: True is only those in the trash, None also those.
        proposals: True is only these, False none of them.
        and_expired: Beside those outside the trash also those that are in it because their time was over.
    """

    project: Key | str | None = None
    dataset: UUID | None = None
    collection: UUID | None = None
    name: str | None = None
    kind: Kind | None = None
    states: tuple[State, ...] = ()
    ready_only: bool = False
    tags: tuple[str, ...] = ()
    creator: UserKey | None = None
    visibility: Visibility | None = None
    data_type: str | None = None
    alias: str | None = None
    trashed: bool | None = False
    proposals: bool | None = None
    and_expired: bool = False


def list_versions(
    depot: Depot,
    actor: Actor,
    wanted: Wanted,
    *,
    cursor: str | None = None,
    limit: int = 100,
    newest_first: bool = True,
) -> Page[Found]:
    """Versions whose record the caller may see, by a key that never changes.

    A filter that names what is not there, or what the caller may not know, gives an empty list: public versions may
    lie in a project whose members are nobody's business.
    """
    size = paging.size(depot, limit)
    question = f"versions:{wanted!r}:{newest_first}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        numbers = _filter(conn, actor, wanted)
        if numbers is None:
            return Page(())
        found = rows.page(
            conn,
            lookup.sight(actor),
            numbers,
            after=None if after is None else after[0],
            limit=size + 1,
            newest_first=newest_first,
        )
    return paging.page(found, size, question, lambda one: (one.version.n,))


def leaf_versions(
    depot: Depot, actor: Actor, wanted: Wanted, *, cursor: str | None = None, limit: int = 100
) -> Leaf[Found]:
    """As `list_versions`, newest first, to be leafed through in both directions."""
    sight = lookup.sight(actor)
    with depot.catalog.read() as conn:
        numbers = _filter(conn, actor, wanted)

        def fetch(after: int | None, limit: int, *, onward: bool) -> list[Found]:
            if numbers is None:
                return []
            return rows.page(conn, sight, numbers, after=after, limit=limit, newest_first=onward)

        question = f"versions:{wanted!r}:leaf"
        return paging.leaf(depot, question, cursor, limit, fetch, lambda one: one.version.n, falling=True)


def _filter(conn: Connection, actor: Actor, wanted: Wanted) -> Filter | None:
    """The same in numbers; None when something named is not there."""
    project = dataset = creator = None
    below: str | None = None
    for text in (wanted.name, wanted.alias, wanted.data_type, *wanted.tags):
        if text is not None and not names.storable(text):
            return None
    if wanted.project is not None:
        home = project_rows.find_by(conn, wanted.project, user=actor.user)
        if home is None:
            return None
        project = home[0].n
    if wanted.collection is not None:
        place = project_rows.collection_by_uid(conn, wanted.collection)
        if place is None or (project is not None and place.project != project):
            return None
        project, below = place.project, place.path
    if wanted.dataset is not None:
        line = dataset_rows.find(conn, uid=wanted.dataset)
        if line is None:
            return None
        dataset = line.n
    if wanted.creator is not None:
        try:
            creator = people.locate(conn, actor, wanted.creator).n
        except NotFound:
            return None
    return Filter(
        project=project,
        dataset=dataset,
        collection_below=below,
        name=wanted.name,
        kind=wanted.kind,
        states=wanted.states,
        ready_only=wanted.ready_only,
        tags=wanted.tags,
        creator=creator,
        visibility=wanted.visibility,
        data_type=wanted.data_type,
        alias=wanted.alias,
        trashed=wanted.trashed,
        proposals=wanted.proposals,
        and_expired=wanted.and_expired,
    )


def get_dataset(depot: Depot, actor: Actor, uid: UUID) -> tuple[Dataset, UUID, list[Found]]:
    """A line, its project's uid, and those of its active versions that the caller may see, oldest first.

    Raises:
        NotFound: There is none, or the caller may see none of its versions.
    """
    missing = NotFound(f"There is no dataset {ids.encode(Noun.DATASET, uid)}, or you may not see it.")
    with depot.catalog.read() as conn:
        line = dataset_rows.find(conn, uid=uid)
        if line is None:
            raise missing
        found = rows.page(
            conn,
            lookup.sight(actor),
            Filter(dataset=line.n),
            after=None,
            limit=depot.limits.page,
            newest_first=False,
        )
    if not found:
        raise missing
    return line, found[0].version.project_uid, found


def list_heads(
    depot: Depot, actor: Actor, key: Key | str, *, cursor: str | None = None, limit: int = 100
) -> Page[Found]:
    """For each dataset of a project the version that its bare name means, in order of the datasets' making."""
    size = paging.size(depot, limit)
    with depot.catalog.read() as conn:
        home = lookup.project(conn, actor, key, Action.VIEW_PROJECT).project
        question = f"heads:{home.n}"
        seen = paging.after(cursor, question, int)
        heads = rows.heads(conn, home.n, after=None if seen is None else seen[0], limit=size + 1)
        found = rows.by_numbers(conn, lookup.sight(actor), [version for _, version in heads])
    shown = [found[version] for _, version in heads if version in found]
    return paging.page(shown, size, question, lambda one: (one.version.dataset,))
