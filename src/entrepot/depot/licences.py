"""Licences: under what terms data may be used. The usual ones are there from the first start; staff keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from entrepot.catalog import licences as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import Conflict, Invalid, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Licence, Page

#: The catalogue's number, the uid, or what people write: `lic_…` or a name.
LicenceKey: TypeAlias = int | UUID | str

MAX_NAME = 255
MAX_URL = 2048
MAX_DESCRIPTOR = 255
MAX_DESCRIPTORS = 100


class Descriptor(StrEnum):
    """The four lists of a licence: what it permits, asks for, excludes, and what it is meant for."""

    PERMISSIONS = "permissions"
    CONDITIONS = "conditions"
    LIMITATIONS = "limitations"
    DOMAINS = "domains"


def get(depot: Depot, actor: Actor, key: LicenceKey) -> Licence:
    """One licence by number, uid, id or exact name. Anybody who is logged in.

    Raises:
        NotFound
    """
    require(actor, Action.VIEW_LICENCES, Standing(), "licences", visible=True)
    with depot.catalog.read() as conn:
        return locate(conn, key)


def list_licences(depot: Depot, actor: Actor, *, cursor: str | None = None, limit: int = 100) -> Page[Licence]:
    """All licences in order of number, the standard ones first. Anybody who is logged in."""
    require(actor, Action.VIEW_LICENCES, Standing(), "licences", visible=True)

    def fetch(after: int | None, size: int) -> list[Licence]:
        with depot.catalog.read() as conn:
            return rows.page(conn, after=after, limit=size)

    return paging.numbered(depot, "licences", cursor, limit, fetch, lambda licence: licence.n)


def create(
    depot: Depot,
    actor: Actor,
    name: str,
    *,
    url: str = "",
    permissions: Sequence[str] = (),
    conditions: Sequence[str] = (),
    limitations: Sequence[str] = (),
    domains: Sequence[str] = (),
) -> Licence:
    """Add a licence. Staff only.

    Raises:
        NameTaken
    """
    _require(actor)
    wanted = _name(name)
    link = _url(url)
    lists = {
        Descriptor.PERMISSIONS: _descriptors(permissions),
        Descriptor.CONDITIONS: _descriptors(conditions),
        Descriptor.LIMITATIONS: _descriptors(limitations),
        Descriptor.DOMAINS: _descriptors(domains),
    }
    now = depot.now()

    def work(conn: Connection) -> Licence:
        if rows.find(conn, name=wanted) is not None:
            raise _taken(wanted)
        try:
            n = rows.insert_licence(
                conn,
                uid=depot.new_uid(),
                name=wanted,
                url=link,
                permissions=lists[Descriptor.PERMISSIONS],
                conditions=lists[Descriptor.CONDITIONS],
                limitations=lists[Descriptor.LIMITATIONS],
                domains=lists[Descriptor.DOMAINS],
            )
        except ConstraintViolated as clash:
            raise _taken(wanted) from clash
        made = locate(conn, n)
        record(conn, actor, "licence.created", at=now, subject=_id(made), after=_told(made))
        return made

    return depot.catalog.write(work)


def update(
    depot: Depot,
    actor: Actor,
    key: LicenceKey,
    *,
    name: str | None = None,
    url: str | None = None,
    permissions: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    limitations: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
) -> Licence:
    """Change what is given; a list that is given replaces the whole one. Staff only.

    Raises:
        NameTaken
        Conflict: It is the default of new projects, which finds it by its name.
    """
    _require(actor)
    given = {
        Descriptor.PERMISSIONS: permissions,
        Descriptor.CONDITIONS: conditions,
        Descriptor.LIMITATIONS: limitations,
        Descriptor.DOMAINS: domains,
    }
    lists = {kind.value: _bounded(kind, _descriptors(words)) for kind, words in given.items() if words is not None}
    now = depot.now()

    def work(conn: Connection) -> Licence:
        found = locate(conn, key, lock=True)
        values: dict[str, Any] = {
            field: list(words) for field, words in lists.items() if words != getattr(found, field)
        }
        if name is not None and _name(name) != found.name:
            _require_not_default(depot, found, "renamed")
            values["name"] = _name(name)
            if rows.find(conn, name=values["name"]) is not None:
                raise _taken(values["name"])
        if url is not None and _url(url) != found.url:
            values["url"] = _url(url)
        if not values:
            return found
        try:
            rows.change(conn, found.n, values)
        except ConstraintViolated as clash:
            raise _taken(values["name"]) from clash
        before = {field: _plain(getattr(found, field)) for field in values}
        record(conn, actor, "licence.updated", at=now, subject=_id(found), before=before, after=values)
        return locate(conn, found.n)

    return depot.catalog.write(work)


def _plain(value: str | tuple[str, ...]) -> str | list[str]:
    return list(value) if isinstance(value, tuple) else value


def delete(depot: Depot, actor: Actor, key: LicenceKey) -> Licence:
    """Remove a licence that nothing names; answers what it was. Staff only.

    Raises:
        Conflict: A version or project, in the trash or not, has it, or it is the default of new projects.
    """
    _require(actor)
    now = depot.now()

    def work(conn: Connection) -> Licence:
        found = locate(conn, key, lock=True)
        _require_not_default(depot, found, "removed")
        used = Conflict(
            f"Licence {found.name} is in use by datasets or projects, some maybe in the trash. Give them another first."
        )
        if rows.in_use(conn, found.n):
            raise used
        try:
            rows.delete_licence(conn, found.n)
        except ConstraintViolated as clash:
            raise used from clash
        record(conn, actor, "licence.deleted", at=now, subject=_id(found), before=_told(found))
        return found

    return depot.catalog.write(work)


def add_descriptors(depot: Depot, actor: Actor, key: LicenceKey, kind: Descriptor, wanted: Sequence[str]) -> Licence:
    """Put words into one of the lists; those already there stay where they are. Staff only."""
    words = _descriptors(wanted)
    return _relist(depot, actor, key, kind, lambda now: tuple(dict.fromkeys((*now, *words))))


def remove_descriptors(
    depot: Depot, actor: Actor, key: LicenceKey, kind: Descriptor, unwanted: Sequence[str]
) -> Licence:
    """Take words out of one of the lists; those not there are no mistake. Staff only."""
    gone = frozenset(_descriptors(unwanted))
    return _relist(depot, actor, key, kind, lambda now: tuple(word for word in now if word not in gone))


def _relist(
    depot: Depot,
    actor: Actor,
    key: LicenceKey,
    kind: Descriptor,
    change: Callable[[tuple[str, ...]], tuple[str, ...]],
) -> Licence:
    _require(actor)
    now = depot.now()

    def work(conn: Connection) -> Licence:
        found = locate(conn, key, lock=True)
        before: tuple[str, ...] = getattr(found, kind.value)
        after = change(before)
        if after == before:
            return found
        rows.change(conn, found.n, {kind.value: list(_bounded(kind, after))})
        record(
            conn,
            actor,
            "licence.updated",
            at=now,
            subject=_id(found),
            before={kind.value: list(before)},
            after={kind.value: list(after)},
        )
        return locate(conn, found.n)

    return depot.catalog.write(work)


def _bounded(kind: Descriptor, words: tuple[str, ...]) -> tuple[str, ...]:
    if len(words) > MAX_DESCRIPTORS:
        raise Invalid(f"A licence has at most {MAX_DESCRIPTORS} {kind}; this would be {len(words)}.")
    return words


def _require(actor: Actor) -> None:
    require(actor, Action.MANAGE_LICENCES, Standing(), "licences", visible=True)


def locate(conn: Connection, key: LicenceKey, *, lock: bool = False) -> Licence:
    """A licence by any key, for use cases that have asked the judge.

    Raises:
        NotFound
    """
    uid = key if isinstance(key, UUID) else _uid(key) if isinstance(key, str) else None
    by_name = isinstance(key, str) and uid is None
    found = None
    if not by_name or names.storable(str(key)):
        found = rows.find(
            conn,
            n=key if isinstance(key, int) else None,
            uid=uid,
            name=str(key) if by_name else None,
            lock=lock,
        )
    if found is None:
        raise NotFound(f"There is no licence {ids.encode(Noun.LICENCE, key) if isinstance(key, UUID) else key}.")
    return found


def _uid(text: str) -> UUID | None:
    try:
        return ids.decode(Noun.LICENCE, text)
    except NotFound:
        return None


def _require_not_default(depot: Depot, found: Licence, what: str) -> None:
    if found.name == depot.policy.default_licence:
        raise Conflict(
            f"{found.name} is the default licence of new projects and cannot be {what}. "
            "Name another in the settings first."
        )


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is already a licence named {name}. Choose another name.", details={"field": "name"})


def _name(value: str) -> str:
    return names.label(value, MAX_NAME, "Licence name")


def _url(value: str) -> str:
    link = names.label(value, MAX_URL, "Licence address", may_be_empty=True)
    # It becomes a link in pages: no address that a browser would run as a program.
    if link and not link.startswith(("https://", "http://")):
        raise Invalid(f"{link!r} is not a web address. Begin it with https://", details={"field": "url"})
    return link


def _descriptors(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.label(word, MAX_DESCRIPTOR, "Licence descriptor") for word in words))


def _id(licence: Licence) -> str:
    return ids.encode(Noun.LICENCE, licence.uid)


def _told(licence: Licence) -> dict[str, Any]:
    lists = {kind.value: list(getattr(licence, kind.value)) for kind in Descriptor}
    return {"name": licence.name, "url": licence.url, **lists}
