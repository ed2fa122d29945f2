"""What a server of UFDL tells of its things, as far as an import needs it: read strictly, kept small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from entrepot.model.errors import Unsupported

__all__ = ["Dataset", "Licence", "Project", "Team", "mapping_of_texts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """`members` are user names; their roles are asked for one by one."""

    pk: int
    name: str
    members: tuple[tuple[int, str], ...]
    trashed: bool

    @classmethod
    def read(cls, row: Any) -> Team:
        people = tuple((_field(one, "pk", int), _field(one, "username", str)) for one in _field(row, "members", list))
        return cls(_field(row, "pk", int), _field(row, "name", str), people, row.get("deletion_time") is not None)


@dataclass(frozen=True, slots=True)
class Project:
    pk: int
    name: str
    team: int
    trashed: bool

    @classmethod
    def read(cls, row: Any) -> Project:
        trashed = row.get("deletion_time") is not None if isinstance(row, dict) else False
        return cls(_field(row, "pk", int), _field(row, "name", str), _field(row, "team", int), trashed)


@dataclass(frozen=True, slots=True)
class Licence:
    """`words` are its four lists by their names."""

    pk: int
    name: str
    url: str
    words: Mapping[str, list[str]]

    @classmethod
    def read(cls, row: Any) -> Licence:
        words = {
            kind: [str(word) for word in row.get(kind) or ()]
            for kind in ("permissions", "conditions", "limitations", "domains")
        }
        return cls(_field(row, "pk", int), _field(row, "name", str), str(row.get("url") or ""), words)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One version of a dataset.

    Args:
        previous: The number of the version that it was copied from.
        files: Handle by name, in the order of the source; left out (None) where only the record is kept.
    """

    pk: int
    name: str
    version: int
    previous: int | None
    project: int
    description: str
    licence: int
    tags: str
    is_public: bool
    creator: int | None
    created: str
    trashed: bool
    n_files: int
    files: Mapping[str, str] | None = None

    @classmethod
    def read(cls, row: Any, *, files: bool) -> Dataset:
        previous, creator = _field(row, "previous_version", int), row.get("creator")
        named = mapping_of_texts(row.get("files"), "files")
        return cls(
            pk=_field(row, "pk", int),
            name=_field(row, "name", str),
            version=_field(row, "version", int),
            previous=None if previous < 1 else previous,
            project=_field(row, "project", int),
            description=str(row.get("description") or ""),
            licence=_field(row, "licence", int),
            tags=str(row.get("tags") or ""),
            is_public=row.get("is_public") is True,
            creator=creator if isinstance(creator, int) else None,
            created=str(row.get("creation_time") or ""),
            trashed=row.get("deletion_time") is not None,
            n_files=len(named),
            files=named if files else None,
        )

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}"


def mapping_of_texts(value: Any, what: str) -> dict[str, str]:
    """
    Raises:
        Unsupported: It is something else.
    """
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise _strange(what)
    return value


def _field(row: Any, name: str, kind: type[T]) -> T:
    found = row.get(name) if isinstance(row, dict) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise _strange(name)
    return found


def _strange(what: str) -> Unsupported:
    return Unsupported(
        f"The source answers with {what!r} in a form that is not UFDL's. Check that the address is that of its API."
    )
