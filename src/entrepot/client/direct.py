"""Large contents to the store itself, where the server has an address of it to give.

Whatever goes wrong on the way there is no reason to fail: the upload is one like any other, and takes its bytes at the
server too. So the caller goes on with it there, from its start: what is sent to a store is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from entrepot.client.journal import UploadLog
from entrepot.client.parallel import Stop
from entrepot.client.progress import Tally
from entrepot.client.sources import Source
from entrepot.client.transport import Transport, segment
from entrepot.model.digests import sha256_text
from entrepot.model.errors import (
    Conflict,
    Corrupt,
    DigestMismatch,
    Gone,
    LengthMismatch,
    NotFound,
    Unavailable,
    Unsupported,
    WrongState,
)
from entrepot.wire.messages.uploads import DirectUpload, NewDirectUpload, Upload

__all__ = ["Sent", "send_direct"]

#: A break costs the whole of what was sent, so the store is tried only so often.
_TRIES = 2
#: Copying and reading what arrived takes the server a while: some 100 MB a second.
_FINISH_S = 900.0
#: How long the server may be away then.
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went.

    Args:
        upload: The id; None if none was begun.
        whole: Whether the upload is finished.
    """

    upload: str | None
    whole: bool


def send_direct(
    transport: Transport, source: Source, journal: UploadLog, project: str | None, tally: Tally, stop: Stop
) -> Sent:
    """Send a content past the server, if that is possible today.

    Raises:
        EntrepotError: The server refuses the upload as it would by any other way.
    """
    new = NewDirectUpload(
        length=source.size,
        sha256=sha256_text(source.sha256),
        file_name=source.name.rpartition("/")[2],
        project=project,
    )
    try:
        # Asked again where the answer was lost: an upload that nobody fills expires by itself.
        arrival = transport.post("/uploads/direct", DirectUpload, new, keyed=False, repeatable=True)
    except Unsupported:
        return Sent(None, False)
    upload = arrival.upload.id
    journal.note(transport.url, source.sha256, upload, finished=False)
    try:
        whole = _brought(transport, arrival, source, tally, stop)
    except (Gone, NotFound):
        # It ended meanwhile: by its age, by an operator, by too many tries.
        return Sent(None, False)
    if whole:
        journal.note(transport.url, source.sha256, upload, finished=True)
    return Sent(upload, whole)


def _brought(transport: Transport, arrival: DirectUpload, source: Source, tally: Tally, stop: Stop) -> bool:
    """Whether the upload is finished with these very bytes.

    Raises:
        Gone, NotFound: There is no such upload any more.
    """
    upload = arrival.upload.id
    for attempt in range(_TRIES):
        if attempt:
            if not transport.direct:
                break
            try:
                address = f"/uploads/{segment(upload)}/direct"
                arrival = transport.post(address, DirectUpload, keyed=False, repeatable=True)
            except (Unavailable, Unsupported, WrongState):
                # No addresses any more; or it is finished, which whoever goes on with it at the server finds out.
                break
        if not _put(transport, arrival.url, source, tally, stop):
            continue
        try:
            made = _finished(transport, upload)
        except (LengthMismatch, DigestMismatch):
            # The local bytes were hashed, and reading them again would have noticed a change: the way is at fault.
            transport.store_failed(for_good=attempt > 0)
            tally.add(-source.size)
            continue
        except (Unavailable, Unsupported, Conflict, Corrupt):
            # The server cannot take it from its store just now, but by itself perhaps.
            tally.add(-source.size)
            break
        if made.sha256 == sha256_text(source.sha256):
            return True
        tally.add(-source.size)
        break
    return False


def _finished(transport: Transport, upload: str) -> Upload:
    answer = transport.send(
        "POST",
        f"/uploads/{segment(upload)}/finish",
        repeatable=True,
        # Not asked again while the server is at it: each time it would begin anew.
        timeout_s=_FINISH_S,
        patience_s=_PATIENCE_S,
    )
    return Upload.model_validate_json(answer.content)


def _put(transport: Transport, url: str, source: Source, tally: Tally, stop: Stop) -> bool:
    """Whether all of it may be there: where only the answer was lost, the server knows better."""
    counted = 0

    def content() -> Iterator[bytes]:
        nonlocal counted
        for block in source.blocks(0, source.size):
            stop.check()
            yield block
            counted += len(block)
            tally.add(len(block), file_name=source.name)

    try:
        transport.put_elsewhere(url, content(), source.size)
    except Unavailable:
        if counted == source.size:
            return True
        tally.add(-counted)
        return False
    except BaseException:
        tally.add(-counted)
        raise
    return True
