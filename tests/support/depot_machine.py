"""The machine of the depot: its use cases in any order, with deaths and power cuts in their middle, against dicts.

Every step asks the model first: it either changes a copy of itself or says which errors are right. Then the depot does
it. Acknowledged: the copy is the model from now on. Refused: one of those errors, and nothing changed. Died: the depot
is opened again on what is left and must show the model or its copy, as a whole.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from entrepot.catalog.entries import sweep_strands
from entrepot.depot import (
    collection,
    entries,
    objects,
    projects,
    relationships,
    search,
    upkeep,
    uploads,
    versions,
)
from entrepot.depot.context import Depot
from entrepot.depot.entries import Opened
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import BadSignature, EntrepotError, Gone
from entrepot.model.references import parse_reference
from entrepot.model.values import Numbering, Role, Visibility
from tests.support import entry_model
from tests.support.depot_content import Content
from tests.support.depot_facts import READ, Edge, Home, Link, Who
from tests.support.depot_life import DATA, KINDS, QUERIES, Doom, kind, people, sometimes_doomed
from tests.support.depot_model import Model
from tests.support.depot_names import Names
from tests.support.premises import PEOPLE, TEAMS, Premises


class DepotMachine(Names, Content):
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
            personal = home.team_name.startswith("~")
            self.model.homes[home.n] = Home(home.n, home.name, home.slug, home.team_name, personal)
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

    # ------------------------------------------------------------------ relationships

    @kind("rights", 3, who=people, data=DATA, ends=st.sampled_from([False, False, True]), doom=sometimes_doomed)
    def relationship(self, who: str | None, data: st.DataObject, ends: bool, doom: Doom | None) -> None:
        if not self.model.records:
            return
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
        self.uids |= self.premises.uids()
        return self.uids

    # ------------------------------------------------------------------ reading

    def look(self, data: st.DataObject) -> None:
        """At one revision, its bytes, and what differs from another."""
        if not self.model.records:
            return
        n, m = (data.draw(st.sampled_from(sorted(self.model.records))) for _ in range(2))
        one, other = data.draw(st.integers(0, self.newest(n))), data.draw(st.integers(0, self.newest(m)))
        self.check_state(n, one)
        self.check_difference((n, one), (m, other))

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
        if opens and self.model.links:
            self.open_link(data)
        elif not opens and self.model.records:
            self.sign(who, data, data.draw(st.sampled_from([1, 12])))

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
        self.tell("died" if power is None else "lost power")
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
        """When every grace is over there is nothing that nobody needs, and what there is can still be read."""
        for hours in (24 * 8, 25, 25, 25):
            self.model = self.model.copy()
            self.model.now = self.premises.clock.move(hours=hours)
            self.keep_house("at the end", None)
        self.everything_is_shown("when every grace is over")
        self.premises.check_bytes(settled=True)
        needed = {
            self.premises.house.sha256(file.content)
            for record in self.model.records.values()
            for state in record.revisions
            for file in state.values()
        }
        assert self.premises.contents() == needed, "something is kept that nobody needs"
