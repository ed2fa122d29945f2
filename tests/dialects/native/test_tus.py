"""tus 1.0: one test for each thing that the protocol's text says a server MUST do, and for what is ours around it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest
from crc32c import crc32c

from tests.support.asgi import Recorded, request, run, sends
from tests.support.site import Client, Site, open_site

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def create(who: Client, length: int | None, **headers: str) -> httpx2.Response:
    announced = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return who.post("/uploads", headers={**TUS, **announced, **named})


def begun(who: Client, length: int | None, **headers: str) -> str:
    answer = create(who, length, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def patch(who: Client, url: str, offset: int, body: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return who.patch(url, headers={**TUS, **BYTES, "Upload-Offset": str(offset), **named}, content=body)


def head(who: Client, url: str) -> httpx2.Response:
    return who.head(url, headers=TUS)


def metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def checksum(algorithm: str, body: bytes) -> str:
    digest = {
        "sha1": lambda: hashlib.sha1(body).digest(),
        "sha256": lambda: hashlib.sha256(body).digest(),
        "crc32c": lambda: crc32c(body).to_bytes(4, "big"),
    }[algorithm]()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Core: versions and discovery


def test_options_tells_versions_extensions_and_algorithms_and_ignores_the_version_of_the_request(site: Site) -> None:
    answer = site.anonymous.request("OPTIONS", "/uploads", headers={"Tus-Resumable": "0.2.2"})
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
        "concatenation",
    }  # fmt: skip
    assert {"sha1", "sha256", "crc32c"} <= set(answer.headers["tus-checksum-algorithm"].split(","))
    assert "tus-max-size" not in answer.headers


def test_another_version_is_refused_without_being_processed(alice: Client) -> None:
    for spoken in ({"Tus-Resumable": "2.0.0"}, {}):
        answer = alice.post("/uploads", headers={**spoken, "Upload-Length": "1"})
        assert answer.status_code == 412
        assert answer.headers["tus-version"] == "1.0.0"
    assert alice.read("/uploads")["rows"] == []


def test_every_answer_says_the_version(alice: Client) -> None:
    url = begun(alice, 3)
    answers = [
        create(alice, 3), head(alice, url), patch(alice, url, 9, b"abc"), patch(alice, url, 0, b"abc"),
        alice.head("/uploads/up_1", headers=TUS), alice.post("/uploads", headers=TUS),
        alice.delete(url, headers=TUS), alice.request("OPTIONS", url), alice.post(url, headers=TUS),
    ]  # fmt: skip
    assert [answer.headers.get("tus-resumable") for answer in answers] == ["1.0.0"] * len(answers)


def test_the_method_may_be_said_in_a_field(alice: Client) -> None:
    url = begun(alice, 3)
    override = {"X-HTTP-Method-Override": "PATCH", **TUS, **BYTES, "Upload-Offset": "0"}
    assert alice.post(url, headers=override, content=b"abc").status_code == 204
    assert alice.post(url, headers={"X-HTTP-Method-Override": "DELETE", **TUS}).status_code == 204
    assert head(alice, url).status_code == 410


# Core: HEAD


def test_head_tells_offset_and_length_and_is_not_cached(alice: Client) -> None:
    url = begun(alice, 5)
    for body, offset in ((b"", "0"), (b"ab", "2"), (b"cde", "5")):
        if body:
            assert patch(alice, url, int(offset) - len(body), body).status_code == 204
        answer = head(alice, url)
        assert answer.status_code == 200
        assert (answer.headers["upload-offset"], answer.headers["upload-length"]) == (offset, "5")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == b""


def test_an_upload_that_is_not_there_has_no_offset(site: Site, alice: Client) -> None:
    url = begun(alice, 5)
    for who, where in ((alice, "/uploads/up_" + "0" * 32), (alice, "/uploads/nonsense"), (site.person("bob"), url)):
        answer = head(who, where)
        assert answer.status_code == 404
        assert "upload-offset" not in answer.headers
    assert patch(site.person("bob"), url, 0, b"x").status_code == 404
    assert head(site.anonymous, url).status_code in (401, 404)


# Core: PATCH


def test_bytes_are_applied_at_the_offset_and_the_new_one_is_told(alice: Client) -> None:
    url = begun(alice, 6)
    first = patch(alice, url, 0, b"abc")
    assert (first.status_code, first.headers["upload-offset"], first.content) == (204, "3", b"")
    assert patch(alice, url, 3, b"def").headers["upload-offset"] == "6"
    name = url.rpartition("/")[2]
    assert alice.read(f"/uploads/{name}")["state"] == "finished"
    assert alice.read(f"/uploads/{name}")["sha256"] == "sha256:" + hashlib.sha256(b"abcdef").hexdigest()


def test_another_offset_changes_nothing_and_the_right_one_is_told(alice: Client) -> None:
    url = begun(alice, 6)
    patch(alice, url, 0, b"abc")
    for offset in (0, 2, 4, 6):
        answer = patch(alice, url, offset, b"xyz")
        assert problem(answer) == (409, "offset_mismatch")
        assert answer.json()["details"]["offset"] == 3
    assert head(alice, url).headers["upload-offset"] == "3"


def test_another_media_type_is_refused(alice: Client) -> None:
    url = begun(alice, 3)
    for said in ({"Content-Type": "application/octet-stream"}, {}):
        answer = alice.patch(url, headers={**TUS, "Upload-Offset": "0", **said}, content=b"abc")
        assert answer.status_code == 415
    assert head(alice, url).headers["upload-offset"] == "0"


@pytest.mark.parametrize("offset", ["-1", "1.0", "x", "", "9" * 30])
def test_an_offset_is_a_non_negative_integer(alice: Client, offset: str) -> None:
    url = begun(alice, 3)
    answer = alice.patch(url, headers={**TUS, **BYTES, "Upload-Offset": offset}, content=b"abc")
    assert answer.status_code == 400
    assert alice.patch(url, headers={**TUS, **BYTES}, content=b"abc").status_code == 400


def test_more_bytes_than_announced_are_refused_before_any_of_them_counts(alice: Client) -> None:
    url = begun(alice, 3)
    assert problem(patch(alice, url, 0, b"abcd")) == (413, "length_mismatch")
    assert head(alice, url).headers["upload-offset"] == "0"


def test_a_finished_upload_takes_nothing_and_says_so(alice: Client) -> None:
    url = begun(alice, 3)
    patch(alice, url, 0, b"abc")
    again = patch(alice, url, 3, b"")
    assert (again.status_code, again.headers["upload-offset"]) == (204, "3")
    assert problem(patch(alice, url, 0, b"abc")) == (409, "offset_mismatch")
    assert problem(patch(alice, url, 3, b"d")) == (413, "length_mismatch")


def leaves_in_the_middle(site: Site, who: Client, url: str, sent: bytes, **headers: str) -> None:
    """A PATCH whose client sends this much and is gone."""
    scope = request(
        "PATCH",
        url,
        authorization=who.headers["Authorization"],
        tus_resumable="1.0.0",
        content_type="application/offset+octet-stream",
        upload_offset="0",
        content_length="10",
        **headers,
    )
    recorded = Recorded()
    run(site.house.app(scope, sends(sent, cut=True), recorded.send))
    assert recorded.status in (0, 408)


def test_what_arrived_before_a_client_left_is_kept(site: Site, alice: Client) -> None:
    url = begun(alice, 10)
    leaves_in_the_middle(site, alice, url, b"abcd")
    assert head(alice, url).headers["upload-offset"] == "4"
    assert patch(alice, url, 4, b"efghij").status_code == 204


def test_what_arrived_is_not_kept_when_a_digest_was_to_speak_for_it(site: Site, alice: Client) -> None:
    url = begun(alice, 10)
    leaves_in_the_middle(site, alice, url, b"abcd", upload_checksum=checksum("sha1", b"abcdefghij"))
    assert head(alice, url).headers["upload-offset"] == "0"


# Creation


def test_a_creation_says_where_and_how_far(alice: Client) -> None:
    answer = create(alice, 5)
    assert answer.status_code == 201
    assert re.fullmatch(r"/api/v1/uploads/up_[0-9a-f]{32}", answer.headers["location"])
    assert head(alice, answer.headers["location"]).headers["upload-offset"] == "0"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "x"},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        {"Upload-Length": "1", "Upload-Metadata": "filename not*base64"},
        {"Upload-Length": "1", "Upload-Metadata": "a YQ==,a YQ=="},
        {"Upload-Length": "1", "Upload-Metadata": ",a YQ=="},
        {"Upload-Length": "1", "Upload-Concat": "half"},
    ],
)
def test_a_creation_that_cannot_be_meant_is_refused(alice: Client, headers: Mapping[str, str]) -> None:
    assert alice.post("/uploads", headers={**TUS, **headers}).status_code == 400
    assert alice.read("/uploads")["rows"] == []


def test_a_length_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = open_site(tmp_path, stack, limits__upload_size=10)
        alice = site.person("alice")
        assert site.anonymous.request("OPTIONS", "/uploads").headers["tus-max-size"] == "10"
        assert problem(create(alice, 11)) == (413, "too_large")
        url = begun(alice, None)
        assert problem(patch(alice, url, 0, b"x" * 11)) == (413, "too_large")


def test_an_upload_of_nothing_is_finished_at_once(alice: Client) -> None:
    url = begun(alice, 0)
    assert alice.read(f"/uploads/{url.rpartition('/')[2]}")["state"] == "finished"


def test_metadata_is_given_back_as_it_came_and_means_something(alice: Client) -> None:
    said = metadata(filename="ü b.csv", filetype="text/csv", project="alice") + ",is_confidential"
    url = begun(alice, 3, Upload_Metadata=said)
    assert head(alice, url).headers["upload-metadata"] == said
    read = alice.read(f"/uploads/{url.rpartition('/')[2]}")
    assert (read["file_name"], read["media_type"]) == ("ü b.csv", "text/csv")
    assert create(alice, 3, Upload_Metadata=metadata(project="no-such")).status_code == 404
    assert create(alice, 3, Upload_Metadata="filename //8=").status_code == 400


def test_a_length_may_be_told_later_once(alice: Client) -> None:
    url = begun(alice, None)
    answer = head(alice, url)
    assert answer.headers["upload-defer-length"] == "1"
    assert "upload-length" not in answer.headers
    assert patch(alice, url, 0, b"abc").status_code == 204
    assert patch(alice, url, 3, b"d", Upload_Length="6").status_code == 204
    answer = head(alice, url)
    assert (answer.headers["upload-length"], "upload-defer-length" in answer.headers) == ("6", False)
    assert problem(patch(alice, url, 4, b"ef", Upload_Length="7"))[1] == "length_mismatch"
    assert patch(alice, url, 4, b"ef", Upload_Length="6").status_code == 204
    assert alice.read(f"/uploads/{url.rpartition('/')[2]}")["state"] == "finished"


def test_a_length_that_is_told_late_may_be_what_is_there_already(alice: Client) -> None:
    url = begun(alice, None)
    patch(alice, url, 0, b"abc")
    assert problem(patch(alice, url, 3, b"", Upload_Length="2"))[1] == "length_mismatch"
    assert patch(alice, url, 3, b"", Upload_Length="3").headers["upload-offset"] == "3"
    assert alice.read(f"/uploads/{url.rpartition('/')[2]}")["state"] == "finished"


# Creation with upload


def test_a_creation_may_bring_bytes(alice: Client) -> None:
    for body, state in ((b"ab", "open"), (b"abcde", "finished")):
        answer = alice.post("/uploads", headers={**TUS, **BYTES, "Upload-Length": "5"}, content=body)
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(len(body)))
        assert alice.read(f"/uploads/{answer.headers['location'].rpartition('/')[2]}")["state"] == state


def test_a_creation_with_bytes_says_what_they_are(alice: Client) -> None:
    answer = alice.post("/uploads", headers={**TUS, "Upload-Length": "5"}, content=b"ab")
    assert answer.status_code == 415
    assert alice.read("/uploads")["rows"] == []


# Checksums


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "crc32c"])
@pytest.mark.parametrize("size", [10, 5 << 20], ids=["small", "large"])
def test_a_chunk_that_is_not_the_announced_one_is_thrown_away(
    site: Site, alice: Client, algorithm: str, size: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    url = begun(alice, 2 * size)
    assert patch(alice, url, 0, body, Upload_Checksum=checksum(algorithm, body)).status_code == 204
    wrong = patch(alice, url, size, body, Upload_Checksum=checksum(algorithm, b"other"))
    assert problem(wrong) == (460, "digest_mismatch")
    assert head(alice, url).headers["upload-offset"] == str(size)
    assert patch(alice, url, size, body, Upload_Checksum=checksum(algorithm, body)).status_code == 204
    read = alice.read(f"/uploads/{url.rpartition('/')[2]}")
    assert read["sha256"] == "sha256:" + hashlib.sha256(body + body).hexdigest()
    assert list(site.depot.staging.keys()) == []


@pytest.mark.parametrize("said", ["md5 AAAA", "sha256 AAAA", "sha256", "crc32c !!!!", ""])
def test_a_checksum_that_cannot_be_checked_is_refused(alice: Client, said: str) -> None:
    url = begun(alice, 3)
    assert patch(alice, url, 0, b"abc", Upload_Checksum=said).status_code == 400
    assert head(alice, url).headers["upload-offset"] == "0"


@pytest.mark.parametrize("key", ["sha256", "crc32c"])
def test_a_digest_of_the_whole_is_compared_at_the_last_byte(alice: Client, key: str) -> None:
    right = {
        "sha256": hashlib.sha256(b"abcdef").hexdigest(),
        "crc32c": base64.b64encode(crc32c(b"abcdef").to_bytes(4, "big")).decode(),
    }[key]
    url = begun(alice, 6, Upload_Metadata=metadata(**{key: right}))
    patch(alice, url, 0, b"abc")
    assert problem(patch(alice, url, 3, b"xxx")) == (460, "digest_mismatch")
    assert head(alice, url).headers["upload-offset"] == "0", "it starts anew"
    assert patch(alice, url, 0, b"abcdef").status_code == 204
    assert create(alice, 6, Upload_Metadata=metadata(**{key: "nonsense"})).status_code == 422


# Expiration


def test_an_upload_says_when_it_expires_and_then_is_gone(site: Site, alice: Client) -> None:
    created = create(alice, 6)
    url = created.headers["location"]
    first = parsedate_to_datetime(created.headers["upload-expires"])
    site.clock.move(days=3)
    later = parsedate_to_datetime(patch(alice, url, 0, b"abc").headers["upload-expires"])
    assert first < later
    site.clock.move(days=7, seconds=1)
    for answer in (head(alice, url), patch(alice, url, 3, b"def")):
        assert answer.status_code == 410
        assert "upload-offset" not in answer.headers


# Termination


def test_an_upload_is_ended_and_its_space_freed(site: Site, alice: Client) -> None:
    for length in (6, 3):
        url = begun(alice, length)
        patch(alice, url, 0, b"abc")
        assert site.person("bob").delete(url, headers=TUS).status_code == 404
        ended = alice.delete(url, headers=TUS)
        assert (ended.status_code, ended.content) == (204, b"")
        assert {head(alice, url).status_code, patch(alice, url, 3, b"d").status_code} == {410}
        assert alice.delete(url, headers=TUS).status_code == 410
    assert list(site.depot.staging.keys()) == []


# Concatenation


def partial(who: Client, body: bytes) -> str:
    url = begun(who, len(body), Upload_Concat="partial")
    assert patch(who, url, 0, body).status_code == 204
    return url


def final(who: Client, *urls: str, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return who.post("/uploads", headers={**TUS, "Upload-Concat": "final;" + " ".join(urls), **named})


def test_parts_become_one_upload_in_the_given_order(alice: Client) -> None:
    one, two = partial(alice, b"hello"), partial(alice, b" world")
    said = metadata(filename="greeting.txt")
    answer = final(alice, one, f"http://localhost{two}", Upload_Metadata=said)
    assert answer.status_code == 201, answer.text
    url = answer.headers["location"]
    told = head(alice, url).headers
    assert (told["upload-offset"], told["upload-length"], told["upload-metadata"]) == ("11", "11", said)
    assert told["upload-concat"] == f"final;{one} http://localhost{two}"
    assert head(alice, one).headers["upload-concat"] == "partial"
    read = alice.read(f"/uploads/{url.rpartition('/')[2]}")
    assert read["sha256"] == "sha256:" + hashlib.sha256(b"hello world").hexdigest()
    again = final(alice, two, one)
    assert alice.read(f"/uploads/{again.headers['location'].rpartition('/')[2]}")["length"] == 11


def test_a_final_upload_takes_no_bytes(alice: Client) -> None:
    url = final(alice, partial(alice, b"hello")).headers["location"]
    assert patch(alice, url, 5, b"x").status_code == 403
    assert patch(alice, url, 0, b"x").status_code == 403
    assert head(alice, url).headers["upload-offset"] == "5"


def test_a_final_upload_is_refused_when_it_cannot_be_made(site: Site, alice: Client) -> None:
    whole, half = partial(alice, b"hello"), begun(alice, 5, Upload_Concat="partial")
    assert final(alice, whole, half).status_code == 409
    assert final(alice, whole, Upload_Length="5").status_code == 400
    assert final(alice, "/elsewhere/up_1").status_code == 400
    assert final(alice, "/api/v1/uploads/up_1").status_code == 404
    assert final(site.person("bob"), whole).status_code == 404
    assert alice.post("/uploads", headers={**TUS, "Upload-Concat": "final;"}).status_code == 400


# What is ours


def test_a_finished_upload_becomes_a_file_by_a_commit(alice: Client) -> None:
    url = begun(alice, 3, Upload_Metadata=metadata(filetype="text/plain"))
    patch(alice, url, 0, b"abc")
    version = alice.version()
    change = {"op": "add", "path": "a", "upload": url.rpartition("/")[2]}
    assert alice.post(f"/versions/{version}/commits", json={"changes": [change]}).status_code == 201
    got = alice.get(f"/versions/{version}/files/a")
    assert (got.content, got.headers["content-type"]) == (b"abc", "text/plain")


def test_uploads_are_listed_newest_first(site: Site, alice: Client) -> None:
    names = [begun(alice, 3).rpartition("/")[2] for _ in range(3)]
    page = alice.read("/uploads", limit=2)
    assert [row["id"] for row in page["rows"]] == names[:0:-1]
    assert [row["id"] for row in alice.read("/uploads", cursor=page["next"])["rows"]] == names[:1]
    assert site.person("bob").read("/uploads")["rows"] == []
    assert site.anonymous.get("/uploads").status_code == 401


def test_an_upload_may_come_as_one_body(alice: Client) -> None:
    digest = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    made = alice.put(
        "/uploads",
        params={"filename": "a.txt", "media_type": "text/plain", "project": "alice"},
        headers={"Repr-Digest": f"sha-256=:{digest}:"},
        content=b"abc",
    )
    assert made.status_code == 201
    assert {key: made.json()[key] for key in ("state", "offset", "length", "file_name", "media_type")} == {
        "state": "finished", "offset": 3, "length": 3, "file_name": "a.txt", "media_type": "text/plain",
    }  # fmt: skip
    refused = alice.put("/uploads", headers={"Repr-Digest": f"sha-256=:{digest}:"}, content=b"abd")
    assert problem(refused) == (422, "digest_mismatch")
    assert len(alice.read("/uploads")["rows"]) == 1


def test_other_methods_are_told_what_there_is(alice: Client) -> None:
    assert alice.patch("/uploads", headers=TUS).headers["allow"] == "GET, OPTIONS, POST, PUT"
    assert alice.put("/uploads/up_1", headers=TUS).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
    assert alice.get("/uploads/up_1/more").status_code == 404
