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
from entrepot.model.errors import DigestMismatch, LengthMismatch, Unavailable, Unsupported
from entrepot.wire.messages.uploads import DirectUpload, NewDirectUpload, Upload

__all__ = ["Sent", "send_direct"]

#: A break costs the whole of what was sent, so the store is tried only so often.
_TRIES = 2
#: Copying and reading what arrived takes the server a while: some 100 MB a second.
_FINISH_S = 900.0


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
        arrival = transport.post("/uploads/direct", DirectUpload, new, keyed=False)
    except Unsupported:
        return Sent(None, False)
    upload = arrival.upload.id
    journal.note(transport.url, source.sha256, upload, finished=False)
    for attempt in range(_TRIES):
        if attempt:
            arrival = transport.post(f"/uploads/{segment(upload)}/direct", DirectUpload, keyed=False)
        if not _put(transport, arrival.url, source, tally, stop):
            continue
        try:
            made = _finished(transport, upload)
        except (LengthMismatch, DigestMismatch):
            # The local bytes were hashed, and reading them again would have noticed a change: the way is at fault.
            tally.add(-source.size)
            continue
        if made.sha256 == sha256_text(source.sha256):
            journal.note(transport.url, source.sha256, upload, finished=True)
            return Sent(upload, True)
        tally.add(-source.size)
        break
    return Sent(upload, False)


def _finished(transport: Transport, upload: str) -> Upload:
    answer = transport.send("POST", f"/uploads/{segment(upload)}/finish", repeatable=True, patience_s=_FINISH_S)
    return Upload.model_validate_json(answer.content)


def _put(transport: Transport, url: str, source: Source, tally: Tally, stop: Stop) -> bool:
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
        tally.add(-counted)
        return False
    except BaseException:
        tally.add(-counted)
        raise
    return True
