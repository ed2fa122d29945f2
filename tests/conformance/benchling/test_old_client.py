"""The unmodified client `benchling-sdk` 1.9.0, to which a data frame is a dataset: each of its methods."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.model.ids import Noun, encode, parse_benchling_frame
from tests.conformance.benchling.clients import (
    OLD_FRAMES,
    STARTED,
    Client,
    Place,
    Raised,
    frame_create,
    got,
    sent,
)

CSV = b"name,age\nAnn,3\nBob,\n"


def created(old: Client, place: Place, name: str, *files: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = old(f"{OLD_FRAMES}.create", frame_create(name, *files, folderId=place.project, **more))
    return found


def ingested(old: Client, place: Place, data: bytes = CSV, **more: Any) -> dict[str, Any]:
    """A dataset with these bytes, checked, as the client sees it."""
    wish = frame_create("table", "a.csv", folderId=place.project, **more)
    task = old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(data))["taskId"])
    if task["status"] == "SUCCEEDED":
        found: dict[str, Any] = old(f"{OLD_FRAMES}.get_by_id", task["response"]["id"])
        assert {**found, "manifest": 0} == {**task["response"], "manifest": 0}
        return found
    return task


def test_bytes_become_a_dataset_and_come_back(old: Client, place: Place, tmp_path: Path) -> None:
    found = ingested(old, place)
    assert (found["uploadStatus"], found["folderId"], found["errorMessage"]) == ("SUCCEEDED", place.project, None)
    assert [one["displayName"] for one in found["columns"]] == ["name", "age"]
    wish = {"Dataset": found}
    assert [got(one) for one in old(f"{OLD_FRAMES}.download_dataset_bytes", wish)] == [CSV]
    assert [got(one) for one in old(f"{OLD_FRAMES}.download_dataset_bytes_by_id", found["id"])] == [CSV]
    for call, what in (("download_dataset_files", wish), ("download_dataset_files_by_id", found["id"])):
        folder = tmp_path / call
        folder.mkdir()
        (path,) = old(f"{OLD_FRAMES}.{call}", what, {"path": str(folder)})
        assert (Path(path), Path(path).read_bytes()) == (folder / "a.csv", CSV)
        (path,) = old(f"{OLD_FRAMES}.{call}", what)
        assert Path(path).read_bytes() == CSV
        Path(path).unlink()
        Path(path).parent.rmdir()


def test_a_stream_and_a_file_without_a_word_on_them(old: Client, place: Place, tmp_path: Path) -> None:
    stream = {"stream": base64.b64encode(CSV).decode()}
    wish = frame_create("stream", "s.csv", folderId=place.project)
    assert old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, stream)["taskId"])["status"] == "SUCCEEDED"
    path = tmp_path / "birds.csv"
    path.write_bytes(CSV)
    task = old.waited(old(f"{OLD_FRAMES}.create_from_file", {"path": str(path)})["taskId"])
    made = old(f"{OLD_FRAMES}.get_by_id", task["response"]["id"])
    assert made["name"].endswith(" birds.csv")
    assert [one["fileName"] for one in made["manifest"]] == ["birds.csv"]
    assert made["folderId"] == place.native("GET", "/users/me")["default_project"]


def test_several_files_step_by_step_form_one_table(old: Client, place: Place, tmp_path: Path) -> None:
    made = created(old, place, "steps", "z.csv", "a.csv")
    assert made["uploadStatus"] == "NOT_UPLOADED"
    first, second = (one["url"] for one in made["manifest"])
    old(f"{OLD_FRAMES}.upload_bytes", first, sent(b"replaced\n1\n"))
    old(f"{OLD_FRAMES}.upload_bytes", first, sent(b"n\n1\n"))
    path = tmp_path / "Größe.csv"
    path.write_bytes(b"n\n2\n")
    old(f"{OLD_FRAMES}.upload_file", second, {"path": str(path)})
    link = old(f"{OLD_FRAMES}.update", made["id"], STARTED)
    assert old(f"{OLD_FRAMES}.update", made["id"], STARTED) == link
    assert old.waited(link["taskId"])["status"] == "SUCCEEDED"
    with pytest.raises(Raised) as late:
        old(f"{OLD_FRAMES}.upload_bytes", first, sent(b"n\n3\n"))
    assert (late.value.kind, late.value.status) == ("BenchlingError", 409)
    found = old(f"{OLD_FRAMES}.get_by_id", made["id"])
    assert [one["fileName"] for one in found["manifest"]] == ["z.csv", "a.csv"]
    assert [got(one) for one in old(f"{OLD_FRAMES}.download_dataset_bytes_by_id", made["id"])] == [b"n\n1\n", b"n\n2\n"]
    version = encode(Noun.VERSION, parse_benchling_frame(made["id"]))
    rows = place.native("GET", f"/versions/{version}/rows")["rows"]
    assert [row["values"] for row in rows] == [[1], [2]]


def test_columns_that_are_found_out(old: Client, place: Place) -> None:
    data = (
        b"s,i,f,b,d,t,j,code\n"
        b'Ann,1,1.5,true,2026-03-01,2026-03-01T12:00:00Z,"{""a"": 1}",007\n'
        b'Bob,2,,false,2026-03-02,2026-03-02T12:00:00Z,"[1]",008\n'
    )
    found = ingested(old, place, data)
    kinds = {one["displayName"]: one["type"]["name"] for one in found["columns"]}
    assert kinds == {
        "s": "String",
        "i": "Int",
        "f": "Float",
        "b": "Boolean",
        "d": "Date",
        "t": "DateTime",
        "j": "JSON",
        "code": "String",
    }
    assert {one["displayName"]: one["type"]["isNullable"] for one in found["columns"]}["f"] is True


def test_columns_that_are_declared(old: Client, place: Place) -> None:
    target = {"baseTypeName": "custom_entity", "schemaId": "ts_1"}
    kinds: list[dict[str, Any]] = [
        {"name": name, "isList": False, "isNullable": name != "String"}
        for name in ("String", "Int", "Float", "JSON", "DateTime", "Date", "Boolean")
    ]
    kinds += [
        {"name": "ObjectLink", "isList": False, "isNullable": True, "target": target},
        {"name": "Int", "isList": True, "isNullable": True},
    ]
    data = (
        b"s,i,f,j,t,d,b,o,l\n"
        b'x,007,1e5,"{""a"": 1}",2026-03-01T12:00:00+02:00,2026-03-01,true,bfi_1,"[1, 2]"\n'
        b"y,,,,,,,,\n"
    )
    found = ingested(old, place, data, columns=[{"type": one} for one in kinds])
    assert [one["type"] for one in found["columns"]] == kinds


@pytest.mark.parametrize(
    ("data", "declared", "said"),
    [
        (b"a,b\n1,x\nn/a,y\n", ["Int", "String"], r"(?s)(?=.*\ba\b)(?=.*\b2\b)"),
        (b"a,b\n1,x\n,y\n", ["Int", "String"], r"(?s)(?=.*\ba\b)(?=.*\b2\b)"),
        (b"a,b\n1,x\n2\n", None, r"Row 2"),
        (b"a,b\n1,x\n2,y,z\n", None, r"Row 2"),
        (b"a\n1\n", ["Int", "String"], r"2"),
        (b"", None, r"empty"),
        (bytes(range(256)) * 4, None, r"text"),
    ],
    ids=["type", "null", "short", "long", "columns", "empty", "binary"],
)
def test_bad_data_fails_with_a_reason(
    old: Client, place: Place, data: bytes, declared: list[str] | None, said: str
) -> None:
    more: dict[str, Any] = {}
    if declared is not None:
        more["columns"] = [{"type": {"name": one, "isList": False, "isNullable": False}} for one in declared]
    made = created(old, place, "bad", "a.csv", **more)
    old(f"{OLD_FRAMES}.upload_bytes", made["manifest"][0]["url"], sent(data))
    task = old.waited(old(f"{OLD_FRAMES}.update", made["id"], STARTED)["taskId"])
    found = old(f"{OLD_FRAMES}.get_by_id", made["id"])
    assert (task["status"], found["uploadStatus"]) == ("FAILED", "FAILED_VALIDATION")
    assert found["manifest"] == [{"fileName": "a.csv", "url": None}]
    assert task["message"] == found["errorMessage"]
    assert re.search(said, found["errorMessage"], re.IGNORECASE), found["errorMessage"]
    with pytest.raises(Raised) as early:
        old(f"{OLD_FRAMES}.download_dataset_bytes_by_id", made["id"])
    assert early.value.kind == "DatasetInProgressError"


def test_errors_are_its_own(old: Client, place: Place) -> None:
    asked: list[tuple[str, list[Any], int]] = [
        ("get_by_id", ["dset_00000000000000000000000000000000"], 404),
        ("get_by_id", ["nonsense"], 404),
        ("update", ["nonsense", STARTED], 404),
        ("create", [frame_create("")], 400),
        ("create", [frame_create("x", "../a.csv")], 400),
        ("create", [frame_create("x", "a.csv", "a.csv")], 400),
        ("create", [frame_create("x", folderId="lib_1")], 404),
    ]
    for call, arguments, status in asked:
        with pytest.raises(Raised) as refused:
            old(f"{OLD_FRAMES}.{call}", *arguments)
        assert (refused.value.kind, refused.value.status, refused.value.parsed) == ("BenchlingError", status, True)
        assert refused.value.body["error"]["message"]
    with pytest.raises(Raised) as unknown:
        old("tasks.get_by_id", "task_nonsense")
    assert (unknown.value.status, unknown.value.parsed) == (404, True)
    empty = created(old, place, "empty", "a.csv")
    with pytest.raises(Raised) as missing:
        old(f"{OLD_FRAMES}.update", empty["id"], STARTED)
    assert missing.value.status == 400
    assert "a.csv" in missing.value.message


def test_every_way_to_log_in(old: Client, place: Place) -> None:
    made = created(old, place, "mine", "a.csv")
    ways: list[dict[str, str]] = [{"bearer": place.key}, {"client": place.key_id, "secret": place.key}]
    for shown in ways:
        assert replace(old, shown=shown)(f"{OLD_FRAMES}.get_by_id", made["id"])["id"] == made["id"]
    bad: list[dict[str, str]] = [{"key": "nonsense"}, {"bearer": "nonsense"}, {"client": place.key_id, "secret": "x"}]
    for shown in bad:
        with pytest.raises(Raised) as refused:
            replace(old, shown=shown)(f"{OLD_FRAMES}.get_by_id", made["id"])
        assert (refused.value.kind, refused.value.status) == ("BenchlingError", 401)
    reading = replace(old, shown={"key": place.server.token(scope="read")})
    assert reading(f"{OLD_FRAMES}.get_by_id", made["id"])["manifest"] == []
    with pytest.raises(Raised) as refused:
        reading(f"{OLD_FRAMES}.create", frame_create("no", "a.csv"))
    assert (refused.value.status, refused.value.parsed) == (403, True)


def test_links_that_were_changed_give_nothing(old: Client, place: Place) -> None:
    found = ingested(old, place)
    forged = {**found, "manifest": [{"fileName": "a.csv", "url": found["manifest"][0]["url"] + "x"}]}
    # The client takes whatever body comes for the data.
    assert [got(one) for one in old(f"{OLD_FRAMES}.download_dataset_bytes", {"Dataset": forged})] == [b""]
    made = created(old, place, "forged", "a.csv")
    with pytest.raises(Raised) as refused:
        old(f"{OLD_FRAMES}.upload_bytes", made["manifest"][0]["url"] + "x", sent(CSV))
    assert (refused.value.kind, refused.value.status) == ("BenchlingError", 403)


# What gets lost


@pytest.mark.parametrize("begins", [b"POST /api/v2-beta/datasets", b"PUT /objects/", b"PATCH /api/v2-beta/datasets"])
def test_a_server_that_is_away_for_a_moment_is_asked_again(old: Client, place: Place, begins: bytes) -> None:
    place.proxy.lost.clear()
    place.proxy.refuse(begins, 503)
    assert ingested(old, place)["uploadStatus"] == "SUCCEEDED"
    assert len(place.proxy.lost) == 1
    ready = place.native("GET", "/versions", params={"project": place.project, "state": "ready"})["rows"]
    assert [one["number"] for one in ready] == [1]


@pytest.mark.parametrize("begins", [b"POST /api/v2-beta/datasets", b"PUT /objects/", b"PATCH /api/v2-beta/datasets"])
def test_a_lost_answer_leaves_no_second_dataset_with_a_number(old: Client, place: Place, begins: bytes) -> None:
    wish = frame_create("once", "a.csv", folderId=place.project)
    place.proxy.lose(begins)
    with pytest.raises(Raised) as lost:
        old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(CSV))
    assert lost.value.kind == "RemoteProtocolError"
    # People do it again.
    assert old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(CSV))["taskId"])["status"] == "SUCCEEDED"
    found = place.native("GET", "/versions", params={"project": place.project})["rows"]
    begun = begins.startswith(b"PATCH")
    assert len(found) == 2
    # The check that was begun is carried out, whoever heard of it; nothing else has a number, and is swept away.
    assert len([one for one in found if one["state"] in ("ready", "processing")]) == (2 if begun else 1)


@pytest.mark.soak
def test_24_megabytes_in_one_put(old: Client, place: Place) -> None:
    data = b"n,text\n" + b"".join(b"%d,%s\n" % (i, b"x" * 120) for i in range(200_000))
    assert len(data) > 23 << 20
    found = ingested(old, place, data)
    assert found["uploadStatus"] == "SUCCEEDED"
    answer = httpx2.get(found["manifest"][0]["url"])
    assert answer.content == data


def test_a_compressed_file_stays_as_it_was_sent(old: Client, place: Place) -> None:
    data = gzip.compress(CSV)
    wish = frame_create("zipped", "a.csv.gz", folderId=place.project)
    task = old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(data))["taskId"])
    assert [got(one) for one in old(f"{OLD_FRAMES}.download_dataset_bytes_by_id", task["response"]["id"])] == [data]
