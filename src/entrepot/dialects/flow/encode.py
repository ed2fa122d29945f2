"""From the model to the wire: pure functions.

Ids are texts, times whole seconds since 1970. Every field that the original's answers have is there, null where this
product has no such thing: pipelines, filesets, images of people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from entrepot.depot.teams import FoundTeam
from entrepot.dialects.flow import things
from entrepot.dialects.flow.things import Thing
from entrepot.model import ids
from entrepot.model.values import Person, Role, User, Version, Visibility

__all__ = ["category", "data", "full_name", "me", "owner", "seconds"]


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def full_name(user: User | Person) -> str:
    return f"{user.first_name} {user.last_name}".strip() or user.name


def owner(name: str | None) -> dict[str, Any] | None:
    """Whoever made something; its record holds no more than the user name."""
    return None if name is None else {"username": name, "name": name, "image": None}


def me(user: User, teams: Iterable[FoundTeam]) -> dict[str, Any]:
    return {
        "id": ids.flow_data(user.n),
        "username": user.name,
        "name": full_name(user),
        "email": user.email,
        "image": None,
        "is_admin": user.is_staff,
        "can_run_pipelines": False,
        "can_impersonate": False,
        "has_ssh_key": False,
        "impersonator": None,
        "features": {},
        "memberships": [
            {"name": one.team.name, "slug": one.team.name, "is_admin": one.role >= Role.ADMIN}
            for one in teams
            if one.role > Role.NONE and one.team.personal_of is None
        ],
        "notifications": {"count": 0, "unread_count": 0, "notifications": []},
    }


def category(version: Version) -> int:
    found = version.properties.get(things.CATEGORY)
    known = (things.GENERIC, things.ANNOTATION, things.MULTIPLEXED)
    return found if isinstance(found, int) and found in known else things.GENERIC


def data(thing: Thing, *, is_binary: bool, data_type: Mapping[str, Any] | None) -> dict[str, Any]:
    """One object, as `/data/<id>` shows it.

    Args:
        data_type: identifier, name and description of the type that the file, or every file, has.
    """
    version, filename = thing.version, thing.filename
    is_sample = things.is_sample(version)
    return {
        "id": thing.id,
        "filename": filename,
        "filetype": filename.rpartition(".")[2] if "." in filename else "",
        "size": thing.size,
        "is_binary": is_binary,
        "is_directory": thing.is_directory,
        "is_ready": True,
        "created": seconds(version.created_at),
        "category": category(version),
        "data_type": data_type,
        "private": version.visibility is not Visibility.PUBLIC,
        "absolute_path": path(version, thing),
        "owner": owner(version.creator_name) if thing.is_member else None,
        "group_owner": None,
        "paired": None,
        "fileset": None,
        "execution": None,
        "sample": {"id": ids.flow_data(version.n), "name": version.name} if is_sample else None,
        "project": _project(version) if thing.is_member else None,
        "can_edit": thing.can_edit,
    }


def path(version: Version, thing: Thing) -> str:
    """How the command line of this product names it."""
    inside = f"/{thing.entry.path}" if thing.entry is not None else ""
    return f"{version.project_slug}/{version.slug}@{version.number}{inside}"


def _project(version: Version) -> dict[str, Any]:
    return {"id": ids.flow_data(version.project), "name": version.project_slug}
