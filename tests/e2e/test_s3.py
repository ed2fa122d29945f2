"""A server whose bytes are in a bucket: people see no difference, and nothing but uploads under way is on its disk."""

from __future__ import annotations

import json
import random
from pathlib import Path

import httpx2
import pytest

from entrepot.client.client import Client
from tests.e2e.conftest import PASSWORD, answer, make_tree, read_tree, run, start_server
from tests.support.counting_proxy import CountingProxy
from tests.support.s3 import s3_server
from tests.support.server import running_server

FILES = {f"small/{n:03}.txt": f"number {n}\n".encode() for n in range(40)} | {
    "large.bin": random.Random(1).randbytes(11 << 20)
}


def objects(data: Path) -> list[Path]:
    return [path for path in (data / "objects").rglob("*") if path.is_file()]


def past_the_server(url: str, token: str, folder: Path) -> None:
    """A large file goes up and down, and the server sees next to nothing of it."""
    large = random.Random(2).randbytes(9 << 20)
    (folder / "direct").mkdir()
    (folder / "direct" / "large.bin").write_bytes(large)
    with CountingProxy(url) as way, Client(way.url, token, direct=True) as client:
        pushed = client.data.push(folder / "direct", "lab/direct")
        assert pushed.sent_bytes == len(large)
        client.data.download("lab/direct", folder / "direct-down")
        assert read_tree(folder / "direct-down") == {"large.bin": large}
        assert way.up + way.down < 100_000


def test_a_server_moves_into_a_bucket_and_works_there(tmp_path: Path) -> None:
    old = start_server(tmp_path / "old" / "data")
    try:
        with Client(old.url, old.token) as client:
            client.projects.create("Lab", slug="lab")
            client.data.push(make_tree(tmp_path / "tree", FILES), "lab/data")
    finally:
        old.stop()
        assert old.process.stdout is not None
        old.process.stdout.close()
    assert run(["backup", str(tmp_path / "backup"), "--data", str(old.data)]).returncode == 0

    with s3_server("nanio", tmp_path / "nanio") as bucket:
        where = bucket.address()
        settings = {
            "ENTREPOT_STORE": where.url,
            "ENTREPOT_S3_ENDPOINT": bucket.endpoint,
            "ENTREPOT_S3_KEY_ID": str(where.key_id),
            "ENTREPOT_S3_SECRET": str(where.secret),
        }
        data = tmp_path / "new" / "data"
        refused = run(["doctor", "--data", str(old.data)], **settings)
        assert refused.returncode != 0
        assert "`entrepot backup`" in refused.stdout + refused.stderr
        moved = run(["restore-backup", str(tmp_path / "backup"), "--data", str(data)], **settings)
        assert moved.returncode == 0, moved.stderr
        assert objects(data) == []

        with running_server(data, around={**settings, "ENTREPOT_ADMIN_PASSWORD": PASSWORD}) as server:
            with Client(server.url, old.token) as client:
                client.data.download("lab/data", tmp_path / "down")
                assert read_tree(tmp_path / "down") == FILES
                (tmp_path / "tree" / "new.bin").write_bytes(b"made in the bucket")
                client.data.push(tmp_path / "tree", "lab/data")
                version = client.versions.get("lab/data").id
                file = f"{server.url}/api/v1/versions/{version}/files/large.bin"
                part = httpx2.get(
                    file, headers={"Authorization": f"Bearer {old.token}", "Range": "bytes=5000000-5000999"}
                )
                assert (part.status_code, part.content) == (206, FILES["large.bin"][5_000_000:5_001_000])
                client.data.download("lab/data", tmp_path / "again")
            assert read_tree(tmp_path / "again") == FILES | {"new.bin": b"made in the bucket"}
            assert objects(data) == []
            past_the_server(server.url, old.token, tmp_path)
            checked = answer(run(["verify", "--data", str(data), "--json"], **settings))
            assert (checked["contents"], checked["damaged"]) == (len(FILES) + 2, [])
            assert str(where.secret) not in "".join(server.lines)
        found = run(["doctor", "--data", str(data), "--json"], **settings)
        stores = [one for one in json.loads(found.stdout) if one["what"] == "store"]
        assert where.url in json.dumps(stores), found.stdout


def test_a_bucket_that_cannot_be_written_is_said_before_anybody_uploads(tmp_path: Path) -> None:
    with s3_server("nanio", tmp_path / "nanio") as bucket:
        wrong = bucket.wrong_secret()
        settings = {
            "ENTREPOT_STORE": wrong.url,
            "ENTREPOT_S3_ENDPOINT": bucket.endpoint,
            "ENTREPOT_S3_KEY_ID": str(wrong.key_id),
        }
        ended = run(["serve", "--data", str(tmp_path / "data"), "--port", "0"], ENTREPOT_S3_SECRET="wrong", **settings)
        assert ended.returncode != 0
        assert "s3_secret" in ended.stderr


@pytest.mark.parametrize("url", ["bucket", "http://bucket"])
def test_what_is_no_bucket_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    ended = run(["serve", "--data", str(tmp_path / "data"), "--port", "0", "--set", f"store={url}"])
    assert ended.returncode != 0
    assert "s3://BUCKET" in ended.stderr
