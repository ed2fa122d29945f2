"""Lists of the Flow door: filters, pages, exact counts, and only what the caller may see."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.depot import trash, versions
from entrepot.depot.versions import VersionChanges
from entrepot.model.values import Visibility
from tests.support.flow import Lab, Person, error_of


def found(who: Person, **parameters: str) -> list[str]:
    """The names of a search, in its order."""
    answer = who.ok("GET", "/data/search", params=parameters)
    assert answer["count"] >= len(answer["data"])
    return [one["filename"] for one in answer["data"]]


@pytest.fixture
def stock(lab: Lab) -> Lab:
    """Three files of the writer, in a project and under names of the test's own."""
    mark = lab.name("-")
    lab.mark = mark
    for name, content in (("a.csv", b"1,2\n"), ("B.fastq.gz", b"x" * 100), ("c.txt", b"")):
        kind = {"data_type": "csv"} if name == "a.csv" else {}
        lab.writer.upload(content, mark + name, **kind)
        lab.site.clock.move(seconds=10)
    return lab


def marked(lab: Lab, *names: str) -> list[str]:
    return [lab.mark + name for name in names]


def test_the_newest_first(stock: Lab) -> None:
    mark = stock.mark
    assert found(stock.reader, filename=mark) == marked(stock, "c.txt", "B.fastq.gz", "a.csv")
    assert found(stock.reader, filename=mark, sort="created") == marked(stock, "a.csv", "B.fastq.gz", "c.txt")
    assert found(stock.reader, filename=mark, sort="filename") == marked(stock, "B.fastq.gz", "a.csv", "c.txt")
    assert found(stock.reader, filename=mark, sort="-filename") == marked(stock, "c.txt", "a.csv", "B.fastq.gz")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"filename": "B.FASTQ"}, ["B.fastq.gz"]),
        ({"pattern": r"\.(csv|txt)$"}, ["c.txt", "a.csv"]),
        ({"data_types": "csv,bam"}, ["a.csv"]),
        ({"data_types": "nothing"}, []),
        ({"size_gt": "4"}, ["B.fastq.gz", "a.csv"]),
        ({"size_lt": "4"}, ["c.txt", "a.csv"]),
        ({"size_gt": "5", "size_lt": "99"}, []),
        ({"is_single": "yes"}, ["c.txt", "B.fastq.gz", "a.csv"]),
        ({"is_single": "no"}, []),
        ({"category": "1"}, ["c.txt", "B.fastq.gz", "a.csv"]),
        ({"category": "2"}, []),
        ({"owner": "writer"}, ["c.txt", "B.fastq.gz", "a.csv"]),
        ({"owner": "nobody"}, []),
        ({"uploaded": "true"}, ["c.txt", "B.fastq.gz", "a.csv"]),
        ({"uploaded": "false"}, []),
        ({"pipeline": "1"}, []),
        ({"process_execution": "1"}, []),
        ({"filename": "%"}, []),
        ({"filename": "'"}, []),
        ({"filename": "\0"}, []),
    ],
)
def test_filters(stock: Lab, asked: dict[str, str], names: list[str]) -> None:
    mark = stock.mark
    first = asked.get("filename", mark)
    shown = [one for one in found(stock.reader, **{**asked, "filename": first, "count": "100"}) if one.startswith(mark)]
    assert shown == marked(stock, *names)


def test_times_are_inclusive_at_both_ends(stock: Lab) -> None:
    mark = stock.mark
    now = int(stock.site.clock().timestamp())
    assert found(stock.reader, filename=mark, created_gt=str(now - 20)) == marked(stock, "c.txt", "B.fastq.gz")
    assert found(stock.reader, filename=mark, created_lt=str(now - 20)) == marked(stock, "B.fastq.gz", "a.csv")


def test_what_is_ones_own(stock: Lab) -> None:
    mark = stock.mark
    assert found(stock.reader, filename=mark, owned="true") == []
    assert len(found(stock.writer, filename=mark, owned="true")) == 3
    assert found(stock.anonymous, filename=mark, owned="true") == []


def test_pages_and_counts(stock: Lab) -> None:
    mark = stock.mark
    pages = [
        stock.reader.ok("GET", "/data/search", params={"filename": mark, "count": "2", "page": str(page)})
        for page in (1, 2, 3)
    ]
    assert [(one["count"], one["page"], len(one["data"])) for one in pages] == [(3, 1, 2), (3, 2, 1), (3, 3, 0)]
    row = pages[0]["data"][0]
    assert set(row) == {
        "id", "filename", "size", "absolute_path", "created", "pipeline_name", "process_execution_name",
        "sample_name", "owner_name", "can_delete",
    }  # fmt: skip
    assert (row["owner_name"], row["can_delete"]) == ("writer", False)


@pytest.mark.parametrize(
    "asked",
    [
        {"count": "101"},
        {"count": "0"},
        {"page": "0"},
        {"page": "x"},
        {"sort": "size"},
        {"size_gt": "1.5"},
        {"pattern": "("},
        {"pattern": r"(a)\1"},
        {"created_gt": "9" * 17},
    ],
)
def test_what_cannot_be_asked_is_refused(lab: Lab, asked: dict[str, str]) -> None:
    assert lab.reader("GET", "/data/search", params=asked).status_code == 400


def test_only_what_one_may_see_is_counted(stock: Lab) -> None:
    mark = stock.mark
    ids = [one["id"] for one in stock.writer.ok("GET", "/data/search", params={"filename": mark})["data"]]
    writer = stock.site.world.login("writer")
    trash.trash(stock.depot, writer, int(ids[0]))
    versions.update(stock.depot, writer, int(ids[1]), VersionChanges(visibility=Visibility.PUBLIC))
    versions.update(stock.depot, writer, int(ids[2]), VersionChanges(visibility=Visibility.LISTED))

    def counted(who: Person, **headers: str) -> Any:
        return who.ok("GET", "/data/search", params={"filename": mark}, headers=headers)["count"]

    assert (counted(stock.reader), counted(stock.outsider), counted(stock.anonymous)) == (2, 1, 1)
    # A token that is no good is none, but one that ran out has to be refreshed.
    assert counted(stock.anonymous, Authorization="Bearer nothing") == 1
    row = stock.outsider.ok("GET", "/data/search", params={"filename": mark})["data"][0]
    assert (row["owner_name"], row["can_delete"]) == (None, False)


def test_data_types_and_how_many_there_are(stock: Lab) -> None:
    types = {one["identifier"]: one for one in stock.reader.ok("GET", "/data/types")}
    assert {"fastq", "bam", "csv"} <= set(types)
    assert set(types["csv"]) == {"identifier", "name", "description", "data_count"}
    assert types["csv"]["data_count"] >= 1
    hidden = stock.outsider.ok("GET", "/data/types")
    stock.writer.upload(b"1,2\n", stock.mark + "more.csv", data_type="csv")
    again = {one["identifier"]: one for one in stock.reader.ok("GET", "/data/types")}
    assert again["csv"]["data_count"] == types["csv"]["data_count"] + 1
    assert stock.outsider.ok("GET", "/data/types") == hidden, "nobody counts what they may not see"


def test_owned_projects_are_those_one_may_write_to(lab: Lab) -> None:
    first = lab.writer.ok("GET", "/projects/owned")
    listed, page = list(first["projects"]), 1
    while len(listed) < first["count"]:
        page += 1
        more = lab.writer.ok("GET", f"/projects/owned?page={page}&count={len(first['projects'])}")
        assert more["count"] == first["count"]
        assert more["projects"]
        listed += more["projects"]
    assert len({one["id"] for one in listed}) == first["count"]
    assert str(lab.project) in {one["id"] for one in listed}
    # The personal one.
    assert lab.reader.ok("GET", "/projects/owned")["count"] == 1
    assert lab.reading.ok("GET", "/projects/owned")["count"] == 0
    assert lab.anonymous("GET", "/projects/owned").status_code == 401


def test_a_project_and_the_search_for_it(lab: Lab) -> None:
    shown = lab.reader.ok("GET", f"/projects/{lab.project}")
    assert (shown["id"], shown["can_edit"]) == (str(lab.project), False)
    by_name = lab.reader.ok("GET", "/projects/search", params={"name": shown["name"]})
    assert shown in by_name["projects"]
    assert lab.outsider("GET", f"/projects/{lab.project}").status_code == 404
    assert lab.anonymous.ok("GET", "/projects/search") == {"count": 0, "page": 1, "projects": []}
    assert lab.reader.ok("GET", f"/projects/{lab.project}/samples") == {"count": 0, "page": 1, "samples": []}


def test_people_are_for_those_who_are_logged_in(lab: Lab) -> None:
    shown = lab.outsider.ok("GET", "/users/search", params={"name": "writer"})
    assert shown["users"] == [{"id": shown["users"][0]["id"], "username": "writer", "name": "writer", "image": None}]
    refused = lab.anonymous("GET", "/users/search")
    assert refused.status_code == 401
    assert isinstance(error_of(refused), str)


def test_the_words_for_samples(lab: Lab) -> None:
    kinds = lab.anonymous.ok("GET", "/samples/types")
    assert {"generic", "rna-seq", "dna-seq", "chip-seq"} <= {one["identifier"] for one in kinds}
    organisms = lab.anonymous.ok("GET", "/organisms")
    assert all(isinstance(one["id"], str) for one in organisms)
    attributes = {one["identifier"]: one for one in lab.anonymous.ok("GET", "/samples/metadata")}
    target = attributes["purification_target"]["sample_type_links"]
    assert target == [{"sample_type_identifier": "chip-seq", "required": True}]
    for name, one in attributes.items():
        assert one["has_options"] is not one["allow_user_terms"]
        options = lab.anonymous.ok("GET", f"/samples/metadata/{name}/options")["options"]
        assert bool(options) is one["has_options"]
    assert lab.anonymous("GET", "/samples/metadata/nothing/options").status_code == 404
