"""Batch datasets: exact answers, and what each request does and refuses."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from entrepot.depot import trash, versions
from entrepot.depot.versions import VersionChanges
from entrepot.model import ids
from tests.support.datature import KIND, LINES, Lab, crc32c, request_for

NEVER = 4_102_444_800_000


def uid(dataset: dict[str, Any]) -> Any:
    return ids.parse_datature_dataset(dataset["id"])


def millis(lab: Lab) -> int:
    return int(lab.site.clock().timestamp() * 1000)


def overview(lab: Lab, dataset: dict[str, Any]) -> str:
    found: str = lab.writer.get(dataset["id"])["status"]["overview"]
    return found


def test_a_create_answers_exactly_this(lab: Lab) -> None:
    answer = lab.writer("POST", "./batch/datasets", request_for("my-dataset", LINES))
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    made = answer.json()
    assert re.fullmatch(r"dataset_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])
    now = millis(lab)
    upload = made["status"]["source"]["uploadUrl"]
    assert re.fullmatch(r"http://localhost/objects/[A-Za-z0-9_.~/-]+", upload["url"])
    assert made == {
        "id": made["id"],
        "object": "dataset",
        "name": "my-dataset",
        "projectId": lab.project,
        "expiryTime": NEVER,
        "status": {
            "overview": "Waiting",
            "message": "Waiting for the file to be uploaded.",
            "updateTime": now,
            "itemCount": 0,
            "source": {
                "kind": KIND,
                "uploadUrl": {
                    "method": "PUT",
                    "url": upload["url"],
                    "headers": {
                        "content-length": str(len(LINES)),
                        "content-type": "application/x-ndjson",
                        "x-goog-hash": f"crc32c={crc32c(LINES)}",
                        "x-goog-if-generation-match": "0",
                        "x-goog-meta-datature-dataset-link": f"{lab.project}/{made['id']}",
                    },
                    "expiresAtTime": upload["expiresAtTime"],
                },
            },
        },
        "createDate": now,
        "updateDate": now,
    }
    assert 0 < upload["expiresAtTime"] - now <= 12 * 3600 * 1000
    everywhere_whole(made)


def everywhere_whole(value: Any) -> None:
    """Nothing that this client's strict decoder refuses: no null and no number with a fraction."""
    assert value is not None
    assert not isinstance(value, float)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        everywhere_whole(one)


def test_the_states_from_waiting_to_uploaded(lab: Lab) -> None:
    made = lab.writer.create()
    assert overview(lab, made) == "Waiting"
    answer = lab.put(made, LINES)
    assert (answer.status_code, answer.content) == (200, b"")
    processing = lab.writer.get(made["id"])
    assert processing["status"]["overview"] == "Processing"
    assert processing["status"]["message"] == "The file has arrived and its items are being checked."
    assert processing["status"]["source"]["uploadUrl"] | {"expiresAtTime": 0} == {
        "method": "PUT",
        "url": "",
        "headers": {},
        "expiresAtTime": 0,
    }
    lab.work()
    done = lab.writer.get(made["id"])
    assert done["status"]["overview"] == "Uploaded"
    assert done["status"]["message"] == "Uploaded dataset, 2 items."
    assert done["status"]["itemCount"] == 2
    assert done["createDate"] == made["createDate"]
    everywhere_whole(done)


def test_content_that_is_refused_names_its_line(lab: Lab) -> None:
    done = lab.writer.dataset(b'{"kind": "Image"}\nnot JSON\n')
    assert done["status"]["overview"] == "FailedProcessing"
    assert re.search(r"\bline 2\b", done["status"]["message"], re.IGNORECASE), done["status"]["message"]
    assert done["status"]["message"].endswith(".")
    assert done["status"]["source"]["uploadUrl"]["url"] == ""
    everywhere_whole(done)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (LINES[:-1] + b"?", "CRC-32C"),
        (LINES[:-1], "bytes were announced"),
        (LINES + b"more", "announced"),
        (b"", "bytes were announced"),
    ],
    ids=["other bytes", "too few", "too many", "none"],
)
def test_a_file_that_is_not_the_announced_one_fails_the_upload(lab: Lab, sent: bytes, said: str) -> None:
    made = lab.writer.create()
    answer = lab.put(made, sent)
    assert answer.status_code == 400
    body = answer.json()
    assert body["message"] == body["error"]["message"]
    assert said in body["message"]
    failed = lab.writer.get(made["id"])
    assert failed["status"]["overview"] == "FailedUpload"
    assert said in failed["status"]["message"]
    assert failed["status"]["message"].endswith(".")
    assert "send them again" not in failed["status"]["message"]
    # It was the one PUT that this place takes; a right one comes too late.
    assert lab.put(made, LINES).status_code in (404, 409, 410)
    assert overview(lab, made) == "FailedUpload"


def test_a_second_put_is_412_and_changes_nothing(lab: Lab) -> None:
    made = lab.writer.create()
    assert lab.put(made, LINES).status_code == 200
    for body in (LINES, b"other bytes"):
        answer = lab.put(made, body)
        assert answer.status_code == 412
        assert answer.json()["error"]["message"] == answer.json()["message"]
    lab.work()
    done = lab.writer.get(made["id"])
    assert (done["status"]["overview"], done["status"]["itemCount"]) == ("Uploaded", 2)
    assert lab.put(made, LINES).status_code == 412
    assert lab.writer.get(made["id"]) == done


def test_the_headers_of_the_map_may_all_be_missing(lab: Lab) -> None:
    made = lab.writer.create()
    assert lab.put_to(made["status"]["source"]["uploadUrl"]["url"], LINES).status_code == 200
    lab.work()
    assert overview(lab, made) == "Uploaded"


def test_an_address_with_one_character_changed_is_403(lab: Lab) -> None:
    made = lab.writer.create()
    url = made["status"]["source"]["uploadUrl"]["url"]
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    answer = lab.put_to(changed, LINES)
    assert answer.status_code == 403
    assert answer.json()["message"]
    assert overview(lab, made) == "Waiting"


def test_an_address_ends_and_then_none_is_shown(fresh_lab: Lab) -> None:
    made = fresh_lab.writer.create()
    fresh_lab.site.clock.move(hours=12, seconds=1)
    assert fresh_lab.put(made, LINES).status_code == 403
    upload = fresh_lab.writer.get(made["id"])["status"]["source"]["uploadUrl"]
    assert (upload["url"], upload["headers"]) == ("", {})
    assert upload["expiresAtTime"] <= millis(fresh_lab)


def test_who_only_reads_sees_no_address(lab: Lab) -> None:
    made = lab.writer.create()
    for who in (lab.reader, lab.runner, lab.people["reading key"]):
        upload = who.get(made["id"])["status"]["source"]["uploadUrl"]
        assert (upload["url"], upload["headers"]) == ("", {})
        assert who.page()["data"][0]["status"]["source"]["uploadUrl"]["url"] == ""
    assert lab.chief.get(made["id"])["status"]["source"]["uploadUrl"]["url"]


# Repeats


def test_an_equal_create_while_waiting_answers_the_same_dataset(lab: Lab) -> None:
    body = request_for("again", LINES)
    first = lab.writer.ok("POST", "./batch/datasets", body)
    second = lab.writer.ok("POST", "./batch/datasets", body)
    assert second["id"] == first["id"]
    assert [one["id"] for one in lab.writer.page()["data"]] == [first["id"]]
    assert lab.put(second, LINES).status_code == 200
    assert lab.put(first, LINES).status_code == 412


@pytest.mark.parametrize("what", ["name", "bytes", "key", "project", "state"])
def test_a_create_that_differs_is_another_dataset(lab: Lab, what: str) -> None:
    first = lab.writer.create(LINES, "twin")
    who, body = lab.writer, request_for("twin", LINES)
    if what == "name":
        body["name"] = "Twin"
    elif what == "bytes":
        body = request_for("twin", LINES.replace(b"1", b"3"))
    elif what == "key":
        who = lab.chief
    elif what == "project":
        lab.project = lab.new_project()
    else:
        lab.put(first, LINES)
    assert who.ok("POST", "./batch/datasets", body)["id"] != first["id"]


def test_after_a_quarter_of_an_hour_an_equal_create_is_another_dataset(fresh_lab: Lab) -> None:
    first = fresh_lab.writer.create(LINES, "twin")
    fresh_lab.site.clock.move(minutes=14)
    assert fresh_lab.writer.create(LINES, "twin")["id"] == first["id"]
    fresh_lab.site.clock.move(minutes=2)
    assert fresh_lab.writer.create(LINES, "twin")["id"] != first["id"]


def test_an_equal_create_after_a_delete_is_another_dataset(lab: Lab) -> None:
    first = lab.writer.create(LINES, "twin")
    lab.writer.ok("DELETE", f"./batch/datasets/{first['id']}")
    assert lab.writer.create(LINES, "twin")["id"] != first["id"]


def test_one_name_may_be_used_again_and_each_is_listed(lab: Lab) -> None:
    made = [lab.writer.dataset(name="same")["id"] for _ in range(3)]
    listed = lab.writer.page()["data"]
    assert [one["id"] for one in listed] == made[::-1]
    assert {one["name"] for one in listed} == {"same"}


# Bodies


def changed(**parts: Any) -> dict[str, Any]:
    """A create with a part of it exchanged, or left out where the value is None."""
    body = request_for("name", LINES)
    for name, value in parts.items():
        place = body if name in ("name", "spec") else body["spec"] if name == "source" else body["spec"]["source"]
        place[name] = value
        if value is None:
            del place[name]
    return body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "The body is a list"),
        ({}, "name is missing"),
        (changed(name=None), "name is missing"),
        (changed(name=7), "name is a number"),
        (changed(name=""), "name"),
        (changed(name="a" * 256), "name"),
        (changed(name="a\nb"), "name"),
        (changed(spec=[]), "spec is a list"),
        (changed(source="x"), "spec.source is a text"),
        (changed(kind="Other"), "spec.source.kind can only be"),
        (changed(sizeBytes=None), "spec.source.sizeBytes is missing"),
        (changed(sizeBytes="2640"), "spec.source.sizeBytes is a text"),
        (changed(sizeBytes=2640.0), "a whole number is expected"),
        (changed(sizeBytes=True), "spec.source.sizeBytes"),
        (changed(sizeBytes=0), "from 1"),
        (changed(sizeBytes=-1), "from 1"),
        (changed(sizeBytes=2**70), "spec.source.sizeBytes"),
        (changed(crc32c="lKbeAA"), "spec.source.crc32c"),
        (changed(crc32c="AAAAAAAA"), "spec.source.crc32c"),
        (changed(crc32c=5), "spec.source.crc32c is a number"),
    ],
)
def test_a_create_that_is_wrong_says_where(lab: Lab, body: Any, said: str) -> None:
    answer = lab.writer("POST", "./batch/datasets", body)
    assert answer.status_code == 400, answer.text
    assert said.lower() in answer.json()["message"].lower()
    assert lab.writer.page()["data"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"nonsense", b'{"name": NaN}', b"[" * 100])
def test_a_body_that_is_no_json_is_400(lab: Lab, content: bytes) -> None:
    answer = lab.writer("POST", "./batch/datasets", content=content)
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("run.ndjson", "run.ndjson"),
        ("Übung 1.jsonl", "Übung 1.jsonl"),
        ("run", "run.ndjson"),
        ("a/b.ndjson", "a-b.ndjson"),
        ("run.json", "run.json.ndjson"),
    ],
)
def test_the_file_is_called_after_the_dataset(lab: Lab, name: str, file: str) -> None:
    made = lab.writer.dataset(name=name)
    version = lab.site.by_token("writer").read(f"/versions/ver_{uid(made).hex}/entries")
    assert [one["path"] for one in version["rows"]] == [file]


# Reading, deleting, expiring


def test_expired_datasets_are_shown_with_their_past(fresh_lab: Lab) -> None:
    lab = fresh_lab
    made = lab.writer.dataset()
    at = lab.site.clock() + timedelta(days=1)
    chief = lab.site.world.login("chief")
    versions.update(lab.depot, chief, uid(made), VersionChanges(expires_at=at))
    shown = lab.writer.get(made["id"])
    assert shown["expiryTime"] == int(at.timestamp() * 1000)
    lab.site.clock.move(days=2)
    trash.trash(lab.depot, chief, uid(made), reason="expired")
    gone = lab.writer.get(made["id"])
    assert gone["status"]["overview"] == "Uploaded"
    assert gone["expiryTime"] < millis(lab)
    assert [one["id"] for one in lab.writer.page()["data"]] == [made["id"]]
    # What somebody deletes is gone, whether it had expired or not.
    assert lab.writer.ok("DELETE", f"./batch/datasets/{made['id']}") == {"id": made["id"], "deleted": True}
    assert lab.writer("GET", f"./batch/datasets/{made['id']}").status_code == 404
    assert lab.writer.page()["data"] == []


def test_what_is_deleted_is_gone_from_here(lab: Lab) -> None:
    made = lab.writer.dataset()
    for _ in range(2):
        assert lab.writer.ok("DELETE", f"./batch/datasets/{made['id']}") == {"id": made["id"], "deleted": True}
    assert lab.writer("GET", f"./batch/datasets/{made['id']}").status_code == 404
    assert lab.writer.page()["data"] == []


def test_deleting_while_a_file_is_checked_closes_everything(lab: Lab) -> None:
    made = lab.writer.create()
    assert lab.put(made, LINES).status_code == 200
    lab.writer.ok("DELETE", f"./batch/datasets/{made['id']}")
    lab.work()
    assert lab.writer("GET", f"./batch/datasets/{made['id']}").status_code == 404
    waiting = lab.writer.create()
    lab.writer.ok("DELETE", f"./batch/datasets/{waiting['id']}")
    assert lab.put(waiting, LINES).status_code in (403, 404, 409, 410)


def test_a_dataset_of_another_project_is_not_here(lab: Lab) -> None:
    made = lab.writer.dataset()
    lab.project = lab.new_project()
    for method in ("GET", "DELETE"):
        assert lab.writer(method, f"./batch/datasets/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "./batch/datasets/dataset_00000000-0000-7000-8000-000000000000",
        "./batch/datasets/dataset_652ef566af5c4d52b1e4ec8ec6dc4b8e",
        "./batch/datasets/webhook_6aea3395-9a72-4bb5-9ee0-19248c903c56",
        "./batch/datasets/%00",
        "./batch/datasets/a%2Fb",
    ],
)
def test_an_id_that_is_none_is_404(lab: Lab, path: str) -> None:
    for method in ("GET", "DELETE"):
        answer = lab.writer(method, path)
        assert answer.status_code == 404
        assert answer.json()["message"]


def test_other_kinds_are_listed_in_the_words_of_this_wire(lab: Lab) -> None:
    native = lab.site.by_token("writer")
    made = native.version("Penguins", project=lab.project)
    native.file(made, "a.csv", b"1\n")
    (shown,) = lab.writer.page()["data"]
    assert shown["name"] == "Penguins"
    assert (shown["status"]["overview"], shown["status"]["itemCount"]) == ("Uploaded", 1)
    assert shown["status"]["message"] == "Files, 1 entry."
    assert shown["status"]["source"]["kind"] == KIND
    everywhere_whole(shown)
    assert lab.writer.get(shown["id"]) == shown
