"""A server that dies between the last byte of an upload and its name: its sender finds it complete, and it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import run_script

#: The system calls that make an object of a stage, in their order; after the last one comes the transaction.
POINTS = ("fdatasync", "link", "unlink", "fsync")


@pytest.mark.parametrize(("client", "points"), [("tuspy", POINTS), ("push", ("fsync",))])
def test_an_upload_whose_bytes_are_all_here_can_be_committed_after_a_kill(
    tmp_path: Path, client: str, points: tuple[str, ...]
) -> None:
    said = run_script("killed_endings", str(tmp_path), client, *points)
    assert sum(said["kills"].values()) == len(points), f"a kill did not hit: {said}"
