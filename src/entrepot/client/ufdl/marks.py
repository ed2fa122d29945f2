"""How things here say where they came from, so that a second run knows them: no state is kept anywhere else.

A project says it in its description, a version in its custom metadata under `ufdl`, a revision in its message. Each is
written by the very call that makes the thing, so a run that is killed leaves nothing that the next one cannot place:

    {"source": "http://…", "pk": 12, "version": 3, "record": "…"}     a version of the source
    {"source": "http://…", "gap": 2}                                  a placeholder that holds a number until the end

`record` is a digest of the record there as it was when it was written here: what is edited here stays until it changes
there.

A copy brings its source's mark along until it gets its own. What carries a mark that an older version has, or one of
another number, is such a copy: a run was killed in between, or a person copied it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from entrepot.client.ufdl.records import Dataset
from entrepot.wire.messages.versions import Version

__all__ = ["KEY", "Marked", "gap", "of_dataset", "of_project", "of_revision", "record_digest", "sorted_out"]

KEY = "ufdl"


def of_project(source: str, pk: int) -> str:
    return f"Imported from {source}/v1, project {pk}."


def of_revision(source: str, pk: int) -> str:
    return f"Import of {source}/v1 dataset {pk}"


def gap(source: str, number: int) -> dict[str, Any]:
    return {KEY: {"source": source, "gap": number}}


def record_digest(dataset: Dataset, licence: str) -> str:
    """Of everything that a record there says and a record here takes over."""
    said = [dataset.name, dataset.description, licence, dataset.tags, dataset.is_public]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def of_dataset(source: str, dataset: Dataset, licence: str, creator: str | None) -> dict[str, Any]:
    """Where it came from, and what has no place of its own here: who made it, when, and its tags to the letter."""
    said: dict[str, Any] = {
        "source": source,
        "pk": dataset.pk,
        "version": dataset.version,
        "record": record_digest(dataset, licence),
        "created": dataset.created,
        "tags": dataset.tags,
    }
    if creator is not None:
        said["creator"] = creator
    return {KEY: said}


@dataclass(slots=True)
class Marked:
    """The versions of a project here, by what their marks say.

    Args:
        known: By the number of the dataset at the source.
        gaps: Placeholders, and copies of such, by the name of their dataset.
        copies: Others with a mark that an older version has, by the name of their dataset: made by a run that was
            killed, or by a person.
    """

    known: dict[int, Version] = field(default_factory=dict)
    gaps: dict[str, list[Version]] = field(default_factory=dict)
    copies: dict[str, list[Version]] = field(default_factory=dict)


def sorted_out(source: str, versions: Iterable[Version]) -> Marked:
    """What a run that looks at `source` has to know of the versions of one project."""
    found = Marked()
    # By age: of two with one mark the younger is a copy of the older.
    for version in sorted(versions, key=lambda one: (one.created_at, one.id)):
        mark = version.custom.get(KEY)
        if not isinstance(mark, dict) or mark.get("source") != source:
            continue
        pk = mark.get("pk")
        if isinstance(mark.get("gap"), int):
            # What somebody put files into is no placeholder any more.
            if version.entries == 0:
                found.gaps.setdefault(version.name, []).append(version)
        elif isinstance(pk, int) and pk not in found.known and mark.get("version") == version.number:
            found.known[pk] = version
        else:
            found.copies.setdefault(version.name, []).append(version)
    return found
