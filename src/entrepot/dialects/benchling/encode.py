"""From the model to the wire: pure functions.

Observed with the Python clients 1.9.0 and 1.25.0: every key of a frame is read and a missing one raises; `target` of a
column, `response` and `errors` of a task may be left out and may not be null; times have an offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from entrepot.model import ids
from entrepot.model.columns import Column, rules_of
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Person, State, Task, TaskState, User, Version

__all__ = [
    "FOLDER",
    "REASONS",
    "UNPLACED",
    "dataset",
    "display_id",
    "folder",
    "frame",
    "shown_state",
    "task",
    "trash_reason",
]

#: Property of a frame that no dataset was made of yet: it is in no list of datasets.
UNPLACED: Final = "benchling.unplaced"
#: Property with the id by which a root folder was named, where that was not its usual one.
FOLDER: Final = "benchling.folder"

#: Why datasets are archived, in this wire's words.
REASONS: Final = ("Made in error", "Archived", "Other")

_STATUSES: Final[Mapping[State, str]] = {
    State.EMPTY: "NOT_UPLOADED",
    State.RECEIVING: "NOT_UPLOADED",
    State.PROCESSING: "IN_PROGRESS",
    State.READY: "SUCCEEDED",
    State.FAILED: "FAILED_VALIDATION",
}
_TASKS: Final[Mapping[TaskState, str]] = {
    # Whatever else is said ends the wait of the client.
    TaskState.READY: "RUNNING",
    TaskState.RUNNING: "RUNNING",
    TaskState.DONE: "SUCCEEDED",
    TaskState.FAILED: "FAILED",
    TaskState.CANCELLED: "FAILED",
}


def shown_state(version: Version) -> State:
    """What was published once stays readable while something new is checked."""
    return State.READY if version.revision > 0 else version.state


def folder(version: Version) -> str:
    """The id of the folder that a version is in, as it was given."""
    named = version.properties.get(FOLDER)
    if isinstance(named, str):
        try:
            if ids.parse_benchling_folder(named) == version.collection_uid:
                return named
        except NotFound:
            pass
    return ids.benchling_folder(version.collection_uid, version.project_uid)


def _type(column: Column) -> dict[str, Any]:
    said: dict[str, Any] = {"name": column.type.value, "isList": column.list, "isNullable": column.nullable}
    if column.target is not None:
        said["target"] = dict(column.target)
    return said


def _columns(version: Version) -> list[dict[str, Any]]:
    if version.kind is not Kind.TABLE:
        return []
    try:
        found = rules_of(version.declared).columns or ()
    except Invalid:
        # Declared at another door, and found to be wrong by the check of its content.
        return []
    # Before the file came, declared columns have a place and no name.
    return [{"displayName": one.name or "", "type": _type(one)} for one in found]


def frame(version: Version, manifest: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """A version as a data frame, and as the dataset of the old client.

    Args:
        manifest: Files by name, each with where it is put or got now, if it is.
    """
    state = shown_state(version)
    report = version.report or {}
    error = None
    if state is State.FAILED:
        error = str(report.get("message") or "The content was refused; no reason was noted.")
    return {
        "id": ids.benchling_frame(version.uid),
        "name": version.name,
        "folderId": folder(version),
        "columns": _columns(version),
        "manifest": [{"fileName": name, "url": url} for name, url in manifest],
        "uploadStatus": _STATUSES[state],
        "errorMessage": error,
    }


def display_id(version: Version) -> str:
    """`penguins.v3`; without a number while it was never ready."""
    return version.slug if version.number is None else f"{version.slug}.v{version.number}"


def trash_reason(reason: str) -> str:
    """The reason for archiving in this wire's words; what was deleted elsewhere is `Other`."""
    said = reason.removeprefix("archived: ")
    return said if said in REASONS else "Other"


def dataset(version: Version, creator: User | Person | None) -> dict[str, Any]:
    """A version as a dataset of the current client: a thing in a folder."""
    trash = version.trash
    return {
        "id": ids.benchling_dataset(version.uid),
        "name": version.name,
        "displayId": display_id(version),
        "dataFrameId": ids.benchling_frame(version.uid),
        "folderId": folder(version),
        "createdAt": _time(version.created_at),
        "modifiedAt": _time(version.updated_at),
        "creator": _person(creator),
        "customFields": {name: {"value": value} for name, value in version.custom.items()},
        "archiveRecord": None if trash is None else {"reason": trash_reason(trash.reason)},
    }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _person(user: User | Person | None) -> dict[str, str]:
    if user is None:
        return {"id": "", "name": "", "handle": ""}
    name = f"{user.first_name} {user.last_name}".strip() or user.name
    return {"id": ids.encode(Noun.USER, user.uid), "name": name, "handle": user.name}


def task(found: Task, response: Mapping[str, Any] | None) -> dict[str, Any]:
    """A task; what is not there is left out, for null crashes the client.

    Args:
        response: What came of it, where it is done.
    """
    said: dict[str, Any] = {"status": _TASKS[found.state]}
    if found.state is TaskState.DONE:
        said["response"] = dict(response or {})
    elif found.state in (TaskState.FAILED, TaskState.CANCELLED):
        error = found.error or {}
        said["message"] = str(error.get("detail") or f"It was {found.state}.")
        report = error.get("report")
        if isinstance(report, Mapping) and report.get("errors"):
            said["errors"] = {"rows": report["errors"]}
    return said
