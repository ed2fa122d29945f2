"""Looks into a data folder itself, past the product: no damage, no contradiction, no fact without its bytes."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: What may never be: each finds nothing, or the catalogue says two things at once or names what is not there.
_NEVER = {
    "two datasets of one name": "SELECT project, name FROM dataset GROUP BY 1, 2 HAVING count(*) > 1",
    "two datasets of one slug": "SELECT project, slug FROM dataset GROUP BY 1, 2 HAVING count(*) > 1",
    "two active versions of one number": (
        "SELECT dataset, number FROM version WHERE trashed_at IS NULL AND number IS NOT NULL"
        " GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "a dataset without a version": "SELECT id FROM dataset WHERE id NOT IN (SELECT dataset FROM version)",
    "two live contents of one digest": "SELECT sha256 FROM content WHERE state < 2 GROUP BY 1 HAVING count(*) > 1",
    "a version whose newest revision is missing": (
        "SELECT v.id FROM version v LEFT JOIN revision r ON r.version = v.id AND r.num = v.rev WHERE r.num IS NULL"
    ),
    "a version with a gap in its revisions": (
        "SELECT v.id FROM version v JOIN revision r ON r.version = v.id"
        " GROUP BY v.id, v.rev HAVING count(*) <> v.rev + 1"
    ),
    "a revision that counts other entries than it has": """
        SELECT r.version, r.num FROM revision r WHERE r.strand IS NOT NULL AND r.n_entries <> (
          (SELECT count(*) FROM live l WHERE l.strand = r.strand AND l.vfrom <= r.seq)
          + (SELECT count(*) FROM past p WHERE p.strand = r.strand AND p.vfrom <= r.seq AND r.seq < p.vto))
    """,
    "a finished upload without content": (
        "SELECT id FROM upload WHERE state = 'finished' AND content IS NULL AND purpose <> 'batch'"
    ),
    "a batch without files": (
        "SELECT id FROM upload WHERE state = 'finished' AND purpose = 'batch' AND id NOT IN (SELECT upload FROM packed)"
    ),
    "an object that counts other bytes as needed than are": (
        "SELECT id FROM object AS o WHERE state = 'placed' AND live_bytes <>"
        " (SELECT coalesce(sum(e.len), 0) FROM extent AS e WHERE e.object = o.id)"
    ),
    "an extent outside its object": (
        "SELECT e.content FROM extent e JOIN object o ON o.id = e.object WHERE e.off + e.len > o.size"
    ),
}


@dataclass
class Examined:
    contents: int = 0
    bytes: int = 0


def examine(data: Path, *, dead: bool) -> Examined:
    """Look into a data folder: no damage, no contradiction, no fact without its bytes.

    Args:
        dead: Nobody has it open, so that the files are looked at exactly as the kill left them.
    """
    found = Examined()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(snapshot(data, Path(folder), dead)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        for what, query in _NEVER.items():
            rows = db.execute(query).fetchall()
            assert rows == [], f"{what}: {rows}"
        for content, sha256, size in db.execute("SELECT id, sha256, size FROM content WHERE state < 2").fetchall():
            digest, length = hashlib.sha256(), 0
            for key, whole, offset, part in db.execute(
                "SELECT o.key, o.size, e.off, e.len FROM extent e JOIN object o ON o.id = e.object"
                " WHERE e.content = ? ORDER BY e.n",
                (content,),
            ).fetchall():
                place = data / "objects" / key[:2] / key
                assert place.is_file(), f"content {content} is a fact without bytes"
                assert place.stat().st_size == whole
                with place.open("rb") as stored:
                    stored.seek(offset)
                    digest.update(stored.read(part))
                length += part
            assert (length, digest.digest()) == (size, sha256), f"content {content} has other bytes"
            found.contents += 1
            found.bytes += size
    return found


def snapshot(data: Path, folder: Path, dead: bool) -> sqlite3.Connection:
    """The catalogue apart from the server's own files: opening those would repair them before the server does."""
    target = folder / "catalog.sqlite"
    if dead:
        for name in ("catalog.sqlite", "catalog.sqlite-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(data / name, folder / name)
        return sqlite3.connect(target)
    into = sqlite3.connect(target)
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite", timeout=60)) as live:
        live.backup(into)
    return into
