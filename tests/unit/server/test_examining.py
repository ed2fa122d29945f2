"""Contents are examined in processes that are really killed: what a file does to its reader costs that file alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.model.data_types import Report, Standing
from entrepot.server.examining import ChildExaminer

ROOT = Path(__file__).parents[3]


class Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildExaminer]:
    """An examiner whose copies do as the file says; a second for each file, and half a gibibyte."""
    monkeypatch.chdir(ROOT)
    command = (sys.executable, "-c", f"import entrepot.server.examiner as e; e._GRACE_S = 0; {START}")
    made = ChildExaminer(memory=512 << 20, seconds=1.0, command=command)
    yield made
    made.close()


START = (
    "import socket, sys; from tests.support.bad_examiner import work; "
    "e.serve(socket.socket(fileno=int(sys.argv[1])), work)"
)


def why(found: Report) -> str:
    assert (found.standing, len(found.findings), found.findings[0].code) == (Standing.UNFINISHED, 1, "check_ended")
    return found.findings[0].message


def test_what_misbehaves_is_ended_and_the_next_file_is_examined(bad: ChildExaminer) -> None:
    assert "longer than 1 s" in why(bad(Bytes(b"asleep"), "csv"))
    assert "longer than 1 s" in why(bad(Bytes(b"endless"), "csv"))
    assert "more than 512 MiB" in why(bad(Bytes(b"bomb"), "csv"))
    assert f"signal {signal.SIGABRT:d}" in why(bad(Bytes(b"crash"), "csv"))
    assert "ended the process" in why(bad(Bytes(b"liar"), "csv"))
    assert "ended the process" in why(bad(Bytes(b"writes"), "csv")), "a copy writes no file"
    good = bad(Bytes(b"a,b\n1,2\n"), None)
    assert (good.standing, good.recognised, good.facts["rows"]) == (Standing.GOOD, "csv", 1)


def test_a_nursery_that_dies_costs_one_file(bad: ChildExaminer) -> None:
    assert bad(Bytes(b"a,b\n1,2\n"), None).standing is Standing.GOOD
    assert bad._nursery is not None
    os.kill(bad._nursery.pid, signal.SIGKILL)
    bad._nursery.wait()
    assert bad(Bytes(b"a,b\n1,2\n"), None).standing is Standing.GOOD


def test_the_nursery_ends_with_its_worker_and_takes_its_copy_along(bad: ChildExaminer) -> None:
    assert bad(Bytes(b"a,b\n1,2\n"), None).standing is Standing.GOOD
    nursery = bad._nursery
    assert nursery is not None
    bad.close()
    assert nursery.returncode == 0


def test_no_secret_of_the_server_is_in_its_environment(bad: ChildExaminer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_S3_SECRET", "hidden")
    assert bad(Bytes(b"a,b\n1,2\n"), None).standing is Standing.GOOD
    assert bad._nursery is not None
    assert b"hidden" not in Path(f"/proc/{bad._nursery.pid}/environ").read_bytes()


def test_types_of_the_settings_are_known_in_the_copy() -> None:
    examiner = ChildExaminer([{"identifier": "czi", "magic": [{"text": "ZISRAWFILE"}]}], seconds=10)
    try:
        found = examiner(Bytes(b"ZISRAWFILE" + bytes(100)), None)
    finally:
        examiner.close()
    assert (found.recognised, found.standing) == ("czi", Standing.UNCHECKED)
