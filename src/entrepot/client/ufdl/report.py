"""What an import did, or would do: counts, and everything that somebody has to look at."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

__all__ = ["Imported", "Tallied", "Trouble"]


@dataclass(slots=True)
class Tallied:
    """Things of one kind: made now, changed now, and found to be as they should be."""

    made: int = 0
    changed: int = 0
    there: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was not brought over."""

    what: str
    reason: str


@dataclass(slots=True)
class Imported:
    """The report of one run.

    Args:
        missing_users: Members of teams who have no account here, with the team and the role they would have had.
        kept: Versions that were edited here since an earlier import, and so were left alone.
        skipped_trashed: Versions that lie in the source's trash and were not asked for.
        sent_files: Contents that were fetched and sent; `sent_bytes` theirs. Others were here already.
        troubles: What could not be brought over, and why.
    """

    source: str
    target: str
    dry_run: bool = False
    teams: Tallied = field(default_factory=Tallied)
    members: Tallied = field(default_factory=Tallied)
    licences: Tallied = field(default_factory=Tallied)
    projects: Tallied = field(default_factory=Tallied)
    versions: Tallied = field(default_factory=Tallied)
    files: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    skipped_trashed: int = 0
    missing_users: list[dict[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def complete(self) -> bool:
        return not self.troubles

    def trouble(self, what: str, reason: str) -> None:
        """Note it once, however often it stands in the way."""
        found = Trouble(what, reason)
        with self._lock:
            if found not in self.troubles:
                self.troubles.append(found)

    def sent(self, size: int) -> None:
        with self._lock:
            self.sent_files += 1
            self.sent_bytes += size

    def plain(self) -> dict[str, object]:
        """As JSON knows it."""
        counts = {
            name: {"made": one.made, "changed": one.changed, "there": one.there}
            for name, one in (
                ("teams", self.teams),
                ("members", self.members),
                ("licences", self.licences),
                ("projects", self.projects),
                ("versions", self.versions),
            )
        }
        return {
            "source": self.source,
            "target": self.target,
            "dry_run": self.dry_run,
            "complete": self.complete,
            **counts,
            "files": self.files,
            "sent": {"files": self.sent_files, "bytes": self.sent_bytes},
            "skipped_trashed": self.skipped_trashed,
            "missing_users": self.missing_users,
            "kept": self.kept,
            "troubles": [{"what": one.what, "reason": one.reason} for one in self.troubles],
        }
