"""What a commit may say: additions, removals, renames and texts, and the gate that every string of them passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.model import names
from entrepot.model.errors import EntrepotError, Invalid, UnknownDataType

Condition = Literal["any", "absent", "present"]


class Add(NamedTuple):
    """Put content at a path. One of `upload`, `sha256` and `source` says which content, or the first two together.

    A named tuple and not a frozen dataclass: commits have them by the ten thousand, and those cost five times as much.

    Args:
        upload: A finished upload of the caller. With `sha256` the content of this digest that came with it: one of
            many, if the upload is a batch.
        sha256: Content that the caller may read somewhere already; it is refused as unknown otherwise.
        source: (version, revision or None for the newest, path) whose content the caller may read.
        condition: What must be at the path before: anything, nothing, or an entry.
        metadata: The entry's text; None keeps what is there.
    """

    path: str
    upload: UUID | None = None
    sha256: bytes | None = None
    source: tuple[Key, int | None, str] | None = None
    media_type: str | None = None
    data_type: str | None = None
    metadata: str | None = None
    condition: Condition = "any"


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an entry away, or with `recursive` a folder and all below it."""

    path: str
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """Give an entry, or with `recursive` a folder, another path; its position and its text stay."""

    source: str
    target: str
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Describe:
    """Set an entry's metadata text."""

    path: str
    metadata: str


Change = Add | Remove | Rename | Describe


def clean_changes(depot: Depot, changes: Sequence[Change]) -> list[Change]:
    """Every string through the gate, every fault named."""
    clean: list[Change] = []
    faults: list[dict[str, Any]] = []
    for i, change in enumerate(changes):
        try:
            clean.append(clean_change(depot, change))
        except EntrepotError as error:
            path = change.source if isinstance(change, Rename) else change.path
            faults.append({"index": i, "path": lookup.said(path), "code": error.code, "detail": str(error)})
    if faults:
        first = faults[0]["detail"]
        more = f" ({len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
        kind = UnknownDataType if all(fault["code"] == UnknownDataType.code for fault in faults) else Invalid
        raise kind(f"Nothing was committed: {first}{more}", errors=faults)
    return clean


def clean_change(depot: Depot, change: Change) -> Change:
    if isinstance(change, Add):
        if change.source is not None:
            clear = change.upload is None and change.sha256 is None
        else:
            clear = change.upload is not None or change.sha256 is not None
        if not clear:
            raise Invalid(
                f"{change.path!r} needs exactly one of upload, sha256 and source, or a digest beside an upload."
            )
        path = names.entry_path(change.path)
        if path == change.path and change.media_type is None and change.data_type is None and change.metadata is None:
            return change
        return Add(
            path=path,
            upload=change.upload,
            sha256=change.sha256,
            source=change.source,
            media_type=None if change.media_type is None else names.media_type(change.media_type),
            data_type=None if change.data_type is None else depot.types.declared(change.data_type),
            metadata=None if change.metadata is None else _text(depot, change.metadata),
            condition=change.condition,
        )
    if isinstance(change, Remove):
        return Remove(names.entry_path(change.path), change.recursive)
    if isinstance(change, Rename):
        return Rename(names.entry_path(change.source), names.entry_path(change.target), change.recursive)
    return Describe(names.entry_path(change.path), _text(depot, change.metadata))


def _text(depot: Depot, text: str) -> str:
    return names.text(text, max_length=depot.limits.metadata_text, field="Metadata text")
