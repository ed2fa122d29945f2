"""What a request shows, and who it is by that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from entrepot.catalog import users as user_rows
from entrepot.depot import credentials, nodes, passwords, sessions, tokens, users
from entrepot.depot.credentials import Bearer, Cookie, Credential, Pair
from entrepot.depot.users import UserChanges
from entrepot.model import ids
from entrepot.model.access import ANONYMOUS, STAFF_ONLY, Action, Actor
from entrepot.model.errors import BadCredentials, Expired, Forbidden, Invalid, NotFound, Unauthenticated
from entrepot.model.values import Scope
from tests.support.identity import PASSWORD, World, new_depot

REFRESH = timedelta(hours=8)


def enter(world: World, credential: Credential | None, door: str = "native") -> Actor:
    return credentials.authenticate(world.depot, credential, door=door, address="192.0.2.1")


def reason(world: World, credential: Credential, door: str = "native") -> str:
    with pytest.raises(Unauthenticated) as caught:
        enter(world, credential, door)
    assert isinstance(caught.value, BadCredentials | Expired)
    return str(caught.value.details["reason"])


def pair_of(made: tokens.NewToken) -> Pair:
    return Pair(ids.encode(ids.Noun.TOKEN, made.token.uid), made.text)


def test_nothing_shown_is_anonymous_while_the_operator_allows_it(world: World) -> None:
    actor = enter(world, None, door="ufdl")
    assert (actor.is_anonymous, actor.door, actor.address, actor.staff) == (True, "ufdl", "192.0.2.1", False)
    with pytest.raises(Unauthenticated, match="Log in first"):
        credentials.authenticate(world.with_policy(anonymous=False), None, door="native")


def test_the_door_s_table_goes_along(world: World) -> None:
    narrow = {Action.VIEW_PEOPLE: STAFF_ONLY}
    world.user("alice")
    made = tokens.create(world.depot, world.login("alice"), scope=Scope.READ)
    actor = credentials.authenticate(world.depot, Bearer(made.text), door="ufdl", narrow=narrow)
    with pytest.raises(Forbidden):
        users.list_users(world.depot, actor)


def test_what_nobody_made_is_refused(world: World) -> None:
    for text in ("", "x", "ent_" + "A" * 43, "\ud800", "a\x00b", "a.b.c", "..", ".", "x" * 100_000):
        assert reason(world, Bearer(text)) in ("unknown", "signature")
        assert reason(world, Cookie(text)) == "unknown"
        assert reason(world, Pair("tok_" + "0" * 32, text)) == "unknown"


def test_credentials_do_not_show_in_their_repr() -> None:
    shown = [repr(c) for c in (Bearer("s3cret"), Pair("tok_1", "s3cret"), Cookie("s3cret"))]
    assert not [text for text in shown if "s3cret" in text]


# Pairs and exchanges


def test_a_pair_is_good_only_with_its_own_id(world: World) -> None:
    alice = world.person("alice")
    one, other = (tokens.create(world.depot, alice, scope=Scope.READ) for _ in range(2))
    assert enter(world, pair_of(one)).token == one.token.n
    assert reason(world, Pair(pair_of(other).token_id, one.text)) == "unknown"
    assert reason(world, Pair("nonsense", one.text)) == "unknown"


def test_an_exchanged_token_reaches_as_far_as_the_token(world: World) -> None:
    alice = world.person("alice")
    project = world.personal_project(alice)
    made = tokens.create(world.depot, alice, scope=Scope.WRITE, projects=[project])
    pair = pair_of(made)
    signed = sessions.exchange(world.depot, pair.token_id, pair.text, door="benchling")
    assert signed.scope is Scope.WRITE
    assert signed.expires_at == world.clock() + timedelta(hours=1)
    actor = enter(world, Bearer(signed.text), door="benchling")
    assert (actor.scope, actor.projects, actor.token) == (Scope.WRITE, (project,), made.token.n)
    tokens.revoke(world.depot, alice, made.token.n)
    assert reason(world, Bearer(signed.text), door="benchling") == "revoked"


def test_an_exchanged_token_ends_no_later_than_the_token(world: World) -> None:
    end = world.clock() + timedelta(minutes=10)
    made = tokens.create(world.depot, world.person("alice"), scope=Scope.READ, expires_at=end)
    signed = sessions.exchange(world.depot, *_both(made), door="benchling")
    assert signed.expires_at == end
    world.clock.move(minutes=10)
    assert reason(world, Bearer(signed.text), door="benchling") == "expired"
    with pytest.raises(Expired):
        sessions.exchange(world.depot, *_both(made), door="benchling")


def test_staff_rights_pass_an_exchange_only_with_scope_admin(world: World) -> None:
    for scope in Scope:
        made = tokens.create(world.depot, world.staff, scope=scope)
        signed = sessions.exchange(world.depot, *_both(made), door="benchling")
        assert enter(world, Bearer(signed.text), door="benchling").staff is (scope is Scope.ADMIN)


# Signed tokens


def test_a_signed_token_works_at_the_door_that_made_it_and_no_other(world: World) -> None:
    world.user("alice")
    obtained = sessions.obtain(world.depot, "alice", PASSWORD, door="ufdl", refresh=REFRESH)
    actor = enter(world, Bearer(obtained.access.text), door="ufdl")
    assert (actor.name, actor.scope, actor.token) == ("alice", Scope.ADMIN, None)
    for door in ("flow", "native", "benchling", ""):
        assert reason(world, Bearer(obtained.access.text), door=door) == "door"


def test_a_signed_token_ends_after_its_hour(world: World) -> None:
    world.user("alice")
    obtained = sessions.obtain(world.depot, "alice", PASSWORD, door="ufdl", refresh=REFRESH)
    assert obtained.access.expires_at == world.clock() + timedelta(hours=1)
    world.clock.move(minutes=59, seconds=59)
    assert enter(world, Bearer(obtained.access.text), door="ufdl").name == "alice"
    world.clock.move(seconds=1)
    assert reason(world, Bearer(obtained.access.text), door="ufdl") == "expired"
    fresh = sessions.refresh(world.depot, obtained.refresh.text, door="ufdl")
    assert enter(world, Bearer(fresh.text), door="ufdl").name == "alice"
    world.clock.move(hours=7)
    with pytest.raises(Expired):
        sessions.refresh(world.depot, obtained.refresh.text, door="ufdl")


def test_access_and_refresh_are_not_each_other(world: World) -> None:
    world.user("alice")
    obtained = sessions.obtain(world.depot, "alice", PASSWORD, door="ufdl", refresh=REFRESH)
    assert reason(world, Bearer(obtained.refresh.text), door="ufdl") == "kind"
    with pytest.raises(BadCredentials) as caught:
        sessions.refresh(world.depot, obtained.access.text, door="ufdl")
    assert caught.value.details["reason"] == "kind"
    for text in (obtained.access.text, obtained.refresh.text):
        assert sessions.check(world.depot, text, door="ufdl").name == "alice"


def test_any_changed_character_of_a_signed_token_is_noticed(world: World) -> None:
    world.user("alice")
    text = sessions.obtain(world.depot, "alice", PASSWORD, door="ufdl", refresh=REFRESH).access.text
    for place in range(0, len(text), 7):
        if text[place] == ".":
            continue
        # A step of 32 in the alphabet changes the first of the six bits, so it counts in the last letter too.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = alphabet[(alphabet.index(text[place]) + 32) % 64]
        assert reason(world, Bearer(text[:place] + other + text[place + 1 :]), door="ufdl") == "signature", place


def test_a_token_of_another_server_or_of_no_algorithm_is_refused(world: World) -> None:
    world.user("alice")
    other = new_depot(world.depot.catalog, world.clock)
    other.secret = b"another secret of thirty-two byte"
    foreign = sessions.obtain(other, "alice", PASSWORD, door="ufdl", refresh=REFRESH).access.text
    assert reason(world, Bearer(foreign), door="ufdl") == "signature"
    payload = sessions.obtain(world.depot, "alice", PASSWORD, door="ufdl", refresh=REFRESH).access.text.split(".")[1]
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + payload + "."
    assert reason(world, Bearer(unsigned), door="ufdl") == "signature"


# Ending everything at once


def everything_of(world: World, name: str) -> dict[str, tuple[Credential, str]]:
    """Each kind of credential that somebody can have, with its door."""
    actor = world.login(name)
    token = tokens.create(world.depot, actor, scope=Scope.ADMIN)
    obtained = sessions.obtain(world.depot, name, PASSWORD, door="ufdl", refresh=REFRESH)
    exchanged = sessions.exchange(world.depot, *_both(token), door="benchling")
    opened = sessions.open_session(world.depot, name, PASSWORD)
    return {
        "token": (Bearer(token.text), "native"),
        "pair": (pair_of(token), "native"),
        "signed": (Bearer(obtained.access.text), "ufdl"),
        "exchanged": (Bearer(exchanged.text), "benchling"),
        "session": (Cookie(opened.cookie), "web"),
    }


def test_a_deactivated_user_is_out_at_once_and_only_tokens_come_back(world: World) -> None:
    world.user("alice")
    shown = everything_of(world, "alice")
    for credential, door in shown.values():
        assert enter(world, credential, door).name == "alice"
    users.deactivate(world.depot, world.staff, "alice")
    found = {kind: reason(world, *how) for kind, how in shown.items()}
    # Sessions are removed, so there is nothing left to say why.
    assert found == {**dict.fromkeys(shown, "inactive"), "session": "unknown"}
    users.update(world.depot, world.staff, "alice", UserChanges(is_active=True))
    for kind in ("token", "pair"):
        assert enter(world, *shown[kind]).name == "alice"
    for kind in ("signed", "exchanged", "session"):
        assert reason(world, *shown[kind]) in ("epoch", "unknown")


def test_a_new_password_ends_sessions_and_signed_tokens_but_not_api_tokens(world: World) -> None:
    world.user("alice")
    shown = everything_of(world, "alice")
    passwords.set_password(world.depot, world.login("alice"), "alice", "another one", old=PASSWORD)
    for kind in ("token", "pair"):
        assert enter(world, *shown[kind]).name == "alice"
    assert [reason(world, *shown[kind]) for kind in ("signed", "exchanged", "session")] == ["epoch", "epoch", "unknown"]


def test_a_session_that_was_opened_while_the_others_were_ended_ends_with_them(world: World) -> None:
    """Its row came after those were removed, but it was opened under the epoch before."""
    world.user("alice")
    opened = sessions.open_session(world.depot, "alice", PASSWORD)
    world.depot.catalog.write(lambda conn: user_rows.end_credentials(conn, opened.session.user))
    assert reason(world, Cookie(opened.cookie), "web") == "epoch"
    assert sessions.list_sessions(world.depot, world.login("alice")) == ()


def test_a_refresh_token_does_not_outlive_the_epoch(world: World) -> None:
    world.user("alice")
    obtained = sessions.obtain(world.depot, "alice", PASSWORD, door="flow", refresh=REFRESH)
    sessions.end_all(world.depot, world.login("alice"))
    with pytest.raises(BadCredentials):
        sessions.refresh(world.depot, obtained.refresh.text, door="flow")


def test_lost_staff_rights_are_lost_at_once(world: World) -> None:
    world.user("boss", is_staff=True)
    shown = everything_of(world, "boss")
    assert all(enter(world, *how).staff for how in shown.values())
    users.update(world.depot, world.staff, "boss", UserChanges(is_staff=False))
    assert not any(enter(world, *how).staff for how in shown.values())


# Nodes


def test_a_token_bound_to_a_node_fails_while_the_node_is_deactivated(world: World) -> None:
    world.user("alice")
    nodes.create(world.depot, world.staff, "worker")
    made = tokens.create(world.depot, world.staff, scope=Scope.WRITE, user="alice", node="worker")
    nodes.deactivate(world.depot, world.staff, "worker")
    assert reason(world, Bearer(made.text)) == "node"
    nodes.reactivate(world.depot, world.staff, "worker")
    assert enter(world, Bearer(made.text)).node is not None


def test_a_caller_may_act_for_any_active_node_but_a_bound_token_only_for_its_own(world: World) -> None:
    alice = world.person("alice")
    one, other = (nodes.create(world.depot, world.staff, name) for name in ("one", "other"))
    assert nodes.acting_for(world.depot, alice, one.n).node == one.n
    bound = world.by_token(world.staff, Scope.WRITE, user="alice", node=one.n)
    assert nodes.acting_for(world.depot, bound, one.n).node == one.n
    with pytest.raises(Forbidden, match="bound"):
        nodes.acting_for(world.depot, bound, other.n)
    nodes.deactivate(world.depot, world.staff, one.n)
    for wrong in (one.n, 999_999, 0, -1, 10**30):
        with pytest.raises(Invalid, match="cannot be acted for"):
            nodes.acting_for(world.depot, alice, wrong)


# The operator


def test_the_operator_acts_in_somebody_s_name_with_whole_rights(world: World) -> None:
    world.user("alice")
    actor = credentials.as_operator(world.depot, "alice")
    assert (actor.name, actor.staff, actor.scope, actor.door) == ("alice", True, Scope.ADMIN, "operator")
    made = tokens.create(world.depot, actor, scope=Scope.ADMIN)
    assert not enter(world, Bearer(made.text)).staff, "the token is alice's, not the operator's"
    with pytest.raises(NotFound):
        credentials.as_operator(world.depot, "nobody")


def _both(made: tokens.NewToken) -> tuple[str, str]:
    pair = pair_of(made)
    return pair.token_id, pair.text


# Whoever made a signed link


def test_the_maker_of_a_link_has_the_rights_of_now_and_no_more_than_then(world: World) -> None:
    world.user("boss", is_staff=True)
    boss = world.login("boss")
    by_read, by_admin = world.by_token(boss, Scope.READ), world.by_token(boss, Scope.ADMIN)
    actors = {"p": boss, "r": by_read, "a": by_admin}
    made = {how: credentials.issuer_of(world.depot, actor) for how, actor in actors.items()}

    def now(how: str) -> tuple[Scope, bool]:
        actor = credentials.of_issuer(world.depot, made[how], door="objects")
        assert (actor.name, actor.door) == ("boss", "objects")
        return actor.scope, actor.staff

    assert [now(how) for how in "pra"] == [(Scope.ADMIN, True), (Scope.READ, False), (Scope.ADMIN, True)]
    users.update(world.depot, world.staff, "boss", UserChanges(is_staff=False))
    assert [now(how) for how in "pra"] == [(Scope.ADMIN, False), (Scope.READ, False), (Scope.ADMIN, False)]
    tokens.revoke(world.depot, world.staff, by_read.token or 0)
    with pytest.raises(BadCredentials, match="revoked"):
        now("r")
    assert now("a")[0] is Scope.ADMIN
    sessions.end_all(world.depot, world.staff, user="boss")
    for how in "pa":
        with pytest.raises(BadCredentials, match="ended"):
            now(how)
    assert credentials.of_issuer(
        world.depot, credentials.issuer_of(world.depot, ANONYMOUS), door="objects"
    ).is_anonymous
