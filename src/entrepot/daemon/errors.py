"""What `DaemonClient` raises, and how errors of the one tree travel over the socket."""

from __future__ import annotations

from typing import Any

from entrepot.model.errors import EntrepotError, from_code

__all__ = ["DaemonError", "DaemonTimeoutError", "facts_of", "revived"]


class DaemonError(Exception):
    """The daemon, or the server behind it, refused.

    Args:
        code: A word of the error tree, such as `unauthenticated`, `not_found`, `quota_exceeded`.
        message: What, which one, and what to do.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.errors: list[dict[str, Any]] = list(errors or [])

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class DaemonTimeoutError(DaemonError):
    """Nothing within the time that the caller allowed. What was accepted goes on all the same."""

    def __init__(self, message: str) -> None:
        super().__init__("timeout", message)

    def __reduce__(self) -> tuple[type[DaemonTimeoutError], tuple[str]]:
        return type(self), (self.message,)


def facts_of(error: EntrepotError) -> dict[str, Any]:
    """An error as JSON, for an answer or the journal."""
    return {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
        "details": error.details,
        "errors": error.errors[:100],
    }


def revived(error: DaemonError) -> EntrepotError:
    """As one of the tree, for commands whose exit code depends on it."""
    kind = from_code(error.code)
    return kind(error.message, details=error.details, errors=error.errors)
