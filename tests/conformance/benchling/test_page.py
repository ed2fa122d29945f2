"""The examples of docs/dialects/benchling.md, as they stand but for the address, the key and the project."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.benchling.clients import ROOT, Client, Place

CSV = b"name,age\nAnn,3\n"


def test_the_examples_of_the_page(old: Client, current: Client, place: Place, tmp_path: Path) -> None:
    text = (ROOT / "docs/dialects/benchling.md").read_text(encoding="utf-8")
    text = text.replace("http://data.example.org:8080", place.server.url)
    text = text.replace("the API key", place.key).replace("proj_…", place.project)
    today, _, before = text.partition("With 1.9.0")
    (tmp_path / "birds.csv").write_bytes(CSV)
    assert current("page", code(today), str(tmp_path)) == [f"birds.v1 {CSV!r}"]
    source = f"{login(code(today))}from pathlib import Path\n{code(before)}\nprint(data.read())"
    assert old("page", source, str(tmp_path)) == [repr(CSV)]


def code(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)


def login(source: str) -> str:
    """The lines that both clients have in common."""
    kept = ("from benchling_sdk.auth", "from benchling_sdk.benchling", "benchling = ")
    return "".join(f"{line}\n" for line in source.splitlines() if line.startswith(kept))
