"""One PUT under way into something that was announced, such as a slot or a file of a consignment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import uploads
from entrepot.depot.context import Depot
from entrepot.depot.uploads import ABORTED, OPEN, Receiver
from entrepot.model.access import Actor
from entrepot.model.errors import DigestMismatch, EntrepotError, LengthMismatch

__all__ = ["OnePut", "attempt"]


def attempt(conn: Connection, depot: Depot, actor: Actor, row: UploadRow) -> UploadRow:
    """The row of a PUT of its own into what `row` waits for."""
    return uploads.insert(
        conn,
        depot,
        actor,
        now=depot.now(),
        lifetime=depot.policy.slot_lifetime,
        length=row.length,
        crc32c=row.crc32c,
        file_name=row.file_name,
        project=row.project,
        purpose="attempt",
        detail={},
    )


class OnePut(ABC):
    """Write its bytes, then finish, or `close` to leave nothing behind.

    Args:
        row: What waits for the bytes, as it was when the PUT began.
    """

    #: What makes a PUT one that is refused, and noted as such.
    _refused: ClassVar[tuple[type[EntrepotError], ...]] = (LengthMismatch, DigestMismatch)

    def __init__(self, depot: Depot, actor: Actor, row: UploadRow, receiver: Receiver) -> None:
        self._depot = depot
        self._actor = actor
        self._row = row
        self._receiver = receiver

    def write(self, block: bytes | bytearray | memoryview) -> None:
        try:
            self._receiver.write(block)
        except LengthMismatch as wrong:
            self._refuse(wrong)
            raise

    def _finish(self, use: Callable[[Connection, int], object], judge: Callable[[], None] | None = None) -> object:
        """Check the bytes and have them used, in one transaction with the end of the upload.

        Args:
            use: Is handed the content; its answer is answered.
            judge: Looks at what came, when it has the right length, and raises what it has against it.

        Raises:
            LengthMismatch, DigestMismatch: They are not what was announced.
        """
        announced = self._row.length
        try:
            if announced is not None and self._receiver.offset != announced:
                raise LengthMismatch(f"{announced} bytes were announced, {self._receiver.offset} came.")
            if judge is not None:
                judge()
            return self._receiver.finish(use)[1]
        except self._refused as wrong:
            self._refuse(wrong)
            raise

    def close(self) -> None:
        """Give up, unless finished: what was received is thrown away."""
        self._receiver.discard()
        over = {"state": ABORTED, "expires_at": self._depot.now()}
        self._depot.catalog.write(lambda conn: rows.change(conn, self._receiver.row.n, over, state=OPEN))

    @abstractmethod
    def _refuse(self, wrong: EntrepotError) -> None:
        """Write down that other bytes came than were announced."""
