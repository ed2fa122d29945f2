"""`entrepot.DaemonClient`: transfers that outlive the program that asked for them.

The surface is that of the transfer-daemon SDK whose documentation it follows (docs/daemon.md says where it differs):
every call is one request to a daemon on this computer, which is started if it does not run; `upload` and `download`
come back when the transfer has ended, or when the caller has waited long enough, and the transfer goes on.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from entrepot.daemon import places
from entrepot.daemon.errors import DaemonError, DaemonTimeoutError
from entrepot.daemon.link import Link
from entrepot.daemon.results import (
    AssetMetadata,
    AuthStatus,
    DownloadedFile,
    DownloadResult,
    ProgressEvent,
    Project,
    Relationship,
    UploadResult,
    moment,
)
from entrepot.daemon.starting import connected

__all__ = ["DaemonClient"]

OnProgress = Callable[[ProgressEvent], None]
_YEARS_S = 1e8


class DaemonClient:
    """A connection to the transfer daemon of this computer.

        with entrepot.DaemonClient() as client:
            project = client.create_project("Microscope")
            result = client.upload("scan.tif", title="Scan 7", owner_type="project", owner_id=project.project_id)

    Use it in a `with` block, or call `connect` and `close`. May be used from several threads.

    Args:
        socket_path: Of the daemon; else ENTREPOT_SOCKET, else entrepot-transfer.sock in the user's runtime folder.
        binary_path: The `entrepot` program to start a daemon with; else that on PATH, else the running interpreter's.
        auto_start: Start a daemon if none answers.
        start_timeout_s: Seconds to wait for a daemon that was started.
        request_timeout_s: Seconds to wait for the answer to a request. Transfers have a limit of their own.
    """

    def __init__(
        self,
        *,
        socket_path: str | os.PathLike[str] | None = None,
        binary_path: str | os.PathLike[str] | None = None,
        auto_start: bool = True,
        start_timeout_s: float = 10.0,
        request_timeout_s: float = 30.0,
    ) -> None:
        self._path = socket_path
        self._binary = binary_path
        self._auto_start = auto_start
        self._start_timeout_s = _seconds("start_timeout_s", start_timeout_s)
        self._request_timeout_s = _seconds("request_timeout_s", request_timeout_s)
        self._link: Link | None = None
        self._connecting = threading.Lock()

    @property
    def socket_path(self) -> Path:
        return places.socket_path(self._path)

    # --- the connection -----------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, and start a daemon first if none answers. Nothing happens when it is connected.

        After a `ConnectionError`, and in a child of a fork, it connects anew.

        Raises:
            ConnectionError: No daemon answers, and `auto_start` is off.
            DaemonTimeoutError: One was started and did not answer within `start_timeout_s`.
            DaemonError: The program that `binary_path` names does not exist, there is no place for the socket or the
                journal, or the daemon speaks another protocol.
        """
        with self._connecting:
            if self._link is not None and not self._link.usable:
                self.close()
            if self._link is None:
                self._link = connected(
                    self.socket_path, binary=self._binary, auto_start=self._auto_start, timeout_s=self._start_timeout_s
                )

    def close(self) -> None:
        """Hang up. The daemon and its transfers go on."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> Link:
        if self._link is None:
            raise ConnectionError("Not connected to a daemon. Use DaemonClient in a `with` block, or call connect().")
        return self._link

    def _call(self, method: str, **params: Any) -> Any:
        return self._connected().call(method, params, self._request_timeout_s)

    # --- who and what -------------------------------------------------------------------------------------------------

    def auth_status(self) -> AuthStatus:
        """Who is logged in, and until when.

        Raises:
            DaemonError: `unauthenticated`: nobody is; run `entrepot login`.
        """
        found = self._call("auth_status")
        return AuthStatus(
            found["user_email"],
            moment(found["expires_at"]),
            found["user_id"],
            found["user_name"],
            found["scope"],
            found["server"],
        )

    def create_project(self, name: str, *, description: str = "") -> Project:
        """Make a project of one's own, with its root collection and the server's default allocation.

        Raises:
            DaemonError: `name_taken`, or `forbidden` when the token may not write.
        """
        found = self._call("create_project", name=name, description=description)
        return Project(
            found["project_id"],
            found["name"],
            found["description"],
            found["slug"],
            found["root_collection_id"],
            found["allocation"],
        )

    def get_metadata(self, asset_id: str) -> AssetMetadata:
        return _metadata(self._call("get_metadata", asset_id=asset_id))

    def set_metadata(self, asset_id: str, **fields: Any) -> AssetMetadata:
        """Replace `title`, `description`, `alias`, `tags` or `metadata`; what is not given stays.

        Raises:
            DaemonError: `invalid` for a field that there is not.
        """
        return _metadata(self._call("set_metadata", asset_id=asset_id, fields=fields))

    def create_relationship(
        self,
        from_asset_id: str,
        to_asset_id: str,
        rel_type: str | None = None,
        *,
        relationship_type: str | None = None,
        analysis_mode: str | None = None,
        qualifier_note: str | None = None,
        qualifier_time: str | None = None,
        qualifiers: dict[str, Any] | None = None,
    ) -> Relationship:
        """Say that one asset came from another: the edge starts at the dependent one and ends at its origin.

        Both ends are pinned to the content they have now. The identical edge again is the one that is there.

        Args:
            rel_type: Any words of at most 255 characters; `relationship_type` is another name for it.
            analysis_mode: non_destructive, altering, destructive, in_situ, ex_situ, invasive or non_invasive.
            qualifier_time: ISO 8601; without an offset it is UTC.

        Raises:
            DaemonError: `invalid` for a word that is not allowed or an edge from an asset to itself.
        """
        if rel_type is not None and relationship_type is not None and rel_type != relationship_type:
            raise DaemonError("invalid", "rel_type and relationship_type name different types. Give one of them.")
        verb = rel_type if rel_type is not None else relationship_type
        if not verb:
            raise DaemonError("invalid", "A relationship needs a rel_type, such as derived_from.")
        found = self._call(
            "create_relationship",
            from_asset_id=from_asset_id,
            to_asset_id=to_asset_id,
            rel_type=verb,
            analysis_mode=analysis_mode,
            qualifier_note=qualifier_note,
            qualifier_time=qualifier_time,
            qualifiers=qualifiers,
        )
        made = moment(found["created_at"])
        assert made is not None
        return Relationship(
            found["relationship_id"],
            found["type"],
            found["from_asset_id"],
            found["to_asset_id"],
            found["analysis_mode"],
            found["qualifier_note"],
            moment(found["qualifier_time"]),
            found["qualifiers"],
            made,
            found["related_asset"],
        )

    # --- transfers ----------------------------------------------------------------------------------------------------

    def upload(
        self,
        local_path: str | os.PathLike[str],
        *,
        title: str,
        owner_type: str,
        owner_id: str,
        description: str | None = None,
        alias: str | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        collection_id: str | None = None,
        chunk_size_mb: int | None = None,
        on_progress: OnProgress | None = None,
        transfer_timeout_s: float = 3600,
    ) -> UploadResult:
        """Upload a file, or a folder as one revision; comes back when it is complete.

        A title that is in use already gets its next version.

        Args:
            owner_type: `project`, or `user` for oneself.
            owner_id: The project's id or slug; one's own id, name or e-mail.
            chunk_size_mb: MiB a request; 64 by default.
            on_progress: Called in this thread. What it raises ends the waiting, not the transfer.
            transfer_timeout_s: How long to wait. The transfer goes on afterwards.

        Raises:
            DaemonError: It failed, and will not be tried again.
            DaemonTimeoutError: It is not complete yet.
            ConnectionError: The daemon went away; the next one goes on.
        """
        end, transfer_id = self._carried_out(
            "upload",
            on_progress,
            transfer_timeout_s,
            local_path=str(Path(local_path).absolute()),
            title=title,
            owner_type=owner_type,
            owner_id=owner_id,
            description=description,
            alias=alias,
            tags=tags,
            metadata=metadata,
            collection_id=collection_id,
            chunk_size_mb=chunk_size_mb,
        )
        return UploadResult(end["asset_id"], end["content_id"], transfer_id, end["size"], end["files"])

    def download(
        self,
        asset_id: str,
        dest_dir: str | os.PathLike[str],
        *,
        chunk_size_mb: int | None = None,
        on_progress: OnProgress | None = None,
        transfer_timeout_s: float = 3600,
    ) -> DownloadResult:
        """Download the newest content of an asset into a folder, with the folders in it; comes back when it is there.

        Args and errors are those of `upload`. A file there with other bytes, that no download put there, is not
        touched: the error is `conflict`.
        """
        end, transfer_id = self._carried_out(
            "download",
            on_progress,
            transfer_timeout_s,
            asset_id=asset_id,
            dest_dir=str(Path(dest_dir).absolute()),
            chunk_size_mb=chunk_size_mb,
        )
        files: list[DownloadedFile] = []
        start: int | None = 0
        while start is not None:
            page = self._call("files", transfer_id=transfer_id, start=start)
            files += [
                DownloadedFile(row["local_path"], row["size"], row["path"], row["sha256"]) for row in page["files"]
            ]
            start = page["next"]
        return DownloadResult(end["asset_id"], end["content_id"], transfer_id, files)

    def _carried_out(
        self, method: str, on_progress: OnProgress | None, timeout_s: float, **params: Any
    ) -> tuple[dict[str, Any], str]:
        """Ask for a transfer and wait for its end: its result, and its id."""
        deadline = time.monotonic() + _seconds("transfer_timeout_s", timeout_s)
        link = self._connected()
        params["key"] = uuid.uuid4().hex
        transfer_id: str = self._call(method, **params)["transfer_id"]
        told = link.follow(transfer_id)
        try:
            while True:
                try:
                    heard = told.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    raise DaemonTimeoutError(
                        f"The {method} {transfer_id} is not complete after {timeout_s:g} s. It goes on; `entrepot "
                        "daemon status` shows how far it is."
                    ) from None
                if heard is None:
                    raise ConnectionResetError(
                        f"The daemon went away during the {method} {transfer_id}. The next daemon goes on with it."
                    )
                what, facts = heard
                if what == "progress" and on_progress is not None:
                    on_progress(_event(facts))
                if what == "ended":
                    return _result(facts), transfer_id
        finally:
            link.leave(transfer_id)


def _seconds(name: str, value: float) -> float:
    """A time to wait; infinity is years, since the system's own calls take no more."""
    if not value >= 0:
        raise DaemonError("invalid", f"{name} is a number of seconds, not {value!r}.")
    return min(value, _YEARS_S)


def _event(facts: dict[str, Any]) -> ProgressEvent:
    return ProgressEvent(
        facts["transfer_id"],
        facts["bytes_done"],
        facts["bytes_total"],
        facts["chunk_index"],
        facts["chunk_count"],
        facts["rate_bps"],
        facts["file_index"],
        facts["file_name"],
    )


def _result(facts: dict[str, Any]) -> dict[str, Any]:
    if facts["state"] != "done":
        error = facts.get("error") or {"code": facts["state"], "message": f"The transfer was {facts['state']}."}
        raise DaemonError(
            error.get("code", "error"),
            error.get("message", ""),
            details=error.get("details"),
            errors=error.get("errors"),
        )
    found: dict[str, Any] = facts["result"]
    return found


def _metadata(found: dict[str, Any]) -> AssetMetadata:
    made, changed = moment(found["created_at"]), moment(found["updated_at"])
    assert made is not None
    assert changed is not None
    return AssetMetadata(
        found["asset_id"],
        found["content_id"],
        found["title"],
        found["description"],
        found["alias"],
        found["tags"],
        found["metadata"],
        found["version"],
        found["project_id"],
        found["collection_id"],
        found["size"],
        found["files"],
        made,
        changed,
    )
