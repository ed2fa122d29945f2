"""Many small files in one body, as the wire shows them."""

from __future__ import annotations

import hashlib

import pytest

from entrepot.wire import frames
from tests.support.site import Client, Site

FILES = {f"d/{i:02}.txt": f"file {i}".encode() * i for i in range(20)}


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def framed(files: dict[str, bytes]) -> bytes:
    return b"".join(
        frames.header(name, len(data), hashlib.sha256(data).digest()) + data for name, data in files.items()
    )


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def pushed(alice: Client) -> str:
    version = alice.version()
    packed = alice.put("/packs", content=framed(FILES)).json()
    changes = [
        {"op": "add", "path": path, "upload": packed["upload"]["id"], "sha256": digest(data)}
        for path, data in FILES.items()
    ]
    assert alice.post(f"/versions/{version}/commits", json={"changes": changes}).status_code == 201
    return version


def test_files_go_up_together_and_come_down_together(alice: Client) -> None:
    version = pushed(alice)
    for path, data in FILES.items():
        assert alice.get(f"/versions/{version}/files/{path}").content == data
    got = alice.post(f"/versions/{version}/batch", json={"paths": list(FILES)})
    assert (got.status_code, got.content) == (200, framed(FILES))
    assert got.headers["content-type"] == frames.MEDIA_TYPE
    assert got.headers["content-length"] == str(len(framed(FILES)))
    assert (got.headers["entrepot-version"], got.headers["entrepot-revision"]) == (version, "1")


def test_files_of_a_batch_are_committed_together(alice: Client) -> None:
    version, upload = alice.version(), alice.put("/packs", content=framed(FILES)).json()["upload"]["id"]
    files = [(f"e/{path}", digest(data)) for path, data in reversed(FILES.items())]
    done = alice.post(
        f"/versions/{version}/commits",
        json={
            "changes": [
                {"op": "add_files", "upload": upload, "files": files},
                {"op": "add_files", "upload": upload, "files": [("f", files[3][1]), ("g", files[3][1])]},
                {"op": "add_files", "files": [("of old", files[4][1])]},
            ]
        },
    )
    # Contents that only came with an upload are not yet to be read anywhere, so they are not taken by digest alone.
    assert (done.status_code, [one["index"] for one in done.json()["errors"]]) == (422, [2])
    files += [("f", files[3][1]), ("g", files[3][1])]
    changes = [{"op": "add_files", "upload": upload, "files": files}]
    assert alice.post(f"/versions/{version}/commits", json={"changes": changes}).status_code == 201
    again = {"op": "add_files", "files": [("of old", files[4][1])]}
    assert alice.post(f"/versions/{version}/commits", json={"changes": [again]}).status_code == 201
    rows = alice.read(f"/versions/{version}/entries")["rows"]
    assert {row["path"]: row["sha256"] for row in rows} == dict([*files, ("of old", files[4][1])])
    in_order = sorted(rows, key=lambda row: int(row["position"]))
    assert [row["path"] for row in in_order] == [*(path for path, _ in files), "of old"]
    assert rows[0]["data_type"] == "text"


def test_ranges_of_a_file_in_a_pack_are_its_own(alice: Client) -> None:
    version, data = pushed(alice), FILES["d/19.txt"]
    got = alice.get(f"/versions/{version}/files/d/19.txt", headers={"Range": "bytes=3-9"})
    assert (got.status_code, got.content) == (206, data[3:10])
    last = alice.get(f"/versions/{version}/files/d/19.txt", headers={"Range": "bytes=-4"})
    assert (last.content, last.headers["content-range"]) == (data[-4:], f"bytes 129-132/{len(data)}")
    head = alice.get(f"/versions/{version}/files/d/19.txt", headers={"If-None-Match": got.headers["etag"]})
    assert head.status_code == 304


def test_the_answer_tells_of_every_file(alice: Client) -> None:
    answer = alice.put("/packs", content=framed(FILES))
    assert answer.status_code == 201
    assert answer.json()["files"] == [
        {"name": path, "size": len(data), "sha256": digest(data)} for path, data in FILES.items()
    ]
    upload = answer.json()["upload"]
    assert (upload["state"], upload["purpose"], upload["offset"]) == ("finished", "batch", len(framed(FILES)))
    assert alice.read(f"/uploads/{upload['id']}") == upload


def test_who_knows_what_was_sent_is_not_told_of_every_file(alice: Client) -> None:
    answer = alice.put("/packs", content=framed(FILES), headers={"Prefer": "return=minimal"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "return=minimal")
    upload = answer.json()["upload"]
    assert answer.json() == {"upload": alice.read(f"/uploads/{upload['id']}"), "files": []}
    done = alice.post(
        f"/versions/{alice.version()}/commits", json={"changes": [{"op": "add_batch", "upload": upload["id"]}]}
    )
    assert done.json()["revision"]["entries"] == len(FILES)


def test_a_wrong_batch_is_refused_with_the_files_that_are_wrong(alice: Client) -> None:
    body = framed({"a": b"a"}) + frames.header("b", 1, hashlib.sha256(b"x").digest()) + b"b"
    refused = alice.put("/packs", content=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert [one["name"] for one in refused.json()["errors"]] == ["b"]
    assert (
        alice.put("/packs", content=b"no frames at all, and long enough to tell that they are not").status_code == 400
    )
    assert alice.get("/packs").status_code == 405


def test_what_is_missing_is_said_before_the_first_byte(alice: Client) -> None:
    version = pushed(alice)
    refused = alice.post(f"/versions/{version}/batch", json={"paths": ["d/01.txt", "nothing"]})
    assert (refused.status_code, refused.json()["code"]) == (404, "entry_not_found")
    assert [one["path"] for one in refused.json()["errors"]] == ["nothing"]


def test_a_key_of_a_question_for_bytes_means_nothing(alice: Client) -> None:
    """There is nothing in it that would have to be kept for a repeat."""
    version = pushed(alice)
    for _ in range(2):
        got = alice.post(
            f"/versions/{version}/batch", json={"paths": ["d/03.txt"]}, headers={"Idempotency-Key": "question"}
        )
        assert got.content == framed({"d/03.txt": FILES["d/03.txt"]})


def test_a_batch_is_committed_as_one_change(alice: Client) -> None:
    version, upload = alice.version(), alice.put("/packs", content=framed(FILES)).json()["upload"]["id"]
    change = {"op": "add_batch", "upload": upload}
    assert alice.post(f"/versions/{version}/commits", json={"changes": [change]}).status_code == 201
    rows = sorted(alice.read(f"/versions/{version}/entries")["rows"], key=lambda row: int(row["position"]))
    assert [(row["path"], row["sha256"]) for row in rows] == [(path, digest(data)) for path, data in FILES.items()]
    there = alice.post(f"/versions/{version}/commits", json={"changes": [change | {"condition": "absent"}]})
    assert (there.status_code, there.json()["code"]) == (409, "path_taken")
    assert [one["path"] for one in there.json()["errors"]] == list(FILES)
    odd = alice.put("/packs", content=framed({"a": b"a", "../b": b"b"})).json()["upload"]["id"]
    refused = alice.post(f"/versions/{version}/commits", json={"changes": [change | {"upload": odd}]})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert [(one["index"], one["path"]) for one in refused.json()["errors"]] == [(0, "../b")]
    unknown = alice.post(f"/versions/{version}/commits", json={"changes": [change | {"upload": "nothing"}]})
    assert unknown.status_code in (404, 422)
