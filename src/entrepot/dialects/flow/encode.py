"""From the model to the wire: pure functions.

Ids are texts, times whole seconds since 1970. Every field that the original's answers have is there, null where this
product has no such thing: pipelines, filesets, images of people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from entrepot.depot.lookup import FoundProject
from entrepot.depot.singles import Single
from entrepot.depot.teams import FoundTeam
from entrepot.dialects.flow import things
from entrepot.dialects.flow.things import Thing
from entrepot.model import ids
from entrepot.model.values import Person, Role, User, Version, Visibility

__all__ = [
    "address",
    "category",
    "data",
    "full_name",
    "me",
    "owner",
    "person",
    "project",
    "row",
    "sample",
    "seconds",
]


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
        "absolute_path": address(version, None if thing.entry is None else thing.entry.path),
        "owner": owner(version.creator_name) if thing.is_member else None,
        "group_owner": None,
        "paired": None,
        "fileset": None,
        "execution": None,
        "sample": {"id": ids.flow_data(version.n), "name": version.name} if is_sample else None,
        "project": _project(version) if thing.is_member else None,
        "can_edit": thing.can_edit,
    }


def address(version: Version, path: str | None) -> str:
    """How the command line of this product names it."""
    inside = "" if path is None else f"/{path}"
    return f"{version.project_slug}/{version.slug}@{version.number}{inside}"


def _project(version: Version) -> dict[str, Any]:
    return {"id": ids.flow_data(version.project), "name": version.project_slug}


def row(one: Single) -> dict[str, Any]:
    """One line of a search."""
    version, entry = one.version, one.entry
    n = version.n
    return {
        "id": ids.flow_entry(n, entry.position) if one.by_entry and entry is not None else ids.flow_data(n),
        "filename": things.name_of(version) if entry is None else entry.path.rpartition("/")[2],
        "size": version.n_bytes if entry is None else entry.size,
        "absolute_path": address(version, None if entry is None else entry.path),
        "created": seconds(version.created_at),
        "pipeline_name": None,
        "process_execution_name": None,
        "sample_name": version.name if things.is_sample(version) else None,
        "owner_name": version.creator_name if one.is_member else None,
        "can_delete": one.may_trash,
    }


def project(found: FoundProject) -> dict[str, Any]:
    one = found.project
    return {
        "id": ids.flow_data(one.n),
        "name": one.name,
        "slug": one.slug,
        "description": one.description,
        "created": seconds(one.created_at),
        "private": True,
        "owner": None,
        "group_owner": {"name": one.team_name, "slug": one.team_name},
        "can_edit": found.role >= Role.WRITE,
    }


def sample(version: Version) -> dict[str, Any]:
    told = version.properties.get(things.SAMPLE)
    known: Mapping[str, Any] = told if isinstance(told, dict) else {}
    return {
        "id": ids.flow_data(version.n),
        "name": version.name,
        "created": seconds(version.created_at),
        "sample_type": known.get("type"),
        "organism": known.get("organism"),
        "metadata": known.get("metadata", {}),
        "project": ids.flow_data(version.project),
        "private": version.visibility is not Visibility.PUBLIC,
        "data_count": version.n_entries,
        "size": version.n_bytes,
    }


def person(user: User | Person) -> dict[str, Any]:
    return {"id": ids.flow_data(user.n), "username": user.name, "name": full_name(user), "image": None}
