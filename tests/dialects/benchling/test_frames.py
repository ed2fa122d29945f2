"""Frames, which the old client calls datasets: made, filled, checked, shown and fetched."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from entrepot.depot import entries, upkeep
from entrepot.depot.entries import Add
from entrepot.model import ids
from entrepot.model.ids import Noun
from tests.support.benchling import CSV, EVERYBODY, START, Lab, local


def column(name: str, **more: Any) -> dict[str, Any]:
    return {"type": {"name": name, "isList": False, "isNullable": True, **more}}


def test_a_frame_from_its_creation_to_its_download(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    (place,) = made["manifest"]
    assert ids.parse_benchling_frame(made["id"])
    assert place["url"].startswith("http://localhost/objects/")
    assert made | {"id": "", "name": "", "manifest": []} == {
        "id": "",
        "name": "",
        "folderId": lab.project,
        "columns": [],
        "manifest": [],
        "uploadStatus": "NOT_UPLOADED",
        "errorMessage": None,
    }
    assert lab.put(made, CSV).status_code == 200
    assert lab.writer.get(made["id"])["uploadStatus"] == "NOT_UPLOADED"
    task = lab.writer.start(made)
    assert lab.writer.task(task) == {"status": "RUNNING"}
    waiting = lab.writer.get(made["id"])
    assert (waiting["uploadStatus"], waiting["manifest"]) == ("IN_PROGRESS", [{"fileName": "a.csv", "url": None}])
    lab.work()
    found = lab.writer.get(made["id"])
    assert (found["uploadStatus"], found["errorMessage"]) == ("SUCCEEDED", None)
    assert found["columns"] == [
        {"displayName": "name", "type": {"name": "String", "isList": False, "isNullable": False}},
        {"displayName": "age", "type": {"name": "Int", "isList": False, "isNullable": True}},
    ]
    assert lab.read(found) == {"a.csv": CSV}
    done = lab.writer.task(task)
    assert set(done) == {"status", "response"}
    assert (done["status"], done["response"]["id"], set(done["response"])) == ("SUCCEEDED", made["id"], set(found))


def test_a_put_may_be_a_form_with_one_file(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    assert lab.site.http.put(local(made["manifest"][0]["url"]), files={"file": ("b.csv", CSV)}).status_code == 200
    lab.writer.start(made)
    lab.work()
    assert lab.read(lab.writer.get(made["id"])) == {"a.csv": CSV}


def test_several_files_form_one_table_in_their_order(lab: Lab) -> None:
    made = lab.writer.create("z.csv", "a.csv", "m.csv")
    parts = [b"n\n1\n", b"n\n2\n3\n", b"n\n4\n"]
    for i in (2, 0, 1):
        assert lab.put(made, parts[i], i).status_code == 200
    lab.writer.start(made)
    lab.work()
    found = lab.writer.get(made["id"])
    assert [one["fileName"] for one in found["manifest"]] == ["z.csv", "a.csv", "m.csv"]
    assert list(lab.read(found).values()) == parts
    native = lab.site.by_token("writer")
    version = ids.encode(Noun.VERSION, ids.parse_benchling_frame(made["id"]))
    rows = native.read(f"/versions/{version}/rows")["rows"]
    assert [row["values"] for row in rows] == [[1], [2], [3], [4]]


def test_without_a_manifest_there_is_one_file_called_after_the_frame(lab: Lab) -> None:
    nothing: list[dict[str, Any]] = [{}, {"manifest": None, "columns": None}, {"manifest": [], "columns": []}]
    for more in nothing:
        made = lab.writer.ok("POST", "/datasets", {"name": "My Frame", "folderId": lab.project, **more})
        assert [one["fileName"] for one in made["manifest"]] == ["my-frame.csv"]


def test_a_second_put_replaces_the_first_until_the_check_begins(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    assert lab.put(made, b"wrong\n1\n").status_code == 200
    assert lab.put(made, CSV).status_code == 200
    lab.writer.start(made)
    refused = lab.put(made, b"late\n1\n")
    assert refused.status_code == 409
    assert refused.json()["error"]["message"]
    lab.work()
    assert lab.put(made, b"late\n1\n").status_code == 409
    assert lab.read(lab.writer.get(made["id"])) == {"a.csv": CSV}


def test_the_same_task_is_answered_however_often_the_check_is_begun(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    lab.put(made, CSV)
    first = lab.writer.start(made)
    assert lab.writer.start(made) == first
    lab.work()
    assert lab.writer.start(made) == first
    bad = lab.writer.create("a.csv")
    lab.put(bad, b"")
    failed = lab.writer.start(bad)
    lab.work()
    assert lab.writer.start(bad) == failed


def test_a_check_needs_every_file(lab: Lab) -> None:
    made = lab.writer.create("a.csv", "b.csv")
    lab.put(made, CSV)
    refused = lab.writer("PATCH", f"/datasets/{made['id']}", START)
    assert refused.status_code == 400
    assert "b.csv" in refused.json()["error"]["message"]
    assert lab.writer.get(made["id"])["uploadStatus"] == "NOT_UPLOADED"


@pytest.mark.parametrize("status", ["NOT_UPLOADED", "SUCCEEDED", "", None, 3])
def test_nothing_else_can_be_made_of_a_status(lab: Lab, status: Any) -> None:
    made = lab.writer.create("a.csv")
    lab.put(made, CSV)
    assert lab.writer("PATCH", f"/api/v2/data-frames/{made['id']}", {"uploadStatus": status}).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": None},
        {"name": 3},
        {"manifest": [{"fileName": "a/b.csv"}]},
        {"manifest": [{"fileName": "a\\b.csv"}]},
        {"manifest": [{"fileName": ".."}]},
        {"manifest": [{"fileName": "."}]},
        {"manifest": [{"fileName": ""}]},
        {"manifest": [{"fileName": "a\x00.csv"}]},
        {"manifest": [{"fileName": None}]},
        {"manifest": [{"fileName": "a.csv"}, {"fileName": "a.csv"}]},
        {"manifest": [{"fileName": f"{i}.csv"} for i in range(1001)]},
        {"manifest": "a.csv"},
        {"manifest": ["a.csv"]},
        {"columns": [{"type": {"name": "Colour", "isList": False, "isNullable": False}}]},
        {"columns": [{"type": {"name": "Int", "isList": "no", "isNullable": False}}]},
        {"columns": [{}]},
        {"columns": "Int"},
        {"columns": [{"type": {"name": "ObjectLink", "target": {"schemaId": "x"}}}]},
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_wrong_creation_makes_nothing(lab: Lab, wrong: dict[str, Any]) -> None:
    body = {"name": "wrong", "folderId": lab.project, "manifest": [{"fileName": "a.csv"}]} | wrong
    refused = lab.writer("POST", "/datasets", body)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"]
    native = lab.site.by_token("writer")
    assert native.read("/versions", project=lab.project)["rows"] == []


def test_a_thousand_files_are_as_many_as_can_be(lab: Lab) -> None:
    made = lab.writer.create(*(f"{i}.csv" for i in range(1000)))
    assert len({one["url"] for one in made["manifest"]}) == 1000


# Columns


#: Of each type: a good value and a bad one, as they stand in a file.
TYPES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Int"}, "7", "x"),
    ({"name": "Float"}, "1.5", "x"),
    ({"name": "Boolean"}, "true", "maybe"),
    ({"name": "Date"}, "2026-03-01", "2026-02-30"),
    ({"name": "DateTime"}, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00"),
    ({"name": "JSON"}, '"{""a"": 1}"', '"{""a"": "'),
    ({"name": "Int", "isList": True}, '"[1, 2]"', '"[1, ""x""]"'),
    ({"name": "String", "isList": True}, '"[""a""]"', "a"),
]


def test_declared_columns_are_enforced_by_their_place(lab: Lab) -> None:
    declared = [column(**type_) for type_, _, _ in TYPES]
    names = [f"c{i}" for i in range(len(TYPES))]
    good = ",".join(one for _, one, _ in TYPES)
    empty = "," * (len(TYPES) - 1)
    right = lab.writer.frame(f"{','.join(names)}\n{good}\n{empty}\n".encode(), columns=declared)
    assert right["columns"] == [{"displayName": name, **one} for name, one in zip(names, declared, strict=True)]
    # Each column is wrong in a row of its own.
    rows = [",".join(bad if i == row else good for i, (_, good, bad) in enumerate(TYPES)) for row in range(len(TYPES))]
    wrong = lab.writer.frame("\n".join((",".join(names), *rows, "")).encode(), columns=declared)
    assert (wrong["uploadStatus"], wrong["manifest"]) == ("FAILED_VALIDATION", [{"fileName": "a.csv", "url": None}])
    assert "c0" in wrong["errorMessage"]
    told = lab.writer.task(lab.writer.start(wrong))["errors"]["rows"]
    assert [(one["row"], one["column"]) for one in told] == [(i + 1, f"c{i}") for i in range(len(TYPES))]


def test_what_a_link_leads_to_comes_back_as_it_was_said(lab: Lab) -> None:
    target = {"baseTypeName": "custom_entity", "schemaId": None}
    declared = [column("ObjectLink", target=target), column("ObjectLink")]
    waiting = lab.writer.create("a.csv", columns=declared)
    assert waiting["columns"] == [{"displayName": "", **one} for one in declared]
    found = lab.writer.frame(b"a,b\nbfi_1,bfi_2\n", columns=declared)
    assert [one["type"] for one in found["columns"]] == [one["type"] for one in declared]
    assert "target" not in found["columns"][1]["type"]


@pytest.mark.parametrize(
    ("data", "declared", "said"),
    [
        (b"a,b\n1,x\n2,\n", [column("Int"), column("String", isNullable=False)], ("Row 2", "b")),
        (b"a,b\n1,x\n2\n", None, ("Row 2",)),
        (b"a\n1\n", [column("Int"), column("Int")], ("1", "2")),
        (b"", None, ("empty",)),
    ],
)
def test_what_a_check_refuses_is_said(
    lab: Lab, data: bytes, declared: list[dict[str, Any]] | None, said: tuple[str, ...]
) -> None:
    found = lab.writer.frame(data, **({} if declared is None else {"columns": declared}))
    assert found["uploadStatus"] == "FAILED_VALIDATION"
    assert found["manifest"] == [{"fileName": "a.csv", "url": None}]
    assert all(word.lower() in found["errorMessage"].lower() for word in said), found["errorMessage"]
    task = lab.writer.task(lab.writer.start(found))
    assert (task["status"], task["message"]) == ("FAILED", found["errorMessage"])
    assert task.get("errors") != []
    assert "response" not in task


# Folders


def test_a_folder_is_shown_by_the_id_that_it_was_given_by(lab: Lab) -> None:
    below = lab.new_folder("raw/run 1")
    root = f"coll_{lab.project.removeprefix('proj_')}"
    for folder in (lab.project, below, root):
        made = lab.writer.create("a.csv", folderId=folder)
        assert made["folderId"] == folder
        assert lab.writer.get(made["id"])["folderId"] == folder
    for folder in ("proj_" + below.removeprefix("coll_"), "coll_" + "0" * 32, "lib_x", ""):
        assert lab.writer("POST", "/datasets", {"name": "x", "folderId": folder}).status_code == 404


def test_without_a_folder_it_is_the_callers_default_project(lab: Lab) -> None:
    made = lab.writer.ok("POST", "/datasets", {"name": "at home"})
    me = lab.site.by_token("writer").read("/users/me")
    assert made["folderId"] == me["default_project"]


def test_two_of_one_name_are_two_versions(lab: Lab) -> None:
    found = [lab.writer.frame(name="twice") for _ in range(2)]
    assert [one["name"] for one in found] == ["twice", "twice"]
    native = lab.site.by_token("writer")
    numbers = [
        native.read(f"/versions/{ids.encode(Noun.VERSION, ids.parse_benchling_frame(one['id']))}")["number"]
        for one in found
    ]
    assert numbers == [1, 2]


# What other doors wrote


def test_files_of_any_kind_are_shown(lab: Lab) -> None:
    native = lab.site.by_token("writer")
    version = native.version("pictures", project=lab.project)
    name = ids.benchling_frame(ids.decode(Noun.VERSION, version))
    assert lab.writer.get(name)["manifest"] == []
    native.file(version, "b.png", b"b")
    native.file(version, "a.png", b"a")
    found = lab.writer.get(name)
    assert (found["uploadStatus"], found["columns"]) == ("SUCCEEDED", [])
    assert list(lab.read(found).items()) == [("b.png", b"b"), ("a.png", b"a")]
    native.file(version, "deep/c.png", b"c")
    (one,) = lab.writer.get(name)["manifest"]
    assert one["fileName"] == "pictures.v1.zip"
    assert lab.site.http.get(local(one["url"])).content.startswith(b"PK")
    refused = lab.writer("PATCH", f"/datasets/{name}", START)
    assert refused.status_code == 400


def test_a_thousand_files_come_one_by_one_and_one_more_makes_a_zip(lab: Lab) -> None:
    native, writer = lab.site.by_token("writer"), lab.site.world.login("writer")
    version = native.version("many", project=lab.project)
    name = ids.benchling_frame(ids.decode(Noun.VERSION, version))
    native.file(version, "0.txt", b"bytes")
    key = ids.decode(Noun.VERSION, version)
    entries.commit(lab.depot, writer, key, [Add(f"{i}.txt", source=(key, None, "0.txt")) for i in range(1, 1000)])
    many = lab.writer.get(name)["manifest"]
    assert [one["fileName"] for one in many] == [f"{i}.txt" for i in range(1000)]
    assert lab.site.http.get(local(many[999]["url"])).content == b"bytes"
    native.file(version, "1000.txt", b"last")
    (one,) = lab.writer.get(name)["manifest"]
    assert one["fileName"] == "many.v1.zip"
    with ZipFile(BytesIO(lab.site.http.get(local(one["url"])).content)) as archive:
        assert len(archive.namelist()) == 1001
        assert archive.read("1000.txt") == b"last"


def test_a_link_stays_with_the_revision_that_was_shown(lab: Lab) -> None:
    native = lab.site.by_token("writer")
    version = native.version("moving", project=lab.project)
    native.file(version, "a.txt", b"old")
    name = ids.benchling_frame(ids.decode(Noun.VERSION, version))
    before = lab.writer.get(name)
    native.file(version, "a.txt", b"new")
    assert lab.read(before) == {"a.txt": b"old"}
    assert lab.read(lab.writer.get(name)) == {"a.txt": b"new"}


def test_what_was_published_stays_while_something_new_is_checked(lab: Lab) -> None:
    made = lab.writer.frame()
    native, version = lab.site.by_token("writer"), ids.encode(Noun.VERSION, ids.parse_benchling_frame(made["id"]))
    more = {"name": "more", "type": "String", "nullable": True, "list": False}
    native.made(f"/versions/{version}/table/changes", columns=[more])
    found = lab.writer.get(made["id"])
    assert (native.read(f"/versions/{version}")["state"], found["uploadStatus"]) == ("processing", "SUCCEEDED")
    assert lab.read(found) == {"a.csv": CSV}
    lab.work()
    assert [one["displayName"] for one in lab.writer.get(made["id"])["columns"]] == ["name", "age", "more"]


def test_rows_can_be_had_as_parquet(lab: Lab) -> None:
    made = lab.writer.frame()
    found = lab.writer.ok("GET", f"/api/v2/data-frames/{made['id']}?rowDataFormat=parquet&returning=manifest")
    assert [one["fileName"].rpartition(".")[2] for one in found["manifest"]] == ["parquet"]
    (body,) = lab.read(found).values()
    assert (body[:4], body[-4:]) == (b"PAR1", b"PAR1")


# Links


def test_a_link_that_was_changed_gives_nothing(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    url = local(made["manifest"][0]["url"])
    forged = url[:-5] + ("A" if url[-5] != "A" else "B") + url[-4:]
    assert lab.site.http.put(forged, content=CSV).status_code == 403
    assert lab.site.http.get(url).status_code == 403
    found = lab.writer.frame()
    link = local(found["manifest"][0]["url"])
    for wrong in (link + "x", link.replace("a.csv", "b.csv"), link + "?x=1"):
        answer = lab.site.http.get(wrong)
        assert (answer.status_code, answer.content) == (403, b"")
    assert lab.site.http.put(link, content=CSV).status_code == 403


def test_links_end_by_the_clock_and_a_look_gives_fresh_ones(fresh_lab: Lab) -> None:
    lab = fresh_lab
    made, found = lab.writer.create("a.csv"), lab.writer.frame()
    lab.site.clock.move(hours=7)
    fresh = lab.writer.get(made["id"])
    lab.site.clock.move(hours=5, minutes=1)
    assert lab.put(made, CSV).status_code == 403
    answer = lab.site.http.get(local(found["manifest"][0]["url"]))
    assert (answer.status_code, answer.content) == (403, b"")
    assert lab.put(fresh, CSV).status_code == 200
    assert lab.read(lab.writer.get(found["id"])) == {"a.csv": CSV}


def test_a_frame_that_got_no_byte_fails_and_is_gone_a_day_later(fresh_lab: Lab) -> None:
    lab = fresh_lab
    made, sibling = lab.writer.create("a.csv", name="orphan"), lab.writer.frame(name="orphan")
    lab.site.clock.move(hours=12, minutes=1)
    upkeep.tend_slots(lab.depot)
    found = lab.writer.get(made["id"])
    assert (found["uploadStatus"], found["manifest"][0]["url"]) == ("FAILED_VALIDATION", None)
    assert found["errorMessage"]
    lab.site.clock.move(hours=24)
    upkeep.tend_slots(lab.depot)
    assert lab.writer("GET", f"/datasets/{made['id']}").status_code == 404
    native = lab.site.by_token("writer")
    version = ids.encode(Noun.VERSION, ids.parse_benchling_frame(sibling["id"]))
    # It never had a number, so none is missing.
    assert native.read(f"/versions/{version}")["number"] == 1


# Who may do what

MEMBERS = {"reader", "runner", "reading key", "writer", "chief", "staff"}
WRITERS = {"writer", "chief", "staff"}


@pytest.mark.parametrize("what", ["get", "create", "start", "task"])
def test_who_may_do_what(lab: Lab, what: str) -> None:
    done = lab.writer.create("a.csv")
    lab.put(done, CSV)
    task = lab.writer.start(done)
    for who in EVERYBODY:
        made = lab.writer.create("a.csv")
        lab.put(made, CSV)
        path, body = {
            "get": (("GET", f"/datasets/{made['id']}"), None),
            "create": (("POST", "/datasets"), {"name": "x", "folderId": lab.project}),
            "start": (("PATCH", f"/datasets/{made['id']}"), START),
            "task": (("GET", f"/api/v2/tasks/{task}"), None),
        }[what]
        answer = lab.people[who](*path, body)
        expected = 401 if who == "anonymous" else 404 if who == "outsider" else 403
        if who in (WRITERS if what in ("create", "start") else MEMBERS):
            assert answer.status_code in (200, 202), (who, answer.text)
        else:
            assert answer.status_code == expected, (who, answer.text)
            assert answer.json()["error"]["message"]


def test_links_are_for_who_may_use_them(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    assert lab.reader.get(made["id"])["manifest"] == []
    assert len(lab.writer.get(made["id"])["manifest"]) == 1
    found = lab.writer.frame()
    assert len(lab.reader.get(found["id"])["manifest"]) == 1
    native = lab.site.by_token("writer")
    version = ids.encode(Noun.VERSION, ids.parse_benchling_frame(found["id"]))
    assert native.patch(f"/versions/{version}", json={"visibility": "listed"}).status_code == 200
    assert lab.outsider.get(found["id"])["manifest"] == []
    assert native.patch(f"/versions/{version}", json={"visibility": "public"}).status_code == 200
    assert lab.read(lab.outsider.get(found["id"])) == {"a.csv": CSV}
