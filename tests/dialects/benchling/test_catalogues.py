"""The door over PostgreSQL: what it asks the catalogue that no other door asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from entrepot.model import ids
from entrepot.model.ids import Noun
from tests.support.benchling import CSV, Lab, open_lab
from tests.support.postgres import PostgresServer


@pytest.fixture
def lab(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield open_lab(tmp_path, stack, postgres=lambda: postgres_server)


def test_frames_and_lists_on_postgresql(lab: Lab) -> None:
    made = lab.writer.ok("POST", "/api/v2/data-frames", {"name": "frame", "manifest": [{"fileName": "a.csv"}]})
    lab.put(made, CSV)
    lab.writer.start(made)
    lab.work()
    assert lab.read(lab.writer.get(made["id"])) == {"a.csv": CSV}
    dataset = made["id"].replace("dset_", "dataset_")

    def found(query: str) -> list[str]:
        answer = lab.writer.ok("GET", f"/api/v2/datasets?{query}")
        return [one["name"] for one in answer["datasets"]]

    assert found(f"ids={dataset}") == []
    lab.writer.ok("POST", "/api/v2/datasets", {"dataFrameId": made["id"], "folderId": lab.project, "name": "Birds"})
    native = lab.site.by_token("writer")
    others = [native.version(name, project=lab.project) for name in ("a", "b", "c")]
    here = f"folderId={lab.project}"
    assert found(f"{here}&sort=name") == ["Birds", "a", "b", "c"]
    first = lab.writer.ok("GET", f"/api/v2/datasets?{here}&sort=modifiedAt&pageSize=3")
    assert [one["name"] for one in first["datasets"]] == ["c", "b", "a"]
    assert found(f"{here}&sort=modifiedAt&pageSize=3&nextToken={first['nextToken']}") == ["Birds"]
    me = first["datasets"][0]["creator"]["id"]
    filters = {
        "displayIds=birds.v1,a.v1,b": ["Birds", "a"],
        "names.anyOf=BIRDS,A": ["Birds", "a"],
        "names.anyOf.caseSensitive=BIRDS,a": ["a"],
        "nameIncludes=IRD": ["Birds"],
        "names.anyOf=ÉCLAIRS ΩΜΕΓΑ,B": ["b", "éclairs Ωμεγα"],
        "names.anyOf.caseSensitive=Éclairs Ωμεγα": [],
        "nameIncludes=Éclairs ω": ["éclairs Ωμεγα"],
        f"creatorIds={me}&name=b": ["b"],
        "createdAt=> 2020-01-01&modifiedAt=< 2020-01-01": [],
    }
    native.version("éclairs Ωμεγα", project=lab.project)
    assert {query: found(f"{here}&sort=name&{query}") for query in filters} == filters
    archived = [ids.benchling_dataset(ids.decode(Noun.VERSION, one)) for one in others[:2]]
    lab.writer.ok("POST", "/api/v2/datasets:archive", {"datasetIds": archived[:1], "reason": "Archived"})
    lab.writer.ok("POST", "/api/v2/datasets:archive", {"datasetIds": archived, "reason": "Other"})
    assert found(f"{here}&archiveReason=Archived") == ["a"]
    assert found(f"{here}&archiveReason=OTHER") == ["b"]
    lab.writer.ok("POST", "/api/v2/datasets:unarchive", {"datasetIds": archived})
    assert len(found(here)) == 5
