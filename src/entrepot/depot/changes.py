"""What a commit may say: additions, removals, renames and texts, and the gate that every string of them passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from entrepot.catalog.entry_values import Put
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.model import names
from entrepot.model.errors import EntrepotError, Invalid, UnknownDataType

Condition = Literal["any", "absent", "present"]
Fault: TypeAlias = dict[str, Any]


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
class AddBatch:
    """Put every file of a batch at the path that it came with.

    Args:
        upload: A finished batch of the caller.
        condition: What must be at each of the paths before.
    """

    upload: UUID
    condition: Condition = "any"


@dataclass(frozen=True, slots=True)
class Brought:
    """An `AddBatch` whose files were looked up: what the commit is made of.

    Args:
        files: With contents and types, in the order they came in; none if there is no such batch, which the commit
            says where the caller is judged.
    """

    upload: UUID
    condition: Condition
    files: Sequence[Put] = ()


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


Change = Add | AddBatch | Brought | Remove | Rename | Describe


def count(changes: Sequence[Change]) -> int:
    """How many entries they speak of, each file of a batch counted."""
    return len(changes) + sum(len(change.files) - 1 for change in changes if type(change) is Brought)


def clean_changes(depot: Depot, changes: Sequence[Change], found: Sequence[Fault] = ()) -> list[Change]:
    """Every string through the gate, every fault named.

    Args:
        found: Faults that are known already.
    """
    clean: list[Change] = []
    faults = list(found)
    for i, change in enumerate(changes):
        try:
            clean.append(clean_change(depot, change))
        except EntrepotError as error:
            assert not isinstance(change, AddBatch | Brought)
            path = change.source if isinstance(change, Rename) else change.path
            faults.append({"index": i, "path": lookup.said(path), "code": error.code, "detail": str(error)})
    if faults:
        faults.sort(key=itemgetter("index"))
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
    if isinstance(change, AddBatch | Brought):
        # Its names went through the gate when they were looked up.
        return change
    if isinstance(change, Remove):
        return Remove(names.entry_path(change.path), change.recursive)
    if isinstance(change, Rename):
        return Rename(names.entry_path(change.source), names.entry_path(change.target), change.recursive)
    return Describe(names.entry_path(change.path), _text(depot, change.metadata))


def _text(depot: Depot, text: str) -> str:
    return names.text(text, max_length=depot.limits.metadata_text, field="Metadata text")
