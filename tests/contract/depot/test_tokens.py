"""API tokens: never wider than what they were made with, told once, ended at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from entrepot.catalog.schema import token as token_table
from entrepot.depot import credentials, members, nodes, projects, tokens, users
from entrepot.depot.credentials import Bearer
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials, Expired, Forbidden, Hidden, Invalid, NotFound
from entrepot.model.values import Role, Scope
from tests.support.identity import World


def use(world: World, text: str, door: str = "native") -> Actor:
    return credentials.authenticate(world.depot, Bearer(text), door=door, address="192.0.2.1")


def test_the_text_is_told_once_and_only_its_digest_is_kept(world: World) -> None:
    alice = world.person("alice")
    made = tokens.create(world.depot, alice, scope=Scope.WRITE, name="laptop")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43,}", made.text)
    assert not made.text.startswith("-")
    assert made.text not in repr(made)
    with world.depot.catalog.read() as conn:
        stored = [tuple(row) for row in conn.execute(token_table.select())]
    assert made.text not in repr(stored)
    assert made.text.encode() not in b"".join(value for row in stored for value in row if isinstance(value, bytes))
    assert tokens.get(world.depot, alice, made.token.uid) == made.token


def test_a_token_acts_for_its_user_within_its_scope(world: World) -> None:
    alice = world.person("alice")
    made = tokens.create(world.depot, alice, scope=Scope.WRITE)
    actor = use(world, made.text, door="ufdl")
    assert (actor.user, actor.name, actor.uid) == (alice.user, "alice", alice.uid)
    assert (actor.scope, actor.projects, actor.node) == (Scope.WRITE, None, None)
    assert (actor.token, actor.token_uid, actor.door, actor.address) == (
        made.token.n,
        made.token.uid,
        "ufdl",
        "192.0.2.1",
    )


def test_staff_rights_need_scope_admin(world: World) -> None:
    carried = {scope: world.by_token(world.staff, scope).staff for scope in Scope}
    assert carried == {Scope.READ: False, Scope.WRITE: False, Scope.ADMIN: True}


def test_what_a_token_is_made_of_is_told_in_the_event_but_not_its_text(world: World) -> None:
    alice = world.person("alice")
    project = world.personal_project(alice)
    made = tokens.create(world.depot, alice, scope=Scope.READ, name="laptop", projects=[project, project])
    (told,) = world.events("token.created")
    assert (told.actor_name, told.subject) == ("alice", ids.encode(ids.Noun.TOKEN, made.token.uid))
    assert told.after == {
        "user": "alice",
        "name": "laptop",
        "scope": "read",
        "projects": [project],
        "node": None,
        "expires_at": (world.clock() + timedelta(days=90)).isoformat(),
    }


# How far it reaches


def test_a_token_of_lesser_scope_makes_no_tokens(world: World) -> None:
    alice = world.person("alice")
    for scope in (Scope.READ, Scope.WRITE):
        with pytest.raises(Forbidden, match=f"scope is {scope}; use one of scope admin"):
            tokens.create(world.depot, world.by_token(alice, scope), scope=Scope.READ)


def test_no_scope_comes_out_that_did_not_go_in(world: World) -> None:
    """Whoever gets as far as making tokens: this holds whatever the table of roles says about accounts."""
    lesser = replace(world.staff, scope=Scope.WRITE)
    with pytest.raises(Forbidden, match="cannot make a token of scope admin"):
        tokens.create(world.depot, lesser, scope=Scope.ADMIN)
    assert tokens.create(world.depot, lesser, scope=Scope.WRITE).token.scope is Scope.WRITE


def test_a_token_limited_to_projects_makes_no_tokens(world: World) -> None:
    alice = world.person("alice")
    limited = world.by_token(alice, Scope.ADMIN, projects=[world.personal_project(alice)])
    with pytest.raises(Forbidden, match="limited to other projects"):
        tokens.create(world.depot, limited, scope=Scope.READ)


def test_a_token_can_be_limited_to_projects_that_its_maker_sees(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    team = world.team("lab", alice=Role.READ)
    shared = projects.create(world.depot, world.staff, "Shared", team=team.n).n
    mine = world.personal_project(alice)
    limited = world.by_token(alice, Scope.WRITE, projects=[mine, shared])
    assert limited.projects == (mine, shared)
    assert projects.get(world.depot, limited, shared).project.n == shared
    only = world.by_token(alice, Scope.WRITE, projects=[mine])
    with pytest.raises(Hidden):
        projects.get(world.depot, only, shared)
    for wrong in ([world.personal_project(bob)], [999_999]):
        with pytest.raises(NotFound):
            tokens.create(world.depot, alice, scope=Scope.READ, projects=wrong)
    with pytest.raises(Invalid, match="do not limit it"):
        tokens.create(world.depot, alice, scope=Scope.READ, projects=[])


def test_a_limited_token_of_staff_is_staff_inside_its_limit_only(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    hers, his = world.personal_project(alice), world.personal_project(bob)
    limited = world.by_token(world.staff, Scope.ADMIN, projects=[hers])
    assert projects.get(world.depot, limited, hers).project.n == hers
    with pytest.raises(Hidden):
        projects.get(world.depot, limited, his)
    with pytest.raises(Forbidden):
        users.create(world.depot, limited, "carol")


def test_a_token_made_with_a_token_ends_no_later(world: World) -> None:
    alice = world.person("alice")
    soon = world.clock() + timedelta(days=1)
    short = world.by_token(alice, Scope.ADMIN, expires_at=soon)
    assert tokens.create(world.depot, short, scope=Scope.READ).token.expires_at == soon
    for longer in ({"never": True}, {"expires_at": soon + timedelta(seconds=1)}):
        with pytest.raises(Forbidden, match="cannot end later"):
            tokens.create(world.depot, short, scope=Scope.READ, **longer)  # type: ignore[arg-type]


def test_only_staff_makes_tokens_for_others_and_binds_them_to_nodes(world: World) -> None:
    alice = world.person("alice")
    world.user("bob")
    node = nodes.create(world.depot, world.staff, "worker")
    with pytest.raises(Forbidden, match="account of bob"):
        tokens.create(world.depot, alice, scope=Scope.READ, user="bob")
    with pytest.raises(Forbidden, match="nodes"):
        tokens.create(world.depot, alice, scope=Scope.READ, node="worker")
    made = tokens.create(world.depot, world.staff, scope=Scope.WRITE, user="bob", node="worker")
    actor = use(world, made.text)
    assert (actor.name, actor.node) == ("bob", node.n)


def test_what_a_bound_token_makes_is_bound_too(world: World) -> None:
    world.user("bob")
    node = nodes.create(world.depot, world.staff, "worker")
    bound = world.by_token(world.staff, Scope.ADMIN, user="bob", node="worker")
    assert tokens.create(world.depot, bound, scope=Scope.READ).token.node == node.n


# Time


def test_a_token_has_an_end_unless_never_is_said(world: World) -> None:
    alice = world.person("alice")
    assert tokens.create(world.depot, alice, scope=Scope.READ).token.expires_at == world.clock() + timedelta(days=90)
    assert tokens.create(world.depot, alice, scope=Scope.READ, never=True).token.expires_at is None
    for wrong in (world.clock(), (world.clock() + timedelta(days=1)).replace(tzinfo=None)):
        with pytest.raises(Invalid, match="future"):
            tokens.create(world.depot, alice, scope=Scope.READ, expires_at=wrong)
    with pytest.raises(Invalid, match="not both"):
        tokens.create(world.depot, alice, scope=Scope.READ, never=True, expires_at=world.clock() + timedelta(days=1))


def test_a_token_works_until_its_end_and_not_at_it(world: World) -> None:
    alice = world.person("alice")
    made = tokens.create(world.depot, alice, scope=Scope.READ, expires_at=world.clock() + timedelta(hours=1))
    world.clock.move(minutes=59, seconds=59)
    assert use(world, made.text).name == "alice"
    world.clock.move(seconds=1)
    with pytest.raises(Expired, match="Make another one"):
        use(world, made.text)


# Ending


def test_a_revoked_token_fails_from_the_next_request_on(world: World) -> None:
    alice = world.person("alice")
    made = tokens.create(world.depot, alice, scope=Scope.READ)
    revoked = tokens.revoke(world.depot, alice, made.token.uid)
    assert revoked.revoked_at == world.clock()
    with pytest.raises(BadCredentials, match="revoked") as caught:
        use(world, made.text)
    assert caught.value.details["reason"] == "revoked"
    world.clock.move(hours=1)
    assert tokens.revoke(world.depot, alice, made.token.uid) == revoked, "a repeat changes nothing"
    assert len(world.events("token.revoked")) == 1


def test_any_token_may_end_itself_and_see_its_siblings(world: World) -> None:
    alice = world.person("alice")
    other = tokens.create(world.depot, alice, scope=Scope.READ, name="other")
    for scope in Scope:
        made = tokens.create(world.depot, alice, scope=scope, name="this")
        actor = use(world, made.text)
        assert [t.name for t in tokens.list_tokens(world.depot, actor).rows] == ["other", "this"]
        if scope is not Scope.ADMIN:
            with pytest.raises(Forbidden):
                tokens.revoke(world.depot, actor, other.token.n)
        tokens.revoke(world.depot, actor, made.token.n)
        with pytest.raises(BadCredentials):
            use(world, made.text)


def test_lists_leave_out_what_is_over_unless_it_is_asked_for(world: World) -> None:
    alice = world.person("alice")
    over = tokens.create(world.depot, alice, scope=Scope.READ, name="revoked")
    tokens.revoke(world.depot, alice, over.token.n)
    tokens.create(world.depot, alice, scope=Scope.READ, name="old", expires_at=world.clock() + timedelta(hours=1))
    for n in range(3):
        tokens.create(world.depot, alice, scope=Scope.READ, name=f"good{n}")
    world.clock.move(hours=1)
    first = tokens.list_tokens(world.depot, alice, limit=2)
    rest = tokens.list_tokens(world.depot, alice, limit=2, cursor=first.cursor)
    assert [t.name for t in (*first.rows, *rest.rows)] == ["good0", "good1", "good2"]
    everything = tokens.list_tokens(world.depot, world.staff, user="alice", revoked=True)
    assert [t.name for t in everything.rows] == ["revoked", "old", "good0", "good1", "good2"]


def test_a_token_that_is_not_there(world: World) -> None:
    for key in (999_999, "tok_" + "0" * 32, "nonsense", ""):
        for ask in (tokens.get, tokens.revoke):
            with pytest.raises(NotFound):
                ask(world.depot, world.staff, key)


def test_deactivated_users_get_no_tokens(world: World) -> None:
    world.user("alice")
    users.deactivate(world.depot, world.staff, "alice")
    with pytest.raises(Invalid, match="deactivated"):
        tokens.create(world.depot, world.staff, scope=Scope.READ, user="alice")


# Use


def test_the_last_use_is_noted_at_most_once_a_minute(world: World) -> None:
    alice = world.person("alice")
    made = tokens.create(world.depot, alice, scope=Scope.READ)

    def noted() -> object:
        return tokens.get(world.depot, alice, made.token.n).last_used_at

    assert noted() is None
    use(world, made.text)
    first = world.clock()
    assert noted() == first
    world.clock.move(seconds=59)
    with writes_to(token_table.name) as written:
        use(world, made.text)
    assert written == [], "a read costs no write"
    assert noted() == first
    world.clock.move(seconds=1)
    use(world, made.text)
    assert noted() == world.clock()


@contextmanager
def writes_to(table: str) -> Iterator[list[str]]:
    """The statements that change this table meanwhile."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"UPDATE {table}"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_membership_that_ends_ends_for_tokens_too(world: World) -> None:
    alice = world.person("alice")
    team = world.team("lab", alice=Role.WRITE)
    shared = projects.create(world.depot, world.staff, "Shared", team=team.n).n
    actor = world.by_token(alice, Scope.WRITE)
    assert projects.get(world.depot, actor, shared).role is Role.WRITE
    members.remove(world.depot, world.staff, team.n, "alice")
    with pytest.raises(Hidden):
        projects.get(world.depot, actor, shared)
