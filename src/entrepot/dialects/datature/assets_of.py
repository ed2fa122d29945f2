"""The assets of a project: the entries of its version `Assets`, the newest active one of kind files."""

from __future__ import annotations

from uuid import UUID

from entrepot.depot import browse
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.values import Kind, Version

#: The name of the dataset that they are in.
NAME = "Assets"


def find(depot: Depot, actor: Actor, project: int | UUID) -> Version | None:
    """The version, None while there is none."""
    found = browse.list_versions(depot, actor, Wanted(project=project, name=NAME, kind=Kind.FILES), limit=1).rows
    return found[0].version if found else None
