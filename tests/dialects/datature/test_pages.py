"""Lists: newest first, a page at a time, forward and back, whatever happens meanwhile."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.datature import Lab

Page = dict[str, Any]


@pytest.fixture
def made(lab: Lab) -> list[str]:
    """Seven datasets, the newest first."""
    return [lab.writer.create()["id"] for _ in range(7)][::-1]


def ids(page: Page) -> list[str]:
    return [one["id"] for one in page["data"]]


def turn(lab: Lab, cursor: str | None, limit: int = 3) -> Page:
    assert cursor is not None
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    # As the client puts it together: a pair too many at the end, nothing escaped.
    return lab.writer.page(f"page={cursor}&limit={limit}&")


def test_an_empty_list_is_a_page(lab: Lab) -> None:
    assert lab.writer.page("limit=100&") == {"nextPage": None, "prevPage": None, "data": []}


def test_forward_and_back_show_the_same_pages(lab: Lab, made: list[str]) -> None:
    first = lab.writer.page("limit=3&")
    second = turn(lab, first["nextPage"])
    third = turn(lab, second["nextPage"])
    assert [ids(first), ids(second), ids(third)] == [made[:3], made[3:6], made[6:]]
    assert (first["prevPage"], third["nextPage"]) == (None, None)
    assert turn(lab, third["prevPage"]) == second
    assert turn(lab, second["prevPage"]) == first


def test_pages_stand_still_while_others_create(lab: Lab, made: list[str]) -> None:
    first = lab.writer.page("limit=3&")
    newer = [lab.writer.create()["id"] for _ in range(2)][::-1]
    second = turn(lab, first["nextPage"])
    assert ids(second) == made[3:6]
    back = turn(lab, second["prevPage"])
    assert ids(back) == made[:3]
    # What came meanwhile lies before it, and is found by going on back.
    assert ids(turn(lab, back["prevPage"])) == newer
    assert turn(lab, back["prevPage"])["prevPage"] is None
    assert ids(lab.writer.page("limit=3&")) == [*newer, made[0]]


def test_a_page_whose_rows_were_deleted_still_leads_both_ways(lab: Lab, made: list[str]) -> None:
    first = lab.writer.page("limit=3&")
    last = turn(lab, turn(lab, first["nextPage"])["nextPage"])
    assert ids(last) == made[6:]
    cursor = turn(lab, first["nextPage"])["nextPage"]
    lab.writer.ok("DELETE", f"./batch/datasets/{made[6]}")
    empty = turn(lab, cursor)
    assert (empty["data"], empty["nextPage"]) == ([], None)
    assert ids(turn(lab, empty["prevPage"])) == made[3:6]


def test_the_size_of_a_page_may_change_on_the_way(lab: Lab, made: list[str]) -> None:
    first = lab.writer.page("limit=3&")
    assert ids(turn(lab, first["nextPage"], 100)) == made[3:]


@pytest.mark.parametrize("query", ["", "limit=", "limit=100&", "limit=5000&", "&&", "other[]=a&other[]=b&", "page=&"])
def test_what_may_be_missing_or_strange_in_a_query(lab: Lab, made: list[str], query: str) -> None:
    assert ids(lab.writer.page(query)) == made


@pytest.mark.parametrize(
    "query", ["limit=0&", "limit=-1&", "limit=x&", "limit=1.0&", "limit=" + "9" * 30, "page=nonsense&", "page=a+b%3D&"]
)
def test_what_is_refused_in_a_query(lab: Lab, query: str) -> None:
    answer = lab.writer("GET", f"./batch/datasets?{query}")
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_cursor_of_another_project_is_refused(lab: Lab, made: list[str]) -> None:
    cursor = lab.writer.page("limit=3&")["nextPage"]
    lab.project = lab.new_project()
    assert lab.writer("GET", f"./batch/datasets?page={cursor}&limit=3&").status_code == 400
