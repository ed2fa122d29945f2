"""`entrepot://` for programs that speak fsspec."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import duckdb
import fsspec
import pandas
import polars
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from entrepot.client.client import Client
from entrepot.client.filesystem import EntrepotFileSystem
from tests.e2e.conftest import Counting, Running, make_tree

FILES = {
    "penguins.csv": b"species,mass\nAdelie,3750\nGentoo,5000\n",
    "raw/a.csv": b"1\n",
    "raw/deep/b.csv": b"2\n",
}


@pytest.fixture(autouse=True)
def _registered() -> None:
    """What installing does; these tests also run where Entrepot is only on the path."""
    fsspec.register_implementation("entrepot", EntrepotFileSystem, clobber=True)


@pytest.fixture
def filesystem(client: Client) -> EntrepotFileSystem:
    return EntrepotFileSystem(client=client, skip_instance_cache=True)


@pytest.fixture
def dataset(client: Client, project: str, tmp_path: Path) -> str:
    client.data.push(make_tree(tmp_path / "tree", FILES), f"{project}/penguins")
    return f"{project}/penguins"


def test_pandas_opens_an_address(server: Running, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_URL", server.url)
    monkeypatch.setenv("ENTREPOT_TOKEN", server.token)
    frame = pandas.read_csv(f"entrepot://{dataset}@1.1/penguins.csv")
    assert list(frame["mass"]) == [3750, 5000]


def test_pandas_is_told_the_server(server: Running, dataset: str) -> None:
    options = {"url": server.url, "token": server.token}
    frame = pandas.read_csv(f"entrepot://{dataset}/penguins.csv", storage_options=options)
    assert len(frame) == 2


def test_polars_reads_what_fsspec_opens(server: Running, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows only its own schemes by name, and takes an open file for every other."""
    monkeypatch.setenv("ENTREPOT_URL", server.url)
    monkeypatch.setenv("ENTREPOT_TOKEN", server.token)
    with fsspec.open(f"entrepot://{dataset}@1.1/penguins.csv") as opened:
        frame = polars.read_csv(opened)
    assert frame.filter(polars.col("mass") > 4000)["species"].to_list() == ["Gentoo"]


def test_duckdb_asks_for_an_address(filesystem: EntrepotFileSystem, dataset: str) -> None:
    with duckdb.connect() as database:
        database.register_filesystem(filesystem)
        found = database.sql(f"SELECT species, mass FROM 'entrepot://{dataset}@1.1/penguins.csv' WHERE mass > 4000")
        assert found.fetchall() == [("Gentoo", 5000)]
        both = database.sql(f"SELECT count(*) FROM read_csv('entrepot://{dataset}/raw/*.csv', header = false)")
        assert both.fetchall() == [(1,)]


def test_pyarrow_and_polars_scan_columns(
    client: Client, filesystem: EntrepotFileSystem, project: str, tmp_path: Path
) -> None:
    """Parquet is read by ranges: a footer, then the columns asked for."""
    folder = tmp_path / "parquet"
    folder.mkdir()
    for part in range(3):
        numbers = range(part * 1000, part * 1000 + 1000)
        table = pyarrow.table({"n": numbers, "text": [f"row {n}" for n in numbers]})
        pyarrow.parquet.write_table(table, folder / f"part-{part}.parquet", row_group_size=100)
    client.data.push(folder, f"{project}/columns")
    address = f"{project}/columns@1.1"
    handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))
    whole = pyarrow.parquet.read_table(f"{address}/part-1.parquet", filesystem=handler, columns=["n"])
    assert whole["n"].to_pylist() == list(range(1000, 2000))
    scanned = pyarrow.dataset.dataset(address, filesystem=handler, format="parquet")
    assert scanned.count_rows() == 3000
    assert scanned.to_table(filter=pyarrow.compute.field("n") == 2345)["text"].to_pylist() == ["row 2345"]
    lazy = polars.scan_pyarrow_dataset(scanned).filter(polars.col("n") >= 2998)
    assert lazy.collect()["text"].to_list() == ["row 2998", "row 2999"]


def test_folders_are_listed_from_projects_down(filesystem: EntrepotFileSystem, dataset: str) -> None:
    project = dataset.partition("/")[0]
    assert project in filesystem.ls("", detail=False)
    assert filesystem.ls(project, detail=False) == [dataset]
    assert sorted(filesystem.ls(dataset, detail=False)) == [f"{dataset}/penguins.csv", f"{dataset}/raw"]
    assert filesystem.ls(f"{dataset}/raw/a.csv", detail=False) == [f"{dataset}/raw/a.csv"]
    assert sorted(filesystem.find(dataset)) == sorted(f"{dataset}/{path}" for path in FILES)
    assert filesystem.glob(f"{dataset}/raw/*.csv") == [f"{dataset}/raw/a.csv"]
    assert filesystem.glob(f"{dataset}/**/b.csv") == [f"{dataset}/raw/deep/b.csv"]


def test_what_is_known_of_a_file(filesystem: EntrepotFileSystem, dataset: str) -> None:
    info = filesystem.info(f"{dataset}@1.1/raw/a.csv")
    assert (info["type"], info["size"]) == ("file", 2)
    assert filesystem.isdir(f"{dataset}/raw")
    assert filesystem.isfile(f"{dataset}/penguins.csv")
    assert not filesystem.exists(f"{dataset}/never")
    with pytest.raises(FileNotFoundError):
        filesystem.info(f"{dataset}/never")


def test_bytes_whole_and_in_ranges(filesystem: EntrepotFileSystem, dataset: str) -> None:
    path = f"{dataset}/penguins.csv"
    content = FILES["penguins.csv"]
    assert filesystem.cat(path) == content
    assert filesystem.cat_file(path, 3, 9) == content[3:9]
    assert filesystem.cat_file(path, -5) == content[-5:]
    assert filesystem.cat_ranges([path, path], [0, 8], [7, 12]) == [content[0:7], content[8:12]]
    with filesystem.open(path) as file:
        file.seek(-5, 2)
        assert file.read() == content[-5:]


def test_a_large_file_is_read_in_blocks(
    client: Client, filesystem: EntrepotFileSystem, project: str, counting: Counting, tmp_path: Path
) -> None:
    content = os.urandom(24 << 20)
    client.data.push(make_tree(tmp_path / "big", {"large.bin": content}), f"{project}/big")
    ranges: list[str] = []
    counting.before = lambda request: ranges.append(request.headers.get("Range", ""))
    for opened in (filesystem.open(f"{project}/big/large.bin"), client.data.open(f"{project}/big/large.bin")):
        with opened as file:
            file.seek(20 << 20)
            assert file.read(1000) == content[20 << 20 : (20 << 20) + 1000]
            file.seek(5)
            assert file.read(10) == content[5:15]
    asked = [
        int(end) - int(start) + 1
        for start, end in (found.removeprefix("bytes=").split("-") for found in ranges if found)
    ]
    assert sum(asked) < len(content)
    with client.data.open(f"{project}/big/large.bin") as file:
        assert file.read() == content


def test_an_open_file_stays_with_its_revision(
    client: Client, filesystem: EntrepotFileSystem, dataset: str, tmp_path: Path
) -> None:
    with filesystem.open(f"{dataset}/raw/a.csv") as before:
        client.data.push(make_tree(tmp_path / "tree", {"raw/a.csv": b"changed\n"}), dataset)
        # What the name means is asked once, so files that are read together belong together.
        assert filesystem.cat(f"{dataset}/raw/a.csv") == b"1\n"
        assert before.read() == b"1\n"
    filesystem.invalidate_cache()
    assert filesystem.cat(f"{dataset}/raw/a.csv") == b"changed\n"
    assert filesystem.cat(f"{dataset}@1.1/raw/a.csv") == b"1\n"


def test_the_same_content_is_fetched_once(filesystem: EntrepotFileSystem, dataset: str, counting: Counting) -> None:
    for _ in range(3):
        filesystem.cat(f"{dataset}/penguins.csv")
    assert sum("/files/" in path for _, path in counting.calls) == 1


def test_files_are_written_whole_as_revisions(client: Client, filesystem: EntrepotFileSystem, dataset: str) -> None:
    frame = pandas.DataFrame({"a": [1, 2]})
    with filesystem.open(f"{dataset}/new/frame.csv", "wb") as file:
        frame.to_csv(file, index=False)
    assert filesystem.cat(f"{dataset}/new/frame.csv") == b"a\n1\n2\n"
    filesystem.pipe_file(f"{dataset}/piped", b"p")
    filesystem.rm(f"{dataset}/penguins.csv")
    assert client.versions.get(dataset).revision == 4
    assert not filesystem.exists(f"{dataset}/penguins.csv")


def test_a_stranger_gets_what_programs_expect(server: Running, dataset: str) -> None:
    stranger = EntrepotFileSystem(server.url, None, skip_instance_cache=True)
    with pytest.raises((FileNotFoundError, PermissionError)):
        stranger.cat(f"{dataset}/penguins.csv")


def test_an_installed_entrepot_registers_its_protocol(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = EntrepotFileSystem.__module__
    assert project["entry-points"]["fsspec.specs"]["entrepot"] == f"{module}:EntrepotFileSystem"
