"""Files of a dataset on this wire: names, bytes in and out, archives in and out."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from typing import Any

import pytest

from entrepot.catalog import versions as version_rows
from entrepot.depot import entries, versions
from tests.support.identity import ADMIN_PASSWORD
from tests.support.ufdl import Lab, zipped


def handle(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# One file


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/data", "Content-Disposition": "attachment; filename=a b.txt"},
        {"Content-Type": "application/json"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Disposition": b"attachment; filename=\xc3\xa4.txt"},
        {"Content-Disposition": b"attachment; filename=\xe4.txt"},
        {},
    ],
)
def test_a_body_is_stored_as_it_is_whatever_is_said_of_it(lab: Lab, headers: dict[str, Any]) -> None:
    pk, body = lab.writer.dataset()["pk"], b'{"not": "read"}'
    made = lab.writer.ok("POST", f"/datasets/{pk}/files/d/a%20b.txt", content=body, headers=headers)
    assert made == {"filename": "d/a b.txt", "handle": handle(body)}
    got = lab.writer("GET", f"/datasets/{pk}/files/d/a b.txt")
    assert (got.content, got.headers["content-type"], got.headers["content-length"]) == (
        body,
        "application/data",
        str(len(body)),
    )
    assert "accept-ranges" not in got.headers
    assert lab.writer("GET", f"/datasets/{pk}/files/d/a b.txt", headers={"Range": "bytes=0-1"}).content == body
    assert lab.writer.record(pk)["files"] == {"d/a b.txt": handle(body)}


def test_an_empty_body_and_one_in_chunks_are_files(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    lab.writer.ok("POST", f"/datasets/{pk}/files/empty", content=b"")
    lab.writer.ok("POST", f"/datasets/{pk}/files/chunks", content=iter([b"a" * 10, b"b" * 10]))
    assert lab.writer.content(pk) == {"empty": b"", "chunks": b"a" * 10 + b"b" * 10}


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a.txt", "a.txt"),
        ("./a//b/../c.txt", "a/c.txt"),
        ("%2Fa.txt", "a.txt"),
        ("%2F%2Fa", "a"),
        ("a%2Fb", "a/b"),
        ("x%2F..%2Fa", "a"),
        ("Z%C3%BCrich.txt", "Zürich.txt"),
        ("a+b&c.txt", "a+b&c.txt"),
        ("%F0%9F%90%A7", "🐧"),
    ],
)
def test_names_are_cleaned_like_paths(lab: Lab, sent: str, name: str) -> None:
    pk = lab.writer.dataset()["pk"]
    assert lab.writer.ok("POST", f"/datasets/{pk}/files/{sent}", content=b"x")["filename"] == name
    assert lab.writer("GET", f"/datasets/{pk}/files/{sent}").content == b"x"
    assert lab.writer.ok("GET", f"/datasets/{pk}/metadata/{sent}") == {"metadata": ""}


@pytest.mark.parametrize(
    "sent",
    [
        "%2E%2E%2Fa",
        "a%2F..%2F..%2Fb",
        "%2F..%2Fa",
        "",
        "%2E",
        "%2F",
        "dir%2F",
        "a%5Cb",
        "a%00b",
        "a%0Ab",
        "n" * 256,
        "a/" * 600 + "b",
        "%FF",
        "%ED%A0%80",
    ],
)
def test_names_that_are_none(shared_lab: Lab, sent: str) -> None:
    pk = shared_lab.writer.dataset()["pk"]
    got = shared_lab.writer("POST", f"/datasets/{pk}/files/{sent}", content=b"x")
    assert got.status_code == 400, got.text
    assert isinstance(got.json()["detail"], str)
    assert shared_lab.writer.record(pk)["files"] == {}


def test_there_is_no_overwriting(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a.txt": b"1", "d/e.txt": b"2"})["pk"]
    for name, why in (
        ("a.txt", "Filename already in use"),
        ("d", "Filename is already a directory prefix"),
        ("a.txt/b", "Directory prefix is already a filename"),
    ):
        for body in (b"1", b"other"):
            got = lab.writer("POST", f"/datasets/{pk}/files/{name}", content=body)
            assert (got.status_code, got.json()) == (400, {"detail": f"Bad name {name!r}: {why}"})
    assert lab.writer.content(pk) == {"a.txt": b"1", "d/e.txt": b"2"}


def test_same_bytes_have_one_handle_everywhere(lab: Lab) -> None:
    one = lab.writer.dataset(files={"a": b"same", "b": b"same"})["files"]
    two = lab.writer.dataset(files={"c": b"same"})["files"]
    assert {*one.values(), *two.values()} == {handle(b"same")}


def test_a_file_is_deleted_and_the_name_is_free(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a.txt": b"1"})["pk"]
    gone = {"filename": "a.txt", "handle": handle(b"1")}
    assert lab.writer.ok("DELETE", f"/datasets/{pk}/files/a.txt") == gone
    for method in ("DELETE", "GET"):
        got = lab.writer(method, f"/datasets/{pk}/files/a.txt")
        assert (got.status_code, got.json()) == (400, {"detail": "Bad name 'a.txt': Doesn't exist"})
    lab.writer.ok("POST", f"/datasets/{pk}/files/a.txt", content=b"2")


def test_a_folder_is_no_file(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"d/a.txt": b"1"})["pk"]
    assert lab.writer("GET", f"/datasets/{pk}/files/d").status_code == 400
    assert lab.writer("DELETE", f"/datasets/{pk}/files/d").status_code == 400
    assert lab.writer.content(pk) == {"d/a.txt": b"1"}


def test_a_handle_leads_to_the_bytes_in_its_own_dataset_only(lab: Lab) -> None:
    pk, other = lab.writer.dataset(files={"a": b"1"})["pk"], lab.writer.dataset(files={"b": b"2"})["pk"]
    assert lab.writer("GET", f"/datasets/{pk}/file-handles/{handle(b'1')}").content == b"1"
    assert lab.writer("GET", f"/datasets/{other}/file-handles/{handle(b'1')}").status_code == 400
    assert lab.writer("GET", f"/datasets/{pk}/file-handles/xyz").status_code == 404
    # Also where the version shares its history with others, and where the bytes were there once.
    copy = lab.writer.ok("POST", f"/datasets/{pk}/copy", {})["pk"]
    lab.writer.ok("DELETE", f"/datasets/{pk}/files/{next(iter(lab.writer.record(pk)['files']))}")
    assert lab.writer("GET", f"/datasets/{pk}/file-handles/{handle(b'1')}").status_code == 400
    assert lab.writer("GET", f"/datasets/{copy}/file-handles/{handle(b'1')}").content == b"1"


def as_table(lab: Lab, pk: int) -> None:
    """What a checked ingest would have made of it: only the kind matters here."""
    lab.site.depot.catalog.write(lambda conn: version_rows.change(conn, pk, {"kind": "table"}, edited=False))


def test_a_table_takes_no_files_but_texts(lab: Lab) -> None:
    files = {"a.csv": b"x,y"}
    pk, other = lab.writer.dataset(files=files)["pk"], lab.writer.dataset(files={"b": b"b"})["pk"]
    as_table(lab, pk)
    for got in (
        lab.writer("POST", f"/datasets/{pk}/files/b.csv", content=b"x"),
        lab.writer("POST", f"/datasets/{pk}/files-multi", content=zipped({"b": b"b"})),
        lab.writer("DELETE", f"/datasets/{pk}/files/a.csv"),
    ):
        assert (got.status_code, "is of kind table" in got.json()["detail"]) == (400, True)
    lab.writer.ok("POST", f"/datasets/{pk}/metadata/a.csv", {"metadata": "m"})
    for target, source in ((pk, other), (other, pk)):
        got = lab.writer("POST", f"/datasets/{target}/merge/{source}", {"delete": False})
        assert (got.status_code, got.json()["detail"].startswith("Cannot perform merge:\n")) == (406, True)
    assert lab.writer.content(pk) == files
    assert lab.writer("POST", f"/datasets/{pk}/download").status_code == 200
    assert lab.writer.ok("POST", f"/datasets/{pk}/copy")["version"] == 2


def test_a_frozen_dataset_keeps_its_files_and_its_name(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a": b"a"})["pk"]
    versions.freeze(lab.site.depot, lab.site.world.login("admin", ADMIN_PASSWORD), pk)
    for method, path, what in (
        ("POST", "/files/b", {"content": b"b"}),
        ("POST", "/files-multi", {"content": zipped({"b": b"b"})}),
        ("DELETE", "/files/a", {}),
        ("POST", "/metadata/a", {"json": {"metadata": "m"}}),
        ("DELETE", "/clear", {}),
        ("PATCH", "", {"json": {"name": "another"}}),
    ):
        got = lab.writer(method, f"/datasets/{pk}{path}", **what)
        assert (got.status_code, "frozen" in got.json()["detail"]) == (400, True), path
    assert lab.writer.ok("PATCH", f"/datasets/{pk}", {"tags": "x"})["tags"] == "x"


# Texts


def test_texts_of_files(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a.txt": b"1", "d/b.txt": b"2"})["pk"]
    text = 'any "text"\n{"é": 1}'
    assert lab.writer.ok("POST", f"/datasets/{pk}/metadata/d/b.txt", {"metadata": text}) == {"metadata": text}
    assert lab.writer.ok("GET", f"/datasets/{pk}/metadata/d/b.txt") == {"metadata": text}
    assert lab.writer.ok("GET", f"/datasets/{pk}/metadata") == {"a.txt": "", "d/b.txt": text}
    assert lab.writer.ok("POST", f"/datasets/{pk}/metadata/d/b.txt", {"metadata": ""}) == {"metadata": ""}


@pytest.mark.parametrize(
    "body", [{}, {"metadata": 5}, {"metadata": None}, {"metadata": "x", "other": 1}, {"metadata": {}}, [], "x"]
)
def test_a_text_is_a_text_and_nothing_else(shared_lab: Lab, body: Any) -> None:
    pk = shared_lab.writer.dataset(files={"a.txt": b"1"})["pk"]
    assert shared_lab.writer("POST", f"/datasets/{pk}/metadata/a.txt", body).status_code == 400
    assert shared_lab.writer("POST", f"/datasets/{pk}/metadata/b.txt", {"metadata": "x"}).status_code == 400
    assert shared_lab.writer("GET", f"/datasets/{pk}/metadata/b.txt").status_code == 400


# Many files at once


def test_the_members_of_an_archive_become_files_in_their_order(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"dir/1": b"there"})["pk"]
    members = {"z.txt": b"z", "dir/": b"", "a/b.txt": b"b" * 100_000, "empty": b"", "Zürich": b"z", "dir/3": b"3"}
    added = lab.writer.ok("POST", f"/datasets/{pk}/files-multi", content=zipped(members))
    names = ["z.txt", "dir/2", "a/b.txt", "empty", "Zürich", "dir/3"]
    assert added == [
        {"filename": name, "handle": handle(content)} for name, content in zip(names, members.values(), strict=True)
    ]
    assert lab.writer.content(pk) == {"dir/1": b"there", **dict(zip(names, members.values(), strict=True))}
    staff = lab.site.world.login("admin", ADMIN_PASSWORD)
    assert versions.get(lab.site.depot, staff, pk).version.revision == 2, "one revision for all of them"


def test_large_members_and_stored_ones(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    large = bytes(range(256)) * (20 << 10)
    members = {"small": b"s", "large": large, "again": b"s", "end": b"e"}
    lab.writer.ok("POST", f"/datasets/{pk}/files-multi/", content=zipped(members, deflated=False))
    assert lab.writer.content(pk) == members


@pytest.mark.parametrize(
    "members",
    [
        {"new": b"1", "used": b"2"},
        {"new": b"1", "used/below": b"2"},
        {"new": b"1", "folder": b"2"},
        {"new": b"1", "../up": b"2"},
        {"new": b"1", "/abs": b"2"},
        {"new": b"1", "new/below": b"2"},
        {"new": b"1", "a\x01b": b"2"},
    ],
)
def test_an_archive_is_taken_whole_or_not_at_all(shared_lab: Lab, members: dict[str, bytes]) -> None:
    files = {"used": b"u", "folder/a": b"a"}
    pk = shared_lab.writer.dataset(files=files)["pk"]
    got = shared_lab.writer("POST", f"/datasets/{pk}/files-multi", content=zipped(members))
    assert got.status_code == 400
    assert got.json()["detail"].startswith("Bad name")
    assert shared_lab.writer.content(pk) == files


def test_what_is_no_archive_or_a_damaged_one(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    good = zipped({"a.txt": b"some text " * 100})
    for body in (b"", b"PK", b"no archive at all", good[:-10], good[:40] + b"XXXX" + good[44:], good[30:]):
        got = lab.writer("POST", f"/datasets/{pk}/files-multi", content=body)
        assert got.status_code == 400, body[:20]
    assert lab.writer.record(pk)["files"] == {}
    assert lab.writer.ok("POST", f"/datasets/{pk}/files-multi", content=zipped({})) == []


# Download


def test_clients_before_2023_put_their_wishes_into_the_query(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a": b"a"})["pk"]
    for query, magic in (("", b"PK"), ("?filetype=zip", b"PK"), ("?filetype=tar.gz", b"\x1f\x8b")):
        assert lab.writer("GET", f"/datasets/{pk}/download{query}").content.startswith(magic)
    assert lab.writer("GET", f"/datasets/{pk}/download?filetype=rar").status_code == 415
    assert lab.writer("GET", f"/datasets/{pk}/download?a=b").status_code == 422
    assert lab.outsider("GET", f"/datasets/{pk}/download").status_code == 403


def archive(lab: Lab, pk: int, body: Any) -> tuple[bytes, Any]:
    got = lab.writer("POST", f"/datasets/{pk}/download", body)
    assert got.status_code == 200, got.text
    return got.content, got.headers


@pytest.mark.parametrize("body", [None, {}, {"filetype": "zip", "params": {}}, {"unknown": 1}])
def test_all_files_as_a_zip_under_their_names_and_in_their_order(lab: Lab, body: Any) -> None:
    files = {"b.txt": b"b", "a/c.txt": b"c" * 5000, "empty": b""}
    pk = lab.writer.dataset(lab.name() + " é", files)["pk"]
    raw, headers = archive(lab, pk, body)
    record = lab.writer.record(pk)
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == list(record["files"])
        assert {name: opened.read(name) for name in opened.namelist()} == files
    assert headers["content-type"] == "application/data"
    assert headers["content-length"] == str(len(raw))
    assert headers["content-disposition"].startswith(f'attachment; filename="{record["name"][:-1]}e.v1.zip"')
    assert "%C3%A9.v1.zip" in headers["content-disposition"]


def test_all_files_as_a_tar(lab: Lab) -> None:
    files = {"b.txt": b"b", "a/c.txt": b"c" * 5000}
    pk = lab.writer.dataset(files=files)["pk"]
    raw, headers = archive(lab, pk, {"filetype": "tar.gz"})
    with tarfile.open(fileobj=io.BytesIO(raw)) as opened:
        found = {one.name: opened.extractfile(one).read() for one in opened.getmembers()}  # type: ignore[union-attr]
        assert found == files
        assert {one.mode for one in opened.getmembers()} == {0o644}
    assert headers["content-disposition"].endswith('.v1.tar.gz"')


def test_an_empty_dataset_is_an_empty_archive(lab: Lab) -> None:
    raw, _ = archive(lab, lab.writer.dataset()["pk"], {})
    assert zipfile.ZipFile(io.BytesIO(raw)).namelist() == []


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"filetype": "rar"}, 415, 'Unsupported media type "rar" in request.'),
        ({"filetype": 5}, 400, None),
        ({"params": {"a": "b"}}, 422, "Unknown parameters: a=b"),
        ({"params": []}, 400, None),
        ({"params": {"a": 5}}, 400, None),
        ([], 400, None),
    ],
)
def test_other_archives_are_refused(shared_lab: Lab, body: Any, status: int, detail: str | None) -> None:
    pk = shared_lab.writer.dataset()["pk"]
    got = shared_lab.writer("POST", f"/datasets/{pk}/download", body)
    assert got.status_code == status
    if detail is not None:
        assert got.json() == {"detail": detail}


def test_what_was_added_here_is_there_natively(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a.txt": b"1"})["pk"]
    staff = lab.site.world.login("admin", ADMIN_PASSWORD)
    with entries.open_entry(lab.site.depot, staff, pk, "a.txt").reader as reader:
        assert reader.read_at(0, 10) == b"1"
