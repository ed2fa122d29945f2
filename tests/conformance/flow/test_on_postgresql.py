"""A walk of the unmodified client through a server on PostgreSQL that fetches samples: the least that a lab needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.flow.clients import Client, driven, file, require_client
from tests.support.postgres import PostgresServer
from tests.support.reads_archive import Archive, reads_archive
from tests.support.server import ADMIN_PASSWORD, Server, running_server, wait_until

ADMIN = {"username": "admin", "password": ADMIN_PASSWORD}
RUNS = {
    "ERR1160845": {"ERR1160845_1.fastq": b"@r\nACGT\n+\nIIII\n", "ERR1160845_2.fastq": b"@r\nTGCA\n+\nIIII\n"},
    "SRR999999": {"SRR999999.fastq": b"@s\nAC\n+\nII\n"},
}


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with reads_archive() as made:
        made.runs = RUNS
        yield made


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, archive: Archive
) -> Iterator[Server]:
    require_client()
    databases: PostgresServer = request.getfixturevalue("postgres_server")
    with databases.database() as name:
        settings = [f"database={databases.url(name)}", f"policy.sample_source={archive.report}"]
        with running_server(tmp_path_factory.mktemp("server"), settings=settings) as made:
            yield made


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    """With a token of an hour, as the client itself would have: its command line logs in by name only at a terminal."""
    url = f"{server.url}/flow/api"
    token = httpx2.post(f"{url}/login", json=ADMIN, timeout=60).json()["token"]
    with driven(url, {"token": token}) as made:
        yield made


def test_a_lab_logs_in_uploads_describes_a_sample_and_finds_it(client: Client, tmp_path: Path) -> None:
    by_name = client.but(login=ADMIN, chunk_size=2_000)
    assert by_name.get("/me")["username"] == "admin"
    content = b"gene\tcount\n" * 500
    path = file(tmp_path, content, "postgres.tsv")
    made = by_name("data.upload_data", path)
    assert [one["id"] for one in client.get("/data/search", filename="postgres")["data"]] == [made["id"]]
    assert client.get(f"/data/{made['id']}")["size"] == len(content)
    reads = {"reads1": f"file:{file(tmp_path, RUNS['SRR999999']['SRR999999.fastq'], 'r.fastq')}"}
    sample = client("samples.upload_sample", "Mine", "rna-seq", reads, metadata={"strandedness": "reverse"})
    assert [one["id"] for one in client.get("/samples/search", name="Mine")["samples"]] == [sample["id"]]
    assert client.get(f"/samples/{sample['id']}")["metadata"] == {"strandedness": "reverse"}


def test_the_command_line_imports_samples_and_says_how_far_it_is(
    server: Server, client: Client, tmp_path: Path
) -> None:
    def imported(sheet: bytes) -> str:
        begun = client.command("samples", "import", "--sheet", str(file(tmp_path, sheet, "runs.csv")), "--json")
        assert begun.returncode == 0, begun.stderr
        found: str = json.loads(begun.stdout)["id"]
        return found

    def ended(job: str) -> tuple[int, dict[str, Any]]:
        wait_until(lambda: client("samples.get_import", job)["status"] != "RUNNING", "it is imported")
        done = client.command("samples", "import-status", "--job-id", job, "--json")
        return done.returncode, json.loads(done.stdout)

    sheet = b"accession,sample_type,name,organism,pubmed,source\n"
    code, told = ended(imported(sheet + b"ERR1160845,rna-seq,,9606,123,liver\nSRR999999,generic,second,,,\n"))
    assert (code, told["status"], told["error"]) == (0, "COMPLETED", None)
    shown = [client.get(f"/samples/{one}") for one in told["sample_ids"]]
    assert [one["name"] for one in shown] == ["ERR1160845", "second"]
    assert [[one["filename"] for one in sample["data"]] for sample in shown] == [list(files) for files in RUNS.values()]
    assert shown[0]["metadata"] == {"source": "liver", "pubmed": "123"}
    code, told = ended(imported(sheet + b"ERR7777777,generic,,,,\n"))
    assert (code, told["status"], told["sample_ids"]) == (1, "FAILED", [])
    assert "knows no run ERR7777777" in told["error"]
    wrong = file(tmp_path, sheet + b"nonsense,generic,,,,\n", "wrong.csv")
    refused = client.command("samples", "import", "--sheet", str(wrong), "--json")
    assert refused.returncode == 5
    assert "nonsense" in refused.stderr
    missing = client.command("samples", "import-status", "--job-id", "999999", "--json")
    assert missing.returncode == 4
