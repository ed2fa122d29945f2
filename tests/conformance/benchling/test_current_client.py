"""The unmodified client `benchling-sdk` 1.25.0 of data frames and datasets, and the old one beside it."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from entrepot.model.ids import Noun, benchling_frame, decode
from tests.conformance.benchling.clients import (
    DATASETS,
    FRAMES,
    OLD_FRAMES,
    Client,
    Place,
    Raised,
    got,
    sent,
)

CSV = b"name,age\nAnn,3\nBob,\n"
STARTED = {"DataFrameUpdate": {"uploadStatus": "IN_PROGRESS"}}


def frame_create(*files: str, name: str = "frame") -> dict[str, Any]:
    return {"DataFrameCreate": {"name": name, "manifest": [{"fileName": one} for one in files]}}


def ingested(current: Client, data: bytes = CSV) -> dict[str, Any]:
    """A frame with these bytes, checked, as the client's task helper answers it."""
    found: dict[str, Any] = current(f"{FRAMES}.create_from_bytes", frame_create("a.csv"), sent(data), wait=True)
    return found


def dataset_create(frame: str, folder: str, name: str, **more: Any) -> dict[str, Any]:
    return {"DatasetCreate": {"dataFrameId": frame, "folderId": folder, "name": name, **more}}


def placed(current: Client, place: Place, name: str, data: bytes = CSV, **more: Any) -> dict[str, Any]:
    """A dataset in the test's own project."""
    frame = ingested(current, data)["id"]
    found: dict[str, Any] = current(f"{DATASETS}.create", dataset_create(frame, place.project, name, **more))
    return found


def listed(current: Client, **how: Any) -> list[dict[str, Any]]:
    return [one for page in current(f"{DATASETS}.list", **how) for one in page]


def test_a_frame_from_bytes_and_back(current: Client, place: Place, tmp_path: Path) -> None:
    found = ingested(current)
    assert (found["uploadStatus"], found["errorMessage"]) == ("SUCCEEDED", None)
    assert [one["displayName"] for one in found["columns"]] == ["name", "age"]
    assert {**current(f"{FRAMES}.get_by_id", found["id"]), "manifest": 0} == {**found, "manifest": 0}
    wish = {"DataFrame": found}
    assert [got(one) for one in current(f"{FRAMES}.download_data_frame_bytes", wish)] == [CSV]
    assert [got(one) for one in current(f"{FRAMES}.download_data_frame_bytes_by_id", found["id"])] == [CSV]
    for call, what in (("download_data_frame_files", wish), ("download_data_frame_files_by_id", found["id"])):
        folder = tmp_path / call
        folder.mkdir()
        (path,) = current(f"{FRAMES}.{call}", what, {"path": str(folder)})
        assert Path(path).read_bytes() == CSV


def test_a_stream_a_file_and_each_step_by_itself(current: Client, place: Place, tmp_path: Path) -> None:
    stream = {"stream": base64.b64encode(CSV).decode()}
    assert current(f"{FRAMES}.create_from_bytes", frame_create("s.csv"), stream, wait=True)["uploadStatus"]
    path = tmp_path / "birds.csv"
    path.write_bytes(CSV)
    made = current(f"{FRAMES}.create_from_file", {"path": str(path)}, wait=True)
    assert [one["fileName"] for one in made["manifest"]] == ["birds.csv"]
    steps = current(f"{FRAMES}.create", frame_create("a.csv", "b.csv"))
    assert steps["uploadStatus"] == "NOT_UPLOADED"
    current(f"{FRAMES}.upload_bytes", steps["manifest"][0]["url"], sent(b"n\n1\n"))
    path.write_bytes(b"n\n2\n")
    current(f"{FRAMES}.upload_file", steps["manifest"][1]["url"], {"path": str(path)})
    with pytest.raises(Raised) as early:
        current(f"{FRAMES}.download_data_frame_bytes_by_id", steps["id"])
    assert early.value.kind == "DataFrameInProgressError"
    assert current(f"{FRAMES}.update", steps["id"], STARTED, wait=True)["uploadStatus"] == "SUCCEEDED"
    files = current(f"{FRAMES}.download_data_frame_bytes_by_id", steps["id"])
    assert [got(one) for one in files] == [b"n\n1\n", b"n\n2\n"]


def test_a_tree_of_another_door_comes_as_one_archive(current: Client, place: Place, tmp_path: Path) -> None:
    version = place.native("POST", "/versions", json={"name": "scans", "project": place.project})["id"]
    tree = {"a.txt": b"a", "deep/er/b.txt": b"b"}
    for path, data in tree.items():
        place.native("PUT", f"/versions/{version}/files/{path}", content=data)
    frame = benchling_frame(decode(Noun.VERSION, version))
    (path,) = current(f"{FRAMES}.download_data_frame_files_by_id", frame, {"path": str(tmp_path)})
    assert Path(path).name == "scans.v1.zip"
    with ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == tree


def test_files_without_a_folder_go_to_one_of_their_own(current: Client, place: Place) -> None:
    (path,) = current(f"{FRAMES}.download_data_frame_files_by_id", ingested(current)["id"])
    assert Path(path).read_bytes() == CSV
    Path(path).unlink()
    Path(path).parent.rmdir()


def test_bad_data_raises_where_the_task_is_waited_for(current: Client, place: Place) -> None:
    with pytest.raises(Raised) as failed:
        ingested(current, b"a,b\n1,x\n2\n")
    assert failed.value.kind == "TaskFailureException"
    assert "Row 2" in failed.value.message


def test_a_dataset_from_its_frame_to_its_archive_and_back(current: Client, place: Place) -> None:
    made = placed(current, place, "birds", customFields={"lab": {"value": "B12"}})
    assert made["id"] == made["dataFrameId"].replace("dset_", "dataset_")
    assert (made["name"], made["displayId"], made["folderId"]) == ("birds", "birds.v1", place.project)
    assert (made["customFields"], made["archiveRecord"]) == ({"lab": {"value": "B12"}}, None)
    assert made["creator"]["handle"] == "admin"
    assert current(f"{DATASETS}.get_by_id", made["id"]) == made
    below = place.native("POST", f"/projects/{place.project}/collections", json={"path": "raw"})["id"]
    wish = {"name": "finches", "folderId": below, "customFields": {"run": {"value": "7"}}}
    changed = current(f"{DATASETS}.update", made["id"], {"DatasetUpdate": wish})
    assert (changed["name"], changed["folderId"]) == ("finches", below)
    assert changed["customFields"] == {"lab": {"value": "B12"}, "run": {"value": "7"}}
    reason = {"DatasetsArchiveReason": "Made in error"}
    for _ in range(2):
        assert current(f"{DATASETS}.archive_datasets", [made["id"]], reason) == {"datasetIds": [made["id"]]}
    assert current(f"{DATASETS}.get_by_id", made["id"])["archiveRecord"] == {"reason": "Made in error"}
    assert listed(current, folder_id=below) == []
    for _ in range(2):
        assert current(f"{DATASETS}.unarchive", [made["id"]]) == {"datasetIds": [made["id"]]}
    (back,) = listed(current, folder_id=below)
    assert (back["archiveRecord"], back["displayId"]) == (None, "finches.v1")


def test_a_frame_of_which_no_dataset_was_made_is_in_no_list(current: Client, place: Place) -> None:
    frame = ingested(current)["id"]
    name = frame.replace("dset_", "dataset_")
    assert listed(current, ids=name) == []
    current(f"{DATASETS}.create", dataset_create(frame, place.project, "shown"))
    assert [one["id"] for one in listed(current, ids=name)] == [name]


def test_a_frame_may_be_in_several_folders(current: Client, place: Place) -> None:
    first = placed(current, place, "one")
    again = current(f"{DATASETS}.create", dataset_create(first["dataFrameId"], place.project, "one"))
    assert again == first
    other = current(f"{DATASETS}.create", dataset_create(first["dataFrameId"], place.project, "two"))
    assert other["id"] != first["id"]
    assert [got(one) for one in current(f"{FRAMES}.download_data_frame_bytes_by_id", other["dataFrameId"])] == [CSV]


def test_lists_by_page_order_and_filter(current: Client, place: Place) -> None:
    made = [placed(current, place, name) for name in ("b", "a", "C")]
    names = [one["name"] for one in made]

    def found(**how: Any) -> list[str]:
        return [one["name"] for one in listed(current, folder_id=place.project, **how)]

    assert found() == names[::-1]
    pages = current(f"{DATASETS}.list", folder_id=place.project, page_size=2)
    assert [[one["name"] for one in page] for page in pages] == [["C", "a"], ["b"]]
    orders = {
        "modifiedAt": names[::-1],
        "modifiedAt:asc": names,
        "createdAt:desc": names[::-1],
        "createdAt:asc": names,
        "name": ["C", "a", "b"],
        "name:desc": ["b", "a", "C"],
    }
    assert {order: found(sort={"ListDatasetsSort": order}, page_size=1) for order in orders} == orders
    assert found(name="a") == ["a"]
    assert found(name_includes="c") == ["C"]
    assert found(namesany_of="A,c") == ["C", "a"]
    assert found(namesany_ofcase_sensitive="A,C") == ["C"]
    assert found(ids=f"{made[0]['id']},{made[1]['id']},nonsense") == ["a", "b"]
    assert found(display_ids="a.v1,b.v2") == ["a"]
    assert found(creator_ids=made[0]["creator"]["id"]) == names[::-1]
    assert found(creator_ids="user_00000000000000000000000000000000") == []
    assert found(created_at=f"> {made[0]['createdAt']}") == ["C", "a"]
    assert found(modified_at=f"<{made[0]['modifiedAt']}") == []
    assert found(mentioned_in="etr_1") == found(origin_ids="x") == []
    current(f"{DATASETS}.archive_datasets", [made[0]["id"]], {"DatasetsArchiveReason": "Other"})
    assert found() == ["C", "a"]
    assert found(archive_reason="ANY_ARCHIVED") == found(archive_reason="Other") == ["b"]
    assert found(archive_reason="Archived,Made in error") == []
    assert len(found(archive_reason="ANY_ARCHIVED_OR_NOT_ARCHIVED")) == 3


def test_all_or_none_are_archived(current: Client, place: Place) -> None:
    made = placed(current, place, "here")
    with pytest.raises(Raised) as refused:
        current(f"{DATASETS}.archive_datasets", [made["id"], "dataset_x"], {"DatasetsArchiveReason": "Other"})
    assert (refused.value.status, refused.value.parsed) == (400, True)
    assert refused.value.body["error"]["invalidIds"] == ["dataset_x"]
    assert current(f"{DATASETS}.get_by_id", made["id"])["archiveRecord"] is None
    with pytest.raises(Raised) as missing:
        current(f"{DATASETS}.get_by_id", "dataset_x")
    assert (missing.value.kind, missing.value.status) == ("BenchlingError", 404)


def test_every_way_to_log_in(current: Client, place: Place) -> None:
    made = placed(current, place, "mine")
    for shown in ({"bearer": place.key}, {"client": place.key_id, "secret": place.key}):
        assert replace(current, shown=shown)(f"{DATASETS}.get_by_id", made["id"]) == made


def test_a_repeat_after_a_lost_answer_makes_no_second_dataset(current: Client, place: Place) -> None:
    frame = ingested(current)["id"]
    wish = dataset_create(frame, place.project, "once")
    place.proxy.lose(b"POST /api/v2/datasets")
    with pytest.raises(Raised):
        current(f"{DATASETS}.create", wish)
    made = current(f"{DATASETS}.create", wish)
    assert [one["id"] for one in listed(current, folder_id=place.project)] == [made["id"]]
    place.proxy.lost.clear()
    place.proxy.refuse(b"POST /api/v2/datasets:archive", 503)
    current(f"{DATASETS}.archive_datasets", [made["id"]], {"DatasetsArchiveReason": "Archived"})
    assert len(place.proxy.lost) == 1
    assert listed(current, folder_id=place.project) == []


def test_both_clients_at_once_with_one_name(old: Client, current: Client, place: Place) -> None:
    frames: list[str] = []

    def by_old() -> None:
        for _ in range(2):
            wish = {"DatasetCreate": {"name": "same", "folderId": place.project, "manifest": [{"fileName": "a.csv"}]}}
            task = old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(CSV))["taskId"])
            frames.append(task["response"]["id"])

    def by_current() -> None:
        for _ in range(2):
            frames.append(placed(current, place, "same")["dataFrameId"])

    with ThreadPoolExecutor() as pool:
        for one in [pool.submit(by_old), pool.submit(by_current)]:
            one.result()
    found = listed(current, folder_id=place.project)
    assert sorted(one["displayId"] for one in found) == ["same.v1", "same.v2", "same.v3", "same.v4"]
    assert {one["dataFrameId"] for one in found} == set(frames)


def test_both_clients_see_the_same(old: Client, current: Client, place: Place) -> None:
    wish = {"DatasetCreate": {"name": "shared", "folderId": place.project, "manifest": [{"fileName": "a.csv"}]}}
    task = old.waited(old(f"{OLD_FRAMES}.create_from_bytes", wish, sent(CSV))["taskId"])
    frame = task["response"]["id"]
    (one,) = listed(current, folder_id=place.project)
    assert (one["name"], one["dataFrameId"]) == ("shared", frame)
    assert [got(file) for file in current(f"{FRAMES}.download_data_frame_bytes_by_id", frame)] == [CSV]
    made = placed(current, place, "back", b"n\n1\n")
    theirs = old(f"{OLD_FRAMES}.get_by_id", made["dataFrameId"])
    assert (theirs["name"], theirs["folderId"], theirs["uploadStatus"]) == ("back", place.project, "SUCCEEDED")
    assert [got(file) for file in old(f"{OLD_FRAMES}.download_dataset_bytes", {"Dataset": theirs})] == [b"n\n1\n"]
