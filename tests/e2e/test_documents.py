"""The examples of the documentation, run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

import entrepot
from entrepot.client.filesystem import EntrepotFileSystem
from tests.e2e.conftest import Running, environment, make_tree
from tests.support.pages import blocks


@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial is written for a POSIX shell")
def test_the_tutorial(server: Running, root: Path, tmp_path: Path) -> None:
    """Every command of it, in one shell; the server of the tests stands in for the one that it starts."""
    shell, python = [], []
    for block in blocks(root / "docs/tutorial/first-dataset.md"):
        if block.startswith("import "):
            python.append(block)
        elif "entrepot serve" not in block:
            shell.append(block)
    script = "\n".join(
        [
            "set -e",
            f'entrepot() {{ "{sys.executable}" -m entrepot.cli.main "$@"; }}',
            f'python3() {{ "{sys.executable}" "$@"; }}',
            *shell,
        ]
    )
    script = script.replace("http://127.0.0.1:8080", server.url).replace("./depot", str(server.data))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "> README.txt -> ABOUT.txt" in done.stdout
    assert "3 revision" not in done.stderr
    assert (tmp_path / "as-it-was" / "README.txt").read_text() == "Measured at Palmer Station.\n"
    assert python
    fsspec.register_implementation("entrepot", EntrepotFileSystem, clobber=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTREPOT_URL", server.url)
        patch.setenv("ENTREPOT_TOKEN", server.token)
        names: dict[str, object] = {}
        for block in python:
            exec(compile(block, "tutorial", "exec"), names)
    assert [len(names["old"]), len(names["new"])] == [2, 3]  # type: ignore[arg-type]


def test_the_examples_of_the_sdk(server: Running, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of the page that is Python, in order, against a server that has what they speak of."""
    make_tree(tmp_path / "penguins", {"penguins.csv": b"species,body_mass_g\nAdelie,3750\nGentoo,5400\n"})
    (tmp_path / "columns").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"n": [1, 2, 3]}), tmp_path / "columns" / "part.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENTREPOT_URL", server.url)
    monkeypatch.setenv("ENTREPOT_TOKEN", server.token)
    fsspec.register_implementation("entrepot", EntrepotFileSystem, clobber=True)
    with entrepot.Client() as client:
        client.projects.create("SDK examples", slug="sdk-lab")
        client.data.push(tmp_path / "columns", "sdk-lab/columns")
        names: dict[str, object] = {"token": server.token, "client": client, "entrepot": entrepot}
        for number, block in enumerate(blocks(root / "docs/reference/sdk.md")):
            source = block.replace("https://data.example.org", server.url).replace("lab/", "sdk-lab/")
            source = source.replace('project="lab"', 'project="sdk-lab"').replace("@3.17", "@1.1")
            if "versions.create(" in source:
                # The dataset is there by then; the page shows how another one would be made.
                source = source.replace('create("penguins"', 'create("more penguins"')
                source = source.replace("penguins@1", "penguins@1.1").replace(", 1, 2)", ", 0, 1)")
            names["client"] = client
            exec(compile(source, f"sdk.md, block {number}", "exec"), names)
        assert names["heavy"].fetchall() == [("Gentoo", 5400)]  # type: ignore[attr-defined]
        assert names["lazy"].collect()["n"].to_list() == [1, 2, 3]  # type: ignore[attr-defined]
