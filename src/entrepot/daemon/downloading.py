"""Carrying out a download: the revision that was newest when it began, file by file, each whole before it has its name.

The bytes arrive in files beside their places, so what is there is continued after any break; each is compared with its
digest and on the disk before it is moved. Files that others put in the way are not touched: then nothing is.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from entrepot.client.client import Client
from entrepot.client.parallel import Stop
from entrepot.client.pins import Pin
from entrepot.client.pull import PullOptions, pull
from entrepot.client.statcache import StatCache
from entrepot.daemon.counter import Counter
from entrepot.daemon.journal import Journal, Transfer
from entrepot.daemon.shapes import content_id
from entrepot.daemon.uploading import record_of
from entrepot.model.errors import DiskFull, EntrepotError, Invalid

__all__ = ["download", "refusal_of"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def download(journal: Journal, client: Client, transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
    """
    Returns:
        `asset_id` and `content_id`. Local path, path in the asset, size and digest of each file are in the journal.

    Raises:
        Conflict: Somebody else's files are in the way; nothing was written.
        DiskFull: There is no room for it; what has arrived stays for the next attempt.
        Invalid: The folder cannot be written to.
        Stopped: Somebody wants it to end.
    """
    facts = transfer.facts
    record = record_of(client, transfer.params["asset_id"]) if "revision" not in facts else None
    if record is None:
        # Pinned by an earlier attempt; by now it may be in the trash, where ids go on working.
        record = client.versions.get(facts["version"])
    else:
        transfer = journal.learn(transfer, version=record.id, revision=record.revision, let_in=True)
    pin = Pin(record.id, transfer.facts["revision"], record)
    into = Path(transfer.params["into"])
    options = PullOptions(keep=True, durable=True, parallel=4)
    try:
        with StatCache() as stats:
            done = pull(client.transport, pin, into, options, stats=stats, tally=counter, stop=stop)
    except (OSError, Invalid) as error:
        refused = refusal_of(error, into)
        if refused is error:
            raise
        raise refused from error
    rows = [
        [str(into / done.renamed.get(entry.path, entry.path)), entry.path, entry.size, entry.sha256]
        for entry in done.entries
    ]
    journal.put_files(transfer.id, rows)
    return {"asset_id": pin.version, "content_id": content_id(pin.version, pin.revision)}


def refusal_of(error: OSError | Invalid, into: Path) -> EntrepotError:
    """What is the matter with the folder, for the journal: a full disk is worth another attempt, all else is not."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError):
        assert isinstance(error, Invalid)
        return error
    place = into if cause.filename is None else Path(os.fsdecode(cause.filename))
    said = (
        error.message if isinstance(error, Invalid) else f"{str(place)!r} cannot be written: {cause.strerror or cause}."
    )
    return (DiskFull if cause.errno in _FULL else Invalid)(said)
