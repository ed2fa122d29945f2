"""Entrepot: one home for data files, typed tables and record sets.

`import entrepot` gives the client: `entrepot.Client`, the errors it raises, which are the server's too, and
`entrepot.DaemonClient` with its results. They are loaded when they are first named, so that the command line starts
fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entrepot._version import __version__

if TYPE_CHECKING:
    from entrepot import webhooks as webhooks
    from entrepot.client.client import Client as Client
    from entrepot.client.progress import Progress as Progress
    from entrepot.daemon.client import DaemonClient as DaemonClient
    from entrepot.daemon.errors import DaemonError as DaemonError
    from entrepot.daemon.errors import DaemonTimeoutError as DaemonTimeoutError
    from entrepot.daemon.results import AssetMetadata as AssetMetadata
    from entrepot.daemon.results import AuthStatus as AuthStatus
    from entrepot.daemon.results import DownloadedFile as DownloadedFile
    from entrepot.daemon.results import DownloadResult as DownloadResult
    from entrepot.daemon.results import ProgressEvent as ProgressEvent
    from entrepot.daemon.results import Project as Project
    from entrepot.daemon.results import Relationship as Relationship
    from entrepot.daemon.results import UploadResult as UploadResult
    from entrepot.model.errors import AlreadyRunning as AlreadyRunning
    from entrepot.model.errors import BadCredentials as BadCredentials
    from entrepot.model.errors import BadCursor as BadCursor
    from entrepot.model.errors import BadSignature as BadSignature
    from entrepot.model.errors import CarriedOut as CarriedOut
    from entrepot.model.errors import Conflict as Conflict
    from entrepot.model.errors import Corrupt as Corrupt
    from entrepot.model.errors import DigestMismatch as DigestMismatch
    from entrepot.model.errors import DiskFull as DiskFull
    from entrepot.model.errors import EntrepotError as EntrepotError
    from entrepot.model.errors import EntryNotFound as EntryNotFound
    from entrepot.model.errors import Expired as Expired
    from entrepot.model.errors import Forbidden as Forbidden
    from entrepot.model.errors import Frozen as Frozen
    from entrepot.model.errors import Gone as Gone
    from entrepot.model.errors import Hidden as Hidden
    from entrepot.model.errors import InProgress as InProgress
    from entrepot.model.errors import Invalid as Invalid
    from entrepot.model.errors import InvalidName as InvalidName
    from entrepot.model.errors import KindMismatch as KindMismatch
    from entrepot.model.errors import LengthMismatch as LengthMismatch
    from entrepot.model.errors import Malformed as Malformed
    from entrepot.model.errors import NameTaken as NameTaken
    from entrepot.model.errors import NotFound as NotFound
    from entrepot.model.errors import OffsetMismatch as OffsetMismatch
    from entrepot.model.errors import PathTaken as PathTaken
    from entrepot.model.errors import PreconditionFailed as PreconditionFailed
    from entrepot.model.errors import QuotaExceeded as QuotaExceeded
    from entrepot.model.errors import RateLimited as RateLimited
    from entrepot.model.errors import ShuttingDown as ShuttingDown
    from entrepot.model.errors import SourceChanged as SourceChanged
    from entrepot.model.errors import StaleRevision as StaleRevision
    from entrepot.model.errors import TooLarge as TooLarge
    from entrepot.model.errors import Trashed as Trashed
    from entrepot.model.errors import Unauthenticated as Unauthenticated
    from entrepot.model.errors import Unavailable as Unavailable
    from entrepot.model.errors import UnknownDataType as UnknownDataType
    from entrepot.model.errors import Unsupported as Unsupported
    from entrepot.model.errors import WrongState as WrongState

__all__ = [
    "AlreadyRunning",
    "AssetMetadata",
    "AuthStatus",
    "BadCredentials",
    "BadCursor",
    "BadSignature",
    "CarriedOut",
    "Client",
    "Conflict",
    "Corrupt",
    "DaemonClient",
    "DaemonError",
    "DaemonTimeoutError",
    "DigestMismatch",
    "DiskFull",
    "DownloadResult",
    "DownloadedFile",
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
    "Progress",
    "ProgressEvent",
    "Project",
    "QuotaExceeded",
    "RateLimited",
    "Relationship",
    "ShuttingDown",
    "SourceChanged",
    "StaleRevision",
    "TooLarge",
    "Trashed",
    "Unauthenticated",
    "Unavailable",
    "UnknownDataType",
    "Unsupported",
    "UploadResult",
    "WrongState",
    "__version__",
    "webhooks",
]

_RESULTS = frozenset(
    {
        "AssetMetadata",
        "AuthStatus",
        "DownloadResult",
        "DownloadedFile",
        "ProgressEvent",
        "Project",
        "Relationship",
        "UploadResult",
    }
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'entrepot' has no attribute {name!r}")
    if name == "webhooks":
        import entrepot.webhooks as submodule

        return submodule
    if name == "Client":
        from entrepot.client import client as home
    elif name == "Progress":
        from entrepot.client import progress as home  # type: ignore[no-redef]
    elif name == "DaemonClient":
        from entrepot.daemon import client as home  # type: ignore[no-redef]
    elif name in ("DaemonError", "DaemonTimeoutError"):
        from entrepot.daemon import errors as home  # type: ignore[no-redef]
    elif name in _RESULTS:
        from entrepot.daemon import results as home  # type: ignore[no-redef]
    else:
        from entrepot.model import errors as home  # type: ignore[no-redef]
    found = getattr(home, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
