"""What files of the Flow door are taken for, and a project that refuses bad ones with the last chunk."""

from __future__ import annotations

from entrepot.datatypes.examine import examine
from entrepot.depot import projects
from entrepot.depot.projects import ProjectChanges
from tests.support.flow import Lab
from tests.support.identity import ADMIN_PASSWORD

GOOD = b"@r1\nACGT\n+\nIIII\n"
BAD = b"@r1\nACGT\n+\nIII\n"


def test_a_file_is_taken_for_what_its_bytes_are(lab: Lab) -> None:
    made = lab.writer.upload(GOOD, "reads.dat", size=10)
    found = lab.writer("GET", f"/data/{made}").json()
    assert found["data_type"]["identifier"] == "fastq"


def test_a_bad_file_is_refused_with_its_last_chunk(lab: Lab) -> None:
    admin = lab.site.world.login("admin", ADMIN_PASSWORD)
    projects.update(lab.depot, admin, lab.project, ProjectChanges(settings={"refuse_invalid": True}))
    lab.depot.examiner = lambda source, kind: examine(source, kind, lab.depot.types)
    first = lab.writer.chunk(BAD[:8], filename="reads.fastq", last=False).json()["data_id"]
    refused = lab.writer.chunk(BAD[8:], offset=8, filename="reads.fastq", data=first)
    assert refused.status_code == 400
    assert "has 4 bases and 3 qualities, on line 4" in refused.text
    assert lab.writer("GET", f"/data/{first}").status_code == 404
    made = lab.writer.upload(GOOD, "reads.fastq", size=10)
    assert lab.writer.bytes_of(made, "reads.fastq") == GOOD
