"""Samples by accession: fetched from where the operator says, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.catalog.schema import upload
from entrepot.datatypes.examine import examine
from entrepot.depot import background, browse, projects, sample_imports
from entrepot.depot.browse import Wanted
from entrepot.depot.projects import ProjectChanges
from entrepot.jobs.runner import Runner
from entrepot.model import ids
from tests.support.flow import Lab, error_of, open_lab
from tests.support.identity import ADMIN_PASSWORD
from tests.support.reads_archive import Archive, reads_archive

READS = {"ERR1160845_1.fastq.gz": b"one", "ERR1160845_2.fastq.gz": b"two" * 1000}
SPEC = {"accession": "ERR1160845", "sample_type": "RNA-Seq"}


@pytest.fixture(scope="module")
def shared_archive() -> Iterator[Archive]:
    with reads_archive() as archive:
        yield archive


@pytest.fixture
def archive(shared_archive: Archive) -> Archive:
    shared_archive.runs = {"ERR1160845": READS, "SRR999999": {"SRR999999.fastq.gz": b"single"}}
    shared_archive.sums, shared_archive.broken, shared_archive.busy = {}, set(), 0
    shared_archive.asked.clear()
    return shared_archive


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, shared_archive: Archive) -> Iterator[Lab]:
    with ExitStack() as stack:
        settings = {"policy.sample_source": shared_archive.report}
        yield open_lab(tmp_path_factory.mktemp("lab"), stack, **settings)


def work(lab: Lab) -> None:
    runner = Runner(lab.depot.catalog, background.kinds(lab.depot), queue=sample_imports.QUEUE, worker="test")
    while runner.step():
        pass


def asked(lab: Lab, *specs: dict[str, Any]) -> Any:
    """An import of these, to its end."""
    begun = lab.writer.ok("POST", "/v2/sample-imports", {"imports": list(specs)})
    assert begun["status"] == "RUNNING"
    assert begun["accessions"] == [one["accession"] for one in specs]
    work(lab)
    return lab.writer.ok("GET", f"/v2/sample-imports/{begun['id']}")


def versions_of(lab: Lab) -> list[str]:
    wanted = Wanted(project=lab.project)
    return [one.version.name for one in browse.list_versions(lab.depot, lab.site.world.login("writer"), wanted).rows]


def test_runs_become_samples_in_their_order(lab: Lab, archive: Archive) -> None:
    more = {"accession": "SRR999999", "sample_type": "generic", "name": "mine", "organism": "Hs", "pubmed": "123"}
    done = asked(lab, SPEC, {**more, "project": str(lab.project), "metadata": {"source": "liver"}})
    assert (done["status"], done["error"], done["execution_id"]) == ("COMPLETED", None, None)
    for name in ("created", "started", "finished"):
        assert datetime.fromisoformat(done[name]).tzinfo is not None
    first, second = (lab.reader.ok("GET", f"/samples/{one}") for one in done["sample_ids"])
    assert (first["name"], first["sample_type"]) == ("ERR1160845", "rna-seq")
    assert [one["filename"] for one in first["data"]] == list(READS)
    assert lab.reader.bytes_of(first["data"][1]["id"], "ERR1160845_2.fastq.gz") == b"two" * 1000
    assert (second["name"], second["organism"]) == ("mine", "9606")
    assert second["metadata"] == {"source": "liver", "pubmed": "123"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda archive: archive.runs.pop("SRR999999"), "knows no run SRR999999"),
        (lambda archive: archive.runs.update(SRR999999={}), "no files"),
        (lambda archive: archive.broken.add("SRR999999.fastq.gz"), "answers 404"),
        (lambda archive: archive.sums.update({"SRR999999.fastq.gz": "0" * 32}), "MD5"),
        (lambda archive: archive.sums.update({"SRR999999.fastq.gz": "?"}), "no MD5"),
    ],
)
def test_what_cannot_be_fetched_fails_the_whole_import(lab: Lab, archive: Archive, change: Any, says: str) -> None:
    change(archive)
    done = asked(lab, SPEC, {"accession": "SRR999999", "sample_type": "generic"})
    assert (done["status"], done["sample_ids"]) == ("FAILED", [])
    assert says in done["error"]
    assert versions_of(lab) == []


GOOD, BAD = b"@r\nACGT\n+\nIIII\n", b"@r\nACGT\n+\nIII\n"


def test_a_project_that_refuses_bad_files_refuses_the_whole_import(
    lab: Lab, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its files is bad: the good run before it leaves nothing either."""
    admin = lab.site.world.login("admin", ADMIN_PASSWORD)
    projects.update(lab.depot, admin, lab.project, ProjectChanges(settings={"refuse_invalid": True}))
    monkeypatch.setattr(lab.depot, "examiner", lambda source, kind: examine(source, kind, lab.depot.types))
    bad = {"SRR999999_1.fastq": GOOD * 2, "SRR999999_2.fastq": BAD}
    archive.runs = {"ERR1160845": {"ERR1160845.fastq": GOOD}, "SRR999999": bad}
    runs = [SPEC, {"accession": "SRR999999", "sample_type": "generic"}]
    done = asked(lab, *runs)
    assert (done["status"], done["sample_ids"]) == ("FAILED", [])
    assert "SRR999999_2.fastq" in done["error"]
    assert "has 4 bases and 3 qualities, on line 4" in done["error"]
    assert versions_of(lab) == []
    with lab.depot.catalog.read() as conn:
        fetched = select(upload.c.state, upload.c.content).where(upload.c.file_name.like(f"{_job(done)}/%"))
        assert [tuple(one) for one in conn.execute(fetched)] == [("aborted", None)] * 3
    bad["SRR999999_2.fastq"] = GOOD
    assert asked(lab, *runs)["status"] == "COMPLETED"
    assert versions_of(lab) == ["SRR999999", "ERR1160845"]


def _job(shown: dict[str, Any]) -> int:
    """What files of this import are marked with while they wait."""
    return ids.parse_flow_data(shown["id"])


def test_an_attempt_goes_on_with_what_is_here_already(lab: Lab, archive: Archive) -> None:
    begun = lab.writer.ok("POST", "/v2/sample-imports", {"imports": [SPEC]})
    kept = dict(archive.runs["ERR1160845"])
    # The worker dies at the second file: here it is an archive that is busy after the first.
    archive.runs["ERR1160845"] = {name: kept[name] for name in list(kept)}
    original = sample_imports._fetch
    calls: list[str] = []

    def dying(*what: Any) -> Any:
        calls.append(what[4].name)
        if len(calls) == 2:
            archive.busy = 1
        return original(*what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_imports, "_fetch", dying)
        work(lab)
    assert lab.writer.ok("GET", f"/v2/sample-imports/{begun['id']}")["status"] == "RUNNING"
    archive.asked.clear()
    lab.site.clock.move(hours=1)
    work(lab)
    assert lab.writer.ok("GET", f"/v2/sample-imports/{begun['id']}")["status"] == "COMPLETED"
    assert not any("_1.fastq" in one for one in archive.asked)
    assert versions_of(lab) == ["ERR1160845"]


@pytest.mark.parametrize(
    "imports",
    [
        None,
        [],
        ["x"],
        [{"accession": "ERR1160845"}],
        [{**SPEC, "accession": "../../etc/passwd"}],
        [{**SPEC, "sample_type": "nothing"}],
        [{**SPEC, "organism": "Unicorn"}],
        [{**SPEC, "project": "999999"}],
        [{**SPEC, "metadata": {"strandedness": "up"}}],
        [{**SPEC, "metadata": [1]}],
        [{**SPEC, "pubmed": "x"}],
        [{**SPEC, "name": 5}],
    ],
)
def test_what_cannot_be_asked_for(lab: Lab, archive: Archive, imports: Any) -> None:
    refused = lab.writer("POST", "/v2/sample-imports", {"imports": imports})
    assert refused.status_code == 400
    assert archive.asked == []


def test_imports_are_for_those_who_may_write_and_seen_by_those_who_may_read(lab: Lab, archive: Archive) -> None:
    assert lab.anonymous("POST", "/v2/sample-imports", {"imports": [SPEC]}).status_code == 401
    assert lab.reading("POST", "/v2/sample-imports", {"imports": [SPEC]}).status_code == 403
    other = {**SPEC, "project": str(lab.project)}
    assert lab.reader("POST", "/v2/sample-imports", {"imports": [other]}).status_code == 403
    done = asked(lab, other)
    assert lab.reader.ok("GET", f"/v2/sample-imports/{done['id']}") == done
    assert lab.outsider("GET", f"/v2/sample-imports/{done['id']}").status_code == 404
    assert lab.writer("GET", "/v2/sample-imports/999999").status_code == 404


def test_without_an_address_it_is_refused_and_the_setting_named(fresh_lab: Lab) -> None:
    refused = fresh_lab.writer("POST", "/v2/sample-imports", {"imports": [SPEC]})
    assert refused.status_code == 400
    assert "policy.sample_source" in error_of(refused)


def test_a_link_of_the_report_into_this_network_is_not_followed(lab: Lab, archive: Archive) -> None:
    """Only the host that the operator named may be anywhere."""
    archive.runs["ERR1160845"] = {"x.fastq.gz": b"x"}
    with pytest.MonkeyPatch.context() as patch:
        table = archive.table("ERR1160845").replace(b"127.0.0.1", b"127.0.0.2")
        patch.setattr(type(archive), "table", lambda *_: table)
        done = asked(lab, SPEC)
    assert done["status"] == "FAILED"
    assert not any(one.startswith("/vol1") for one in archive.asked)
