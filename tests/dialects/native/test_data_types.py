"""Data types over the native API: which there are, what an entry is declared and taken to be, and its report."""

from __future__ import annotations

import pytest

from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def test_the_types_are_listed(alice: Client) -> None:
    rows = alice.read("/data-types")["rows"]
    assert [row["identifier"] for row in rows][:2] == ["fastq", "fasta"]
    assert alice.read("/data-types/BAM")["name"] == "BAM"
    refused = alice.get("/data-types/bamm")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "Did you mean bam" in refused.json()["detail"]


def test_a_declared_type_is_kept_whatever_the_bytes_are(alice: Client) -> None:
    version = alice.version()
    put = alice.put(f"/versions/{version}/files/a.txt", content=b"no alignment", params={"data_type": "BAM"})
    assert put.status_code == 201
    assert alice.read(f"/versions/{version}/entry", path="a.txt")["data_type"] == "bam"


def test_a_declared_type_that_nobody_knows_is_refused(alice: Client) -> None:
    version = alice.version()
    put = alice.put(f"/versions/{version}/files/a.txt", content=b"x", params={"data_type": "bamm"})
    assert (put.status_code, put.json()["code"]) == (422, "invalid")
    assert "Did you mean bam" in put.json()["detail"]
