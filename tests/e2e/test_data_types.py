"""Data types with a real server, its worker and the processes that examine files; by SDK and command line."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

from entrepot.client.client import Client
from tests.e2e.conftest import Cli, answer, make_tree
from tests.support.lab_files import FASTQ, corpus

FILES = {
    "reads.dat": gzip.compress(FASTQ),
    "cut.bam": corpus()["bam"][:-28],
    "brain.nii": corpus()["nifti"],
    "table.csv": b"sepal_length,species\n1.5,setosa\n",
}


def test_files_are_examined_behind_the_push(client: Client, cli: Cli, project: str, tmp_path: Path) -> None:
    cli("push", make_tree(tmp_path / "run", FILES), f"{project}/run")
    examined = {one.entry.path: one for one in client.data_types.reports(f"{project}/run")}
    until = time.monotonic() + 60
    while any(one.report is None for one in examined.values()) and time.monotonic() < until:
        task = client.data_types.check(f"{project}/run")
        client.tasks.wait(task, timeout=60)
        examined = {one.entry.path: one for one in client.data_types.reports(f"{project}/run")}
    standings = {path: one.report.standing for path, one in examined.items() if one.report is not None}
    assert standings == {"brain.nii": "good", "cut.bam": "bad", "reads.dat": "good", "table.csv": "good"}
    assert {path: one.entry.data_type for path, one in examined.items()} == {
        "brain.nii": "nifti",
        "cut.bam": "bam",
        "reads.dat": "fastq",
        "table.csv": "csv",
    }
    checked = cli("check", f"{project}/run", "--json", code=6)
    assert [(row["entry"]["path"], row["report"]["findings"][0]["code"]) for row in answer(checked)] == [
        ("cut.bam", "no_eof_block")
    ]
    shown = cli("show", f"{project}/run/reads.dat").stdout
    assert ("fastq" in shown, "good" in shown) == (True, True)
    assert [row.version.name for row in client.search("sepal_length", project=project)] == ["run"]
    cli("type", "set", f"{project}/run/reads.dat", "gzip")
    assert client.data_types.report(f"{project}/run", "reads.dat").entry.data_type == "gzip"


def test_types_are_listed_and_shown(cli: Cli) -> None:
    listed = answer(cli("type", "ls", "--json"))
    assert {"identifier": "bam", "suffixes": ["bam"]}.items() <= {one["identifier"]: one for one in listed}[
        "bam"
    ].items()
    assert "Sequencing reads" in cli("type", "show", "fastq").stdout
    cli("type", "show", "fastqq", code=3)
