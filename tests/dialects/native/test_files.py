"""Files of a version by their path, and archives of many, as the wire shows them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile

import pytest

from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def repr_digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def test_a_body_becomes_an_entry_and_comes_back(alice: Client) -> None:
    version, body = alice.version(), b"some bytes"
    put = alice.put(
        f"/versions/{version}/files/d/e%20f.txt",
        content=body,
        headers={"Content-Type": "text/plain; charset=utf-8", "Repr-Digest": repr_digest(body)},
        params={"message": "First", "metadata": "note", "data_type": "text"},
    )
    assert put.status_code == 201
    assert put.json()["revision"]["message"] == "First"
    got = alice.get(f"/versions/{version}/files/d/e%20f.txt")
    assert got.content == body
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["repr-digest"] == repr_digest(body)
    assert got.headers["content-disposition"] == 'attachment; filename="e f.txt"'
    assert (got.headers["x-content-type-options"], got.headers["content-security-policy"]) == (
        "nosniff",
        "default-src 'none'; sandbox",
    )
    assert (got.headers["entrepot-version"], got.headers["entrepot-revision"]) == (version, "1")
    entry = alice.read(f"/versions/{version}/entry", path="d/e f.txt")
    assert (entry["metadata"], entry["data_type"], entry["added_by"]) == ("note", "text", "alice")
    again = alice.put(f"/versions/{version}/files/d/e%20f.txt", content=b"other")
    assert again.status_code == 200
    assert alice.get(f"/versions/{version}/files/d/e%20f.txt?revision=1").content == body


def test_an_empty_body_is_an_empty_file(alice: Client) -> None:
    version = alice.version()
    assert alice.put(f"/versions/{version}/files/empty", content=b"").status_code == 201
    got = alice.get(f"/versions/{version}/files/empty")
    assert (got.status_code, got.content, got.headers["content-length"]) == (200, b"", "0")


def test_bytes_that_are_not_the_announced_ones_leave_nothing(site: Site, alice: Client) -> None:
    version = alice.version()
    url = f"/versions/{version}/files/a"
    for name in ("Repr-Digest", "Content-Digest"):
        refused = alice.put(url, content=b"x", headers={name: repr_digest(b"y")})
        assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert alice.put(url, content=b"x", headers={"Repr-Digest": "sha-512=:AAAA:"}).status_code == 201
    assert alice.put(url, content=b"x", headers={"Repr-Digest": "nonsense"}).status_code == 400
    assert alice.put(url, content=b"x", headers={"Repr-Digest": "sha-256=:AAAA:"}).status_code == 400
    assert alice.put(url, content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415
    assert alice.put(url, content=b"x", headers={"Content-Range": "bytes 0-0/2"}).status_code == 400
    assert alice.read(f"/versions/{version}")["revision"] == 1
    assert alice.read("/uploads")["rows"] == []
    assert list(site.depot.staging.keys()) == []


def test_conditions_of_a_put_hold(alice: Client) -> None:
    version = alice.version()
    url = f"/versions/{version}/files/a"
    missing = alice.put(url, content=b"1", headers={"If-Match": "*"})
    assert (missing.status_code, missing.json()["code"]) == (412, "precondition_failed")
    assert alice.put(url, content=b"1", headers={"If-None-Match": "*"}).status_code == 201
    assert alice.put(url, content=b"2", headers={"If-None-Match": "*"}).status_code == 412
    tag = alice.head(url).headers["etag"]
    assert alice.put(url, content=b"2", headers={"If-Match": tag}).status_code == 200
    assert alice.put(url, content=b"3", headers={"If-Match": tag}).status_code == 412
    assert alice.delete(url, headers={"If-Match": tag}).status_code == 412
    assert alice.put(url, content=b"3", params={"expected": 1}).json()["code"] == "stale_revision"
    assert alice.get(url).content == b"2"


def test_files_and_folders_are_deleted(alice: Client) -> None:
    version = alice.version()
    for name in ("a", "d/1", "d/2"):
        alice.file(version, name)
    done = alice.delete(f"/versions/{version}/files/a", params={"message": "Gone"})
    assert (done.status_code, done.json()["revision"]["message"]) == (200, "Gone")
    assert alice.delete(f"/versions/{version}/files/d").status_code == 404
    assert alice.delete(f"/versions/{version}/files/d", params={"recursive": "true"}).status_code == 200
    assert alice.delete(f"/versions/{version}/files/d", params={"recursive": "maybe"}).status_code == 422
    assert alice.read(f"/versions/{version}/entries")["rows"] == []


@pytest.mark.parametrize("path", ["..%2Fa", "a%2F%2Fb", "a%5Cb", "%00", "a/../b/./..", "x" * 300, "%C3"])
def test_paths_that_are_none_are_refused(alice: Client, path: str) -> None:
    version = alice.version()
    refused = alice.put(f"/versions/{version}/files/{path}", content=b"x")
    assert refused.status_code in (400, 404, 422), refused.text
    assert alice.get(f"/versions/{version}/files/{path}").status_code in (400, 404, 422)
    assert alice.read(f"/versions/{version}/entries")["rows"] == []


def test_only_what_may_be_done_is_done_and_refused_before_the_body(site: Site, alice: Client) -> None:
    version = alice.version(visibility="public")
    alice.file(version, "a")
    url = f"/versions/{version}/files/a"
    bob = site.person("bob")
    assert bob.put(url, content=b"x").status_code == 403
    assert site.anonymous.put(url, content=b"x").status_code == 401
    assert bob.delete(url).status_code == 403
    table = alice.version("t", kind="table")
    refused = alice.put(f"/versions/{table}/files/a", content=b"x")
    assert (refused.status_code, refused.json()["code"]) == (409, "kind_mismatch")
    assert alice.post(url, content=b"x").status_code == 405
    assert alice.post(url).headers["allow"] == "DELETE, GET, HEAD, PUT"
    assert list(site.depot.staging.keys()) == []


def test_what_was_sent_is_never_guessed_to_be_html(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "page.html", b"<script>")
    got = alice.get(f"/versions/{version}/files/page.html")
    assert got.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in got.headers["content-security-policy"]


def test_a_put_of_what_is_there_changes_nothing(alice: Client) -> None:
    version = alice.version()
    url = f"/versions/{version}/files/a.csv"
    assert alice.put(url, content=b"x,y\n").status_code == 201
    again = alice.put(url, content=b"x,y\n")
    assert (again.status_code, again.json()["revision"]["number"]) == (200, 1)
    # What says something else of the same bytes is a change.
    for number, what in enumerate(({"metadata": "note"}, {"data_type": "text"}), 2):
        said = alice.put(url, content=b"x,y\n", params=what)
        assert said.json()["revision"]["number"] == number
    typed = alice.put(url, content=b"x,y\n", headers={"Content-Type": "text/csv"}, params={"data_type": "text"})
    assert typed.json()["revision"]["number"] == 4
    # Somebody wrote in between: it comes back, as one more revision.
    alice.put(url, content=b"other")
    assert alice.put(url, content=b"x,y\n").json()["revision"]["number"] == 6
    assert alice.put(url, content=b"x,y\n", params={"expected": 5}).json()["code"] == "stale_revision"
    taken = alice.put(url, content=b"x,y\n", headers={"If-None-Match": "*"})
    assert taken.status_code == 412


def test_a_revision_comes_as_an_archive(alice: Client) -> None:
    version = alice.version()
    files = {"a.txt": b"1" * 1000, "d/b.bin": bytes(range(256)) * 50, "d/ü.txt": b""}
    for name, body in files.items():
        alice.file(version, name, body)
    zipped = alice.get(f"/versions/{version}/archive")
    assert zipped.headers["content-type"] == "application/zip"
    assert int(zipped.headers["content-length"]) == len(zipped.content)
    assert zipped.headers["content-disposition"] == 'attachment; filename="penguins.v1.zip"'
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
    part = alice.get(f"/versions/{version}/archive", headers={"Range": "bytes=100-1999"})
    assert (part.status_code, part.content) == (206, zipped.content[100:2000])
    assert (
        alice.get(f"/versions/{version}/archive", headers={"If-None-Match": zipped.headers["etag"]}).status_code == 304
    )
    assert alice.head(f"/versions/{version}/archive").headers["content-length"] == zipped.headers["content-length"]
    for kind, mode in (("tar", "r:"), ("tar.gz", "r:gz")):
        answer = alice.get(f"/versions/{version}/archive", params={"format": kind})
        with tarfile.open(fileobj=io.BytesIO(answer.content), mode=mode) as tar:  # type: ignore[call-overload]
            assert {member.name: tar.extractfile(member).read() for member in tar} == files
    below = alice.get(f"/versions/{version}/archive", params={"prefix": "d", "revision": 2})
    with zipfile.ZipFile(io.BytesIO(below.content)) as archive:
        assert archive.namelist() == ["d/b.bin"]
    assert alice.get(f"/versions/{version}/archive", params={"format": "rar"}).status_code == 422
    assert alice.get(f"/versions/{version}/archive", params={"revision": "x"}).status_code == 422
    assert alice.put(f"/versions/{version}/archive").headers["allow"] == "GET, HEAD"


def test_a_link_gives_bytes_to_whoever_has_it_until_it_ends(site: Site, alice: Client) -> None:
    version = alice.version()
    alice.file(version, "d/a b.txt", b"bytes")
    made = alice.made(f"/versions/{version}/links", path="d/a b.txt", expires_in_s=60)
    got = site.anonymous.get(made["url"])
    assert (got.status_code, got.content) == (200, b"bytes")
    assert site.anonymous.get(made["url"], headers={"Range": "bytes=1-2"}).content == b"yt"
    assert site.anonymous.head(made["url"]).headers["content-length"] == "5"
    for wrong in (made["url"][:-1], made["url"] + "?a=b", made["url"].replace("a%20b", "a+b")):
        refused = site.anonymous.get(wrong)
        assert (refused.status_code, refused.content) == (403, b"")
    assert site.anonymous.put(made["url"], content=b"x").status_code == 403
    alice.file(version, "d/a b.txt", b"newer")
    assert site.anonymous.get(made["url"]).content == b"bytes", "a link stays with its revision"
    site.clock.move(seconds=61)
    assert site.anonymous.get(made["url"]).status_code == 403


def test_a_link_ends_with_the_right_of_whoever_made_it(site: Site, alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a")
    made = alice.made(f"/versions/{version}/links", path="a")["url"]
    archive = alice.made(f"/versions/{version}/links", archive="tar")["url"]
    assert site.anonymous.get(archive).status_code == 200
    site.admin.made("/users/alice/deactivate")
    assert (site.anonymous.get(made).status_code, site.anonymous.get(archive).status_code) == (403, 403)
    assert alice.post(f"/versions/{version}/links", json={"path": "a"}).status_code == 401


def test_a_link_leads_to_exactly_one_thing(alice: Client) -> None:
    version = alice.version()
    for body in ({}, {"path": "a", "archive": "zip"}):
        assert alice.post(f"/versions/{version}/links", json=body).status_code == 422
    assert alice.post(f"/versions/{version}/links", json={"path": "a"}).status_code == 404
    alice.file(version, "a")
    for more in ({"prefix": "b"}, {"expires_in_s": 0}, {"expires_in_s": 10**30}):
        assert alice.post(f"/versions/{version}/links", json={"path": "a", **more}).status_code == 422, more


def test_a_link_to_a_folder_gives_this_folder(site: Site, alice: Client) -> None:
    version = alice.version()
    for path in ("a/1", "a/b/2", "c"):
        alice.file(version, path)
    made = alice.made(f"/versions/{version}/links", archive="zip", prefix="a")
    with zipfile.ZipFile(io.BytesIO(site.anonymous.get(made["url"]).content)) as archive:
        assert archive.namelist() == ["a/1", "a/b/2"]
