"""The reference of `http_json`: the usual way to write such a route, on FastAPI and SQLAlchemy's async engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, create_model
from sqlalchemy import JSON, DateTime, ForeignKey, LargeBinary, String, event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

FOLDER = Path(os.environ["HTTP_JSON_FOLDER"])
RECORD: dict[str, Any] = json.loads((FOLDER / "record.json").read_text())


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String)
    active: Mapped[bool] = mapped_column(default=True)


class Token(Base):
    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user: Mapped[int] = mapped_column(ForeignKey("user.id"))
    expires_at: Mapped[datetime] = mapped_column(DateTime)
    revoked: Mapped[bool] = mapped_column(default=False)


#: Every field of the record is a column, as it is with us.
Version = type(
    "Version",
    (Base,),
    {
        "__tablename__": "version",
        "__annotations__": {},
        "pk": mapped_column("pk", String, primary_key=True),
        **{name: mapped_column(name, JSON) for name in RECORD},
    },
)
VersionOut: type[BaseModel] = create_model("VersionOut", **dict.fromkeys(RECORD, (Any, ...)))  # type: ignore[call-overload]

engine = create_async_engine(f"sqlite+aiosqlite:///{FOLDER / 'reference.db'}")
sessions = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def as_ours(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()


async def fill() -> None:
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    async with sessions() as session:
        session.add(User(id=1, name="admin"))
        digest = hashlib.sha256(b"reference-token").digest()
        session.add(Token(digest=digest, user=1, expires_at=datetime.now(UTC).replace(tzinfo=None) + timedelta(days=9)))
        session.add(Version(pk=RECORD["id"], **RECORD))
        await session.commit()


@asynccontextmanager
async def life(_app: FastAPI) -> AsyncIterator[None]:
    await asyncio.shield(fill())
    yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


Db = Annotated[AsyncSession, Depends(session)]


async def asking(db: Db, authorization: Annotated[str, Header()]) -> User:
    digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).digest()
    query = select(Token, User).join(User, Token.user == User.id).where(Token.digest == digest)
    found = (await db.execute(query)).first()
    if found is None:
        raise HTTPException(401)
    token, user = found
    if token.revoked or not user.active or token.expires_at <= datetime.now(UTC).replace(tzinfo=None):
        raise HTTPException(401)
    who: User = user
    return who


app = FastAPI(lifespan=life)


@app.get("/versions/{key}", response_model=VersionOut)
async def version(key: str, db: Db, _user: Annotated[User, Depends(asking)]) -> Any:
    found = await db.get(Version, key)
    if found is None:
        raise HTTPException(404)
    return {name: getattr(found, name) for name in RECORD}
