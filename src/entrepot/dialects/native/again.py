"""Answering a request that was carried out and never answered: its server died in between.

The key of the request says what was done (`depot.idempotency.Done`). Where that is a thing, the answer shows it as it
is now, in the form in which the route answers. Where it cannot be shown (a secret that is told once, a thing that is
gone again), the caller is told for certain that it was done, and to what.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from entrepot.depot import (
    batches,
    entries,
    licences,
    naming,
    nodes,
    projects,
    relationships,
    slots,
    tasks,
    teams,
    users,
    versions,
)
from entrepot.depot.context import Depot
from entrepot.depot.idempotency import Deed
from entrepot.dialects.native import encode, encode_webhooks, written
from entrepot.dialects.native.context import Message
from entrepot.dialects.native.slot_links import shown_slots
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import CarriedOut, EntrepotError, Gone, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import User
from entrepot.wire.messages import entries as entry_messages
from entrepot.wire.messages import licences as licence_messages
from entrepot.wire.messages import nodes as node_messages
from entrepot.wire.messages import projects as project_messages
from entrepot.wire.messages import relationships as relationship_messages
from entrepot.wire.messages import tasks as task_messages
from entrepot.wire.messages import teams as team_messages
from entrepot.wire.messages import unpacking as unpacking_messages
from entrepot.wire.messages import users as user_messages
from entrepot.wire.messages import versions as version_messages
from entrepot.wire.messages import webhooks as webhook_messages
from entrepot.wire.messages.base import Answer

Deeds = Sequence[Deed]
Show = Callable[[Depot, Actor, Deeds, str], Answer]

_NO_CONTENT: Final = 204


def answer(depot: Depot, actor: Actor, deeds: Deeds, form: type[Answer] | None, status: int, base_url: str) -> Response:
    """The answer to a request that did this.

    Args:
        form: What the route answers with.
        status: Of the route's success.

    Raises:
        CarriedOut: It cannot be answered as it should have been.
    """
    if status == _NO_CONTENT:
        return Response(status_code=status)
    show = None if form is None else SHOWN.get(form)
    if show is not None:
        # Gone, hidden from the caller by now, out of reach of a credential that was narrowed: it was done all the same.
        with contextlib.suppress(EntrepotError):
            message = show(depot, actor, deeds, base_url)
            return Message(message, status, _tag(message))
    raise _told(depot, deeds)


def _tag(message: Answer) -> dict[str, str] | None:
    if not isinstance(message, version_messages.Version):
        return None
    return {"etag": encode.record_tag(message.edit, message.revision, message.updated_at)}


def _told(depot: Depot, deeds: Deeds) -> CarriedOut:
    # A collection on the way to a version is not what was asked for.
    about = next((deed for deed in deeds if deed.version is not None), deeds[0])
    found = naming.of_numbers(depot, versions=[about.version], projects=[about.project])
    details: dict[str, Any] = {"verbs": [deed.verb for deed in deeds]}
    if about.subject is not None:
        details["subject"] = about.subject
    for name, noun, uids in (("version", Noun.VERSION, found.versions), ("project", Noun.PROJECT, found.projects)):
        details.update((name, ids.encode(noun, uid)) for uid in uids.values())
    if about.revision is not None:
        details["revision"] = about.revision
    at = " ".join(str(details[name]) for name in ("subject", "version", "project") if name in details)
    return CarriedOut(
        f"This request was carried out ({', '.join(details['verbs'])}), and its answer is lost. It was not done again. "
        + (f"Look at {at}." if at else "Look at what you asked for."),
        details=details,
    )


def _version_of(deeds: Deeds) -> int:
    for deed in deeds:
        if deed.version is not None:
            return deed.version
    raise Gone("No version was touched.")


def _subject_of(deeds: Deeds, noun: Noun) -> str:
    """The first thing of a kind that something was done to: what else was done followed from it."""
    for deed in deeds:
        if deed.subject is not None and deed.subject.startswith(f"{ids.PREFIXES[noun]}_"):
            return deed.subject
    raise Gone(f"No {noun} was touched.")


def _version(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    return encode.found_version(versions.get(depot, actor, _version_of(deeds)))


def _version_with_slots(depot: Depot, actor: Actor, deeds: Deeds, base_url: str) -> Answer:
    made, found = slots.list_slots(depot, actor, _version_of(deeds))
    return written.version_with_slots(depot, actor, made, shown_slots(depot, actor, found, base_url))


def _committed(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    for deed in deeds:
        if deed.version is not None and deed.revision is not None:
            found = versions.get(depot, actor, deed.version)
            made = entries.revision(depot, actor, deed.version, deed.revision)
            return entry_messages.Committed(
                version=encode.found_version(found), revision=encode.revision(found.version.uid, made)
            )
    raise Gone("No revision was made.")


def _project(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    for deed in deeds:
        if deed.project is not None:
            return encode.found_project(projects.get(depot, actor, deed.project))
    raise Gone("No project was touched.")


def _collection(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    # Those above it were made before it.
    uid = ids.decode(Noun.COLLECTION, _subject_of(deeds[-1:], Noun.COLLECTION))
    return encode.collection(projects.get_collection(depot, actor, uid))


def _user(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    found = users.get(depot, actor, _subject_of(deeds, Noun.USER))
    if not isinstance(found, User):
        raise NotFound(f"You may not see the account of {found.name}.")
    return encode.user(found, naming.of_user(depot, found))


def _team(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    return encode.found_team(teams.get(depot, actor, _subject_of(deeds, Noun.TEAM)))


def _node(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    return encode.node(nodes.get(depot, actor, _subject_of(deeds, Noun.NODE)))


def _licence(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    return encode.licence(licences.get(depot, actor, _subject_of(deeds, Noun.LICENCE)))


def _relationship(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    uid = ids.decode(Noun.RELATIONSHIP, _subject_of(deeds, Noun.RELATIONSHIP))
    return encode.relationship(relationships.get(depot, actor, uid))


def _task(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    found = tasks.get(depot, actor, ids.decode(Noun.TASK, _subject_of(deeds, Noun.TASK)))
    return encode.task(found, naming.of_tasks(depot, [found]))


def _batch(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    return encode_webhooks.batch(batches.get(depot, actor, ids.decode(Noun.TASK, _subject_of(deeds, Noun.TASK))))


def _unpacking(depot: Depot, actor: Actor, deeds: Deeds, _base_url: str) -> Answer:
    made = versions.get(depot, actor, _version_of(deeds)).version
    found = tasks.get(depot, actor, ids.decode(Noun.TASK, _subject_of(deeds, Noun.TASK)))
    return unpacking_messages.Unpacking(
        version=written.version(depot, actor, made), task=encode.task(found, naming.of_tasks(depot, [found]))
    )


#: By the form of the answer: how to show what was done.
SHOWN: Final[Mapping[Any, Show]] = {
    version_messages.Version: _version,
    version_messages.VersionWithSlots: _version_with_slots,
    entry_messages.Committed: _committed,
    project_messages.Project: _project,
    project_messages.Collection: _collection,
    user_messages.User: _user,
    team_messages.Team: _team,
    node_messages.Node: _node,
    licence_messages.Licence: _licence,
    relationship_messages.Relationship: _relationship,
    task_messages.Task: _task,
    unpacking_messages.Unpacking: _unpacking,
    webhook_messages.Batch: _batch,
}
