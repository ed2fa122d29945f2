"""Tables over HTTP: columns, rows, other forms, differences, queries, and what a check refused."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from entrepot.catalog.work import JobKind
from entrepot.depot import ingests, tables
from entrepot.jobs.runner import Runner
from tests.support import tables as support
from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site, tmp_path: Path) -> Client:
    support.equip(site, tmp_path)  # type: ignore[arg-type]
    return site.person("alice")


def work(site: Site) -> None:
    depot = site.depot
    kinds = {
        ingests.JOB: JobKind(partial(ingests.run, depot), partial(ingests.abandoned, depot)),
        tables.SORT_JOB: JobKind(partial(tables.sort, depot)),
    }
    runner = Runner(depot.catalog, kinds, queue=ingests.QUEUE, worker="test")
    while runner.step():
        pass


def sent(site: Site, who: Client, data: bytes, name: str = "T", file: str = "t.csv", **more: Any) -> str:
    made = who.made("/versions", name=name, kind="table", numbering="next", slots=[{"file_name": file}], **more)
    assert who.put(made["slots"][0]["url"], content=data).is_success
    who.made(f"/versions/{made['id']}/ingest")
    work(site)
    return str(made["id"])


def test_a_table_is_read_in_every_way(site: Site, alice: Client) -> None:
    version = sent(site, alice, b"id,name,at\n1,x,2024-05-01T10:00:00+02:00\n2,,2024-05-02T10:00:00Z\n")
    schema = alice.read(f"/versions/{version}/table")
    assert [(one["name"], one["type"], one["nullable"]) for one in schema["columns"]] == [
        ("id", "Int", False),
        ("name", "String", True),
        ("at", "DateTime", False),
    ]
    assert schema["table_schema"]["fields"][0] == {"name": "id", "type": "integer", "constraints": {"required": True}}
    page = alice.read(f"/versions/{version}/rows", limit=1)
    assert (page["rows"], page["total"], page["next"]) == (
        [{"n": 0, "values": [1, "x", "2024-05-01T08:00:00Z"]}],
        2,
        1,
    )
    assert alice.read(f"/versions/{version}/rows", where="name is null", column="id")["rows"] == [
        {"n": 1, "values": [2]}
    ]
    making = alice.get(f"/versions/{version}/rows", params={"sort": "-id"})
    assert (making.status_code, making.json()["code"]) == (409, "in_progress")
    work(site)
    assert [row["n"] for row in alice.read(f"/versions/{version}/rows", sort="-id")["rows"]] == [1, 0]
    answer = alice.get(f"/versions/{version}/table/export", params={"format": "csv", "column": ["name", "id"]})
    assert answer.text.splitlines() == ['"name","id"', '"x",1', ",2"]
    assert answer.headers["content-disposition"] == 'attachment; filename="t.csv"'
    stats = alice.read(f"/versions/{version}/table/statistics", column="id")
    assert [(one["name"], one["min"], one["max"]) for one in stats["columns"]] == [("id", 1, 2)]


def test_queries_answer_in_json_and_arrow(site: Site, alice: Client) -> None:
    version = sent(site, alice, b"id,v\n1,10\n2,20\n")
    wanted = {"sql": "SELECT sum(v) AS s FROM t", "tables": {"t": version}}
    answer = alice.post("/tables/query", json=wanted)
    assert answer.json() == {"columns": ["s"], "rows": [[30]], "more": False}
    arrow = alice.post("/tables/query", json=wanted, headers={"Accept": "application/vnd.apache.arrow.stream"})
    assert pa.ipc.open_stream(io.BytesIO(arrow.content)).read_all().to_pylist() == [{"s": 30}]
    for sql in ("DROP TABLE t", "SELECT * FROM read_csv('/etc/passwd')"):
        refused = alice.post("/tables/query", json={**wanted, "sql": sql})
        assert refused.status_code in (415, 422, 501), refused.text


def test_refused_rows_are_told_as_json_text_and_file(site: Site, alice: Client) -> None:
    version = sent(site, alice, b"a,b\n1,2\n3\n", declared=[{"type": "Int"}, {"type": "Int"}])
    said = alice.read(f"/versions/{version}/table/rejects")
    assert (said["rejected_rows"], said["by_rule"]) == (1, {"fields": 1})
    assert said["errors"][0]["detail"] == "Row 2 has 1 fields, 2 are expected."
    text = alice.get(f"/versions/{version}/table/rejects", params={"format": "text"})
    assert "t.csv:2: Row 2 has 1 fields" in text.text
    file = alice.get(f"/versions/{version}/table/rejects", params={"format": "file"})
    assert file.json()["row"] == 2


def test_differences_name_changed_cells(site: Site, alice: Client) -> None:
    old = sent(site, alice, b'{"id":1,"v":"a"}\n{"id":2,"v":"b"}\n', file="t.ndjson")
    new = sent(site, alice, b'{"id":2,"v":"c"}\n', file="t.ndjson")
    said = alice.read(f"/versions/{new}/table/diff", by="id", base_version=old)
    assert (said["added"], said["removed"], said["changed_cells"]) == (0, 1, {"v": 1})
