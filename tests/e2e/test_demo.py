"""`entrepot demo`: shows what it says, and leaves no process behind."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import COMMAND, environment


def test_the_demonstration_runs_and_ends(tmp_path: Path) -> None:
    done = run_demo(tmp_path)
    for line in ("344 rows", "Gentoo     5,076 g", "> penguins-raw.csv -> as-published.csv", "all verified"):
        assert line in done.stdout
    through_doors = [
        r"complete-measurements@1\.1, 333 rows, .* id there is dset_[0-9a-f]{32}$",
        r"birds-one-by-one@1\.1, 344 lines, .* id there is dataset_[0-9a-f-]{36}$",
        r"penguins-raw\.csv@1\.1, 1 file, 53\.1 kB; its id there is \d+$",
        r"penguins-by-species@1\.1, 3 files, .* id there is \d+$",
    ]
    for line in through_doors:
        assert re.search(line, done.stdout, re.MULTILINE), line
    url = re.search(r"at (http://\S+)", done.stdout)
    assert url
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url[1]}/readyz")
    if sys.platform.startswith("linux"):
        assert [place for place in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(place)] == []


@pytest.mark.soak
def test_the_demonstration_can_be_shown_twice(tmp_path: Path) -> None:
    run_demo(tmp_path)
    again = run_demo(tmp_path)
    assert again.stdout.count("complete-measurements@1.1") == 1
    assert "complete-measurements@2" not in again.stdout


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, "demo", "--data", str(folder / "demo"), "--port", "0"],
        capture_output=True,
        text=True,
        env=environment(ENTREPOT_DEMO_EXIT="1"),
        cwd=folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""


def test_the_data_are_what_their_readme_says(root: Path) -> None:
    folder = root / "examples" / "data" / "penguins"
    rows = re.findall(
        r"^\| `(\S+)` \| ([\d,]+) \| `([0-9a-f]{64})` \|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert {name for name, _, _ in rows} == {place.name for place in folder.iterdir()} - {"README.md"}
    for name, size, digest in rows:
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size.replace(",", "")), digest)
