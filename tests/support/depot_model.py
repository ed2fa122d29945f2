"""The whole depot as dicts: what every use case does, said once more and as simply as possible.

Each method does one use case to the model, or raises `Refused` with the errors that the depot may answer with. Numbers
of things are those of the catalogue; what was just made has the number NEW until the depot told the real one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from entrepot.model.errors import (
    Conflict,
    DigestMismatch,
    Forbidden,
    Frozen,
    Gone,
    Hidden,
    Invalid,
    LengthMismatch,
    NameTaken,
    NotFound,
    QuotaExceeded,
    StaleRevision,
    Trashed,
    Unauthenticated,
    WrongState,
)
from entrepot.model.values import Numbering, Role, Visibility
from tests.support import entry_model
from tests.support.depot_facts import (
    ADMIN,
    CAP,
    COPY,
    MEMBER,
    NEW,
    READ,
    SEE,
    SLUG_OF,
    UPLOAD_LIFETIME,
    WRITE,
    Edge,
    Facts,
    Home,
    Need,
    Record,
    Sending,
    Who,
)
from tests.support.entry_model import Change, Refused, State, below


class Model(Facts):
    """Each use case, done to the facts."""

    # ------------------------------------------------------------------ projects

    def create_project(self, who: Who, name: str, team: str | None) -> None:
        if who.name is None:
            raise Refused(Unauthenticated)
        owner = team or f"~{who.name}"
        role = (
            Role.NONE if who.projects is not None else min(self.teams[owner].get(who.name, Role.NONE), CAP[who.scope])
        )
        staff = who.staff and who.projects is None
        if role < Role.READ and not staff and team is not None:
            raise Refused(Hidden)
        if not staff and (role < Role.WRITE or CAP[who.scope] < Role.WRITE):
            raise Refused(Forbidden)
        self._free_project_name(owner, name)
        slug = self._free_slug(SLUG_OF[name], (h.slug for h in self.homes.values()))
        self.old_slugs.pop((0, slug), None)
        self.homes[NEW] = Home(NEW, name, slug, owner)

    def _free_project_name(self, team: str, name: str, but: int = -1) -> None:
        if any((h.team, h.name, h.trashed) == (team, name, False) and h.n != but for h in self.homes.values()):
            raise Refused(NameTaken)

    def rename_project(self, who: Who, n: int, name: str) -> None:
        home = self.home(who, n, WRITE)
        if name != home.name:
            self._free_project_name(home.team, name, but=n)
        home.name = name

    def give_project_slug(self, who: Who, n: int, slug: str) -> None:
        home = self.home(who, n, WRITE)
        if slug == home.slug:
            return
        if any(h.slug == slug for h in self.homes.values()):
            raise Refused(NameTaken)
        self.old_slugs.pop((0, slug), None)
        self.old_slugs[0, home.slug] = ("project", n)
        home.slug = slug

    def configure_project(self, who: Who, n: int, **values: int | None) -> None:
        """Allocation, default expiry, retention."""
        home = self.home(who, n, WRITE)
        self.home(who, n, ADMIN)
        if "allocation" in values and not who.staff:
            raise Refused(Forbidden)
        for name, value in values.items():
            setattr(home, name, value)

    def trash_project(self, who: Who, n: int) -> None:
        home = self.home(who, n, WRITE, trashed=True)
        if home.trashed:
            return
        if home.personal:
            raise Refused(Conflict)
        for record in list(self.active(n)):
            self._trash(record, "project")
        home.trashed = True

    def reinstate_project(self, who: Who, n: int) -> None:
        home = self.home(who, n, ADMIN, trashed=True)
        if home.trashed:
            self._free_project_name(home.team, home.name, but=n)
        home.trashed = False

    def purge_project(self, who: Who, n: int) -> None:
        home = self.home(who, n, ADMIN, trashed=True)
        if home.personal or any(r.project == n for r in self.records.values()):
            raise Refused(Conflict)
        del self.homes[n]
        for key, leads in list(self.old_slugs.items()):
            if key[0] == n or leads == ("project", n):
                del self.old_slugs[key]

    # ------------------------------------------------------------------ collections

    def collect(self, who: Who, n: int, path: str) -> None:
        """Make a collection, with what is missing above it."""
        self._collect(self.home(who, n, WRITE), path)

    def _collect(self, home: Home, path: str) -> None:
        parts = path.split("/") if path else []
        home.collections |= {"/".join(parts[: i + 1]) for i in range(len(parts))}

    def rename_collection(self, who: Who, n: int, old: str, new: str) -> None:
        home = self.home(who, n, WRITE)
        if new == old:
            return
        if below(new, old):
            raise Refused(Invalid)
        if new in home.collections:
            raise Refused(NameTaken)
        self._collect(home, new.rpartition("/")[0])
        home.collections = {_moved(path, old, new) for path in home.collections}
        for record in self.records.values():
            if record.project == n:
                record.collection = _moved(record.collection, old, new)

    def delete_collection(self, who: Who, n: int, path: str) -> None:
        home = self.home(who, n, WRITE)
        gone = {one for one in home.collections if one == path or below(one, path)}
        if any(r.project == n and r.collection in gone for r in self.records.values()):
            raise Refused(Conflict)
        home.collections -= gone

    # ------------------------------------------------------------------ versions

    def create(
        self,
        who: Who,
        project: int,
        name: str,
        numbering: Numbering,
        visibility: Visibility,
        alias: str | None,
        expires_at: datetime | None,
        collection: str = "",
    ) -> None:
        home = self.home(who, project, WRITE)
        self._collect(home, collection)
        self._open_line(project, name)
        number = self._number(project, name, numbering)
        if alias is not None:
            self._free_alias(project, alias)
        if expires_at is None and home.default_expiry_s is not None:
            expires_at = self.now + timedelta(seconds=home.default_expiry_s)
        made = Record(NEW, project, name, number, visibility, who.name, collection, alias=alias, expires_at=expires_at)
        made.verbs.append("version.created")
        self.records[NEW] = made

    def update(self, who: Who, n: int, **changes: Any) -> None:
        """Of description, tags, visibility, expires_at, alias, name, project, collection."""
        record = self.record(who, n, WRITE)
        target = changes.pop("project", record.project)
        if target != record.project:
            self.home(who, target, WRITE)
        self.editable(record)
        name = changes.pop("name", record.name)
        numbering = changes.pop("numbering", Numbering.KEEP)
        spot = changes.pop("collection", record.collection if target == record.project else "")
        self._collect(self.homes[target], spot)
        moved = (target, name, spot) != (record.project, record.name, record.collection)
        if (target, name) != (record.project, record.name):
            self._move(record, target, name, numbering, changes)
        if moved:
            record.collection = spot
            record.verbs.append("version.moved")
        if changes.get("alias") is not None:
            self._free_alias(target, changes["alias"], but=n)
        edits = {key: value for key, value in changes.items() if getattr(record, key) != value}
        for key, value in edits.items():
            setattr(record, key, value)
        if edits or (moved and record.proposal):
            record.verbs.append("version.updated")
        if edits or moved:
            record.proposal = False

    def _move(self, record: Record, target: int, name: str, rule: Numbering, changes: dict[str, Any]) -> None:
        if record.frozen:
            raise Refused(Frozen)
        old = record.project, record.name
        leaves = target != record.project
        self._open_line(target, name)
        number = self._number(target, name, rule, keep=record.number, but=record.n)
        if leaves and record.alias is not None and changes.get("alias", record.alias) == record.alias:
            self._free_alias(target, record.alias, but=record.n)
        record.project, record.name, record.number = target, name, number
        self._close_line(*old, record.n)
        if leaves:
            self._room(target)

    def set_slug(self, who: Who, n: int, slug: str) -> None:
        record = self.record(who, n, WRITE)
        self.editable(record)
        key = record.project, record.name
        if self.lines[key] == slug:
            return
        if slug in self._taken_slugs(record.project):
            raise Refused(NameTaken)
        self.old_slugs.pop((record.project, slug), None)
        self.old_slugs[record.project, self.lines[key]] = ("line", key)
        self.lines[key] = slug
        record.verbs.append("version.updated")

    def freeze(self, who: Who, n: int, frozen: bool) -> None:
        record = self.record(who, n, WRITE if frozen else ADMIN)
        self.editable(record)
        if record.frozen != frozen:
            record.frozen = frozen
            record.verbs.append("version.frozen")

    def accept(self, who: Who, n: int) -> None:
        record = self.record(who, n, WRITE)
        self.editable(record)
        if record.proposal:
            record.proposal = False
            record.verbs.append("version.updated")

    def trash(self, who: Who, numbers: Sequence[int], *, many: bool) -> None:
        known = self.records.get(numbers[0]) if not many else None
        # Whoever proposed it takes it back.
        own = known is not None and known.proposal and known.creator == who.name
        for record in self._all(who, numbers, COPY if own else WRITE, many=many):
            self._trash(record, "deleted")

    def _all(self, who: Who, numbers: Sequence[int], need: Need, *, many: bool) -> list[Record]:
        try:
            return [self.record(who, n, need) for n in numbers]
        except Refused:
            if many:
                raise Refused(Invalid) from None
            raise

    def _trash(self, record: Record, reason: str) -> None:
        if record.trash is None:
            record.trash, record.trashed_at = reason, self.now
            record.verbs.append("version.trashed")
        elif record.trash == "expired" and reason != "expired":
            # It went by itself, and somebody deletes it now.
            record.trash = reason
            record.verbs.append("version.trashed")

    def reinstate(self, who: Who, numbers: Sequence[int], rule: Numbering, *, many: bool) -> None:
        meant = self._all(who, numbers, WRITE, many=many)
        # Before any name: of several reasons this one is told.
        if any(record.trash is not None and self.homes[record.project].trashed for record in meant):
            raise Refused(Trashed)
        for record in meant:
            if record.trash is None:
                continue
            if rule is Numbering.NEXT:
                rule = Numbering.KEEP_ELSE_NEXT
            record.number = self._number(record.project, record.name, rule, keep=record.number, but=record.n)
            if record.alias is not None and record.alias in self._taken_slugs(record.project):
                record.alias = None
            if record.expires_at is not None and record.expires_at <= self.now:
                record.expires_at = None
            record.trash = record.trashed_at = None
            record.verbs.append("version.reinstated")

    def purge(self, who: Who, n: int) -> None:
        self._purge(self.record(who, n, ADMIN))

    def _purge(self, record: Record) -> None:
        del self.records[record.n]
        for key, leads in list(self.old_slugs.items()):
            if leads == ("version", record.n):
                del self.old_slugs[key]
        self._close_line(record.project, record.name, None)
        for edge in list(self.edges):
            if record.n in (edge.source, edge.target):
                self.edges.remove(edge)
                ends = {
                    end: -n if n == record.n else n for end, n in (("source", edge.source), ("target", edge.target))
                }
                self.edges.add(dataclasses.replace(edge, **ends))

    def copy_version(
        self,
        who: Who,
        n: int,
        revision: int | None,
        project: int | None,
        name: str | None,
        numbering: Numbering,
        only: Sequence[str] | None,
    ) -> None:
        source = self.record(who, n, SEE)
        target = source.project if project is None else project
        if target != source.project:
            self.home(who, target, MEMBER, trashed=True)
            self.record(who, n, READ)
            self.home(who, target, WRITE)
            proposal = False
        else:
            if project is not None:
                self.home(who, target, MEMBER, trashed=True)
            self.record(who, n, COPY)
            self.home(who, target, MEMBER)
            proposal = not self.may(who, WRITE, target)
        number = source.newest if revision is None else revision
        if not 0 <= number <= source.newest:
            raise Refused(NotFound)
        wanted = source.name if name is None else name
        self._open_line(target, wanted)
        made = Record(
            NEW,
            target,
            wanted,
            self._number(target, wanted, numbering),
            source.visibility,
            who.name,
            source.collection if target == source.project else "",
            source.description,
            source.tags,
            proposal=proposal,
            previous=source.number if numbering is Numbering.NEXT and name is None else None,
            next_pos=source.next_pos,
        )
        state = source.revisions[number]
        made.revisions.append(state if only is None else {path: state[path] for path in only if path in state})
        made.verbs.append("version.copied")
        self.records[NEW] = made
        self._room(target)

    # ------------------------------------------------------------------ entries

    def commit(self, who: Who, n: int, changes: Sequence[Change], missing: bool, expected: int | None) -> None:
        """Args:
        missing: Some of the bytes are not there, or not for them.
        """
        record = self.record(who, n, WRITE)
        self.writable(record)
        if missing:
            raise Refused(Invalid)
        self._not_stale(record, expected)
        state, next_pos = entry_model.commit(record.head, changes, record.next_pos)
        self._publish(record, state, next_pos)

    def _not_stale(self, record: Record, expected: int | None) -> None:
        if expected is not None and expected != record.newest:
            raise Refused(StaleRevision)

    def _publish(self, record: Record, state: State, next_pos: int, verb: str = "revision.created") -> None:
        before = entry_model.size(record.head)
        record.verbs.append(verb)
        if record.newest == 0:
            record.verbs.append("version.ready")
        if record.proposal:
            record.verbs.append("version.updated")
        record.proposal = False
        record.revisions.append(state)
        record.next_pos = next_pos
        if entry_model.size(state) > before:
            self._room(record.project)

    def clear(self, who: Who, n: int) -> None:
        record = self.record(who, n, WRITE)
        self.writable(record)
        state = {path: dataclasses.replace(file, meta="") for path, file in record.head.items()}
        self._publish(record, state, record.next_pos)

    def restore(self, who: Who, n: int, to: int, expected: int | None) -> None:
        record = self.record(who, n, WRITE)
        self.writable(record)
        if not 0 <= to <= record.newest:
            raise Refused(NotFound)
        self._not_stale(record, expected)
        self._publish(record, record.revisions[to], record.next_pos)

    def merge(self, who: Who, into: int, source: int, *, delete: bool, hard: bool) -> None:
        away = WRITE if delete else MEMBER
        if delete and hard:
            self.record(who, source, away)
        target = self.record(who, into, WRITE)
        leaving = self.record(who, source, away)
        self.writable(target)
        if into == source:
            return
        state, next_pos = entry_model.merge(leaving.head, target.head, target.next_pos)
        if delete and hard:
            self._purge(leaving)
        elif delete:
            self._trash(leaving, "deleted")
        self._publish(target, state, next_pos, "version.merged")

    # ------------------------------------------------------------------ relationships

    def relate(self, who: Who, edge: Edge) -> None:
        source = self.record(who, edge.source, WRITE)
        self.record(who, edge.target, READ)
        self.editable(source)
        if edge.source == edge.target:
            raise Refused(Invalid)
        if edge not in self.edges:
            self.edges.add(edge)
            source.verbs.append("relationship.created")

    def unrelate(self, who: Who, edge: Edge) -> None:
        """An edge whose source is there."""
        source = self.records[edge.source]
        if not self.may_on(who, SEE, source):
            raise Refused(NotFound)
        self.record(who, source.n, WRITE)
        self.editable(source)
        if edge.target > 0 and not self.may_on(who, READ, self.records[edge.target]):
            raise Refused(Unauthenticated if who.name is None else Forbidden)
        self.edges.remove(edge)
        source.verbs.append("relationship.deleted")

    # ------------------------------------------------------------------ time

    def expire(self) -> None:
        for record in self.records.values():
            if record.trash is None and record.expires_at is not None and record.expires_at <= self.now:
                self._trash(record, "expired")

    def retire(self) -> None:
        """What was in the trash for as long as its project keeps it."""
        for record in list(self.records.values()):
            kept = self.homes[record.project].retention_s
            if kept is None or record.trashed_at is None:
                continue
            if record.trashed_at + timedelta(seconds=kept) <= self.now:
                self._purge(record)

    def sweep_sendings(self) -> None:
        self.sendings = [one for one in self.sendings if one.expires_at > self.now]

    # ------------------------------------------------------------------ uploads

    def begin(self, who: Who, plan: bytes, length: int | None, project: int | None, is_true: bool) -> None:
        if who.name is None:
            raise Refused(Unauthenticated)
        if CAP[who.scope] < Role.WRITE:
            raise Refused(Forbidden)
        if project is not None:
            home = self.home(who, project, WRITE)
            if home.allocation is not None and self.used(project) + (length or 0) > home.allocation:
                raise Refused(QuotaExceeded)
        self.sendings.append(Sending(None, who.name, plan, length, is_true, self.now + UPLOAD_LIFETIME))

    def pack(self, who: Who, body: bytes, contents: Sequence[bytes]) -> None:
        """Several files in one body, which are here together or not at all."""
        self.begin(who, body, None, None, True)
        one = self.sendings[-1]
        one.arrived, one.finished, one.batch = body, True, tuple(contents)

    def _sending(self, who: Who, uid: UUID) -> Sending:
        """One of somebody's own, while it lives."""
        one = next(one for one in self.sendings if one.uid == uid)
        if who.name != one.owner:
            raise Refused(NotFound)
        if one.expires_at <= self.now:
            raise Refused(Gone)
        return one

    def send(self, who: Who, uid: UUID, chunk: bytes) -> None:
        one = self._sending(who, uid)
        if one.finished:
            raise Refused(WrongState)
        if one.length is not None and len(one.arrived + chunk) > one.length:
            raise Refused(LengthMismatch)
        one.arrived += chunk
        one.expires_at = self.now + UPLOAD_LIFETIME

    def finish(self, who: Who, uid: UUID) -> None:
        """With wrong digests the bytes are thrown away: it is refused, and the model is changed all the same."""
        one = self._sending(who, uid)
        if one.finished:
            return
        if one.length is not None and len(one.arrived) != one.length:
            raise Refused(LengthMismatch)
        if not one.is_true or (one.tells_digest and one.arrived != one.plan):
            one.arrived = b""
            raise Refused(DigestMismatch, keep=True)
        one.finished = True
        one.expires_at = self.now + UPLOAD_LIFETIME

    def abort(self, who: Who, uid: UUID) -> None:
        self.sendings.remove(self._sending(who, uid))

    # ------------------------------------------------------------------ words

    def search(self, who: Who, words: Sequence[str]) -> set[int]:
        """Versions that hold all the words; the last one may be a beginning."""
        return {n for n in self.shown(who) if _holds(self.texts(self.records[n]), words)}

    def texts(self, record: Record) -> set[str]:
        told = (record.name, self.lines[record.project, record.name], record.alias or "", record.description)
        return {word.lower() for text in (*told, *record.tags) for word in re.findall(r"[^\W_]+", text)}


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path == old or below(path, old) else path


def _holds(texts: set[str], words: Sequence[str]) -> bool:
    return all(word in texts for word in words[:-1]) and any(text.startswith(words[-1]) for text in texts)
