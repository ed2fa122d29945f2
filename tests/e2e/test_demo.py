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
    done = subprocess.run(
        [*COMMAND, "demo", "--data", str(tmp_path / "demo"), "--port", "0"],
        capture_output=True,
        text=True,
        env=environment(ENTREPOT_DEMO_EXIT="1"),
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("344 rows", "Gentoo     5,076 g", "> penguins-raw.csv -> as-published.csv", "all verified"):
        assert line in done.stdout
    url = re.search(r"at (http://\S+)", done.stdout)
    assert url
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url[1]}/readyz")
    if sys.platform.startswith("linux"):
        assert [place for place in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(place)] == []


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
