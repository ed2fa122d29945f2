"""From the model to the wire: pure functions, and the one text that is long, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from entrepot.model import ids, tag_text
from entrepot.model.values import Entry, Licence, Membership, Node, Project, Role, Team, User, Version, Visibility

__all__ = [
    "ROLES",
    "dataset",
    "handle",
    "joined",
    "letter",
    "licence",
    "membership",
    "metadata",
    "node",
    "project",
    "team",
    "user",
]

#: A role's letter on this wire.
ROLES = {"R": Role.READ, "X": Role.EXECUTE, "W": Role.WRITE, "A": Role.ADMIN}
_LETTERS = {role: letter for letter, role in ROLES.items()}

#: Entries written into one piece.
_AT_ONCE = 500


def letter(role: Role) -> str:
    return _LETTERS[role]


def time(at: datetime | None) -> str | None:
    """ISO 8601 with microseconds and an offset, as the original writes it."""
    return None if at is None else at.isoformat(timespec="microseconds")


def dataset(version: Version, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The record of a version, whose files may be any number."""
    record = {
        "pk": version.n,
        "name": version.name,
        "version": version.number,
        "previous_version": -1 if version.previous_version is None else version.previous_version,
        "description": version.description,
        "project": version.project,
        "licence": version.licence,
        "is_public": version.visibility is not Visibility.PRIVATE,
        "domain": None,
        "tags": tag_text.shown(version.tags, version.properties),
        "creator": version.creator,
        "creation_time": time(version.created_at),
        "deletion_time": None if version.trash is None else time(version.trash.at),
    }
    yield f'{json.dumps(record, ensure_ascii=False)[:-1]}, "files": '.encode()
    yield from _mapping((entry.path, entry.sha256.hex()) for entry in entries)
    yield b"}"


def metadata(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The text of every file by its name."""
    return _mapping((entry.path, entry.metadata) for entry in entries)


def _mapping(pairs: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """A JSON object of texts, some hundred a piece."""
    remaining = iter(pairs)
    opening = "{"
    while some := list(islice(remaining, _AT_ONCE)):
        yield (opening + json.dumps(dict(some), ensure_ascii=False)[1:-1]).encode()
        opening = ", "
    yield b"{}" if opening == "{" else b"}"


def joined(records: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """A JSON array of records."""
    opening = b"["
    for record in records:
        yield opening
        yield from record
        opening = b", "
    yield b"[]" if opening == b"[" else b"]"


def handle(path: str, sha256: bytes) -> dict[str, str]:
    return {"filename": path, "handle": ids.ufdl_handle(sha256)}


def user(user: User) -> dict[str, Any]:
    return {
        "pk": user.n,
        "username": user.name,
        "last_login": time(user.last_login_at),
        "is_superuser": user.is_staff,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_staff": user.is_staff,
        "is_active": user.is_active,
        "date_joined": time(user.created_at),
    }


def team(team: Team, members: Sequence[Membership]) -> dict[str, Any]:
    return {
        "pk": team.n,
        "name": team.name,
        "members": [{"pk": one.user, "username": one.user_name} for one in members],
        "creator": team.creator,
        "creation_time": time(team.created_at),
        "deletion_time": None if team.trash is None else time(team.trash.at),
    }


def membership(one: Membership, *, ended: datetime | None = None) -> dict[str, Any]:
    return {
        "user": one.user,
        "team": one.team,
        "permissions": letter(one.role),
        "creator": one.creator,
        "creation_time": time(one.created_at),
        "deletion_time": time(ended),
    }


def project(project: Project) -> dict[str, Any]:
    return {
        "pk": project.n,
        "name": project.name,
        "team": project.team,
        "creator": project.creator,
        "creation_time": time(project.created_at),
        "deletion_time": None if project.trash is None else time(project.trash.at),
    }


def licence(licence: Licence) -> dict[str, Any]:
    return {
        "pk": licence.n,
        "name": licence.name,
        "url": licence.url,
        "permissions": list(licence.permissions),
        "conditions": list(licence.conditions),
        "limitations": list(licence.limitations),
        "domains": list(licence.domains),
    }


def node(node: Node) -> dict[str, Any]:
    return {
        "pk": node.n,
        "name": node.name,
        "is_active": node.is_active,
        "creator": node.creator,
        "creation_time": time(node.created_at),
    }
