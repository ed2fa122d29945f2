"""What the page offers to copy does what it says when somebody pastes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from entrepot.client.client import Client
from entrepot.wire.messages.versions import Version
from tests.e2e.conftest import make_tree
from tests.support.server import Server
from tests.web.browser import Watched

#: Clients of others live in environments of their own, where the tests of each door use them.
ELSEWHERE = ("flowbio", "benchling_sdk", "benchling.", "datature")
#: What installing does: the tests also run where Entrepot is only on the path.
COMMAND = f'#!/bin/sh\nexec "{sys.executable}" -m entrepot.cli.main "$@"\n'
REGISTERED = (
    "import fsspec\nfrom entrepot.client.filesystem import EntrepotFileSystem\n"
    "fsspec.register_implementation('entrepot', EntrepotFileSystem, clobber=True)\n"
)
NAME = "two 'words' & more.csv"
CSV = b"k,v\n1,one\n2,two\n"


def lines_of(window: Watched, version: Version) -> list[str]:
    window.go(f"/ui/versions/{version.id}/use")
    return window.page.locator("pre[data-copy]").all_inner_texts()


def paste(site: Server, folder: Path, program: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    command = folder.with_name(f"{folder.name}-bin") / "entrepot"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o755)
    around = {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ENTREPOT_URL": site.url,
        "ENTREPOT_TOKEN": site.token(),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run([*program, text], cwd=folder, env=around, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


@pytest.fixture(scope="module")
def files(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Version:
    client.projects.create("To be copied")
    place = make_tree(tmp_path_factory.mktemp("files"), {NAME: CSV, "z.txt": b"z"})
    pushed = client.data.push(place, "to-be-copied/plain-files")
    assert pushed.version is not None
    return pushed.version


def test_lines_for_a_shell_get_the_files(window: Watched, site: Server, files: Version, tmp_path: Path) -> None:
    lines = [one for one in lines_of(window, files) if one.startswith(("curl", "entrepot"))]
    assert len([one for one in lines if one.startswith("curl")]) == 8
    # A shell each would take a second each: one after the other, in a folder each, the first failure ends it.
    script = "\n".join(
        f"(mkdir {n} && cd {n} && {line.replace('curl ', 'curl --fail ', 1)}) || {{ echo 'line {n}'; exit 1; }}"
        for n, line in enumerate(lines)
        if "entrepot push" not in line
    )
    paste(site, tmp_path / "shell", ["bash", "-c"], script)
    got = sorted(path for path in (tmp_path / "shell").rglob("*") if path.is_file())
    assert len([path for path in got if path.name == NAME and path.read_bytes() == CSV]) == 6
    assert len([path for path in got if path.suffix == ".zip"]) == 2


def test_lines_of_python_get_the_files(window: Watched, site: Server, files: Version, tmp_path: Path) -> None:
    lines = [one for one in lines_of(window, files) if "import " in one and not any(name in one for name in ELSEWHERE)]
    assert len(lines) == 3
    program = f"{REGISTERED}import os\ntoken = os.environ['ENTREPOT_TOKEN']\n" + "\n\n".join(lines)
    program += "\n\nassert list(frame.columns) == ['k', 'v'], frame\n"
    paste(site, tmp_path / "python", [sys.executable, "-c"], program)
    assert (tmp_path / "python" / "plain-files" / NAME).read_bytes() == CSV


def test_lines_for_a_table_read_it(
    client: Client, window: Watched, site: Server, files: Version, tmp_path: Path
) -> None:
    table = client.tables.create_from_bytes("Typed", CSV, project="to-be-copied", timeout_s=120)
    lines = lines_of(window, table)
    assert any(f"download_data_frame_bytes_by_id({table_id(lines)!r})" in one for one in lines)
    shell = "\n".join(
        line.replace("curl ", "curl --fail ", 1) for line in lines if line.startswith("curl -s") and "v2-beta" in line
    )
    assert table_id(lines) in paste(site, tmp_path / "shell", ["bash", "-c"], shell).stdout
    (frame,) = [one for one in lines if "to_pandas" in one]
    program = f"import os\ntoken = os.environ['ENTREPOT_TOKEN']\n{frame}\nassert len(frame) == 2, frame\n"
    paste(site, tmp_path / "python", [sys.executable, "-c"], program)


def table_id(lines: Sequence[str]) -> str:
    """The id by which Benchling's clients know it."""
    (line,) = [one for one in lines if "api/v2-beta/datasets/" in one]
    return line.rpartition("/")[2].strip()
