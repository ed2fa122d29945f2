"""What a person reads when a command fails, and what a script is told."""

from __future__ import annotations

import pytest
import typer

from entrepot.cli.failure import Partial, exit_code, report
from entrepot.model import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound, 3),
        (errors.EntryNotFound, 3),
        (errors.Gone, 3),
        (errors.Unauthenticated, 4),
        (errors.BadCredentials, 4),
        (errors.Forbidden, 4),
        (errors.RateLimited, 4),
        (errors.Conflict, 5),
        (errors.StaleRevision, 5),
        (errors.NameTaken, 5),
        (errors.SourceChanged, 5),
        (errors.DigestMismatch, 6),
        (errors.Corrupt, 6),
        (errors.Invalid, 1),
        (errors.Unavailable, 1),
        (errors.QuotaExceeded, 1),
    ],
)
def test_the_exit_code_says_what_sort_of_failure_it_was(error: type[errors.EntrepotError], code: int) -> None:
    assert exit_code(error("x")) == code


def test_one_message_with_what_to_do_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(errors.StaleRevision("Somebody was faster.", errors=[{"path": "a.csv"}, {"path": "b.csv"}])) == 5
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[:3] == ["entrepot: Somebody was faster.", "  a.csv", "  b.csv"]
    assert "entrepot diff" in shown.err


def test_a_thousand_bad_paths_are_not_all_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"path": f"p{n}", "reason": "no"} for n in range(1000)]
    report(errors.InvalidName("Bad names.", errors=rows))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) < 30
    assert "  p0: no" in shown
    assert "980 more" in shown[-1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_is_130_and_says_that_nothing_is_lost(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == 130
    assert "run it again" in capsys.readouterr().err


def test_something_unforeseen_shows_its_place_only_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(ZeroDivisionError("oops")) == 1
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ENTREPOT_DEBUG", "1")
    report(ZeroDivisionError("oops"))
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_files_that_cannot_be_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(PermissionError(13, "Permission denied", "/data/x")) == 1
    assert capsys.readouterr().err == "entrepot: Permission denied: /data/x\n"


def test_what_was_only_partly_done_is_6_and_has_been_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Partial()) == 6
    assert capsys.readouterr().err == ""
