"""Archives through the SDK and the command line: sent once, unpacked by the server, all of them or nothing."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from entrepot.client.client import Client
from entrepot.model.errors import Invalid, NotFound, Unsupported
from tests.e2e.conftest import Cli, answer
from tests.support.hostile_archives import CORPUS, tarred, zipped

MEMBERS = {"a.txt": b"a", "b/c.bin": bytes(range(256)) * 100}


def archive(folder: Path, name: str, body: bytes) -> Path:
    place = folder / name
    place.write_bytes(body)
    return place


def test_an_archive_becomes_a_dataset_and_another_is_added(client: Client, project: str, tmp_path: Path) -> None:
    first = archive(tmp_path, "one.tar.gz", gzip.compress(tarred(MEMBERS)))
    made = client.data.unpack(first, f"{project}/tree", description="both")
    assert (made.state, made.revision, made.number, made.description) == ("ready", 1, 1, "both")
    assert client.data.read_bytes(f"{project}/tree", "b/c.bin") == MEMBERS["b/c.bin"]
    more = client.data.unpack(archive(tmp_path, "two.zip", zipped({"d.txt": b"d"})), f"{project}/tree")
    assert (more.id, more.revision) == (made.id, 2)
    assert {one.path for one in client.data.list(f"{project}/tree")} == {*MEMBERS, "d.txt"}


def test_what_is_refused_adds_nothing(client: Client, project: str, tmp_path: Path) -> None:
    made = client.data.from_bytes(b"x", "kept", "kept.txt", project=project)
    hostile = CORPUS["zip twice"]
    with pytest.raises(Invalid, match="twice"):
        client.data.unpack(archive(tmp_path, "x.zip", hostile.body), made)
    assert client.versions.get(made).revision == made.revision
    with pytest.raises(Invalid, match="kept"):
        client.data.unpack(archive(tmp_path, "y.zip", zipped({"kept.txt": b"other"})), made)
    assert client.data.read_bytes(made, "kept.txt") == b"x"
    with pytest.raises(Unsupported):
        client.data.unpack(archive(tmp_path, "reads.bam", b"x"), made)
    with pytest.raises(NotFound):
        client.data.unpack(archive(tmp_path, "z.zip", zipped({"a": b""})), f"{project}/kept@7")
    with pytest.raises(Invalid):
        client.data.unpack(tmp_path / "z.zip", f"{project}/kept@1.1")


def test_on_the_command_line(cli: Cli, project: str, tmp_path: Path) -> None:
    archive(tmp_path, "tree.zip", zipped({**MEMBERS, "A.txt": b"other"}))
    done = cli("push", "--unpack", "tree.zip", f"{project}/tree", "--json")
    told = answer(done)
    assert (told["revision"], told["files"], told["clashes"]) == (1, 3, [["a.txt", "A.txt"]])
    assert "differ by case" in done.stderr
    assert "3 files" in cli("push", "--unpack", "tree.zip", f"{project}/again").stdout
    archive(tmp_path, "bad.zip", CORPUS["zip leads out"].body)
    refused = cli("push", "--unpack", "bad.zip", f"{project}/bad", code=None)
    assert refused.returncode != 0
    assert "passwd" in refused.stderr
    assert cli("push", "--unpack", "--keep", "tree.zip", f"{project}/tree", code=None).returncode != 0
