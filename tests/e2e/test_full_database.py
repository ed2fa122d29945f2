"""A server whose PostgreSQL has no room: it says so, loses nothing that it acknowledged, and goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.postgres import PostgresUnavailable
from tests.support.server import NO_WORKER, running_server, wait_until
from tests.support.small_disk import SmallDisk

API = "/api/v1"


@pytest.fixture
def small() -> Iterator[SmallDisk]:
    try:
        server = SmallDisk()
    except PostgresUnavailable as missing:
        pytest.skip(str(missing))
    with server:
        yield server


class Files:
    """One version, and what was acknowledged of its files."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        answer = http.post(f"{API}/versions", json={"name": "Birds"})
        assert answer.status_code == 201, answer.text
        self.version = answer.json()["id"]
        self.acknowledged: dict[str, bytes] = {}

    def put(self) -> httpx2.Response:
        path, body = f"f{len(self.acknowledged)}", b"file %d " % len(self.acknowledged) * 50
        answer = self.http.put(f"{API}/versions/{self.version}/files/{path}", content=body)
        if answer.is_success:
            self.acknowledged[path] = body
        return answer

    def check(self) -> None:
        """Everything that was acknowledged is there, and at most the one that was not."""
        for path, body in self.acknowledged.items():
            assert self.http.get(f"{API}/versions/{self.version}/files/{path}").content == body
        there = self.http.get(f"{API}/versions/{self.version}").json()["entries"]
        assert there in (len(self.acknowledged), len(self.acknowledged) + 1)


@pytest.mark.soak
def test_a_full_database_is_said_and_nothing_is_lost(small: SmallDisk, tmp_path: Path) -> None:
    with (
        small.database() as name,
        running_server(tmp_path / "data", settings=(*NO_WORKER, f"database={small.url(name)}")) as server,
        server.client(token(server.data, small.url(name))) as http,
    ):
        files = Files(http)
        assert files.put().is_success
        with small.full():
            refused = next(answer for _ in range(2000) if not (answer := files.put()).is_success)
            assert (refused.status_code, refused.json()["code"]) == (503, "disk_full"), refused.text
            files.check()
        assert files.put().is_success
        with small.full(log=2000):
            refused = next(answer for _ in range(50) if not (answer := files.put()).is_success)
            assert refused.status_code == 503, refused.text
            # What answers the refusal is the first of its processes to end.
            wait_until(lambda: http.get("/readyz").status_code == 503, "it is seen that the database has ended")
        again = next(answer for _ in range(50) if (answer := files.put()).is_success)
        assert again.is_success
        files.check()


def token(data: Path, database: str) -> str:
    from entrepot.model.values import Scope
    from entrepot.server import commands

    settings = commands.load_config({"data": str(data)}, [f"database={database}"], environ={})
    return commands.create_token(settings, "admin", Scope.ADMIN).text
