"""From the model to the wire: pure functions.

Observed with the Python client 1.12.2, whose decoder is strict: every key here is required there, times are whole
milliseconds (`1.0` is refused), and nothing may be null that is not shown as such.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from entrepot.depot.consignments import Consigned
from entrepot.depot.objects import Link
from entrepot.depot.slots import Slot
from entrepot.dialects.datature.assets_of import Asset, Values
from entrepot.model import ids
from entrepot.model.digests import crc32c_base64
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Leaf, Project, Stage, State, Version

__all__ = [
    "NEVER",
    "SOURCE",
    "announced",
    "asset",
    "dataset",
    "job_id",
    "message",
    "millis",
    "operation",
    "operation_id",
    "overview",
    "page",
    "parse_job_id",
    "parse_operation_id",
    "parse_session_id",
    "parse_split_id",
    "project",
    "session_id",
    "split_id",
    "upload_headers",
]

#: The end of what has none: 2100-01-01. Far enough for every reader, near enough for every calendar.
NEVER: Final = 4_102_444_800_000

#: The only word that this wire has for where items come from.
SOURCE: Final = "UploadedNewlineDelimitedJsonFile"

MEDIA_TYPE: Final = "application/x-ndjson"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def project_id(of: Version | Project) -> str:
    return ids.encode(Noun.PROJECT, of.project_uid if isinstance(of, Version) else of.uid)


_OVERVIEWS: Final[Mapping[State, str]] = {
    State.EMPTY: "Waiting",
    State.RECEIVING: "Uploading",
    State.PROCESSING: "Processing",
    State.READY: "Uploaded",
}


def overview(version: Version) -> str:
    """The word for the version's state; `Processed` is never said, because clients go on waiting at it."""
    if version.state is State.FAILED:
        return "FailedUpload" if version.stage is Stage.TRANSFER else "FailedProcessing"
    return _OVERVIEWS[version.state]


def message(version: Version) -> str:
    """A sentence on the state; for a failure it says what is wrong and where."""
    match version.state:
        case State.EMPTY:
            return "Waiting for the file to be uploaded."
        case State.RECEIVING:
            return "The file is being uploaded."
        case State.PROCESSING:
            return "The file has arrived and its items are being checked."
        case State.READY:
            return _content(version)
    return _fault(version)


def items(version: Version) -> int:
    """What one can count in it: items, rows or files; 0 while that is not known."""
    if version.kind is Kind.FILES:
        return version.n_entries
    return version.item_count or 0


def _content(version: Version) -> str:
    count = items(version)
    match version.kind:
        case Kind.TABLE:
            return f"Table, {_counted(count, 'row', 'rows')}."
        case Kind.FILES:
            return f"Files, {_counted(count, 'entry', 'entries')}."
    return f"Uploaded dataset, {_counted(count, 'item', 'items')}."


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _fault(version: Version) -> str:
    report = version.report or {}
    said = report.get("message")
    text = said.strip() if isinstance(said, str) else ""
    if not text:
        text = (
            "The file did not arrive."
            if version.stage is Stage.TRANSFER
            else "The content of the file was refused; no reason was noted."
        )
    if text[-1] not in ".!?":
        text += "."
    first = _first_line(report)
    # The line is named by the check's own sentence, or by its list.
    if first is not None and f"ine {first[0]}" not in text:
        text += f" Line {first[0]}: {first[1]}" if first[1] else f" The first is line {first[0]}."
    return text


def _first_line(report: Mapping[str, Any]) -> tuple[int, str] | None:
    listed = report.get("errors")
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        return None
    one = listed[0]
    line = one.get("line") if isinstance(one, Mapping) else None
    if not isinstance(line, int):
        return None
    why = one.get("reason") or one.get("detail")
    return line, f"{why.rstrip('.')}." if isinstance(why, str) and why else ""


def upload_headers(version: Version, slot: Slot) -> dict[str, str]:
    """What the client is to send along with the file, as it stands here. Nothing relies on its coming back."""
    headers = {"content-type": MEDIA_TYPE, "x-goog-if-generation-match": "0"}
    headers["x-goog-meta-datature-dataset-link"] = f"{project_id(version)}/{ids.datature_dataset(version.uid)}"
    if slot.length is not None:
        headers["content-length"] = str(slot.length)
    if slot.crc32c is not None:
        headers["x-goog-hash"] = f"crc32c={crc32c_base64(slot.crc32c)}"
    return headers


def dataset(
    version: Version, upload: tuple[Slot, Link] | None, base_url: str, *, lifetime: timedelta
) -> dict[str, Any]:
    """One version.

    Args:
        upload: Where its file is to be put, for whoever may, while it waits for it.
        lifetime: Of such an address, to tell when one that is not shown any more ended.
    """
    if upload is None:
        url = {"method": "PUT", "url": "", "headers": {}, "expiresAtTime": millis(version.created_at + lifetime)}
    else:
        slot, link = upload
        url = {
            "method": "PUT",
            "url": f"{base_url}{link.path}",
            "headers": upload_headers(version, slot),
            "expiresAtTime": millis(link.expires_at),
        }
    updated = millis(version.updated_at)
    return {
        "id": ids.datature_dataset(version.uid),
        "object": "dataset",
        "name": version.name,
        "projectId": project_id(version),
        "expiryTime": NEVER if version.expires_at is None else millis(version.expires_at),
        "status": {
            "overview": overview(version),
            "message": message(version),
            "updateTime": updated,
            "itemCount": items(version),
            "source": {"kind": SOURCE, "uploadUrl": url},
        },
        "createDate": millis(version.created_at),
        "updateDate": updated,
    }


def page(leaf: Leaf[Any], data: Sequence[Any]) -> dict[str, Any]:
    return {"nextPage": leaf.next, "prevPage": leaf.previous, "data": list(data)}


def project(
    found: Project, *, workspace: str, tags: Sequence[str], groups: Sequence[str], assets: int
) -> dict[str, Any]:
    return {
        "id": project_id(found),
        "object": "project",
        "name": found.name,
        "workspaceId": workspace,
        "type": "Dataset",
        "createDate": millis(found.created_at),
        "localization": "MULTI",
        "tags": list(tags),
        "groups": list(groups),
        # Exports of annotations ask for this first and cannot do without it.
        "statistic": {"tagsCount": [], "totalAssets": assets, "annotatedAssets": 0, "totalAnnotations": 0},
    }


# Assets and their uploads. Their ids are of this door alone: sessions end by themselves, and no other door shows them.

_SESSION, _SPLIT, _OPERATION, _JOB = "assetuploadsession_", "multipartassetupload_", "op_", "job_"


def session_id(uid: UUID) -> str:
    return f"{_SESSION}{uid.hex}"


def split_id(uid: UUID) -> str:
    return f"{_SPLIT}{uid.hex}"


def operation_id(uid: UUID) -> str:
    return f"{_OPERATION}{uid.hex}"


def parse_session_id(text: str) -> UUID:
    return _parse(_SESSION, text)


def parse_split_id(text: str) -> UUID:
    return _parse(_SPLIT, text)


def parse_operation_id(text: str) -> UUID:
    return _parse(_OPERATION, text)


def job_id(uid: UUID) -> str:
    return f"{_JOB}{uid.hex}"


def parse_job_id(text: str) -> UUID:
    return _parse(_JOB, text)


def _parse(prefix: str, text: str) -> UUID:
    match = re.fullmatch(rf"{prefix}([0-9a-f]{{32}})", text)
    if match is None:
        raise NotFound(f"There is nothing with the id {text[:60]!r}; ids here look like {prefix}<32 hex digits>.")
    return UUID(hex=match[1])


def asset(version: Version, asset: Asset, url: str) -> dict[str, Any]:
    """One entry. Its picture is not looked at, so how large that is stays 0."""
    entry = asset.entry
    return {
        "id": ids.datature_asset(version.uid, entry.position),
        "object": "asset",
        "projectId": project_id(version),
        "filename": asset.filename,
        "status": asset.status,
        "createDate": millis(entry.added_at or version.created_at),
        "url": url,
        "metadata": {
            "fileSize": entry.size,
            "mimeType": entry.media_type or "application/octet-stream",
            "height": 0,
            "width": 0,
            "groups": asset.groups,
            "customMetadata": asset.custom.get(None, {}),
        },
        "statistic": {"tagsCount": [], "totalAnnotations": 0},
    }


def custom_id(asset_id: str, frame: int | None) -> str:
    """Of the custom metadata of an asset, or of one of its frames."""
    return f"custommeta_{asset_id.removeprefix('asset_')}{'' if frame is None else f'.{frame}'}"


def parse_custom_id(text: str) -> tuple[str, int | None]:
    """The asset and the frame.

    Raises:
        NotFound: It is no such id.
    """
    asset_id, dot, frame = text.removeprefix("custommeta_").partition(".")
    wrong = bool(dot) != (frame.isascii() and frame.isdecimal() and len(frame) <= 9)
    if not text.startswith("custommeta_") or wrong:
        raise NotFound(f"There is no custom metadata {text[:80]!r}.")
    return f"asset_{asset_id}", int(frame) if dot else None


def custom(project: str, asset_id: str, frame: int | None, values: Values) -> dict[str, Any]:
    """The custom metadata of an asset, or of one of its frames."""
    return {
        "id": custom_id(asset_id, frame),
        "object": "customMetadata",
        "parent": {"assetId": asset_id, "project": project, **({} if frame is None else {"frame": frame})},
        "customMetadata": dict(values),
    }


def announced(file: Consigned, crc32c: int) -> dict[str, Any]:
    """What was said of a file; the checksum as it was written."""
    return {
        "filename": file.path.rpartition("/")[2],
        "mime": file.media_type or "application/octet-stream",
        "size": file.length,
        "crc32c": crc32c,
    }


def operation(
    uid: UUID,
    kind: str,
    overview: str,
    said: str,
    unit: str,
    counts: Mapping[str, int],
    created_at: datetime,
    updated_at: datetime,
) -> dict[str, Any]:
    """Long work. All five counts are always there."""
    every = dict.fromkeys(("Queued", "Running", "Finished", "Cancelled", "Errored"), 0)
    return {
        "id": operation_id(uid),
        "object": "operation",
        "kind": kind,
        "status": {
            "overview": overview,
            "message": said,
            "progress": {"unit": unit, "withStatus": {**every, **counts}},
        },
        "createDate": millis(created_at),
        "updateDate": millis(updated_at),
    }
