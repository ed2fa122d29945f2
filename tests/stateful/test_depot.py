"""Any order of the depot's use cases, with deaths and power cuts in the middle of them, against plain dicts.

Every step asks the model first: it either changes a copy of itself or says which errors are right. Then the depot does
it. Acknowledged: the copy is the model from now on. Refused: one of those errors, and nothing changed. Died: the depot
is opened again on what is left and must show the model or its copy, as a whole.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from entrepot.catalog.entries import sweep_strands
from entrepot.depot import (
    collection,
    copies,
    entries,
    objects,
    projects,
    putting,
    relationships,
    search,
    tokens,
    trash,
    upkeep,
    uploads,
    versions,
)
from entrepot.depot import members as team_members
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer, authenticate
from entrepot.depot.entries import Opened
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.putting import NewFile
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import Actor
from entrepot.model.errors import BadSignature, EntrepotError, Gone, Unauthenticated
from entrepot.model.references import parse_reference
from entrepot.model.values import Numbering, Role, Scope, Visibility
from entrepot.testing.faulty import Crash, crash
from tests.support import entry_model
from tests.support.depot_model import MEMBER, NEW, READ, UPLOAD_LIFETIME, Edge, Home, Link, Model, Record, Sending, Who
from tests.support.entry_model import Refused
from tests.support.machines import run_machine
from tests.support.postgres import PostgresServer
from tests.support.premises import PEOPLE, TEAMS, Premises, difference, expected, expected_records

PATHS = ["a", "b", "a/x", "a/y", "b/x", "c/d/e", "c/d/f", "é.txt"]
FOLDERS = ["a", "b", "c", "c/d"]
CONTENTS = [b"", b"1", b"22", b"333", b"4444"]
NAMES = ["Penguins", "penguins", "Auks"]
HOMES = ["Birds", "Birds!", "Lab data"]
SLUGS = ["penguins", "auks", "birds", "other"]
QUERIES = ["penguins", "auk", "birds", "cold", "of birds", "x", "oth", "penguins b"]
MOST_VERSIONS = 9
#: Times those of the profile: one long life sees more than several short ones, and moving in is dear.
STEPS = 4.0
#: Every transaction is synced, and a real disk has nothing to add: deaths and power cuts are simulated.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

paths = st.sampled_from(PATHS)
folders = st.sampled_from(FOLDERS)
contents = st.sampled_from(CONTENTS)
texts = st.sampled_from([None, "", "m", "n"])
visibilities = st.sampled_from([Visibility.PRIVATE, *Visibility])
numberings = st.sampled_from([Numbering.NEXT] * 4 + [Numbering.ONLY, Numbering.FIRST])
# Those who may do most come first: what somebody may not do is quickly tried.
people = st.sampled_from(["ann", "ann", "ann", "ann", "admin", "bob", "bob", "cid", "dan", None])


@dataclass(frozen=True)
class Doom:
    """The process dies at a step from now on; with `power` the machine goes with it."""

    steps: int
    when: str
    power: int | None


dooms = st.builds(
    Doom,
    st.integers(1, 5),
    st.sampled_from(["before", "torn", "after"]),
    st.none() | st.integers(0, 7),
)
#: Most steps are left in peace.
sometimes_doomed = st.sampled_from(range(5)).flatmap(lambda k: dooms if k == 4 else st.none())
#: Where each step leaves something that the next one has to make sense of.
often_doomed = st.none() | dooms

changes = st.one_of(
    st.builds(entry_model.Add, paths, contents, texts, st.sampled_from(["any", "any", "any", "absent", "present"])),
    st.builds(entry_model.Add, paths, contents, texts),
    st.builds(entry_model.Remove, paths | folders, st.booleans()),
    st.builds(entry_model.Rename, paths, paths),
    st.builds(entry_model.Rename, folders, folders | paths, st.just(True)),
    st.builds(entry_model.Describe, paths, st.sampled_from(["", "m", "n"])),
)


#: In place of a strategy: the step draws by itself.
DATA = st.nothing()


def kind(
    group: str, weight: int, *, when: Callable[[DepotMachine], bool] = lambda _: True, **drawn: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A kind of step: how often it comes, when it can, and what is drawn for it.

    Not rules of their own: Hypothesis switches most rules off in most runs, and what is left of a server's life then
    is, say, seventy deaths.
    """

    def noted(step: Callable[..., None]) -> Callable[..., None]:
        KINDS.append(Kind(step, group, weight, when, drawn))
        return step

    return noted


@dataclass(frozen=True, repr=False)
class Kind:
    step: Callable[..., None]
    group: str
    weight: int
    can: Callable[[DepotMachine], bool]
    drawn: dict[str, st.SearchStrategy[Any]]

    def __repr__(self) -> str:
        return self.step.__name__


KINDS: list[Kind] = []


class DepotMachine(RuleBasedStateMachine):
    server: ClassVar[PostgresServer | None]
    shared: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.uids: dict[int, Any] = {}
        #: Whoever shows a token of theirs at present, with its text.
        self.shown: dict[str, tuple[Who, str]] = {}
        self.refusals: Counter[str] = Counter()
        #: False from the beginning of a step to its good end.
        self.is_sound = False

    @initialize(
        on_disk=st.booleans(),
        allocation=st.sampled_from([None, 8, 12]),
        focus=st.sampled_from([None, None, "content", "uploads", "names", "rights"]),
    )
    def move_in(self, on_disk: bool, allocation: int | None, focus: str | None) -> None:
        """Args:
        focus: The group of steps that come more often in this life.
        """
        self.wheel = [one for one in KINDS for _ in range(one.weight * (4 if one.group == focus else 1))]
        self.premises = Premises(self.folder, self.stack, server=self.server, on_disk=on_disk, shared=self.shared)
        self.stack.callback(self.premises.close)
        self.model = Model(self.premises.clock())
        self.model.teams = {team: dict(roles) for team, roles in TEAMS.items()}
        for name in ("admin", *PEOPLE):
            self.model.teams[f"~{name}"] = {name: Role.ADMIN}
        admin = self.premises.actor("admin")
        for one in projects.list_projects(self.premises.depot, admin).rows:
            home = one.project
            self.model.homes[home.n] = Home(home.n, home.name, home.slug, home.team_name)
        self.attempt(
            "ann makes a project",
            "ann",
            lambda m, w: m.create_project(w, "Birds", "lab"),
            self._new_home("Birds", "lab"),
        )
        home = max(self.model.homes)
        self.attempt(
            f"ann makes Auks in project {home}",
            "ann",
            lambda m, w: m.create(w, home, "Auks", Numbering.ONLY, Visibility.PUBLIC, None, None),
            lambda depot, actor: versions.create(depot, actor, home, NewVersion("Auks", visibility=Visibility.PUBLIC)),
        )
        auks = max(self.model.records)
        add = entry_model.Add
        self.put_into(auks, "ann", [add("a", b"22"), add("c/d/e", b"1", "m"), add("b/x", b"")])
        self.put_into(auks, "ann", [add("c/d/e", b"333"), entry_model.Remove("a")])
        self.copy_of(auks, "ann", None, None, "Penguins", Numbering.ONLY, None, None)
        self.put_into(auks, "ann", [entry_model.Describe("b/x", "n"), add("a", b"1")])
        if allocation is not None:
            wish = ProjectChanges(allocation=allocation)
            self.attempt(
                f"admin gives project {home} room for {allocation} bytes",
                "admin",
                lambda m, w: m.configure_project(w, home, allocation=allocation),
                self._change(home, wish),
            )
        self.is_sound = True

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.wheel))
        if one.can(self):
            drawn = {name: data if what is DATA else data.draw(what) for name, what in one.drawn.items()}
            self.is_sound = False
            one.step(self, **drawn)
            self.is_sound = True

    # ------------------------------------------------------------------ the way of every step

    def attempt(
        self,
        said: str,
        who: str | None,
        change: Callable[[Model, Who], object],
        act: Callable[[Depot, Actor], Any],
        doom: Doom | None = None,
        *,
        repeats: bool = False,
    ) -> Any:
        """Do something to the model and to the depot, and compare.

        Args:
            repeats: It may be half done after a death, and done again it must come to the same end.

        Returns:
            What the depot answered; None when it refused, or died, or was not asked at all.
        """
        actor, before = self.actor(who), self.model
        asking = self.asking(who)
        after, refused = before.copy(), None
        try:
            change(after, asking)
        except Refused as wrong:
            after, refused = after if wrong.keep else before, wrong
            if self.is_boring(wrong):
                return None
        depot, faults = self.premises.depot, self.premises.faults
        if doom is not None:
            faults.at(len(faults.steps) + doom.steps, crash(doom.when))  # type: ignore[arg-type]
        try:
            result, error = self.tried(act, depot, actor)
        finally:
            faults.heal()
        # The step at which it died may have failed by itself.
        if faults.dead:
            assert doom is not None
            note(f"{said}: died {doom.when} {faults.steps[-1]}" + (" by a power cut" if doom.power is not None else ""))
            self.rise(said, before, after, act if repeats else None, actor, doom)
            return None
        if error is not None:
            note(f"{said}: {type(error).__name__}")
            if refused is None or not isinstance(error, refused.kinds):
                raise AssertionError(f"{said}: {error!r} instead of {refused or 'doing it'}") from error
        else:
            note(f"{said}: done")
            assert refused is None, f"{said}: the depot did it instead of {refused}"
            self.christen(after, result)
        self.model = after
        self.compare(said, expected_records(self.model), self.premises.records())
        for n, record in after.records.items():
            if n not in before.records or before.records[n].newest != record.newest:
                self.check_state(n, record.newest)
        return result

    def is_boring(self, refused: Refused) -> bool:
        """Most of what somebody may not do was seen already: of each kind one in four is tried."""
        self.refusals[str(refused)] += not refused.keep
        return not refused.keep and self.refusals[str(refused)] % 4 != 1

    def asking(self, who: str | None) -> Who:
        return self.shown[who][0] if who in self.shown else Who(who)

    def actor(self, who: str | None) -> Actor:
        """Somebody with what they show at present; a token that ended is put away."""
        if who not in self.shown:
            return self.premises.actor(who)
        asking, text = self.shown[who]
        if not self.model.is_good(asking):
            with pytest.raises(Unauthenticated):
                authenticate(self.premises.depot, Bearer(text), door="native")
            del self.shown[who]
            return self.premises.actor(who)
        return authenticate(self.premises.depot, Bearer(text), door="native")

    def tried(self, act: Callable[[Depot, Actor], Any], depot: Depot, actor: Actor) -> tuple[Any, EntrepotError | None]:
        try:
            return act(depot, actor), None
        except EntrepotError as error:
            return None, error
        except Crash:
            return None, None

    def christen(self, model: Model, result: Any) -> None:
        """Give what was just made the number that the depot gave it."""
        for things in (model.homes, model.records):
            made: Any = things.pop(NEW, None)
            if made is not None:
                made.n = result.n
                things[result.n] = made
                if isinstance(made, Record):
                    self.uids[result.n] = result.uid
        if model.sendings and model.sendings[-1].uid is None:
            model.sendings[-1].uid = result.uid

    def compare(self, said: str, want: dict[str, Any], have: dict[str, Any]) -> None:
        if want != have:
            raise AssertionError(f"{said}: the depot shows something else\n{difference(want, have)}")

    def rise(
        self,
        said: str,
        before: Model,
        after: Model,
        again: Callable[[Depot, Actor], Any] | None,
        actor: Actor,
        doom: Doom,
    ) -> None:
        """Open the depot once more and find out what is left."""
        self.premises.die(power=doom.power)
        self.premises.check_bytes()
        self.receive_less(before, after, doom)
        if again is not None:
            again(self.premises.depot, actor)
            self.model = after
            self.everything_is_shown(f"{said}, died, and once more")
            return
        shown = self.premises.everything(self.uids)
        for part, things in (("projects", after.homes), ("versions", after.records)):
            fresh = shown[part].keys() - getattr(before, "homes" if part == "projects" else "records").keys()
            if fresh and NEW in things:
                made: Any = things.pop(NEW)  # type: ignore[attr-defined]
                made.n = min(fresh)
                things[made.n] = made  # type: ignore[index]
        for candidate in (before, after):
            if expected(candidate) == shown:
                self.model = candidate
                return
        raise AssertionError(
            f"{said}, died: it neither happened\n{difference(expected(after), shown)}\n"
            f"nor did it not\n{difference(expected(before), shown)}"
        )

    def receive_less(self, before: Model, after: Model, doom: Doom) -> None:
        """Of unfinished uploads a power cut may take what was not synced, and what was being sent may have arrived in
        part: they go on from where they are."""
        found = self.premises.uploads()
        known = {one.uid for one in before.sendings}
        if after.sendings and after.sendings[-1].uid is None:
            after.sendings[-1].uid = next((uid for uid in found if uid not in known), None)
        later = {one.uid: one for one in after.sendings}
        for one in before.sendings:
            row, then = found.get(one.uid), later.get(one.uid, one)  # type: ignore[arg-type]
            if row is None or row.state != "open":
                continue
            least = 0 if doom.power is not None else min(len(one.arrived), len(then.arrived))
            longest = max(one.arrived, then.arrived, key=len)
            assert least <= row.received <= len(longest), f"the upload {one} is at {row.received}"
            assert row.expires_at in (one.expires_at, then.expires_at), f"the upload {one} ends at {row.expires_at}"
            for either in (one, then):
                if not either.finished:
                    either.arrived, either.expires_at = longest[: row.received], row.expires_at

    def everything_is_shown(self, said: str = "looking at everything") -> None:
        self.compare(said, expected(self.model), self.premises.everything(self.uids))
        self.premises.check_bytes()

    # ------------------------------------------------------------------ choices

    def some_record(self, data: st.DataObject) -> int:
        """A version, now and then one that is not there."""
        return data.draw(st.sampled_from([*sorted(self.model.records) * 8, 99]))

    def some_home(self, data: st.DataObject) -> int:
        """A project, mostly one that somebody made."""
        made = sorted(n for n, home in self.model.homes.items() if not home.personal)
        return data.draw(st.sampled_from([*made * 6, *sorted(self.model.homes), 99]))

    def _new_home(self, name: str, team: str | None) -> Callable[[Depot, Actor], Any]:
        return lambda depot, actor: projects.create(depot, actor, name, team=team)

    # ------------------------------------------------------------------ projects

    @kind(
        "names",
        4,
        who=people,
        data=DATA,
        what=st.sampled_from(["make", "change", "change", "change", "end", "end"]),
        doom=sometimes_doomed,
    )
    def project(self, who: str | None, data: st.DataObject, what: str, doom: Doom | None) -> None:
        if what == "change":
            parts = ["rename", "slug", "allocation", "expiry", "retention"]
            self.change_project(who, data, data.draw(st.sampled_from(parts)))
        elif what == "end":
            self.end_project(who, data, data.draw(st.sampled_from(["trash", "reinstate", "reinstate", "purge"])), doom)
        elif len(self.model.homes) < 10:
            team = data.draw(st.sampled_from(["lab", "lab", "ops", None]))
            self.create_project(who, data.draw(st.sampled_from(HOMES)), team, doom)

    def create_project(self, who: str | None, name: str, team: str | None, doom: Doom | None) -> None:
        self.attempt(
            f"{who} makes project {name} of {team}",
            who,
            lambda m, w: m.create_project(w, name, team),
            self._new_home(name, team),
            doom,
        )

    def change_project(self, who: str | None, data: st.DataObject, what: str) -> None:
        n = self.some_home(data)
        doom = data.draw(sometimes_doomed)
        said = f"{who} changes {what} of project {n}"
        if what == "rename":
            name = data.draw(st.sampled_from(HOMES))
            wish = ProjectChanges(name=name)
            self.attempt(f"{said}: {name}", who, lambda m, w: m.rename_project(w, n, name), self._change(n, wish), doom)
        elif what == "slug":
            slug = data.draw(st.sampled_from(SLUGS))
            wish = ProjectChanges(slug=slug)
            self.attempt(
                f"{said}: {slug}", who, lambda m, w: m.give_project_slug(w, n, slug), self._change(n, wish), doom
            )
        else:
            field = {"allocation": "allocation", "expiry": "default_expiry_s", "retention": "retention_s"}[what]
            most = {"allocation": [None, 0, 3, 8, 20], "expiry": [None, 86_400], "retention": [None, 86_400]}[what]
            value = data.draw(st.sampled_from(most))
            wish = ProjectChanges(**{field: value})  # type: ignore[arg-type]
            self.attempt(
                f"{said}: {value}",
                who,
                lambda m, w: m.configure_project(w, n, **{field: value}),
                self._change(n, wish),
                doom,
            )

    def _change(self, n: int, wish: ProjectChanges) -> Callable[[Depot, Actor], Any]:
        return lambda depot, actor: projects.update(depot, actor, n, wish)

    def end_project(self, who: str | None, data: st.DataObject, what: str, doom: Doom | None) -> None:
        n = self.some_home(data)
        act = getattr(projects, what)
        self.attempt(
            f"{who} {what}s project {n}",
            who,
            lambda m, w: getattr(m, f"{what}_project")(w, n),
            lambda depot, actor: act(depot, actor, n),
            doom,
        )

    @kind("rights", 2, data=DATA, what=st.sampled_from(["member", "token", "token"]))
    def rights(self, data: st.DataObject, what: str) -> None:
        if what == "member":
            who = data.draw(st.sampled_from(["ann", "bob", "bob", "cid"]))
            team = data.draw(st.sampled_from(sorted(TEAMS)))
            # Without anybody in the team nothing can be done any more.
            roles = [Role.WRITE, Role.ADMIN] if who == "ann" else list(Role)
            self.change_member(who, team, data.draw(st.sampled_from(roles)))
        else:
            self.handle_token(data.draw(st.sampled_from(["ann", "bob", "cid", "admin"])), data)

    def change_member(self, who: str, team: str, role: Role) -> None:
        """By staff; `dan` stays a stranger."""
        self.shown.pop("admin", None)

        def change(model: Model, _: Who) -> None:
            if role is Role.NONE:
                if model.teams[team].pop(who, None) is None:
                    raise Refused(EntrepotError)
            else:
                model.teams[team][who] = role

        def act(depot: Depot, actor: Actor) -> None:
            if role is Role.NONE:
                team_members.remove(depot, actor, team, who)
            else:
                team_members.put(depot, actor, team, who, role)

        self.attempt(f"{who} becomes {role.name} in {team}", "admin", change, act)

    # ------------------------------------------------------------------ versions

    @kind(
        "names",
        3,
        when=lambda self: len(self.model.records) < MOST_VERSIONS,
        who=people,
        data=DATA,
        name=st.sampled_from(NAMES),
        numbering=numberings,
        visibility=visibilities,
        alias=st.sampled_from([None, None, None, *SLUGS]),
        days=st.sampled_from([None, None, None, 2]),
        doom=sometimes_doomed,
    )
    def create_version(
        self,
        who: str | None,
        data: st.DataObject,
        name: str,
        numbering: Numbering,
        visibility: Visibility,
        alias: str | None,
        days: int | None,
        doom: Doom | None,
    ) -> None:
        n = self.some_home(data)
        expires = None if days is None else self.model.now + timedelta(days=days)
        new = NewVersion(name, numbering=numbering, visibility=visibility, alias=alias, expires_at=expires)
        self.attempt(
            f"{who} makes {name} ({numbering.value}, {visibility.value}, alias {alias}) in project {n}",
            who,
            lambda m, w: m.create(w, n, name, numbering, visibility, alias, expires),
            lambda depot, actor: versions.create(depot, actor, n, new),
            doom,
        )

    @kind(
        "names",
        5,
        who=people,
        data=DATA,
        wish=st.fixed_dictionaries(
            {},
            optional={
                "description": st.sampled_from(["", "of birds", "cold"]),
                "tags": st.sampled_from([(), ("x",), ("x", "y")]),
                "visibility": visibilities,
                "alias": st.sampled_from([None, *SLUGS]),
                "name": st.sampled_from(NAMES),
                "numbering": st.sampled_from([Numbering.KEEP, Numbering.NEXT, Numbering.KEEP_ELSE_NEXT]),
            },
        ),
        moves=st.sampled_from([False, False, True]),
        doom=sometimes_doomed,
    )
    def edit(self, who: str | None, data: st.DataObject, wish: dict[str, Any], moves: bool, doom: Doom | None) -> None:
        n = self.some_record(data)
        if moves:
            wish = wish | {"project": self.some_home(data)}
        self.attempt(
            f"{who} edits version {n}: {wish}",
            who,
            lambda m, w: m.update(w, n, **wish),
            lambda depot, actor: versions.update(depot, actor, n, VersionChanges(**wish)),
            doom,
        )

    @kind(
        "names",
        3,
        who=people,
        data=DATA,
        what=st.sampled_from(["freeze", "unfreeze", "unfreeze", "accept", "slug"]),
        doom=sometimes_doomed,
    )
    def mark(self, who: str | None, data: st.DataObject, what: str, doom: Doom | None) -> None:
        n = self.some_record(data)
        said = f"{who}: {what} of version {n}"
        if what == "slug":
            slug = data.draw(st.sampled_from(SLUGS))
            self.attempt(
                f"{said}: {slug}",
                who,
                lambda m, w: m.set_slug(w, n, slug),
                lambda depot, actor: versions.set_slug(depot, actor, n, slug),
                doom,
                # The words of the line's other versions follow behind; what a death leaves is done by a repeat.
                repeats=True,
            )
        elif what == "accept":
            self.attempt(
                said, who, lambda m, w: m.accept(w, n), lambda depot, actor: versions.accept(depot, actor, n), doom
            )
        else:
            act = getattr(versions, what)
            self.attempt(
                said,
                who,
                lambda m, w: m.freeze(w, n, what == "freeze"),
                lambda depot, actor: act(depot, actor, n),
                doom,
            )

    @kind("names", 4, who=people, data=DATA, back=st.booleans(), many=st.booleans(), doom=sometimes_doomed)
    def trash_or_reinstate(
        self, who: str | None, data: st.DataObject, back: bool, many: bool, doom: Doom | None
    ) -> None:
        chosen = [self.some_record(data) for _ in range(data.draw(st.integers(1, 3)) if many else 1)]
        if not back:
            self.attempt(
                f"{who} trashes versions {chosen}",
                who,
                lambda m, w: m.trash(w, chosen, many=many),
                lambda depot, actor: (
                    trash.trash_many(depot, actor, chosen, reason="deleted")
                    if many
                    else trash.trash(depot, actor, chosen[0])
                ),
                doom,
            )
            return
        rule = data.draw(st.sampled_from([Numbering.KEEP, Numbering.NEXT]))
        self.attempt(
            f"{who} reinstates versions {chosen} ({rule.value})",
            who,
            lambda m, w: m.reinstate(w, chosen, rule, many=many),
            lambda depot, actor: (
                trash.reinstate_many(depot, actor, chosen, numbering=rule)
                if many
                else trash.reinstate(depot, actor, chosen[0], numbering=rule)
            ),
            doom,
        )

    @kind(
        "names",
        2,
        when=lambda self: len(self.model.records) > 2,
        who=st.sampled_from(["ann", "ann", "admin", "bob", "dan"]),
        data=DATA,
        doom=sometimes_doomed,
    )
    def purge(self, who: str | None, data: st.DataObject, doom: Doom | None) -> None:
        n = self.some_record(data)
        self.attempt(
            f"{who} purges version {n}",
            who,
            lambda m, w: m.purge(w, n),
            lambda depot, actor: trash.purge(depot, actor, n),
            doom,
        )

    @kind(
        "content",
        3,
        when=lambda self: len(self.model.records) < MOST_VERSIONS,
        who=people,
        data=DATA,
        name=st.sampled_from([None, *NAMES]),
        numbering=numberings,
        only=st.none() | st.lists(paths, max_size=3),
        elsewhere=st.booleans(),
        doom=sometimes_doomed,
    )
    def copy(
        self,
        who: str | None,
        data: st.DataObject,
        name: str | None,
        numbering: Numbering,
        only: list[str] | None,
        elsewhere: bool,
        doom: Doom | None,
    ) -> None:
        n = self.some_record(data)
        home = self.some_home(data) if elsewhere else None
        revision = data.draw(st.none() | st.integers(0, self.newest(n) + 1))
        self.copy_of(n, who, revision, home, name, numbering, only, doom)

    def copy_of(
        self,
        n: int,
        who: str | None,
        revision: int | None,
        home: int | None,
        name: str | None,
        numbering: Numbering,
        only: list[str] | None,
        doom: Doom | None,
    ) -> None:
        self.attempt(
            f"{who} copies version {n}@{revision} to project {home} as {name} ({numbering.value}), only {only}",
            who,
            lambda m, w: m.copy_version(w, n, revision, home, name, numbering, only),
            lambda depot, actor: copies.copy(
                depot, actor, n, revision=revision, project=home, name=name, numbering=numbering, only_paths=only
            ),
            doom,
        )

    def newest(self, n: int) -> int:
        record = self.model.records.get(n)
        return 0 if record is None else record.newest

    # ------------------------------------------------------------------ entries

    @kind("content", 4, who=people, data=DATA, shapes=st.lists(changes, min_size=1, max_size=4), doom=sometimes_doomed)
    def commit(self, who: str | None, data: st.DataObject, shapes: list[entry_model.Change], doom: Doom | None) -> None:
        n = self.some_record(data)
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n), self.newest(n) + 1]))
        self.put_into(n, who, shapes, expected, doom, by_digest=data.draw(st.booleans()))

    @kind(
        "content", 3, who=people, data=DATA, files=st.dictionaries(paths, contents, max_size=4), doom=sometimes_doomed
    )
    def put_some(self, who: str | None, data: st.DataObject, files: dict[str, bytes], doom: Doom | None) -> None:
        """What is not in the way of anything, so that versions grow."""
        n = self.some_record(data)
        here = self.model.records[n].head if n in self.model.records else {}
        fits = [
            entry_model.Add(path, content)
            for path, content in files.items()
            if not any(entry_model.below(path, o) or entry_model.below(o, path) for o in here.keys() | files.keys())
        ]
        self.put_into(n, who, fits, None, doom)

    def put_into(
        self,
        n: int,
        who: str | None,
        shapes: Sequence[entry_model.Change],
        expected: int | None = None,
        doom: Doom | None = None,
        *,
        by_digest: bool = False,
    ) -> None:
        """Commit. Bytes that nobody has sent yet are sent first, or named by their digest alone."""
        wishes: list[entries.Change] = []
        missing = False
        try:
            self.model.copy().commit(self.asking(who), n, shapes, False, expected)
        except Refused as refused:
            # What would be sent for nothing is named by its digest.
            by_digest = True
            if self.is_boring(refused):
                return
        for shape in shapes:
            if not isinstance(shape, entry_model.Add):
                wishes.append(getattr(entries, type(shape).__name__)(*vars(shape).values()))
                continue
            how: dict[str, Any]
            if by_digest or who is None:
                how = {"sha256": self.premises.house.sha256(shape.content)}
                missing = missing or not self.model.readable(self.asking(who), shape.content)
            else:
                how = {"upload": self.sent(who, shape.content)}
            wishes.append(entries.Add(shape.path, metadata=shape.meta, condition=shape.condition, **how))
        self.attempt(
            f"{who} commits to version {n} at {expected}: {shapes}" + (" by digest" if by_digest else ""),
            who,
            lambda m, w: m.commit(w, n, shapes, missing, expected),
            lambda depot, actor: entries.commit(depot, actor, n, wishes, expected=expected),
            doom,
        )

    def sent(self, who: str, content: bytes) -> Any:
        """A finished upload of these bytes."""
        found = next(
            (
                one
                for one in self.model.sendings
                if one.finished and (one.owner, one.arrived) == (who, content) and one.expires_at > self.model.now
            ),
            None,
        )
        if found is not None:
            return found.uid
        row = self.premises.house.upload(self.premises.actor(who), content)
        self.model.sendings.append(
            Sending(row.uid, who, content, len(content), True, self.model.now + UPLOAD_LIFETIME, content, finished=True)
        )
        return row.uid

    @kind(
        "content", 4, who=people, data=DATA, clear=st.sampled_from([False, False, False, True]), doom=sometimes_doomed
    )
    def restore_or_clear(self, who: str | None, data: st.DataObject, clear: bool, doom: Doom | None) -> None:
        n = self.some_record(data)
        if clear:
            self.attempt(
                f"{who} clears version {n}",
                who,
                lambda m, w: m.clear(w, n),
                lambda depot, actor: entries.clear(depot, actor, n),
                doom,
            )
            return
        to = data.draw(st.sampled_from([*range(self.newest(n) + 1)] * 4 + [self.newest(n) + 1]))
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n) + 1]))
        self.attempt(
            f"{who} restores version {n} to {to} at {expected}",
            who,
            lambda m, w: m.restore(w, n, to, expected),
            lambda depot, actor: entries.restore(depot, actor, n, to, expected=expected),
            doom,
        )

    @kind("content", 3, who=people, data=DATA, delete=st.booleans(), hard=st.booleans(), doom=sometimes_doomed)
    def merge(self, who: str | None, data: st.DataObject, delete: bool, hard: bool, doom: Doom | None) -> None:
        into, source = self.some_record(data), self.some_record(data)
        self.attempt(
            f"{who} merges version {source} into {into}" + f", delete {delete}, hard {hard}",
            who,
            lambda m, w: m.merge(w, into, source, delete=delete, hard=hard),
            lambda depot, actor: copies.merge(depot, actor, into, source, delete=delete, hard=hard),
            doom,
        )

    @kind(
        "content",
        2,
        who=people,
        data=DATA,
        path=paths,
        content=contents,
        meta=texts,
        condition=st.sampled_from(["any", "any", "absent", "present"]),
        doom=sometimes_doomed,
    )
    def put_file(
        self,
        who: str | None,
        data: st.DataObject,
        path: str,
        content: bytes,
        meta: str | None,
        condition: Any,
        doom: Doom | None,
    ) -> None:
        """The bytes of one file as one body, which become an entry at their last byte."""
        n = self.some_record(data)
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n) + 1]))
        new = NewFile(path, metadata=meta, condition=condition, expected=expected)

        def act(depot: Depot, actor: Actor) -> None:
            put = putting.put_file(depot, actor, n, new)
            try:
                if content:
                    put.write(content)
                put.finish()
            except EntrepotError:
                put.close()
                raise

        self.attempt(
            f"{who} puts {content!r} ({meta}) at {path} of version {n} at {expected}, {condition}",
            who,
            lambda m, w: m.commit(w, n, [entry_model.Add(path, content, meta, condition)], False, expected),
            act,
            doom,
        )

    # ------------------------------------------------------------------ uploads

    @kind(
        "uploads",
        2,
        when=lambda self: sum(not one.finished for one in self.model.sendings) < 3,
        who=people,
        data=DATA,
        plan=st.sampled_from([b"", b"1", b"22", b"55555", b"666666", b"7777777"]),
        tells=st.booleans(),
        is_true=st.sampled_from([True, True, True, False]),
        names_project=st.sampled_from([False, False, True]),
        doom=sometimes_doomed,
    )
    def begin_upload(
        self,
        who: str | None,
        data: st.DataObject,
        plan: bytes,
        tells: bool,
        is_true: bool,
        names_project: bool,
        doom: Doom | None,
    ) -> None:
        home = self.some_home(data) if names_project else None
        length = len(plan) if tells else None
        digest = hashlib.sha256(plan if is_true else b"other bytes").digest() if tells or not is_true else None
        self.attempt(
            f"{who} begins an upload of {plan!r}, tells {length}, for {home}",
            who,
            lambda m, w: m.begin(w, plan, length, home, is_true),
            lambda depot, actor: uploads.begin(depot, actor, NewUpload(length, digest, project=home)),
            doom,
        )

    @kind(
        "uploads",
        5,
        when=lambda self: self.model.sendings,
        data=DATA,
        what=st.sampled_from(["send", "send", "send", "finish", "finish", "abort"]),
        by=st.sampled_from([None, None, None, None, "dan"]),
        most=st.sampled_from([2, 2, 3]),
        doom=often_doomed,
    )
    def go_on(self, data: st.DataObject, what: str, by: str | None, most: int, doom: Doom | None) -> None:
        unfinished = [one for one in self.model.sendings if not one.finished]
        one = data.draw(st.sampled_from(unfinished * 4 + self.model.sendings[-1:]))
        uid, who = one.uid, by or one.owner
        assert uid is not None
        said = f"{who}: {what} of the upload of {one.plan!r} at {len(one.arrived)}"
        if what == "finish":
            self.attempt(
                said, who, lambda m, w: m.finish(w, uid), lambda depot, actor: uploads.finish(depot, actor, uid), doom
            )
        elif what == "abort":
            self.attempt(
                said, who, lambda m, w: m.abort(w, uid), lambda depot, actor: uploads.abort(depot, actor, uid), doom
            )
        else:
            offset = len(one.arrived)
            # What is sent goes beyond the plan at its end.
            chunk = (one.plan[offset:] or b"!")[:most]

            def act(depot: Depot, actor: Actor) -> None:
                with uploads.receive(depot, actor, uid, offset) as receiver:
                    receiver.write(chunk)

            self.attempt(f"{said}: {chunk!r}", who, lambda m, w: m.send(w, uid, chunk), act, doom)
            # Told by the staged file, under what the row says of it.
            now = next(one for one in self.model.sendings if one.uid == uid)
            found = self.premises.uploads()[uid].received
            assert found == len(now.arrived), f"the upload is at {found} instead of {len(now.arrived)}"

    # ------------------------------------------------------------------ tokens

    def handle_token(self, who: str, data: st.DataObject) -> None:
        """From now on somebody acts with a token, or with their password again."""
        depot = self.premises.depot
        what = data.draw(st.sampled_from(["put away", "revoke"])) if who in self.shown else "show"
        if what == "show":
            seen = [n for n in self.model.homes if self.model.may(Who(who), MEMBER, n)]
            limit = data.draw(st.none() | st.sampled_from(seen).map(lambda n: (n,)))
            scope = data.draw(st.sampled_from([Scope.READ, Scope.WRITE, Scope.WRITE, Scope.ADMIN, Scope.ADMIN]))
            ends = self.model.now + timedelta(days=data.draw(st.sampled_from([1, 60])))
            made = tokens.create(depot, self.premises.actor(who), scope=scope, projects=limit, expires_at=ends)
            self.model.tokens[made.token.n] = ends
            self.shown[who] = Who(who, scope, limit, made.token.n), made.text
            note(f"{who} shows a token of scope {scope.value} for {limit}")
        else:
            asking, text = self.shown.pop(who)
            note(f"{who}: {what} of the token")
            if what == "revoke":
                assert asking.token is not None
                tokens.revoke(depot, self.premises.actor(who), asking.token)
                self.model.tokens[asking.token] = self.model.now
                with pytest.raises(Unauthenticated):
                    authenticate(depot, Bearer(text), door="native")

    # ------------------------------------------------------------------ relationships

    @kind("rights", 3, who=people, data=DATA, ends=st.sampled_from([False, False, True]), doom=sometimes_doomed)
    def relationship(self, who: str | None, data: st.DataObject, ends: bool, doom: Doom | None) -> None:
        if not ends:
            self.relate(who, data, data.draw(st.sampled_from(["derived_from", "compared_with"])), doom)
        elif any(edge.source > 0 for edge in self.model.edges):
            self.unrelate(who, data, doom)

    def relate(self, who: str | None, data: st.DataObject, verb: str, doom: Doom | None) -> None:
        source = data.draw(st.sampled_from(sorted(self.model.records)))
        target = data.draw(st.sampled_from(sorted(self.model.records.keys() - {source}) * 4 + [source]))
        one, other = (data.draw(st.integers(0, self.newest(n))) for n in (source, target))
        new = NewRelationship(source, target, verb, source_revision=one, target_revision=other)
        self.attempt(
            f"{who} relates {source}@{one} {verb} {target}@{other}",
            who,
            lambda m, w: m.relate(w, Edge(source, one, target, other, verb)),
            lambda depot, actor: relationships.create(depot, actor, new),
            doom,
        )

    def unrelate(self, who: str | None, data: st.DataObject, doom: Doom | None) -> None:
        live = sorted((e for e in self.model.edges if e.source > 0), key=lambda e: tuple(vars(e).values()))
        edge = data.draw(st.sampled_from(live))
        depot, admin = self.premises.depot, self.premises.actor("admin")
        known = relationships.list_relationships(depot, admin, edge.source, direction="up", limit=1000).rows
        numbers = {uid: n for n, uid in self.known_uids().items()}
        uid = next(
            one.uid
            for one in known
            if one.target is not None
            and (one.source.revision if one.source else -1, one.target.revision, one.verb)
            == (edge.source_revision, edge.target_revision, edge.verb)
            and numbers[one.target.uid] == abs(edge.target)
        )
        self.attempt(
            f"{who} ends {edge}",
            who,
            lambda m, w: m.unrelate(w, edge),
            lambda depot, actor: relationships.delete(depot, actor, uid),
            doom,
        )

    def known_uids(self) -> dict[int, Any]:
        self.premises.everything(self.uids)
        return self.uids

    # ------------------------------------------------------------------ reading

    def look(self, data: st.DataObject) -> None:
        """At one revision, its bytes, and what differs from another."""
        n, m = (data.draw(st.sampled_from(sorted(self.model.records))) for _ in range(2))
        one, other = data.draw(st.integers(0, self.newest(n))), data.draw(st.integers(0, self.newest(m)))
        self.check_state(n, one)
        self.check_difference((n, one), (m, other))

    def check_state(self, n: int, revision: int) -> None:
        want = {path: (f.content, f.meta, f.pos) for path, f in self.model.records[n].revisions[revision].items()}
        found = self.premises.state(n, revision)
        assert found == want, f"version {n} shows {found} at revision {revision} instead of {want}"

    def check_difference(self, older: tuple[int, int], newer: tuple[int, int]) -> None:
        old, new = (dict(self.model.records[n].revisions[revision]) for n, revision in (older, newer))
        for change in entries.diff(self.premises.depot, self.premises.actor("admin"), older, newer):
            if change.before is not None:
                file = old.pop(change.before.path)
                assert (file.meta, file.pos) == (change.before.meta or "", change.before.pos)
            if change.after is not None:
                file = new.pop(change.after.path)
                assert (file.meta, file.pos) == (change.after.meta or "", change.after.pos)
        assert old == new, "what differs was not told"

    def resolve(self, who: str | None, project: str, dataset: str, number: int | None) -> None:
        text = f"{project}/{dataset}" + (f"@{number}" if number else "")
        want = self.model.resolve(self.asking(who), project, dataset, number)
        try:
            found: int | None = versions.resolve(self.premises.depot, self.actor(who), parse_reference(text))[
                0
            ].version.n
        except EntrepotError:
            found = None
        assert found == want, f"{text} means version {found} to {who}, and should mean {want}"

    def search(self, who: str | None, query: str) -> None:
        found = search.search(self.premises.depot, self.actor(who), query, limit=100)
        want = self.model.search(self.asking(who), query.split())
        assert {one.found.version.n for one in found.rows} == want, f"{who} looked for {query!r}"

    def list_what_one_may_see(self, who: str | None) -> None:
        found = versions.list_versions(self.premises.depot, self.actor(who), versions.Filter(), limit=1000)
        assert {one.version.n for one in found.rows} == self.model.shown(self.asking(who))
        for n, record in self.model.records.items():
            if not self.model.may_on(self.asking(who), READ, record):
                with pytest.raises(EntrepotError):
                    entries.list_entries(self.premises.depot, self.actor(who), n)

    @kind("rights", 3, who=people, data=DATA, opens=st.booleans())
    def link(self, who: str | None, data: st.DataObject, opens: bool) -> None:
        if not opens:
            self.sign(who, data, data.draw(st.sampled_from([1, 12])))
        elif self.model.links:
            self.open_link(data)

    def sign(self, who: str | None, data: st.DataObject, hours: int) -> None:
        n = data.draw(st.sampled_from(sorted(self.model.records)))
        revision = data.draw(st.integers(0, self.newest(n)))
        state = self.model.records[n].revisions[revision]
        if not state:
            return
        path = data.draw(st.sampled_from(sorted(state)))
        allowed = self.model.may_on(self.asking(who), READ, self.model.records[n])
        try:
            link = objects.sign_entry(
                self.premises.depot, self.actor(who), n, path, revision=revision, expires_in=timedelta(hours=hours)
            )
        except EntrepotError:
            assert not allowed
        else:
            assert allowed
            self.model.links.append(Link(link.path, self.asking(who), n, state[path].content, link.expires_at))

    def open_link(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.model.links))
        record = self.model.records.get(link.version)
        try:
            opened = objects.open_link(self.premises.depot, link.path)
        except BadSignature:
            over = link.expires_at <= self.model.now or not self.model.is_good(link.who)
            assert over or (record is not None and not self.model.may_on(link.who, READ, record))
        except Gone:
            assert record is None
        else:
            assert link.expires_at > self.model.now
            assert self.model.is_good(link.who)
            assert record is not None
            assert self.model.may_on(link.who, READ, record)
            assert isinstance(opened, Opened)
            with opened.reader as reader:
                assert reader.read_at(0, reader.size) == link.content

    # ------------------------------------------------------------------ time

    @kind("time", 2, hours=st.sampled_from([1, 13, 25, 49, 24 * 8]), doom=sometimes_doomed)
    def wait(self, hours: int, doom: Doom | None) -> None:
        self.model = self.model.copy()
        self.model.now = self.premises.clock.move(hours=hours)
        self.keep_house(f"{hours} h later", doom)

    def keep_house(self, said: str, doom: Doom | None) -> None:
        def change(model: Model, _: Who) -> None:
            model.expire()
            model.retire()
            model.sweep_sendings()

        def act(depot: Depot, _: Actor) -> None:
            upkeep.expire(depot)
            upkeep.announce(depot)
            upkeep.purge_trash(depot)
            uploads.sweep(depot)
            upkeep.tend_slots(depot)
            upkeep.forget_tasks(depot)
            sweep_strands(depot.catalog)
            collection.collect(depot)

        self.attempt(f"{said}, housekeeping", "admin", change, act, doom, repeats=True)

    @kind("time", 3, data=DATA, what=st.sampled_from(["die", "die", "look", "resolve", "search", "list", "everything"]))
    def chore(self, data: st.DataObject, what: str) -> None:
        """What is to be done now and then, as one rule, so that it does not crowd out the others."""
        if what == "die":
            self.die(data.draw(st.none() | st.integers(0, 7)))
        elif what == "look":
            self.look(data)
        elif what == "resolve":
            project = data.draw(st.sampled_from(["birds", "birds-2", "lab-data", "ann", "other"]))
            dataset = data.draw(st.sampled_from(["penguins", "penguins-2", "auks", "auks-2", "birds", "other"]))
            self.resolve(data.draw(people), project, dataset, data.draw(st.sampled_from([None, None, 1, 2, 3])))
        elif what == "search":
            self.search(data.draw(people), data.draw(st.sampled_from(QUERIES)))
        elif what == "list":
            self.list_what_one_may_see(data.draw(people))
        else:
            self.everything_is_shown()

    def die(self, power: int | None) -> None:
        """Between two steps."""
        note("died" if power is None else "lost power")
        self.premises.die(power=power)
        self.receive_less(self.model, self.model, Doom(0, "before", power))
        self.everything_is_shown("after a death")

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.everything_is_shown("at the end")
                self.settle()
        finally:
            self.stack.close()

    def settle(self) -> None:
        """When every grace is over there is no object without a row, and what there is can still be read."""
        for hours in (24 * 8, 25, 25):
            self.model = self.model.copy()
            self.model.now = self.premises.clock.move(hours=hours)
            self.keep_house("at the end", None)
        self.everything_is_shown("when every grace is over")
        self.premises.check_bytes(settled=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inhabited")


def test_the_depot_behaves_like_dicts_on_sqlite(shared: Path) -> None:
    run_machine(DepotMachine, 0.2, STEPS, server=None, shared=shared)


def test_the_depot_behaves_like_dicts_on_postgresql(postgres_server: PostgresServer, shared: Path) -> None:
    run_machine(DepotMachine, 0.06, STEPS, server=postgres_server, shared=shared)
