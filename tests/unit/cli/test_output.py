"""What commands print."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrepot.cli import output
from entrepot.client.lockfile import LockedEntry
from entrepot.wire.messages.licences import Licence

LICENCE = Licence(
    id="lic_1", name="MIT", url="", permissions=["use"], conditions=[], limitations=[], domains=[], standard=True
)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_499, "99.5 kB"),
        (123_456, "123 kB"),
        (999_600, "1.0 MB"),
        (10**9, "1.0 GB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes_are_for_people(count: int, shown: str) -> None:
    assert output.size(count) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(5, "5 s"), (120, "2 min"), (7500, "2 h 05 min")])
def test_times_are_for_people(seconds: float, shown: str) -> None:
    assert output.ago(seconds) == shown


def test_a_pipe_gets_one_line_a_row_with_tabs_and_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["a", "b"], [["x", 1], ["tab\there", None]])
    assert capsys.readouterr().out == "x\t1\ntab\\x09here\t\n"


def test_a_terminal_is_not_steered_by_names(capsys: pytest.CaptureFixture[str]) -> None:
    output.details([("file", "evil\x1b[31m")])
    assert "\x1b" not in capsys.readouterr().out


def test_lists_are_json_arrays_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    output.lines(iter([LICENCE, LICENCE]), True, [], lambda row: [])
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["MIT", "MIT"]
    output.lines(iter([]), True, [], lambda row: [])
    assert json.loads(capsys.readouterr().out) == []


def test_values_are_json_as_on_the_wire(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    output.emit({"at": moment, "entry": LockedEntry("a", 1, "sha256:x"), "path": Path("a"), "tags": ("a", "b")})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-03-01T12:00:00Z",
        "entry": {"path": "a", "size": 1, "sha256": "sha256:x"},
        "path": "a",
        "tags": ["a", "b"],
    }


def test_what_has_no_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.details([("name", "x"), ("alias", None), ("tags", []), ("count", 0)])
    assert capsys.readouterr().out == "name   x\ncount  0\n"
