"""Licences, under both spellings of their address, and worker nodes, which are registered natively."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrepot.depot import judging, licences, nodes, selecting
from entrepot.depot.context import Depot
from entrepot.depot.licences import Descriptor
from entrepot.dialects.ufdl import encode, filters
from entrepot.dialects.ufdl.bodies import Body, Fields, invalid
from entrepot.dialects.ufdl.context import Asked
from entrepot.dialects.ufdl.routes.lists import listed
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import NameTaken
from entrepot.model.ids import Noun
from entrepot.model.values import Licence


def _key(found: Mapping[str, str]) -> int:
    return ids.parse_ufdl_pk(found["pk"], Noun.LICENCE)


async def list_(asked: Asked, _found: Mapping[str, str]) -> None:
    """All licences that the filter leaves. Anybody who is logged in."""
    await listed(asked, filters.LICENCES, selecting.licences, encode.licence)


async def create(asked: Asked, _found: Mapping[str, str]) -> None:
    """A licence without descriptors. Staff."""
    body = await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.may_at_all(actor, Action.MANAGE_LICENCES, "licences")
        fields = Fields(body)
        name, url = fields.text("name", most=100), fields.text("url", blank=True)
        fields.check()
        assert name is not None
        return _uniquely(lambda: licences.create(depot, actor, name, url=url or ""))

    await asked.answer(work, status=201)


def _uniquely(work: Any) -> dict[str, Any]:
    try:
        made: Licence = work()
    except NameTaken as taken:
        raise invalid({"name": ["licence with this name already exists."]}) from taken
    return encode.licence(made)


async def retrieve(asked: Asked, found: Mapping[str, str]) -> None:
    """One licence. Anybody who is logged in."""
    n = _key(found)
    await asked.answer(lambda depot, actor: encode.licence(licences.get(depot, actor, n)))


async def update(asked: Asked, found: Mapping[str, str]) -> None:
    """Name and address anew. Staff."""
    await _change(asked, found, partial=False)


async def partial_update(asked: Asked, found: Mapping[str, str]) -> None:
    """The fields that are given. Staff."""
    await _change(asked, found, partial=True)


async def _change(asked: Asked, found: Mapping[str, str], *, partial: bool) -> None:
    n, body = _key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        licences.get(depot, actor, n)
        judging.may_at_all(actor, Action.MANAGE_LICENCES, "licences")
        fields = Fields(body, partial=partial)
        name, url = fields.text("name", most=100), fields.text("url", blank=True)
        fields.check()
        return _uniquely(lambda: licences.update(depot, actor, n, name=name, url=url))

    await asked.answer(work)


async def destroy(asked: Asked, found: Mapping[str, str]) -> None:
    """Remove one that nothing names. Staff."""
    n = _key(found)
    await asked.nothing(lambda depot, actor: licences.delete(depot, actor, n))


async def subdescriptors(asked: Asked, found: Mapping[str, str]) -> None:
    """Put words into one of the four lists, or take them out; doing it twice is harmless. Staff."""
    n, body = _key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        licences.get(depot, actor, n)
        judging.may_at_all(actor, Action.MANAGE_LICENCES, "licences")
        method, kind, words = _wish(body)
        change = licences.add_descriptors if method == "add" else licences.remove_descriptors
        return encode.licence(change(depot, actor, n, kind, words))

    await asked.answer(work)


def _wish(body: Body) -> tuple[str, Descriptor, list[str]]:
    fields = Fields(body)
    method, type_, names = fields.text("method"), fields.text("type"), body.get("names")
    if method is not None and method not in ("add", "remove"):
        fields.wrong("method", f'"{method[:40]}" is not a valid choice.')
    if type_ is not None and type_ not in list(Descriptor):
        fields.wrong("type", f'"{type_[:40]}" is not a valid choice.')
    words = [names] if isinstance(names, str) else names
    if not isinstance(words, list):
        fields.wrong("names", "Expected a list of words.")
        words = []
    for word in words:
        if not isinstance(word, str):
            # The original keeps its words in tables and takes their numbers too; here they are words and no more.
            fields.wrong("names", f"{str(word)[:40]} is no word; words have no numbers here.")
            break
    fields.check()
    assert method is not None
    assert type_ is not None
    return method, Descriptor(type_), words


# Nodes


async def list_nodes(asked: Asked, _found: Mapping[str, str]) -> None:
    """All nodes that the filter leaves. Staff."""
    await listed(asked, filters.NODES, selecting.nodes, encode.node)


async def retrieve_node(asked: Asked, found: Mapping[str, str]) -> None:
    """One node. Staff."""
    n = ids.parse_ufdl_pk(found["pk"], Noun.NODE)
    await asked.answer(lambda depot, actor: encode.node(nodes.get(depot, actor, n)))
