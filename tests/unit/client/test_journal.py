"""Which uploads were begun is known one by one and by the thousand."""

from __future__ import annotations

from pathlib import Path

from entrepot.client.journal import Journal, Remembered


def test_what_was_begun_is_found_among_many(tmp_path: Path) -> None:
    digests = [n.to_bytes(32, "big") for n in range(1300)]
    with Journal(tmp_path / "uploads.sqlite3") as journal:
        journal.note_batch("http://here", digests[:700], "up_1")
        journal.note("http://here", digests[900], "up_2", finished=False)
        journal.note_batch("http://there", digests, "up_3")
        found = journal.find_many("http://here", digests)
        assert found == {digest: journal.find("http://here", digest) for digest in [*digests[:700], digests[900]]}
        assert found[digests[900]] == Remembered("up_2", finished=False)
        assert journal.find_many("http://here", []) == {}
