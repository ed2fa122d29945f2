"""What the Flow door shows of data objects: the record, a look into the text, the bytes."""

from __future__ import annotations

import io
import zipfile

from entrepot.depot import entries, trash, uploads, versions
from entrepot.depot.entries import Add
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.values import Visibility
from tests.support.flow import PASSWORD, Lab, error_of


def test_one_object(lab: Lab) -> None:
    made = lab.writer.upload(b"a,b\n1,2\n", "table.csv", data_type="csv")
    found = lab.reader.ok("GET", f"/data/{made}")
    assert isinstance(found.pop("created"), int)
    assert found.pop("project")["id"] == str(lab.project)
    known = next(one for one in lab.reader.ok("GET", "/data/types") if one["identifier"] == "csv")
    assert found.pop("absolute_path").endswith("/table.csv@1/table.csv")
    assert found == {
        "id": made,
        "filename": "table.csv",
        "filetype": "csv",
        "size": 8,
        "is_binary": False,
        "is_directory": False,
        "is_ready": True,
        "category": 1,
        "data_type": {"identifier": "csv", **{name: known[name] for name in ("name", "description")}},
        "private": True,
        "owner": {"username": "writer", "name": "writer", "image": None},
        "group_owner": None,
        "paired": None,
        "fileset": None,
        "execution": None,
        "sample": None,
        "can_edit": False,
    }
    assert lab.writer.ok("GET", f"/data/{made}/")["can_edit"] is True


def test_what_may_not_be_seen_is_not_there(lab: Lab) -> None:
    made = lab.writer.upload(b"abc")
    for who in (lab.outsider, lab.anonymous):
        hidden = who("GET", f"/data/{made}")
        assert (hidden.status_code, hidden.json()) == (404, {"error": "Not found"})
        assert who("GET", f"/data/{made}/contents").status_code == 404
    for missing in ("999999", "abc", "1-999999", f"{made}-7", "-1", "0" * 30):
        answer = lab.writer("GET", f"/data/{missing}")
        assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})
    trash.trash(lab.depot, lab.site.world.login("writer"), int(made))
    assert lab.writer("GET", f"/data/{made}").status_code == 404
    assert lab.writer("GET", f"/downloads/{made}/reads.txt").status_code == 404


def test_what_is_public_is_for_everybody_without_names(lab: Lab) -> None:
    made = lab.writer.upload(b"abc")
    actor = lab.site.world.login("writer")
    versions.update(lab.depot, actor, int(made), VersionChanges(visibility=Visibility.PUBLIC))
    found = lab.anonymous.ok("GET", f"/data/{made}")
    assert (found["private"], found["owner"], found["project"]) == (False, None, None)
    assert lab.anonymous.bytes_of(made, "reads.txt") == b"abc"


def test_contents_come_in_pages(lab: Lab) -> None:
    made = lab.writer.upload(b"x" * 10_240 + b"tail")
    assert lab.reader.ok("GET", f"/data/{made}/contents") == {"contents": "x" * 10_240, "has_more": True}
    assert lab.reader.ok("GET", f"/data/{made}/contents?position=1") == {"contents": "tail", "has_more": False}
    assert lab.reader.ok("GET", f"/data/{made}/contents?position=2") == {"contents": "", "has_more": False}
    assert error_of(lab.reader("GET", f"/data/{made}/contents?position=x")) == {
        "position": ["'x' is not a whole number from 0 to 1099511627776."]
    }


def test_contents_of_bytes_that_are_no_text(lab: Lab) -> None:
    made = lab.writer.upload(b"\x1f\x8b\x08\x00", "a.gz")
    answer = lab.reader("GET", f"/data/{made}/contents")
    assert (answer.status_code, error_of(answer)) == (400, "Data is binary")
    assert lab.reader.ok("GET", f"/data/{made}")["is_binary"] is True


def test_a_version_of_several_files_is_a_directory(lab: Lab) -> None:
    actor = lab.site.world.login("writer")
    version = versions.create(lab.depot, actor, lab.project, NewVersion("Some tree"))
    changes = []
    for path in ("a.txt", "b/c.txt"):
        row = uploads.begin(lab.depot, actor, uploads.NewUpload())
        with uploads.receive(lab.depot, actor, row.uid, 0) as receiver:
            receiver.write(path.encode())
            receiver.finish()
        changes.append(Add(path, upload=row.uid))
    entries.commit(lab.depot, actor, version.n, changes)
    found = lab.reader.ok("GET", f"/data/{version.n}")
    assert (found["is_directory"], found["filename"], found["size"]) == (True, "some-tree.zip", 12)
    answer = lab.reader("GET", f"/data/{version.n}/contents")
    assert (answer.status_code, error_of(answer)) == (400, "Data is directory")
    packed = zipfile.ZipFile(io.BytesIO(lab.reader.bytes_of(str(version.n), "some-tree.zip")))
    assert {one: packed.read(one) for one in packed.namelist()} == {"a.txt": b"a.txt", "b/c.txt": b"b/c.txt"}
    entry = lab.reader.ok("GET", f"/data/{version.n}-1")
    assert (entry["id"], entry["filename"], entry["size"]) == (f"{version.n}-1", "c.txt", 7)
    assert lab.reader.bytes_of(f"{version.n}-1", "c.txt") == b"b/c.txt"


def test_downloads_by_header_query_and_cookie(lab: Lab) -> None:
    made = lab.writer.upload(b"abcdef")
    path = f"/downloads/{made}/reads.txt"
    answer = lab.reader("GET", path)
    assert answer.content == b"abcdef"
    assert answer.headers["content-disposition"] == 'attachment; filename="reads.txt"'
    assert lab.reader("GET", f"{path}?direct=yes").headers["content-disposition"].startswith("inline")
    assert lab.reader("GET", path, headers={"Range": "bytes=1-2"}).content == b"bc"
    assert lab.anonymous("GET", f"{path}?token={lab.reader.token}").content == b"abcdef"
    login = lab.anonymous("POST", "/login", {"username": "reader", "password": PASSWORD})
    cookie = login.headers["set-cookie"].partition(";")[0]
    assert lab.anonymous("GET", path, headers={"Cookie": cookie}).content == b"abcdef"
    # Nowhere else.
    assert lab.anonymous("GET", f"/data/{made}", headers={"Cookie": cookie}).status_code == 404
    assert lab.anonymous("GET", f"/data/{made}?token={lab.reader.token}").status_code == 404


def test_a_download_that_is_refused_has_no_words(lab: Lab) -> None:
    made = lab.writer.upload(b"abcdef")
    for path in (f"/downloads/{made}/other.txt", "/downloads/999999/reads.txt", "/downloads/x/reads.txt"):
        answer = lab.reader("GET", path)
        assert (answer.status_code, answer.content) == (404, b"")
    for who in (lab.outsider, lab.anonymous):
        answer = who("GET", f"/downloads/{made}/reads.txt")
        assert (answer.status_code, answer.content) == (404, b"")
    answer = lab.anonymous("GET", f"/downloads/{made}/reads.txt?token=nothing")
    assert (answer.status_code, answer.content) == (404, b"")


def test_unknown_addresses_are_answered_in_json(lab: Lab) -> None:
    for path in ("/nothing", "/data/1/2/3", "/upload/else/x"):
        answer = lab.writer("GET", path)
        assert answer.status_code == 404
        assert isinstance(error_of(answer), str)
    assert lab.writer("GET", "/upload").status_code == 405
