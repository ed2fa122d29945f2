"""What a download makes of what the system says about its folder."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from entrepot.daemon.downloading import refusal_of
from entrepot.model.errors import DiskFull, EntrepotError, Invalid

INTO = Path("/data/out")


def caused(number: int) -> Invalid:
    refused = Invalid("'/data/out/a' cannot be written: so.")
    refused.__cause__ = OSError(number, "so")
    return refused


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull, "'/data/out' cannot be written: No space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/out/x"), DiskFull, "'/data/out/x'"),
        (OSError(errno.EROFS, "Read-only file system"), Invalid, "Read-only"),
        (caused(errno.ENOSPC), DiskFull, "'/data/out/a'"),
        (caused(errno.EACCES), Invalid, "'/data/out/a'"),
        (Invalid("another thing"), Invalid, "another thing"),
    ],
)
def test_a_full_disk_is_waited_for_and_all_else_is_an_end(
    error: OSError | Invalid, kind: type[EntrepotError], said: str
) -> None:
    found = refusal_of(error, INTO)
    assert type(found) is kind
    assert said in found.message
