"""Versions of one dataset here under the numbers that they have at the source.

A number here is always the highest active one plus one, so the versions are made in the order of their numbers. Where
a number is missing at the source (purged there, or in its trash and not asked for), an empty placeholder holds it; and
`previous_version`, which says of what number a version is a copy, comes out right because it really is made as a copy
of the version of that number, or of a placeholder for it. In the end the placeholders are purged: numbers stay.

Where the next number cannot be the wished one any more, since later versions are here already, the version is made in
a dataset aside and moved from there under its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from entrepot.client.client import Client
from entrepot.client.ufdl import marks
from entrepot.model.errors import Conflict, EntrepotError, Forbidden, Invalid, NameTaken, NotFound
from entrepot.wire.messages.versions import Version

__all__ = ["Line", "aside"]

#: More placeholders than this are a mistake of somebody's.
_MOST: Final = 10_000


def aside(name: str) -> str:
    """The name of the dataset in which versions of another are made that come out of turn."""
    return f"{name[:150]} (being imported)"


class Line:
    """One dataset here, while it is brought over.

    Args:
        mine: Its versions that came from this source in earlier runs.
        gaps: Placeholders that a killed run left.
        others: All other versions of it, of whomever; those that a killed run copied and did not finish among them.
    """

    def __init__(
        self,
        client: Client,
        source: str,
        project: str,
        name: str,
        *,
        mine: Iterable[Version] = (),
        gaps: Iterable[Version] = (),
        others: Iterable[Version] = (),
    ) -> None:
        self._client = client
        self._source = source
        self._project = project
        self._name = name
        self._mine = {version.id: version for version in mine}
        self._gaps = {version.id: version for version in gaps}
        self._others = [version for version in others if version.trash is None]

    def make(self, number: int, previous: int | None, fields: dict[str, Any]) -> Version:
        """A version of that number; what is in it so far is what the one it was copied from holds.

        Raises:
            NameTaken: Somebody else's version has that number.
        """
        if any(one.number == number and one.trash is None for one in self._mine.values()):
            raise NameTaken(
                f"Version {number} of {self._name!r} came over before, and the source has another of that number in "
                "its trash. To have both, import into a server that has neither, with the trash."
            )
        made = self._claimed(number, previous, fields) or self._in_turn(number, previous, fields)
        if made is None:
            made = self._out_of_turn(number, previous, fields)
        self._mine[made.id] = made
        return made

    def bring_in(self, version: Version) -> Version:
        """Move a version here from the dataset aside.

        Raises:
            NameTaken: Its number is taken here.
        """
        made = self._client.versions.update(version, name=self._name, numbering="keep")
        self._mine[made.id] = made
        return made

    def trash(self, version: Version) -> None:
        self._mine[version.id] = self._client.versions.trash(version)

    def close(self) -> list[EntrepotError]:
        """Let go of the placeholders. Answers what kept some from being purged."""
        refused: list[EntrepotError] = []
        for version in self._gaps.values():
            try:
                self.drop(version)
            except EntrepotError as error:
                refused.append(error)
        self._gaps.clear()
        return refused

    def drop(self, version: Version) -> None:
        try:
            if version.trash is None:
                self._client.versions.trash(version)
            self._client.versions.purge(version)
        except NotFound:
            # The last request of a run that was killed may be carried out while this one is at work.
            pass
        except Forbidden as error:
            raise Forbidden(
                f"{version.label} is an empty placeholder, now in the trash; only an administrator of the team may "
                "purge it."
            ) from error

    # --- the ways to a number -----------------------------------------------------------------------------------------

    def _claimed(self, number: int, previous: int | None, fields: dict[str, Any]) -> Version | None:
        """The copy that a killed run made for this very number."""
        for version in self._others:
            fits = (version.number, version.previous_version) == (number, previous) and previous is not None
            if fits and version.revision <= 1 and marks.KEY in version.custom:
                self._others.remove(version)
                return self._client.versions.update(version, **fields)
        return None

    def _in_turn(self, number: int, previous: int | None, fields: dict[str, Any]) -> Version | None:
        """Made here, if the next number can be made to be the wished one; else None."""
        if self._others or self._highest() >= number:
            return None
        origin = None
        if previous is not None:
            origin = self._numbered(previous)
            if origin is None and self._highest() >= previous:
                return None
            if origin is None:
                self._climb(previous)
                origin = self._numbered(previous)
                assert origin is not None
            self._sink(number)
        self._climb(number - 1)
        made: Version
        if origin is None:
            made = self._client.versions.create(self._name, project=self._project, numbering="next", **fields)
        else:
            made = self._client.versions.copy(origin, numbering="next")
        self._require(made, number)
        return made if origin is None else self._client.versions.update(made, **fields)

    def _out_of_turn(self, number: int, previous: int | None, fields: dict[str, Any]) -> Version:
        beside = Line(self._client, self._source, self._project, aside(self._name))
        made = beside.make(number, previous, fields)
        try:
            return self.bring_in(made)
        except NameTaken as error:
            self.drop(made)
            raise NameTaken(
                f"There is a version {number} of {self._name!r} here that did not come from this source. Rename it, or "
                "move it to another project."
            ) from error
        finally:
            beside.close()

    def _highest(self) -> int:
        active = [one for one in (*self._mine.values(), *self._gaps.values()) if one.trash is None]
        return max((one.number or 0 for one in active), default=0)

    def _numbered(self, number: int) -> Version | None:
        """The version of that number to copy from: of several an active one, of these not a placeholder."""
        found = [one for one in (*self._mine.values(), *self._gaps.values()) if one.number == number]
        return min(found, key=lambda one: one.trash is not None, default=None)

    def _climb(self, number: int) -> None:
        if number - self._highest() > _MOST:
            raise Invalid(f"Version {number} of {self._name!r} is too far above version {self._highest()}.")
        while (at := self._highest() + 1) <= number:
            made = self._client.versions.create(
                self._name, project=self._project, numbering="next", custom=marks.gap(self._source, at)
            )
            self._require(made, at)
            self._gaps[made.id] = made

    def _require(self, made: Version, number: int) -> None:
        if made.number != number:
            self.drop(made)
            raise Conflict(f"{self._name!r} got a version from somebody else at the same moment. Run the import again.")

    def _sink(self, number: int) -> None:
        """Put placeholders from `number` on into the trash: there they can be copied and are in nobody's way."""
        for version in [*self._gaps.values()]:
            if (version.number or 0) >= number and version.trash is None:
                self._gaps[version.id] = self._client.versions.trash(version)
