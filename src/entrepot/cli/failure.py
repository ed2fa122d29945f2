"""How a command ends badly: one message with what to do, on standard error, and an exit code that means something."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from entrepot.model import errors
from entrepot.model.errors import EntrepotError

__all__ = ["Partial", "exit_code", "report"]

#: The first that fits counts.
_CODES: tuple[tuple[type[EntrepotError], int], ...] = (
    (errors.DigestMismatch, 6),
    (errors.LengthMismatch, 6),
    (errors.Corrupt, 6),
    (errors.NotFound, 3),
    (errors.Gone, 3),
    (errors.Unauthenticated, 4),
    (errors.Forbidden, 4),
    (errors.Conflict, 5),
)
_LISTED = 20
_HINTS: dict[type[EntrepotError], str] = {
    errors.Unauthenticated: "Log in with `entrepot login`, or set ENTREPOT_TOKEN.",
    errors.StaleRevision: "`entrepot log` and `entrepot diff` show what was written meanwhile.",
    errors.Frozen: "`entrepot push` to it starts the next version.",
}


class Partial(Exception):
    """Only a part of what was asked for was done; everything has been said already."""


def exit_code(error: BaseException) -> int:
    if isinstance(error, EntrepotError):
        return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
    if isinstance(error, Partial):
        return 6
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 1


def report(error: BaseException) -> int:
    """Say what went wrong; answers the exit code."""
    if os.environ.get("ENTREPOT_DEBUG") and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, Partial):
        return exit_code(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _say("Interrupted. What was transferred is kept: run it again to go on.")
        return 130
    if isinstance(error, BrokenPipeError):
        return 1
    if isinstance(error, EntrepotError):
        _explain(error)
        return exit_code(error)
    show = getattr(error, "show", None)
    if callable(show):
        # A mistake in the command line: it knows best how to say which.
        show()
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, OSError):
        _say(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        return 1
    _say(f"Something unforeseen: {type(error).__name__}: {error}. Run it with --debug to see where, and report it.")
    return 1


def _explain(error: EntrepotError) -> None:
    _say(error.message)
    for row in error.errors[:_LISTED]:
        where = row.get("path") or row.get("field") or row.get("row")
        why = row.get("reason") or row.get("detail") or row.get("message")
        parts = [str(part) for part in (where, why) if part is not None and str(part) not in error.message]
        if parts:
            print("  " + ": ".join(parts), file=sys.stderr)
    if len(error.errors) > _LISTED:
        print(f"  … and {len(error.errors) - _LISTED:,} more", file=sys.stderr)
    hint = next((text for kind, text in _HINTS.items() if isinstance(error, kind)), None)
    if hint and "entrepot login" not in error.message:
        print(hint, file=sys.stderr)
    if "request_id" in error.details and (exit_code(error) == 1 or isinstance(error, errors.Corrupt)):
        print(f"The server's log has it as {error.details['request_id']}.", file=sys.stderr)


def _say(message: str) -> None:
    print(f"entrepot: {message}", file=sys.stderr)
