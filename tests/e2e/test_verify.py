"""A bit flips on the disk of a running server: it is found, named, not served, and mended."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from entrepot.client.client import Client
from tests.e2e.conftest import Running, make_tree, run, start_server

FILES = {"a.bin": bytes(range(256)) * 400, "b.bin": b"other bytes"}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Running]:
    """One of its own: what is damaged here must not be in the way of other tests."""
    running = start_server(tmp_path / "server" / "data", worker=False)
    yield running
    running.stop()


def flip_a_bit(data: Path, content: bytes, at: int = 0) -> Path:
    """Of a content, wherever it lies: a small one is in one object with others."""
    for path in (data / "objects").rglob("*"):
        if path.is_file() and content in (stored := path.read_bytes()):
            place = stored.index(content) + at
            path.chmod(0o600)
            path.write_bytes(stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :])
            return path
    raise AssertionError("no object has these bytes")


def test_a_flipped_bit_is_found_not_served_and_mended(own_server: Running, tmp_path: Path) -> None:
    server = own_server
    with Client(server.url, server.token) as client:
        client.projects.create("Lab", slug="lab")
        client.data.push(make_tree(tmp_path / "tree", FILES), "lab/data")
    clean = run(["verify", "--data", str(server.data), "--json"])
    assert clean.returncode == 0, clean.stderr
    assert (json.loads(clean.stdout)["contents"], json.loads(clean.stdout)["damaged"]) == (2, [])

    shutil.copytree(server.data / "objects", tmp_path / "backup" / "objects")
    flip_a_bit(server.data, FILES["a.bin"])
    found = run(["verify", "--data", str(server.data)])
    assert found.returncode == 6
    digest = hashlib.sha256(FILES["a.bin"]).hexdigest()
    assert f"DAMAGED  sha256:{digest}" in found.stdout
    assert "lab/data@1.1/a.bin" in found.stdout
    assert "--repair-from" in found.stderr
    for_programs = run(["verify", "--data", str(server.data), "--json"])
    assert [one["sha256"] for one in json.loads(for_programs.stdout)["damaged"]] == [f"sha256:{digest}"]
    assert "stored bytes are damaged" in for_programs.stderr

    version = run(["show", "lab/data", "--json"], ENTREPOT_URL=server.url, ENTREPOT_TOKEN=server.token)
    integrity = json.loads(version.stdout)["integrity"]
    assert (integrity["contents"], integrity["unread"], integrity["damaged"]) == (2, 0, 1)
    assert integrity["last_checked"] is not None
    shown = run(["show", "lab/data"], ENTREPOT_URL=server.url, ENTREPOT_TOKEN=server.token).stdout
    assert "1 of 2 contents; `entrepot verify` on the server names them" in shown
    assert "all of it since" in shown
    file = f"{server.url}/api/v1/versions/{json.loads(version.stdout)['id']}/files/a.bin"
    signed_in = {"Authorization": f"Bearer {server.token}"}
    for more in ({}, {"Range": "bytes=1000-1999"}):
        answer = httpx2.get(file, headers={**signed_in, **more})
        assert answer.status_code == 500
        assert answer.json()["code"] == "corrupt"
    assert "entrepot_damaged_contents 1.0" in httpx2.get(f"{server.url}/metrics").text

    mended = run(["verify", "--data", str(server.data), "--repair-from", str(tmp_path / "backup")])
    assert mended.returncode == 0, mended.stderr
    assert f"mended  sha256:{digest}" in mended.stdout
    assert httpx2.get(file, headers=signed_in).content == FILES["a.bin"]
    _what_is_under_way_breaks_off(server)


def _what_is_under_way_breaks_off(server: Running) -> None:
    """A bit at the very end, which nobody sees before most of an answer is sent: then the connection breaks, and what
    came is not taken for the whole by a client that knows nothing of us.
    """
    large = random.Random(1).randbytes(2 << 20)
    link = http.client.HTTPConnection(server.url.removeprefix("http://"))
    signed_in = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def ask(method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        link.request(method, f"/v1/datasets/{path}", body, signed_in)
        return link.getresponse()

    listed = json.loads(ask("POST", "list", b"{}").read())
    (pk,) = [row["pk"] for row in listed if row["name"] == "data"]
    assert ask("POST", f"{pk}/files/large", large).read()
    ways = (
        ("GET", f"{pk}/files/large", None),
        ("POST", f"{pk}/download", b'{"filetype": "zip"}'),
        ("POST", f"{pk}/download", b'{"filetype": "tar.gz"}'),
    )
    whole = [len(ask(*way).read()) for way in ways]
    assert whole[0] == len(large)
    flip_a_bit(server.data, large, len(large) - 1)
    for way, n in zip(ways, whole, strict=True):
        answer = ask(*way)
        assert answer.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as broken:
            answer.read()
        if isinstance(broken.value, http.client.IncompleteRead):
            assert len(broken.value.partial) < n
        link.close()


def test_a_folder_without_a_server_or_a_store_is_refused_in_words(server: Running, tmp_path: Path) -> None:
    none = run(["verify", "--data", str(tmp_path / "none")])
    assert (none.returncode, none.stdout) == (3, "")
    wrong = run(["verify", "--data", str(server.data), "--repair-from", str(tmp_path)])
    assert wrong.returncode == 3
    assert "objects" in wrong.stderr
