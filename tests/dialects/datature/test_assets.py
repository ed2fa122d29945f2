"""Assets, their groups, and the sessions in which they are uploaded."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from entrepot.depot import leafing, splits, tallying, versions
from entrepot.dialects.datature.routes import assets as routes
from tests.support.datature import Lab, crc32c

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


def signed_crc(data: bytes) -> int:
    """As the client writes it here: 32 bits with a sign."""
    return int.from_bytes(base64.b64decode(crc32c(data)), "big", signed=True)


def announce(lab: Lab, files: dict[str, bytes], groups: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    assets = [
        {"filename": name, "size": len(data), "crc32c": signed_crc(data), "mime": "image/png", **fields}
        for name, data in files.items()
    ]
    body = {"groups": ["main"] if groups is None else groups, "assets": assets}
    made: dict[str, Any] = lab.writer.ok("POST", "./assetuploadsessions", body)
    return made


def upload(lab: Lab, files: dict[str, bytes], groups: list[str] | None = None) -> dict[str, Any]:
    """Everything announced and put; the session."""
    made = announce(lab, files, groups)
    for one in made["assets"]:
        sent = one["upload"]
        assert lab.put_to(sent["url"], files[one["metadata"]["filename"]], **sent["headers"]).status_code == 200
    return made


def assets(lab: Lab, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.reader.ok("GET", f"./assets?{query}")["data"]
    return found


def operation(lab: Lab, made: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = lab.writer.ok("GET", f"./operations/{made['opId']}")["status"]
    return status


def test_an_empty_project_has_no_assets_and_no_groups(lab: Lab) -> None:
    assert lab.reader.ok("GET", "./assets") == {"nextPage": None, "prevPage": None, "data": []}
    assert lab.reader.ok("GET", "./assetgroups") == []
    assert lab.reader("GET", "./assets/a.png").status_code == 404


def test_a_session_from_announcement_to_assets(lab: Lab) -> None:
    files = {"a.png": PNG + b"a", "b.png": PNG + b"b"}
    made = announce(lab, files)
    assert [one["metadata"] for one in made["assets"]] == [
        {"filename": name, "mime": "image/png", "size": len(data), "crc32c": signed_crc(data)}
        for name, data in files.items()
    ]
    assert operation(lab, made)["overview"] == "Queued"
    first, second = made["assets"]
    assert lab.put_to(first["upload"]["url"], files["a.png"]).status_code == 200
    assert operation(lab, made)["progress"] == {
        "unit": "file",
        "withStatus": {"Queued": 0, "Running": 1, "Finished": 1, "Cancelled": 0, "Errored": 0},
    }
    # What was acknowledged is there, whatever becomes of the others.
    assert [one["filename"] for one in assets(lab)] == ["a.png"]
    assert lab.put_to(second["upload"]["url"], files["b.png"]).status_code == 200
    assert operation(lab, made)["overview"] == "Finished"
    shown = assets(lab)[0]
    assert shown == {
        "id": shown["id"],
        "object": "asset",
        "projectId": lab.project,
        "filename": "a.png",
        "status": "None",
        "createDate": shown["createDate"],
        "url": shown["url"],
        "metadata": {
            "fileSize": len(PNG) + 1,
            "mimeType": "image/png",
            "height": 0,
            "width": 0,
            "groups": ["main"],
            "customMetadata": {},
        },
        "statistic": {"tagsCount": [], "totalAnnotations": 0},
    }
    assert lab.site.http.get(shown["url"].removeprefix("http://localhost")).content == files["a.png"]
    for name in (shown["id"], "a.png", "main/a.png"):
        assert lab.reader.ok("GET", f"./assets/{name}")["id"] == shown["id"]
    assert lab.reader.ok("GET", f"/projects/{lab.project}")["statistic"]["totalAssets"] == 2


def test_a_put_whose_answer_was_lost_may_be_repeated(lab: Lab) -> None:
    made = upload(lab, {"a.png": PNG})
    url = made["assets"][0]["upload"]["url"]
    assert lab.put_to(url, PNG).status_code == 200
    other = PNG.replace(b"pic", b"PIC")
    assert lab.put_to(url, other).status_code == 400
    assert operation(lab, made)["overview"] == "Finished"


def test_a_file_that_is_not_the_announced_one_is_refused_until_the_right_one_comes(lab: Lab) -> None:
    made = announce(lab, {"a.png": PNG})
    url = made["assets"][0]["upload"]["url"]
    for wrong in (PNG[:-1], PNG + b"x", PNG[:-1] + b"x"):
        answer = lab.put_to(url, wrong)
        assert answer.status_code == 400
        assert answer.json()["message"]
    status = operation(lab, made)
    assert status["overview"] == "Errored"
    assert "main/a.png" in status["message"]
    assert status["progress"]["withStatus"]["Errored"] == 1
    assert assets(lab) == []
    assert lab.put_to(url, PNG).status_code == 200
    assert operation(lab, made)["overview"] == "Finished"


def test_a_cancelled_session_takes_nothing_more(lab: Lab) -> None:
    made = announce(lab, {"a.png": PNG, "b.png": PNG + b"b"})
    first, second = (one["upload"]["url"] for one in made["assets"])
    assert lab.put_to(first, PNG).status_code == 200
    for _ in range(2):
        assert lab.writer.ok("POST", f"./assetuploadsessions/{made['id']}:cancel") == {
            "id": made["id"],
            "cancelled": True,
        }
    assert lab.put_to(second, PNG + b"b").status_code == 410
    assert operation(lab, made)["overview"] == "Cancelled"
    assert [one["filename"] for one in assets(lab)] == ["a.png"]


def test_a_session_that_is_complete_cannot_be_cancelled(lab: Lab) -> None:
    made = upload(lab, {"a.png": PNG})
    assert lab.writer("POST", f"./assetuploadsessions/{made['id']}:cancel").status_code == 409


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"assets": []}, "at least one file"),
        ({"assets": [{"filename": "a/b.png", "size": 1}]}, "slash"),
        ({"assets": [{"filename": "..", "size": 1}]}, ".."),
        ({"assets": [{"filename": "a.png"}]}, "assets[0].size is missing"),
        ({"assets": [{"filename": "a.png", "size": 1, "crc32c": 2**40}]}, "assets[0].crc32c"),
        ({"assets": [{"filename": "a.png", "size": 1}] * 2}, "named twice"),
        ({"groups": [""], "assets": [{"filename": "a.png", "size": 1}]}, "groups"),
        ({"groups": "main", "assets": []}, "groups is a text"),
    ],
)
def test_a_session_that_is_wrong_says_where(lab: Lab, body: Any, said: str) -> None:
    answer = lab.writer("POST", "./assetuploadsessions", body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert lab.writer.page()["data"] == []


def test_groups_are_folders_and_assets_move_between_them(lab: Lab) -> None:
    upload(lab, {"a.png": PNG, "b.png": PNG + b"b"}, ["train"])
    upload(lab, {"c.png": PNG + b"c"}, ["test"])
    moved = lab.writer.ok("PATCH", "./assets/a.png", {"status": "Annotated", "groups": ["test", "gold"]})
    assert (moved["status"], moved["metadata"]["groups"]) == ("Annotated", ["test", "gold"])
    groups = {one["group"]: one["statistic"] for one in lab.reader.ok("GET", "./assetgroups")}
    assert {name: one["totalAssets"] for name, one in groups.items()} == {"gold": 1, "test": 2, "train": 1}
    assert groups["test"]["annotatedAssets"] == 1
    assert [one["group"] for one in lab.reader.ok("GET", "./assetgroups?group[]=gold&group[]=train&")] == [
        "gold",
        "train",
    ]
    assert [one["filename"] for one in assets(lab, "group[]=test&")] == ["a.png", "c.png"]
    assert [one["filename"] for one in assets(lab, "group[]=gold&")] == ["a.png"]
    assert [one["filename"] for one in assets(lab, "status=Annotated&")] == ["a.png"]
    assert [one["filename"] for one in assets(lab, "filename=b.png&")] == ["b.png"]
    back = lab.writer.ok("PATCH", f"./assets/{moved['id']}", {"status": "None", "groups": ["train"]})
    assert (back["id"], back["status"], back["metadata"]["groups"]) == (moved["id"], "None", ["train"])


def test_groups_of_many_assets_are_counted_as_each_says(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written in the text beside status and groups, and wherever a stretch of the count ends."""
    monkeypatch.setattr(tallying, "STRETCH", 2)
    upload(lab, {f"{i}.png": PNG + bytes([i]) for i in range(5)}, ["train"])
    upload(lab, {f"{i}-top.png": PNG + bytes([i, i]) for i in range(3)}, [])
    lab.writer.ok("PATCH", "./assets/1.png", {"status": "Review", "groups": ["train", "gold"]})
    lab.writer.ok("PATCH", "./assets/2.png", {"status": "Completed"})
    lab.writer.ok("PATCH", "./assets/0-top.png", {"groups": ["deep/er", "gold", 'a "quoted" one, \\']})
    lab.writer.ok("PUT", "./assets/1.png/customMetadatas", {"customMetadata": {"n": 0.5, "status": "Tofix"}})
    groups = {one["group"]: one["statistic"] for one in lab.reader.ok("GET", "./assetgroups")}
    totals = {name: one["totalAssets"] for name, one in groups.items()}
    assert totals == {"train": 5, "gold": 2, "deep/er": 1, 'a "quoted" one, \\': 1}
    train = groups["train"]
    assert (train["reviewedAssets"], train["completedAssets"], train["toFixedAssets"]) == (1, 1, 0)
    assert groups["gold"]["reviewedAssets"] == 1


def test_more_groups_than_an_answer_holds_have_to_be_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(lab, {"a.png": PNG}, ["train"])
    upload(lab, {"b.png": PNG + b"b"}, ["test"])
    monkeypatch.setattr(routes, "MOST_COUNTED", 1)
    refused = lab.reader("GET", "./assetgroups")
    assert refused.status_code == 413
    assert "group[]" in refused.json()["message"]
    assert [one["group"] for one in lab.reader.ok("GET", "./assetgroups?group[]=test&")] == ["test"]
    many = "&".join(f"group[]={i}" for i in range(101))
    assert lab.reader("GET", f"./assetgroups?{many}&").status_code == 400


def test_a_text_from_elsewhere_is_kept(lab: Lab) -> None:
    upload(lab, {"a.png": PNG})
    native = lab.site.by_token("writer")
    (version,) = (one["id"] for one in native.read("/versions", project=lab.project)["rows"])
    changes = [{"op": "describe", "path": "main/a.png", "metadata": "a boat"}]
    native.made(f"/versions/{version}/commits", changes=changes)
    lab.writer.ok("PATCH", "./assets/a.png", {"status": "Review"})
    assert "a boat" in native.read(f"/versions/{version}/entries")["rows"][0]["metadata"]
    lab.writer.ok("PATCH", "./assets/a.png", {"status": "None"})
    assert native.read(f"/versions/{version}/entries")["rows"][0]["metadata"] == "a boat"


def test_pages_of_assets_both_ways(lab: Lab) -> None:
    names = [f"{i}.png" for i in range(7)]
    upload(lab, {name: PNG + name.encode() for name in names})
    for gone in ("1.png", "3.png"):
        shown = lab.writer.ok("GET", f"./assets/{gone}")
        assert lab.writer.ok("DELETE", f"./assets/{gone}") == {"id": shown["id"], "deleted": True}
    assert lab.writer("DELETE", "./assets/1.png").status_code == 404
    first = lab.reader.ok("GET", "./assets?limit=2&")
    second = lab.reader.ok("GET", f"./assets?page={first['nextPage']}&limit=2&")
    third = lab.reader.ok("GET", f"./assets?page={second['nextPage']}&limit=2&")
    pages = [[one["filename"] for one in page["data"]] for page in (first, second, third)]
    assert pages == [["0.png", "2.png"], ["4.png", "5.png"], ["6.png"]]
    assert (first["prevPage"], third["nextPage"]) == (None, None)

    def same(page: dict[str, Any], back: dict[str, Any]) -> bool:
        return [one["id"] for one in page["data"]] == [one["id"] for one in back["data"]] and (
            page["prevPage"],
            page["nextPage"],
        ) == (back["prevPage"], back["nextPage"])

    assert same(second, lab.reader.ok("GET", f"./assets?page={third['prevPage']}&limit=2&"))
    assert same(first, lab.reader.ok("GET", f"./assets?page={second['prevPage']}&limit=2&"))


def test_a_large_file_comes_in_pieces(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "PIECE", 10)
    body = bytes(range(35))
    made = announce(lab, {"film.mp4": body}, crc32c=0)
    url = f"./assetuploadsessions/{made['id']}/multipart"
    split = lab.writer.ok("POST", url, {"filename": "film.mp4", "mime": "video/mp4", "size": 35})
    assert split["partCount"] == 4
    each = 35 // 4
    cut = [body[i * each : (i + 1) * each if i < 3 else 35] for i in range(4)]
    here = f"./multipartassetuploads/{split['id']}"
    assert lab.writer("POST", f"{here}/complete").status_code == 400
    for number in (3, 1, 4, 2):
        place = lab.writer.ok("PUT", f"{here}/parts/{number}")
        assert (place["method"], place["responseHeaders"], place["responseBody"]) == ("PUT", ["etag"], False)
        done = {"id": split["id"], "partNumber": number}
        assert lab.writer.ok("POST", f"{here}/parts/{number}/complete") == {**done, "completed": False}
        put = lab.put_to(place["url"], cut[number - 1])
        assert put.status_code == 200
        told = {"responseHeaders": {"etag": put.headers["etag"]}}
        assert lab.writer.ok("POST", f"{here}/parts/{number}/complete", told) == {**done, "completed": True}
    for _ in range(2):
        assert lab.writer.ok("POST", f"{here}/complete") == {"id": split["id"], "completed": True}
    shown = lab.reader.ok("GET", "./assets/film.mp4")
    assert lab.site.http.get(shown["url"].removeprefix("http://localhost")).content == body
    assert operation(lab, made)["overview"] == "Finished"


def test_pieces_can_be_let_go(lab: Lab) -> None:
    made = announce(lab, {"film.mp4": b"film"})
    url = f"./assetuploadsessions/{made['id']}/multipart"
    split = lab.writer.ok("POST", url, {"filename": "film.mp4", "mime": "video/mp4", "size": 4})
    place = lab.writer.ok("PUT", f"./multipartassetuploads/{split['id']}/parts/1")
    assert lab.writer.ok("DELETE", f"./multipartassetuploads/{split['id']}") == {"id": split["id"], "aborted": True}
    assert lab.put_to(place["url"], b"film").status_code == 410
    assert lab.writer("POST", f"./multipartassetuploads/{split['id']}/complete").status_code == 400
    # The file itself may still come as one.
    assert lab.put_to(made["assets"][0]["upload"]["url"], b"film").status_code == 200


def test_sessions_are_their_makers_alone(lab: Lab) -> None:
    made = announce(lab, {"a.png": PNG})
    paths = [
        ("POST", f"./assetuploadsessions/{made['id']}:cancel"),
        ("POST", f"./assetuploadsessions/{made['id']}/multipart"),
        ("GET", f"./operations/{made['opId']}"),
    ]
    for method, path in paths:
        for who in (lab.chief, lab.outsider):
            body = {"filename": "a.png", "size": len(PNG)} if path.endswith("multipart") else None
            assert who(method, path, body).status_code == 404
    lab.project = lab.new_project()
    assert lab.writer("GET", f"./operations/{made['opId']}").status_code == 404


@pytest.mark.parametrize("who", ["reader", "runner", "outsider", "reading key", "anonymous"])
def test_who_may_not_write_uploads_and_changes_nothing(lab: Lab, who: str) -> None:
    upload(lab, {"a.png": PNG})
    body = {"groups": ["main"], "assets": [{"filename": "b.png", "size": 1}]}
    expected = {"outsider": 404, "anonymous": 401}.get(who, 403)
    assert lab.people[who]("POST", "./assetuploadsessions", body).status_code == expected
    assert lab.people[who]("PATCH", "./assets/a.png", {"status": "Review"}).status_code == expected
    assert lab.people[who]("DELETE", "./assets/a.png").status_code == expected
    assert [(one["filename"], one["status"]) for one in assets(lab)] == [("a.png", "None")]


def test_a_filter_looks_at_a_bounded_stretch_and_leads_on_both_ways(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i}.png" for i in range(7)]
    upload(lab, {name: PNG + name.encode() for name in names})
    for one in ("0.png", "5.png", "6.png"):
        lab.writer.ok("PATCH", f"./assets/{one}", {"status": "Review"})
    monkeypatch.setattr(leafing, "MOST_LOOKED_AT", 3)
    pages, page = [], lab.reader.ok("GET", "./assets?status=Review&limit=2&")
    assert page["prevPage"] is None
    while True:
        pages.append([one["filename"] for one in page["data"]])
        if page["nextPage"] is None:
            break
        page = lab.reader.ok("GET", f"./assets?status=Review&limit=2&page={page['nextPage']}&")
    assert pages == [["0.png"], ["5.png"], ["6.png"]]
    back = lab.reader.ok("GET", f"./assets?status=Review&limit=2&page={page['prevPage']}&")
    assert [one["filename"] for one in back["data"]] == ["5.png"]
    assert lab.reader("GET", f"./assets?status=Tofix&page={page['prevPage']}&").status_code == 400


def test_custom_metadata_of_assets_and_frames(lab: Lab) -> None:
    upload(lab, {"a.png": PNG, "b.png": PNG + b"b"})
    made = lab.writer.ok("PUT", "./assets/a.png/customMetadatas", {"customMetadata": {"at": "noon", "n": 1}})
    assert made["customMetadata"] == {"at": "noon", "n": 1}
    more = {"parent": {"kind": "customMetadata#assetFrameParent", "frame": 15}, "customMetadata": {"ok": True}}
    frame = lab.writer.ok("PUT", "./assets/a.png/customMetadatas", more)
    assert frame["parent"]["frame"] == 15
    joined = lab.writer.ok(
        "PUT", f"./assets/{made['parent']['assetId']}/customMetadatas", {"customMetadata": {"n": 2.5}}
    )
    assert (joined["id"], joined["customMetadata"]) == (made["id"], {"at": "noon", "n": 2.5})
    found = lab.reader.ok("GET", "./assets/a.png/customMetadatas")["customMetadatas"]
    assert [one["id"] for one in found] == [made["id"], frame["id"]]
    assert lab.reader.ok("GET", "./assets/a.png")["metadata"]["customMetadata"] == {"at": "noon", "n": 2.5}
    assert lab.writer.ok("DELETE", f"./assets/a.png/customMetadatas/{frame['id']}")["deleted"] is True
    assert lab.writer("DELETE", f"./assets/a.png/customMetadatas/{frame['id']}").status_code == 404
    assert lab.writer("DELETE", f"./assets/b.png/customMetadatas/{made['id']}").status_code == 404
    assert lab.writer("PUT", "./assets/a.png/customMetadatas", {"customMetadata": {"x": [1]}}).status_code == 400
    assert lab.reader("PUT", "./assets/a.png/customMetadatas", {"customMetadata": {"x": 1}}).status_code == 403


def test_custom_metadata_of_many_assets_at_once(lab: Lab) -> None:
    upload(lab, {"a.png": PNG, "b.png": PNG + b"b"})
    wishes = [
        {"parent": {"filename": "a.png"}, "customMetadata": {"x": 1}},
        {"parent": {"filename": "b.png", "frame": 2}, "customMetadata": {"x": 2}},
        {"parent": {"filename": "c.png"}, "customMetadata": {"x": 3}},
    ]
    done = lab.writer.ok("POST", "./customMetadataBulkUpdates", {"customMetadatas": wishes})
    assert [one["customMetadata"] for one in done["customMetadatas"]] == [{"x": 1}, {"x": 2}]
    assert [one["customMetadata"]["parent"] for one in done["errors"]] == [{"filename": "c.png"}]
    ids = [*(one["id"] for one in done["customMetadatas"]), "custommeta_none"]
    gone = lab.writer.ok("POST", "./customMetadataBulkUpdates/delete", {"ids": ids})
    assert [one["id"] for one in gone["errors"]] == ["custommeta_none"]
    assert lab.reader.ok("GET", "./assets/a.png/customMetadatas") == {"customMetadatas": []}


def test_tags_keep_their_numbers(lab: Lab) -> None:
    assert lab.reader.ok("GET", "./tags") == []
    assert lab.writer("DELETE", "./tags/0").status_code == 404
    for name in ("boat", "ship", "whale"):
        made = lab.writer.ok("POST", "./tags", {"name": name, "color": "#7ed957"})
    assert [(one["index"], one["name"]) for one in made] == [(0, "boat"), (1, "ship"), (2, "whale")]
    assert lab.writer("POST", "./tags", {"name": "boat"}).status_code == 409
    changed = lab.writer.ok("PATCH", "./tags/1", {"name": "vessel", "description": "floats"})
    assert changed[1] == {"index": 1, "name": "vessel", "color": "#7ed957", "description": "floats"}
    assert lab.writer.ok("DELETE", "./tags/2") == {"id": None, "deleted": True}
    assert lab.writer.ok("POST", "./tags", {"name": "seal"})[2]["index"] == 3
    assert [one["index"] for one in lab.writer.ok("POST", "./tags/1-0:merge")] == [0, 3]
    assert [one["name"] for one in lab.reader.ok("GET", "./tags")] == ["boat", "seal"]
    for path, body in (
        ("./tags/0-0:merge", None),
        ("./tags/9-0:merge", None),
        ("./tags", {"name": "x", "color": "red"}),
    ):
        assert lab.writer("POST", path, body).status_code in (400, 404)
    assert lab.reader("POST", "./tags", {"name": "x"}).status_code == 403


def test_a_tag_that_others_make_meanwhile_is_not_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.writer.ok("POST", "./tags", {"name": "first"})
    update, others = versions.update, iter(["second"])

    def late(*arguments: Any, **named: Any) -> Any:
        for name in others:
            lab.writer.ok("POST", "./tags", {"name": name})
        return update(*arguments, **named)

    monkeypatch.setattr(versions, "update", late)
    assert [one["name"] for one in lab.writer.ok("POST", "./tags", {"name": "third"})] == ["first", "second", "third"]
