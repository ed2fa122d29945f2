"""Records over HTTP: items as they were sent, pages in both directions, what a check refused."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from entrepot.catalog.work import JobKind
from entrepot.depot import ingests, record_work
from entrepot.jobs.runner import Runner
from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def sent(site: Site, who: Client, data: bytes, **more: Any) -> str:
    made = who.made(
        "/versions",
        **{"name": "Batch", "kind": "records", "numbering": "next", "slots": [{"file_name": "b.ndjson"}], **more},
    )
    assert who.put(made["slots"][0]["url"], content=data).is_success
    who.made(f"/versions/{made['id']}/ingest")
    kinds = {ingests.JOB: JobKind(partial(ingests.run, site.depot), partial(ingests.abandoned, site.depot))}
    Runner(site.depot.catalog, kinds, queue=ingests.QUEUE, worker="test").step()
    return str(made["id"])


def reading(site: Site) -> dict[str, JobKind]:
    return {record_work.JOB: JobKind(partial(record_work.run, site.depot))}


def test_items_come_out_as_they_went_in(site: Site, alice: Client) -> None:
    version = sent(site, alice, b'{"a":1e5}\r\n{"a": 12345678901234567890123}\n')
    answer = alice.get(f"/versions/{version}/items")
    assert answer.headers["content-type"] == "application/json"
    assert b'{"n":0,"item":{"a":1e5}\r},{"n":1,"item":{"a": 12345678901234567890123}}' in answer.content
    read = answer.json()
    assert (read["version"], read["revision"], read["total"], read["next"]) == (version, 1, 2, None)
    lines = alice.get(f"/versions/{version}/items", params={"limit": 1}, headers={"Accept": "application/x-ndjson"})
    assert (lines.content, lines.headers["entrepot-next"]) == (b'{"a":1e5}\n', "1")
    assert alice.read(f"/versions/{version}/items/1")["n"] == 1
    assert alice.get(f"/versions/{version}/items/2").status_code == 404
    assert alice.get(f"/versions/{version}/records/export", params={"format": "ndjson"}).content.count(b"\n") == 2
    assert alice.get(f"/versions/{version}/records/export").text == "a\r\n100000.0\r\n12345678901234567890123\r\n"


def test_items_are_searched_sampled_counted_and_compared(site: Site, alice: Client) -> None:
    old = sent(site, alice, b"".join(b'{"id":%d,"v":%d}\n' % (i, i % 5) for i in range(50)))
    new = sent(site, alice, b"".join(b'{"id":%d,"v":%d}\n' % (i, (i == 7) + i % 5) for i in range(1, 51)))
    found = alice.read(f"/versions/{new}/items", where="v == 3 and id > 40")
    assert [row["item"]["id"] for row in found["rows"]] == [43, 48]
    refused = alice.get(f"/versions/{new}/items", params={"where": "v =="})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    one, two = (alice.read(f"/versions/{new}/records/sample", count=5, seed=3)["rows"] for _ in range(2))
    assert (one, len(one)) == (two, 5)
    stats = alice.read(f"/versions/{new}/records/statistics")
    assert [(key["path"], key["types"], key["max"]) for key in stats["keys"]] == [
        ("id", {"integer": 50}, 50),
        ("v", {"integer": 50}, 4),
    ]
    diff = alice.read(f"/versions/{new}/records/diff", by="id", base_version=old)
    assert (diff["added"], diff["removed"], diff["changed"]) == (1, 1, 1)
    assert {"change": "changed", "key": 7, "before": 7, "after": 6} in diff["rows"]


def test_a_large_question_is_a_task_and_a_table_is_kept(
    site: Site, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_work, "AT_ONCE", 100)
    version = sent(site, alice, b"".join(b'{"id":%d}\n' % i for i in range(50)))
    for what, asked in (("statistics", {}), ("diff", {"by": "id", "base_version": version})):
        begun = alice.get(f"/versions/{version}/records/{what}", params=asked)
        assert (begun.status_code, begun.json()["state"]) == (202, "ready")
        assert begun.headers["location"] == f"/api/v1/tasks/{begun.json()['id']}"
        Runner(site.depot.catalog, reading(site), queue=record_work.QUEUE, worker="test").step()
        result = alice.read(f"/tasks/{begun.json()['id']}")["result"]
        assert result.items() <= alice.read(f"/versions/{version}/records/{what}", **asked).items()
    address = f"/versions/{version}/records/export"
    assert alice.get(address, params={"format": "parquet"}).status_code == 202
    Runner(site.depot.catalog, reading(site), queue=record_work.QUEUE, worker="test").step()
    whole = alice.get(address, params={"format": "parquet"})
    assert (whole.status_code, whole.content[:4]) == (200, b"PAR1")
    assert 'filename="batch.parquet"' in whole.headers["content-disposition"]
    part = alice.get(address, params={"format": "parquet"}, headers={"Range": "bytes=-4"})
    assert (part.status_code, part.content) == (206, b"PAR1")
    assert alice.get(address, params={"format": "xlsx"}).status_code == 422


def test_bad_lines_are_told_as_json_and_as_text(site: Site, alice: Client) -> None:
    version = sent(site, alice, b'{"a":1}\n{"a":1,"a":2}\nx\n')
    told = alice.read(f"/versions/{version}/rejects")
    assert (told["bad_lines"], [bad["line"] for bad in told["errors"]]) == (2, [2, 3])
    text = alice.get(f"/versions/{version}/rejects", params={"format": "text"}).text
    assert text.splitlines()[1] == 'b.ndjson:2: Line 2 has the key "a" twice in one object. (byte 8) {"a":1,"a":2}'
    assert site.person("bob").get(f"/versions/{version}/rejects").status_code == 404
    waiting = alice.made("/versions", name="W", kind="records", slots=[{"file_name": "b.ndjson"}])["id"]
    assert alice.get(f"/versions/{waiting}/rejects").status_code == 404


def test_lists_are_leafed_through_in_both_directions_with_what_expired(site: Site, alice: Client) -> None:
    made = [
        alice.made("/versions", name=f"r{i}", kind="records", slots=[{"file_name": "a.ndjson"}])["id"] for i in range(5)
    ]
    alice.version("other")
    first = alice.read("/records", limit=2)
    second = alice.read("/records", limit=2, cursor=first["next"])
    assert [row["id"] for row in first["rows"] + second["rows"]] == made[:0:-1]
    assert first["previous"] is None
    assert alice.read("/records", limit=2, cursor=second["previous"])["rows"] == first["rows"]
    alice.patch(f"/versions/{made[0]}", json={"expires_at": (site.clock.at).isoformat()})
    from entrepot.depot import upkeep

    assert upkeep.expire(site.depot) == 1
    assert len(alice.read("/records")["rows"]) == 4
    shown = alice.read("/records", show_expired=True)["rows"]
    assert (len(shown), shown[-1]["trash"]["reason"]) == (5, "expired")
    assert json.dumps(shown)
