"""The examples of docs/dialects/benchling.md, as they stand but for the address, the key and the project."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conformance.benchling.clients import CURRENT, OLD, ROOT, Place, python_of


def test_the_examples_of_the_page(place: Place, tmp_path: Path) -> None:
    text = (ROOT / "docs/dialects/benchling.md").read_text(encoding="utf-8")
    current, _, old = text.partition("With 1.9.0")
    (tmp_path / "birds.csv").write_bytes(b"name,age\nAnn,3\n")
    sources = [
        _code(current),
        _login(_code(current)) + "from pathlib import Path\n" + _code(old) + "\nprint(data.read())",
    ]
    said = []
    for name, source in zip((CURRENT, OLD), sources, strict=True):
        source = source.replace("http://data.example.org:8080", place.server.url)
        source = source.replace("the API key", place.key).replace("proj_…", place.project)
        around = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(
            [str(python_of(name)), "-W", "ignore", "-c", source],
            cwd=tmp_path,
            env={**around, "PYTHONPATH": "", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout.splitlines()
    assert said == [r"birds.v1 b'name,age\nAnn,3\n'", r"b'name,age\nAnn,3\n'"]


def _code(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)


def _login(source: str) -> str:
    """The lines that both clients have in common."""
    kept = ("from benchling_sdk.auth", "from benchling_sdk.benchling", "benchling = ")
    return "".join(f"{line}\n" for line in source.splitlines() if line.startswith(kept))
