"""Steps of the depot's machine: projects, who may do what in them, and the records and names of versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from entrepot.depot import members as team_members
from entrepot.depot import (
    projects,
    tokens,
    trash,
    versions,
)
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer, authenticate
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, Unauthenticated
from entrepot.model.values import Numbering, Role, Scope, Visibility
from tests.support.depot_facts import MEMBER, Who
from tests.support.depot_life import (
    COLLECTIONS,
    DATA,
    HOMES,
    MOST_VERSIONS,
    NAMES,
    SLUGS,
    Doom,
    Life,
    kind,
    numberings,
    people,
    sometimes_doomed,
    visibilities,
)
from tests.support.depot_model import Model
from tests.support.entry_model import Refused
from tests.support.premises import TEAMS


class Names(Life):
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

    @kind(
        "names",
        3,
        who=people,
        data=DATA,
        what=st.sampled_from(["make", "rename", "rename", "delete"]),
        path=st.sampled_from(COLLECTIONS),
        doom=sometimes_doomed,
    )
    def collection(self, who: str | None, data: st.DataObject, what: str, path: str, doom: Doom | None) -> None:
        n = self.some_home(data)
        if n not in self.model.homes:
            return
        if what == "make":
            self.attempt(
                f"{who} makes collection {path} in project {n}",
                who,
                lambda m, w: m.collect(w, n, path),
                lambda depot, actor: projects.create_collection(depot, actor, n, path),
                doom,
            )
            return
        listed = projects.list_collections(self.premises.depot, self.premises.actor("admin"), n).rows
        there = {one.path: one.uid for one in listed if not one.is_root}
        if not there:
            return
        old = data.draw(st.sampled_from(sorted(there)))
        uid = there[old]
        if what == "rename":
            self.attempt(
                f"{who} renames collection {old} of project {n} to {path}",
                who,
                lambda m, w: m.rename_collection(w, n, old, path),
                lambda depot, actor: projects.rename_collection(depot, actor, uid, path),
                doom,
            )
        else:
            self.attempt(
                f"{who} deletes collection {old} of project {n}",
                who,
                lambda m, w: m.delete_collection(w, n, old),
                lambda depot, actor: projects.delete_collection(depot, actor, uid),
                doom,
            )

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
                    raise Refused(Invalid)
            else:
                model.teams[team][who] = role

        def act(depot: Depot, actor: Actor) -> None:
            if role is Role.NONE:
                team_members.remove(depot, actor, team, who)
            else:
                team_members.put(depot, actor, team, who, role)

        self.attempt(f"{who} becomes {role.name} in {team}", "admin", change, act)

    def _new_home(self, name: str, team: str | None) -> Callable[[Depot, Actor], Any]:
        return lambda depot, actor: projects.create(depot, actor, name, team=team)

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
            self.tell(f"{who} shows a token of scope {scope.value} for {limit}")
        else:
            asking, text = self.shown.pop(who)
            self.tell(f"{who}: {what} of the token")
            if what == "revoke":
                assert asking.token is not None
                tokens.revoke(depot, self.premises.actor(who), asking.token)
                self.model.tokens[asking.token] = self.model.now
                with pytest.raises(Unauthenticated):
                    authenticate(depot, Bearer(text), door="native")

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
        spot=st.sampled_from(["", "", *COLLECTIONS]),
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
        spot: str,
        doom: Doom | None,
    ) -> None:
        n = self.some_home(data)
        expires = None if days is None else self.model.now + timedelta(days=days)
        new = NewVersion(
            name, numbering=numbering, visibility=visibility, alias=alias, expires_at=expires, collection=spot
        )
        self.attempt(
            f"{who} makes {name} ({numbering.value}, {visibility.value}, alias {alias}) in project {n} at {spot!r}",
            who,
            lambda m, w: m.create(w, n, name, numbering, visibility, alias, expires, spot),
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
                "collection": st.sampled_from(["", *COLLECTIONS]),
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
