"""Rows of uploads: transfers in progress and whole ones that no entry refers to yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from entrepot.catalog import bulk
from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import content, dataset, packed, upload, version
from entrepot.catalog.statements import Sql


@dataclass(frozen=True, slots=True)
class UploadRow:
    """One upload as the catalogue keeps it.

    Args:
        state: open, finished (content known), aborted.
        received: Offset when a writer last let go; the truth is the staged file.
        durable: Offset that a true sync has reached.
        detail: Of a finished batch nothing; `batch_detail` has it.
    """

    n: int
    uid: UUID
    owner: int | None
    token: int | None
    state: str
    key: str
    received: int
    durable: int
    boot_id: str
    length: int | None
    sha256: bytes | None
    crc32c: int | None
    file_name: str | None
    media: str | None
    project: int | None
    version: int | None
    purpose: str
    detail: Mapping[str, Any]
    content: int | None
    content_sha256: bytes | None
    content_size: int | None
    created_at: datetime
    touched_at: datetime
    expires_at: datetime


#: Of a finished batch it tells of every file; whoever wants that asks for the one batch.
_IS_LONG = and_(upload.c.purpose == "batch", upload.c.state == "finished")
_COLUMNS = (
    *(column for column in upload.c if column is not upload.c.detail),
    case((_IS_LONG, null()), else_=upload.c.detail).label("detail"),
    content.c.sha256.label("content_sha256"),
    content.c.size.label("content_size"),
)


def _select() -> Select[Any]:
    return select(*_COLUMNS).join_from(upload, content, upload.c.content == content.c.id, isouter=True)


def _value(row: Row[Any]) -> UploadRow:
    return UploadRow(
        n=row.id,
        uid=row.uid,
        owner=row.owner,
        token=row.token,
        state=row.state,
        key=row.key,
        received=row.received,
        durable=row.durable,
        boot_id=row.boot_id,
        length=row.length,
        sha256=row.sha256,
        crc32c=row.crc32c,
        file_name=row.file_name,
        media=row.media,
        project=row.project,
        version=row.version,
        purpose=row.purpose,
        detail=row.detail or {},
        content=row.content,
        content_sha256=row.content_sha256,
        content_size=row.content_size,
        created_at=row.created_at,
        touched_at=row.touched_at,
        expires_at=row.expires_at,
    )


def insert_upload(conn: Connection, **values: Any) -> UploadRow:
    """Add one; a column that is not given is as in a new upload."""
    given = {**_NEW, **values}
    n = _insert(tuple(given))(conn, given).scalar()
    found = find(conn, n=int(n))
    assert found is not None
    return found


#: What Core would fill in, for statements that go past it.
_NEW: Final[Mapping[str, Any]] = {"received": 0, "durable": 0, "detail": {}}


@lru_cache(maxsize=32)
def _insert(columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(upload).returning(upload.c.id), columns)


def insert_uploads(conn: Connection, values: Sequence[Mapping[str, Any]]) -> None:
    """Several at once, in this order; all with the same columns."""
    if values:
        conn.execute(insert(upload), [dict(one) for one in values])


_BY_UID = Prepared(_select().where(upload.c.uid == bindparam("uid")))
_BY_NUMBER = Prepared(_select().where(upload.c.id == bindparam("n")))


def find(conn: Connection, *, uid: UUID | None = None, n: int | None = None) -> UploadRow | None:
    row = (_BY_NUMBER(conn, {"n": n}) if uid is None else _BY_UID(conn, {"uid": uid})).first()
    return None if row is None else _value(row)


def named(conn: Connection, owner: int, purpose: str, file_name: str) -> UploadRow | None:
    """The newest upload of somebody's for a purpose that has this name."""
    mine = (upload.c.owner == owner, upload.c.purpose == purpose, upload.c.file_name == file_name)
    row = conn.execute(_select().where(*mine).order_by(upload.c.id.desc()).limit(1)).first()
    return None if row is None else _value(row)


def hold(conn: Connection, n: int) -> None:
    """Hold the row until the end of the transaction."""
    if conn.dialect.name != "sqlite":
        conn.execute(select(upload.c.id).where(upload.c.id == n).with_for_update())


_BATCH_DETAIL = Prepared(select(upload.c.detail).where(upload.c.id == bindparam("n")))


def batch_detail(conn: Connection, n: int) -> Mapping[str, Any]:
    """What is written down of the files of a finished batch, which no other question tells."""
    found: Mapping[str, Any] = _BATCH_DETAIL(conn, {"n": n}).scalar()
    return found


def find_many(conn: Connection, uids: Sequence[UUID]) -> dict[UUID, UploadRow]:
    found: dict[UUID, UploadRow] = {}
    for start in range(0, len(uids), 1000):
        for row in conn.execute(_select().where(upload.c.uid.in_(uids[start : start + 1000]))):
            found[row.uid] = _value(row)
    return found


def change(
    conn: Connection, n: int, values: Mapping[str, Any], *, state: str | None = None, key: str | None = None
) -> bool:
    """Write columns; with `state` and `key`, only while the upload has these. Answers whether a row was written."""
    statement = _change(tuple(values), state is not None, key is not None)
    given = {f"new_{name}": value for name, value in values.items()}
    return statement(conn, {**given, "row": n, "if_state": state, "if_key": key}).rowcount == 1


@lru_cache(maxsize=128)
def _change(columns: tuple[str, ...], by_state: bool, by_key: bool) -> Prepared:
    """Made once for each set of columns: for a small file, making it anew would cost more than asking it."""
    statement = update(upload).where(upload.c.id == bindparam("row"))
    if by_state:
        statement = statement.where(upload.c.state == bindparam("if_state"))
    if by_key:
        statement = statement.where(upload.c.key == bindparam("if_key"))
    return Prepared(statement.values({name: bindparam(f"new_{name}") for name in columns}))


def end_many(conn: Connection, numbers: Sequence[int], values: Mapping[str, Any], *, whole: bool = False) -> None:
    """Write columns of those of them that are still open, or with `whole` also of finished ones."""
    states = ("open", "finished") if whole else ("open",)
    for start in range(0, len(numbers), 1000):
        mine = upload.c.id.in_(numbers[start : start + 1000])
        conn.execute(update(upload).where(mine, upload.c.state.in_(states)).values(**values))


def of_version(conn: Connection, version_n: int, purpose: str | None = None) -> list[UploadRow]:
    """Uploads into a version in the order they were made."""
    query = _select().where(upload.c.version == version_n).order_by(upload.c.id)
    if purpose is not None:
        query = query.where(upload.c.purpose == purpose)
    return [_value(row) for row in conn.execute(query)]


def waiting_twin(
    conn: Connection,
    *,
    token: int,
    project: int,
    name: str,
    kind: str,
    length: int | None,
    crc32c: int | None,
    since: datetime,
) -> int | None:
    """The newest version of this name that still waits for the one file that this token announced so."""
    query = (
        select(version.c.id)
        .join_from(dataset, version, version.c.dataset == dataset.c.id)
        .join(upload, upload.c.version == version.c.id)
        .where(
            dataset.c.project == project,
            dataset.c.name == name,
            version.c.kind == kind,
            version.c.state == "empty",
            version.c.trashed_at.is_(None),
            version.c.created_at > since,
            upload.c.purpose == "slot",
            upload.c.state == "open",
            upload.c.token == token,
            upload.c.length == length if length is not None else upload.c.length.is_(None),
            upload.c.crc32c == crc32c if crc32c is not None else upload.c.crc32c.is_(None),
        )
        .order_by(version.c.id.desc())
        .limit(1)
    )
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


def of_owner(conn: Connection, owner: int, *, before: int | None, limit: int) -> list[UploadRow]:
    """What somebody may still use, newest first.

    Bodies of single requests under way, batches among them, are nobody's business; slots are shown with their version,
    and what belongs to a consignment with that.
    """
    mine = upload.c.owner == owner
    usable = or_(
        and_(upload.c.state != "aborted", upload.c.purpose.in_(("content", "part"))),
        and_(upload.c.state == "finished", upload.c.purpose == "batch"),
    )
    query = _select().where(mine, usable)
    if before is not None:
        query = query.where(upload.c.id < before)
    return [_value(row) for row in conn.execute(query.order_by(upload.c.id.desc()).limit(limit))]


def count_open(conn: Connection, owner: int) -> int:
    query = select(func.count()).select_from(upload).where(upload.c.owner == owner, upload.c.state == "open")
    return int(conn.execute(query).scalar_one())


def expired(conn: Connection, now: datetime, limit: int, *, after: int = 0) -> list[UploadRow]:
    """Uploads whose time is over, by number. Slots are not among them: they last as long as their version needs them.

    Args:
        after: The last number already seen.
    """
    query = (
        _select()
        .where(upload.c.expires_at <= now, upload.c.version.is_(None), upload.c.id > after)
        .order_by(upload.c.id)
        .limit(limit)
    )
    return [_value(row) for row in conn.execute(query)]


def abort_expired(conn: Connection, n: int, now: datetime) -> bool:
    """End an upload whose time is over; False when it was given more time meanwhile, or is gone."""
    over = update(upload).where(upload.c.id == n, upload.c.expires_at <= now, upload.c.version.is_(None))
    return conn.execute(over.values(state="aborted")).rowcount == 1


def hold_members(conn: Connection, n: int, contents: Sequence[int]) -> None:
    """Let an upload hold these contents, which came with it: nothing collects them as long as it does."""
    bulk.insert_rows(conn, packed, ("upload", "content"), [(n, one) for one in sorted(set(contents))])


_MEMBERS = Sql(
    "SELECT c.sha256, c.id FROM packed AS p {join} content AS c ON c.id = p.content WHERE p.upload = :upload"
)


def members(conn: Connection, n: int) -> dict[bytes, int]:
    """The contents that an upload holds, by digest."""
    return {bytes(sha256): number for sha256, number in _MEMBERS(conn, upload=n).tuples}


def let_members_go(conn: Connection, n: int) -> None:
    conn.execute(delete(packed).where(packed.c.upload == n))


def remove(conn: Connection, n: int) -> None:
    let_members_go(conn, n)
    conn.execute(delete(upload).where(upload.c.id == n))
