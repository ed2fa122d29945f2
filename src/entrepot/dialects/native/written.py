"""Answers to writes: what was written, and the caller's role in it, which a use case that writes does not tell."""

from __future__ import annotations

from entrepot.depot import naming
from entrepot.depot.context import Depot
from entrepot.depot.entries import Committed
from entrepot.dialects.native import encode
from entrepot.model import values
from entrepot.model.access import Actor
from entrepot.wire.messages import entries, projects, slots, versions


def version(depot: Depot, actor: Actor, made: values.Version) -> versions.Version:
    return encode.version(made, naming.role(depot, actor, made.project))


def version_with_slots(
    depot: Depot, actor: Actor, made: values.Version, shown: list[slots.Slot]
) -> versions.VersionWithSlots:
    return encode.version_with_slots(made, shown, naming.role(depot, actor, made.project))


def committed(depot: Depot, actor: Actor, done: Committed) -> entries.Committed:
    return encode.committed(done, naming.role(depot, actor, done.version.project))


def project(depot: Depot, actor: Actor, made: values.Project) -> projects.Project:
    return encode.project(made, naming.role(depot, actor, made.n))
