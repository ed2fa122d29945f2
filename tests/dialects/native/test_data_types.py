"""Data types over the native API: which there are, what an entry is declared and taken to be, and its report."""

from __future__ import annotations

import pytest

from entrepot.datatypes.examine import examine
from entrepot.depot.examining import QUEUE
from tests.support.receivers import work_off
from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def test_the_types_are_listed(alice: Client) -> None:
    rows = alice.read("/data-types")["rows"]
    assert [row["identifier"] for row in rows][:2] == ["fastq", "fasta"]
    assert alice.read("/data-types/BAM")["name"] == "BAM"
    refused = alice.get("/data-types/bamm")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "Did you mean bam" in refused.json()["detail"]


def test_a_declared_type_is_kept_whatever_the_bytes_are(alice: Client) -> None:
    version = alice.version()
    put = alice.put(f"/versions/{version}/files/a.txt", content=b"no alignment", params={"data_type": "BAM"})
    assert put.status_code == 201
    assert alice.read(f"/versions/{version}/entry", path="a.txt")["data_type"] == "bam"


def test_a_declared_type_that_nobody_knows_is_refused(alice: Client) -> None:
    version = alice.version()
    put = alice.put(f"/versions/{version}/files/a.txt", content=b"x", params={"data_type": "bamm"})
    assert (put.status_code, put.json()["code"]) == (400, "unknown_data_type")
    assert "Did you mean bam" in put.json()["detail"]
    upload = alice.put("/uploads", content=b"x").json()["id"]
    change = {"op": "add", "path": "a.txt", "upload": upload, "data_type": "bamm"}
    told = alice.post(f"/versions/{version}/commits", json={"changes": [change]})
    assert (told.status_code, told.json()["code"]) == (400, "unknown_data_type")
    bad_too = {"op": "add", "path": "../b", "upload": upload}
    told = alice.post(f"/versions/{version}/commits", json={"changes": [change, bad_too]})
    assert (told.status_code, [one["code"] for one in told.json()["errors"]]) == (
        422,
        ["unknown_data_type", "invalid_name"],
    )


def test_a_report_says_what_was_found(site: Site, alice: Client) -> None:
    version = alice.version()
    alice.put(f"/versions/{version}/files/a.csv", content=b"x,y\n1\n")
    assert alice.read(f"/versions/{version}/report", path="a.csv")["report"] is None
    site.depot.examiner = lambda source, kind: examine(source, kind, site.depot.types)
    work_off(site.depot, QUEUE)
    answer = alice.read(f"/versions/{version}/report", path="a.csv")
    assert (answer["version"], answer["revision"], answer["entry"]["data_type"]) == (version, 1, "csv")
    report = answer["report"]
    assert (report["standing"], report["found"], report["recognised"], report["examined_as"]) == (
        "bad",
        1,
        "text",
        "csv",
    )
    assert report["findings"] == [
        {
            "code": "ragged_row",
            "message": "Line 2 has 1 values; the first line has 2.",
            "line": 2,
            "record": 2,
            "offset": None,
        }
    ]
    assert report["facts"] == {"rows": 1, "columns": 2, "column_names": ["x", "y"]}
    listed = alice.read(f"/versions/{version}/reports", standing="bad")
    assert [row["entry"]["path"] for row in listed["rows"]] == ["a.csv"]
    assert alice.read(f"/versions/{version}/reports", standing="good")["rows"] == []


def test_a_type_is_set_and_a_check_is_a_task(site: Site, alice: Client) -> None:
    version = alice.version()
    alice.put(f"/versions/{version}/files/a.csv", content=b"x,y\n1,2\n")
    done = alice.post(f"/versions/{version}/data-types", json={"types": {"a.csv": "text"}, "expected": 1})
    assert (done.status_code, done.json()["revision"]["number"]) == (201, 2)
    assert alice.read(f"/versions/{version}/entry", path="a.csv")["data_type"] == "text"
    assert alice.read("/data-types")["versions"]["text"] >= 1
    site.depot.examiner = lambda source, kind: examine(source, kind, site.depot.types)
    task = alice.post(f"/versions/{version}/check")
    assert (task.status_code, task.json()["kind"]) == (202, "examine")
    work_off(site.depot, QUEUE)
    assert alice.read(f"/tasks/{task.json()['id']}")["result"]["good"] == 1
