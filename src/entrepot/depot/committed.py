"""What a commit answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from entrepot.catalog.entries import RevisionRow
from entrepot.model.access import Actor
from entrepot.model.values import Revision, Version

__all__ = ["Committed"]


class Committed:
    """A commit's result: the version as it is now and the revision that was made.

    Args:
        version: Or what makes it, when somebody asks: not every door tells it.
    """

    __slots__ = ("_version", "revision")

    def __init__(self, version: Version | Callable[[], Version], revision: Revision) -> None:
        self._version = version
        self.revision = revision

    @property
    def version(self) -> Version:
        if not isinstance(self._version, Version):
            self._version = self._version()
        return self._version

    @classmethod
    def made(cls, before: Version, made: RevisionRow, actor: Actor, *, accepted: bool) -> Committed:
        """What follows from the version before and the new row, without reading forty columns of which six changed."""
        author = made.author, actor.name
        revision = Revision(made.version, made.num, *author, made.at, made.message, made.n_entries, made.n_bytes)
        after = partial(
            replace,
            before,
            revision=made.num,
            n_entries=made.n_entries,
            n_bytes=made.n_bytes,
            data_type=made.data_type,
            updated_at=made.at,
            is_proposal=before.is_proposal and not accepted,
        )
        return cls(after, revision)
