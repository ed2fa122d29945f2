"""The one error tree of server, SDK, CLI and daemon.

Ten kinds say what sort of thing went wrong; leaves name the situation. Doors map kinds (and, where a
dialect needs it, leaves) to statuses; the SDK turns a problem document back into the same class by `code`.

    EntrepotError
    ├── Invalid            the request is wrong as it stands
    │   ├── Malformed        it could not be parsed at all
    │   ├── InvalidName      a name, path, slug, alias or tag breaks a rule
    │   ├── DigestMismatch   the bytes are not the announced ones
    │   ├── LengthMismatch   there are more or fewer bytes than announced
    │   ├── UnknownDataType  a data type that this server does not know
    │   └── BadCursor        a page cursor that this server did not make
    ├── Unauthenticated    who is asking is not known
    │   ├── BadCredentials   the password, token or signature is wrong
    │   └── Expired          the credential was good once
    ├── Forbidden          known, but not allowed
    │   ├── Hidden           and the thing's existence may not be known either
    │   ├── BadSignature     a signed URL that was changed or is out of date
    │   └── RateLimited      too many failed attempts; wait
    ├── NotFound           there is no such thing
    │   └── EntryNotFound    the version exists, the path in it does not
    ├── Gone               there was such a thing
    ├── Conflict           the thing is in a state that does not allow this
    │   ├── NameTaken        unique names, numbers and aliases
    │   ├── StaleRevision    somebody else wrote first
    │   ├── PathTaken        a path condition of a commit does not hold
    │   ├── OffsetMismatch   an upload is at another offset
    │   ├── Frozen           the version takes no more content
    │   ├── Trashed          deleted; reinstate it first
    │   ├── WrongState       an upload, ingest or task is past that step
    │   ├── KindMismatch     files, tables and records do not mix here
    │   ├── InProgress       this is being carried out already; repeat it in a moment
    │   ├── CarriedOut       the same request was carried out before, and its answer is lost
    │   ├── AlreadyRunning   a second server on the same data folder
    │   ├── SourceChanged    a local file did not hold still while it was read
    │   └── PreconditionFailed  If-Match and friends
    ├── TooLarge           beyond a limit of this server
    │   └── QuotaExceeded    beyond the project's allocation
    ├── Unsupported        understood, but not something this server does
    ├── Corrupt            stored bytes or facts are damaged
    └── Unavailable        try again later
        ├── DiskFull         no room to write
        └── ShuttingDown     the server is ending
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

__all__ = [
    "AlreadyRunning",
    "BadCredentials",
    "BadCursor",
    "BadSignature",
    "CarriedOut",
    "Conflict",
    "Corrupt",
    "DigestMismatch",
    "DiskFull",
    "EntrepotError",
    "EntryNotFound",
    "Expired",
    "Forbidden",
    "Frozen",
    "Gone",
    "Hidden",
    "InProgress",
    "Invalid",
    "InvalidName",
    "KindMismatch",
    "LengthMismatch",
    "Malformed",
    "NameTaken",
    "NotFound",
    "OffsetMismatch",
    "PathTaken",
    "PreconditionFailed",
    "QuotaExceeded",
    "RateLimited",
    "ShuttingDown",
    "SourceChanged",
    "StaleRevision",
    "TooLarge",
    "Trashed",
    "Unauthenticated",
    "Unavailable",
    "UnknownDataType",
    "Unsupported",
    "WrongState",
    "all_leaves",
    "from_code",
]


class EntrepotError(Exception):
    """Something that a caller can understand.

    Args:
        message: What, which one, and what to do; never a secret, a token or a signed URL.
        details: Machine-readable facts such as `offset`; JSON values only.
        errors: One mapping per bad row, field or path, when several things are wrong at once.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.errors: list[dict[str, Any]] = [dict(e) for e in errors]

    def __str__(self) -> str:
        return self.message


class Invalid(EntrepotError):
    code = "invalid"


class Malformed(Invalid):
    code = "malformed"


class InvalidName(Invalid):
    code = "invalid_name"


class DigestMismatch(Invalid):
    code = "digest_mismatch"
    retryable = True


class LengthMismatch(Invalid):
    code = "length_mismatch"
    retryable = True


class UnknownDataType(Invalid):
    code = "unknown_data_type"


class BadCursor(Invalid):
    code = "bad_cursor"


class Unauthenticated(EntrepotError):
    code = "unauthenticated"


class BadCredentials(Unauthenticated):
    code = "bad_credentials"


class Expired(Unauthenticated):
    code = "expired"


class Forbidden(EntrepotError):
    code = "forbidden"


class Hidden(Forbidden):
    """The caller may not know that the thing exists. Most doors say 404; its message must not differ from theirs."""

    code = "hidden"


class BadSignature(Forbidden):
    code = "bad_signature"


class RateLimited(Forbidden):
    """Too many failed attempts. `details["retry_after_s"]` says how long to wait."""

    code = "rate_limited"
    retryable = True


class NotFound(EntrepotError):
    code = "not_found"


class EntryNotFound(NotFound):
    code = "entry_not_found"


class Gone(EntrepotError):
    code = "gone"


class Conflict(EntrepotError):
    code = "conflict"


class NameTaken(Conflict):
    code = "name_taken"


class StaleRevision(Conflict):
    """A write named a revision that is no longer the newest. `details["revision"]` is the newest."""

    code = "stale_revision"


class PathTaken(Conflict):
    code = "path_taken"


class OffsetMismatch(Conflict):
    """An upload is elsewhere. `details["offset"]` says where."""

    code = "offset_mismatch"
    retryable = True


class Frozen(Conflict):
    code = "frozen"


class Trashed(Conflict):
    code = "trashed"


class WrongState(Conflict):
    code = "wrong_state"


class KindMismatch(Conflict):
    code = "kind_mismatch"


class InProgress(Conflict):
    """What was asked for is being carried out for somebody else. `details["retry_after_s"]` says when to ask again."""

    code = "in_progress"
    retryable = True


class CarriedOut(Conflict):
    """The same request, by its idempotency key, was carried out, and its answer cannot be given again.

    `details` names what it did: `verbs`, and `version`, `revision` and `subject` where there are such.
    """

    code = "carried_out"


class AlreadyRunning(Conflict):
    code = "already_running"


class SourceChanged(Conflict):
    """A local file is not what it was when it was looked at. `details["path"]` says which."""

    code = "source_changed"


class PreconditionFailed(Conflict):
    code = "precondition_failed"


class TooLarge(EntrepotError):
    code = "too_large"


class QuotaExceeded(TooLarge):
    code = "quota_exceeded"


class Unsupported(EntrepotError):
    code = "unsupported"


class Corrupt(EntrepotError):
    code = "corrupt"


class Unavailable(EntrepotError):
    code = "unavailable"
    retryable = True


class DiskFull(Unavailable):
    code = "disk_full"


class ShuttingDown(Unavailable):
    code = "shutting_down"


def all_leaves() -> list[type[EntrepotError]]:
    """Every class a caller can meet, kinds included: what a door's error table must cover."""
    found: list[type[EntrepotError]] = []

    def walk(cls: type[EntrepotError]) -> None:
        for child in cls.__subclasses__():
            if child.__module__ == __name__:
                found.append(child)
                walk(child)

    walk(EntrepotError)
    return found


def from_code(code: str) -> type[EntrepotError]:
    """The class with this `code`; an unknown code (a newer server) gives the root class."""
    return next((cls for cls in all_leaves() if cls.code == code), EntrepotError)
