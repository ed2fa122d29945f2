"""The public tus client for Python, unmodified, against a real server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tusclient import client as tus
from tusclient.storage.filestorage import FileStorage

from tests.support.server import NO_WORKER, Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server"), settings=NO_WORKER) as running:
        yield running


def connected(server: Server) -> tuple[tus.TusClient, str]:
    token = server.token(scope="write")
    return tus.TusClient(f"{server.url}/api/v1/uploads", headers={"Authorization": f"Bearer {token}"}), token


def test_it_uploads_in_chunks_with_metadata(server: Server, tmp_path: Path) -> None:
    body = os.urandom(3_000_001)
    source = tmp_path / "a b.bin"
    source.write_bytes(body)
    client, token = connected(server)
    uploader = client.uploader(str(source), chunk_size=1 << 20, metadata={"filename": "ü b.bin"})
    uploader.upload()
    with server.client(token) as http:
        read = http.get(f"/api/v1/uploads/{uploader.url.rpartition('/')[2]}").json()
    assert (read["state"], read["length"], read["file_name"]) == ("finished", len(body), "ü b.bin")
    assert read["sha256"] == "sha256:" + hashlib.sha256(body).hexdigest()


def test_it_resumes_where_it_stopped_even_after_the_server_was_killed(tmp_path: Path) -> None:
    body = os.urandom(3 << 20)
    source = tmp_path / "a.bin"
    source.write_bytes(body)
    data, urls = tmp_path / "data", str(tmp_path / "urls")
    with running_server(data, settings=NO_WORKER) as server:
        client, token = connected(server)
        storage = FileStorage(urls)
        first = client.uploader(str(source), chunk_size=1 << 20, store_url=True, url_storage=storage)
        first.upload_chunk()
        assert first.offset == 1 << 20
        storage.close()
        server.process.kill()
        server.process.wait()
        port = int(server.url.rpartition(":")[2])
    with running_server(data, port=port, settings=NO_WORKER) as server:
        storage = FileStorage(urls)
        client = tus.TusClient(f"{server.url}/api/v1/uploads", headers={"Authorization": f"Bearer {token}"})
        second = client.uploader(str(source), chunk_size=1 << 20, store_url=True, url_storage=storage)
        assert second.offset == 1 << 20, "nothing that was acknowledged is sent again"
        second.upload()
        storage.close()
        with server.client(token) as http:
            read = http.get(f"/api/v1/uploads/{second.url.rpartition('/')[2]}").json()
    assert read["sha256"] == "sha256:" + hashlib.sha256(body).hexdigest()


def test_it_sends_checksums_that_are_checked(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(100_000))
    client, token = connected(server)
    uploader = client.uploader(str(source), chunk_size=30_000, upload_checksum=True)
    uploader.upload()
    with server.client(token) as http:
        assert http.get(f"/api/v1/uploads/{uploader.url.rpartition('/')[2]}").json()["state"] == "finished"
