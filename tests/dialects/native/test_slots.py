"""Slots: files that a version waits for, put to signed URLs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from crc32c import crc32c

from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def waiting(who: Client, *slots: dict[str, Any]) -> Any:
    return who.made("/versions", name="table", kind="table", slots=list(slots))


def test_a_table_waits_for_its_files_and_says_how_far_it_is(site: Site, alice: Client) -> None:
    body = b"a,b\n1,2\n"
    crc = base64.b64encode(crc32c(body).to_bytes(4, "big")).decode()
    made = waiting(alice, {"file_name": "a.csv", "length": len(body), "crc32c": crc}, {"file_name": "b.csv"})
    assert (made["state"], made["number"]) == ("empty", None)
    first, second = made["slots"]
    assert (first["file_name"], first["method"], first["state"], first["received"]) == ("a.csv", "PUT", "waiting", 0)
    put = site.anonymous.put(first["url"], content=body)
    assert (put.status_code, put.content) == (200, b"")
    assert alice.read(f"/versions/{made['id']}")["state"] == "receiving"
    rows = alice.read(f"/versions/{made['id']}/slots")["rows"]
    assert [(row["state"], row["received"]) for row in rows] == [("full", len(body)), ("waiting", 0)]
    assert site.anonymous.put(second["url"], content=b"x").status_code == 200
    assert site.anonymous.put(second["url"], content=b"y").status_code == 200, "a repeat replaces"


def test_a_bad_put_says_why_under_both_names_and_changes_nothing(site: Site, alice: Client) -> None:
    made = waiting(alice, {"file_name": "a.csv", "length": 3})
    url = made["slots"][0]["url"]
    refused = site.anonymous.put(url, content=b"four")
    assert refused.status_code == 400
    assert refused.json()["message"] == refused.json()["error"]["message"]
    changed = site.anonymous.put(url + "x", content=b"one")
    assert changed.status_code == 403
    assert site.anonymous.get(url).status_code == 403
    assert site.anonymous.post(url).status_code == 405
    assert alice.read(f"/versions/{made['id']}/slots")["rows"][0]["state"] == "waiting"
    assert list(site.depot.staging.keys()) == []


def test_a_form_around_the_file_is_taken_off(site: Site, alice: Client) -> None:
    made = waiting(alice, {"file_name": "a.csv"})
    put = site.anonymous.put(made["slots"][0]["url"], files={"file": ("a.csv", b"a\n1\n")})
    assert put.status_code == 200, put.text
    assert alice.read(f"/versions/{made['id']}/slots")["rows"][0]["received"] == 4


def test_urls_end_and_are_given_anew(site: Site, alice: Client) -> None:
    made = waiting(alice, {"file_name": "a.csv"})
    site.clock.move(hours=13)
    assert site.anonymous.put(made["slots"][0]["url"], content=b"x").status_code == 403
    assert alice.read(f"/versions/{made['id']}/slots")["rows"][0]["url"] is None
    fresh = alice.read(f"/versions/{made['id']}/slots", renew="true")["rows"][0]["url"]
    assert site.anonymous.put(fresh, content=b"x").status_code == 200


def test_slots_are_refused_as_a_whole(alice: Client) -> None:
    for slots in ([{"file_name": "a"}, {"file_name": "a"}], [{"file_name": "../a"}], []):
        refused = alice.post("/versions", json={"name": "t", "kind": "table", "slots": slots})
        assert refused.status_code == 422, refused.text
    assert alice.read("/versions", trashed="include")["rows"] == []


def test_an_ingest_needs_all_files(site: Site, alice: Client) -> None:
    made = waiting(alice, {"file_name": "a.csv"})
    refused = alice.post(f"/versions/{made['id']}/ingest")
    assert refused.status_code in (415, 422)
    assert alice.read(f"/versions/{made['id']}/ingests")["rows"] == []
    assert site.person("bob").get(f"/versions/{made['id']}/slots").status_code == 404
