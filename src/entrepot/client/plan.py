"""What a push has to do, worked out from two listings without touching anything.

Rules: what has the same digest under the same path stays; a path that went while another came with the same bytes was
renamed, and no byte of it is sent; removing comes first in a commit, because a folder may stand where a file was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from entrepot.model.digests import EMPTY, sha256_text

__all__ = ["Plan", "make_plan"]

#: All empty files are equal, which tells nothing about where one went.
_EMPTY = sha256_text(EMPTY.sha256)


@dataclass(slots=True)
class Plan:
    """The difference between a folder and a version. Digests are `sha256:<hex>`.

    Args:
        added: New paths with their digest; `changed`: paths whose bytes are others now.
        renamed: Old path by new path.
        removed: Paths that go.
        unchanged: How many paths are as they were.
    """

    added: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.renamed or self.removed)

    @property
    def contents(self) -> dict[str, str]:
        """Digest by path of all that is put somewhere by its content."""
        return {**self.added, **self.changed}

    @property
    def paths(self) -> set[str]:
        """Every path that the commit touches."""
        return {*self.added, *self.changed, *self.renamed, *self.renamed.values(), *self.removed}

    def __len__(self) -> int:
        return len(self.added) + len(self.changed) + len(self.renamed) + len(self.removed)


def make_plan(local: Mapping[str, str], remote: Mapping[str, str], *, keep: bool = False) -> Plan:
    """How to make a version hold what a folder holds.

    Args:
        local: Digest by entry path.
        remote: Likewise, of the version's newest revision.
        keep: Leave what only the version has; then nothing can be told from a copy, and nothing counts as renamed.
    """
    plan = Plan()
    for path, digest in sorted(local.items()):
        there = remote.get(path)
        if there is None:
            plan.added[path] = digest
        elif there == digest:
            plan.unchanged += 1
        else:
            plan.changed[path] = digest
    if keep:
        return plan
    gone = sorted(path for path in remote if path not in local)
    plan.renamed = _renamed(plan.added, {path: remote[path] for path in gone})
    for path in plan.renamed:
        del plan.added[path]
    renamed = set(plan.renamed.values())
    plan.removed = [path for path in gone if path not in renamed]
    return plan


def _renamed(added: Mapping[str, str], gone: Mapping[str, str]) -> dict[str, str]:
    """Old path by new path: pairs of the same bytes, first those of the same name, then of the same folder."""
    pairs: dict[str, str] = {}
    left = {path: digest for path, digest in gone.items() if digest != _EMPTY}
    for likeness in (_name, _folder, _nothing):
        candidates: dict[tuple[str, str], list[str]] = {}
        for path, digest in sorted(left.items(), reverse=True):
            candidates.setdefault((digest, likeness(path)), []).append(path)
        for path, digest in added.items():
            if path not in pairs and (found := candidates.get((digest, likeness(path)))):
                pairs[path] = found.pop()
                del left[pairs[path]]
    return dict(sorted(pairs.items()))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _nothing(_: str) -> str:
    return ""
