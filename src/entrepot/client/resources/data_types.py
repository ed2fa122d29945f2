"""Data types: which there are, what files were found to be, and what was found wrong with them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence

from entrepot.client.pins import Thing, pin
from entrepot.client.resources.base import Resource
from entrepot.client.transport import segment
from entrepot.wire.messages.data_types import (
    DataType,
    DataTypeList,
    Declared,
    EntryReport,
    EntryReportDetail,
    EntryReportPage,
)
from entrepot.wire.messages.entries import Committed
from entrepot.wire.messages.tasks import Task

__all__ = ["DataTypes"]


class DataTypes(Resource):
    """What files are, by a registry of the server."""

    def list(self) -> builtins.list[DataType]:
        return self._transport.get("/data-types", DataTypeList).rows

    def counts(self) -> dict[str, int]:
        """How many versions that one may know of are of which type: those whose files all share it."""
        return self._transport.get("/data-types", DataTypeList).versions

    def get(self, identifier: str) -> DataType:
        return self._transport.get(f"/data-types/{segment(identifier)}", DataType)

    def report(self, version: Thing, path: str | None = None) -> EntryReportDetail:
        """What was found out about a file: what its bytes are, what is wrong with them, what was read out of them.

        `report` of the answer is None until the file was examined, which begins when it is committed.

        Raises:
            EntryNotFound: There is no such file in this revision.
        """
        target = pin(self._transport, version, path)
        asked = {"path": target.path or "", "revision": target.revision}
        return self._transport.get(self._version(target, "/report"), EntryReportDetail, asked)

    def reports(
        self, version: Thing, *, standing: str | Sequence[str] = (), data_type: str | None = None
    ) -> Iterator[EntryReport]:
        """The files of a version with their reports, in path order.

        Args:
            standing: Only those that are `good`, `bad`, `unfinished` or `unchecked`; one or several of these.
            data_type: Only files of this type.
        """
        target = pin(self._transport, version)
        chosen = [standing] if isinstance(standing, str) else [*standing]
        asked = {"revision": target.revision, "standing": chosen or None, "data_type": data_type}
        yield from self._transport.rows(self._version(target, "/reports"), EntryReportPage, asked)

    def declare(
        self, version: Thing, types: Mapping[str, str], *, expected: int | None = None, message: str = ""
    ) -> Committed:
        """Say what files are, by path, as one revision.

        Raises:
            Invalid: There is no such type.
        """
        body = Declared(types=dict(types), expected=expected, message=message)
        return self._transport.post(self._version(version, "/data-types"), Committed, body)

    def check(self, version: Thing) -> Task:
        """Have every file of a version examined once more; wait with `client.tasks.wait`."""
        return self._transport.post(self._version(version, "/check"), Task)
