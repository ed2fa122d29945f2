"""Samples by accession: what a worker fetches from the archive that the operator named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from entrepot.depot import projects, sample_imports
from entrepot.depot.context import Depot
from entrepot.depot.sample_imports import NewImport
from entrepot.dialects.flow import vocabulary
from entrepot.dialects.flow.context import Asked, invalid
from entrepot.dialects.flow.routes.samples import sample_of
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden, Invalid, NotFound
from entrepot.model.values import Task, TaskState

_STATES: Mapping[TaskState, str] = {
    TaskState.READY: "RUNNING",
    TaskState.RUNNING: "RUNNING",
    TaskState.DONE: "COMPLETED",
    TaskState.FAILED: "FAILED",
    TaskState.CANCELLED: "FAILED",
}


async def start(asked: Asked) -> None:
    """Begin to import some runs, all of them or none."""
    await asked.authenticate()
    listed = (await asked.json()).get("imports")
    if not isinstance(listed, list):
        raise invalid({"imports": ["This field is required: a list."]})

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        if depot.policy.sample_source is None:
            # Whatever is wrong with the list besides.
            sample_imports.start(depot, actor, ())
        wanted: list[NewImport] = []
        wrong: list[str] = []
        for i, one in enumerate(listed):
            try:
                wanted.append(_read(depot, actor, one))
            except Invalid as bad:
                wrong.append(f"{i + 1}: {bad.message}")
        if wrong:
            raise invalid({"imports": wrong[:100]})
        task = sample_imports.start(depot, actor, wanted)
        return _shown(task, [one.accession for one in wanted])

    await asked.answer(work)


def _read(depot: Depot, actor: Actor, given: object) -> NewImport:
    """
    Raises:
        Invalid
    """
    if not isinstance(given, dict):
        raise Invalid("An import is an object with `accession` and `sample_type`.")
    texts: dict[str, str] = {}
    for name in ("accession", "sample_type", "name", "organism", "project", "pubmed"):
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{name} is a text.")
        if value:
            texts[name] = value
    metadata = given.get("metadata") or {}
    if not isinstance(metadata, dict) or not all(isinstance(one, str) for one in metadata.values()):
        raise Invalid("metadata is an object of texts.")
    if "accession" not in texts or "sample_type" not in texts:
        raise Invalid("accession and sample_type are required.")
    if "pubmed" in texts:
        if not (texts["pubmed"].isascii() and texts["pubmed"].isdecimal()):
            raise Invalid("pubmed is the number of a publication.")
        metadata = {**metadata, "pubmed": texts["pubmed"]}
    try:
        kind = vocabulary.find_type(texts["sample_type"])
        project = _project(depot, actor, texts.get("project"))
    except NotFound as unknown:
        raise Invalid(unknown.message) from unknown
    vocabulary.require(kind, metadata)
    lives = vocabulary.organism(texts["organism"]) if "organism" in texts else None
    if "organism" in texts and lives is None:
        raise Invalid(f"There is no organism {texts['organism'][:60]!r}.")
    name = texts.get("name") or texts["accession"]
    told = sample_of(name, kind.identifier, None if lives is None else lives.id, metadata)
    custom = {**(told.custom or {}), "accession": texts["accession"]}
    return NewImport(texts["accession"], name, project, custom, told.properties or {})


def _project(depot: Depot, actor: Actor, said: str | None) -> int | None:
    if said is None:
        return None
    try:
        return projects.get(depot, actor, ids.parse_flow_data(said), trashed=False).project.n
    except Forbidden as hidden:
        raise NotFound(f"There is no project {said[:40]!r}, or you may not see it.") from hidden


async def get(asked: Asked) -> None:
    """How far an import is."""
    n = ids.parse_flow_data(asked.found["id"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return _shown(*sample_imports.get(depot, actor, n))

    await asked.answer(work)


def _shown(task: Task, accessions: list[str]) -> dict[str, Any]:
    made = (task.result or {}).get("versions", []) if task.state is TaskState.DONE else []
    error = None
    if _STATES[task.state] == "FAILED":
        error = str((task.error or {}).get("detail") or "The import was cancelled.")
    return {
        "id": ids.flow_data(task.n),
        "status": _STATES[task.state],
        "created": _told(task.created_at),
        "started": _told(task.started_at),
        "finished": _told(task.ended_at),
        "accessions": accessions,
        "sample_ids": [ids.flow_data(int(n)) for n in made],
        "execution_id": None,
        "error": error,
    }


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
