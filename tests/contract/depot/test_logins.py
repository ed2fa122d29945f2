"""Logging in: the limit on guessing, what is told and what is not, and sessions of browsers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from entrepot.catalog import sessions as session_rows
from entrepot.catalog import users as user_rows
from entrepot.catalog.schema import login_failure, session
from entrepot.depot import credentials, passwords, sessions, users
from entrepot.depot.credentials import Cookie
from entrepot.model.errors import BadCredentials, Expired, Invalid, NotFound, RateLimited
from tests.support.identity import ADMIN_PASSWORD, PASSWORD, World

HERE, THERE = "192.0.2.1", "198.51.100.7"


def attempt(world: World, password: str = "wrong guess", name: str = "alice", address: str | None = HERE) -> str:
    try:
        sessions.login(world.depot, name, password, door="native", address=address)
    except BadCredentials:
        return "wrong"
    except RateLimited:
        return "limited"
    return "in"


def test_a_login_is_noted(world: World) -> None:
    world.user("alice")
    actor = sessions.login(world.depot, "alice", PASSWORD, door="ufdl", address=HERE)
    assert (actor.name, actor.door, actor.address, actor.staff) == ("alice", "ufdl", HERE, False)
    assert users.self_of(world.depot, actor).last_login_at == world.clock()
    event = world.events("login.succeeded")[0]
    assert (event.actor_name, event.door, event.detail) == ("alice", "ufdl", {"user": "alice", "address": HERE})


def test_a_name_is_taken_as_accounts_are_kept(world: World) -> None:
    world.user("alice")
    assert attempt(world, PASSWORD, "  alice ") == "in"
    assert attempt(world, PASSWORD, "\uff41lice") == "in", "full-width letters are the same name"
    assert attempt(world, PASSWORD, "Alice") == "wrong", "case counts"


# The limit


def test_ten_failures_in_five_minutes_close_the_account_for_that_address(world: World) -> None:
    world.user("alice")
    assert [attempt(world) for _ in range(11)] == ["wrong"] * 10 + ["limited"]
    assert attempt(world, PASSWORD) == "limited", "the right password too"
    assert attempt(world, PASSWORD, address=THERE) == "in", "another address is not concerned"
    world.user("bob")
    assert attempt(world, PASSWORD, "bob") == "in", "nor another account"


def test_the_refusal_says_how_long_to_wait_and_is_right(world: World) -> None:
    world.user("alice")
    for _ in range(10):
        attempt(world)
        world.clock.move(seconds=10)
    with pytest.raises(RateLimited) as caught:
        sessions.login(world.depot, "alice", PASSWORD, door="native", address=HERE)
    wait = caught.value.details["retry_after_s"]
    assert wait == 200, "five minutes after the first of the ten, which is 100 s ago"
    world.clock.move(seconds=wait - 1)
    assert attempt(world, PASSWORD) == "limited"
    world.clock.move(seconds=1)
    assert attempt(world, PASSWORD) == "in"


def test_a_refused_attempt_does_not_make_the_wait_longer(world: World) -> None:
    world.user("alice")
    for _ in range(10):
        attempt(world)
    for _ in range(20):
        world.clock.move(seconds=10)
        assert attempt(world) == "limited"
    world.clock.move(seconds=100)
    assert attempt(world, PASSWORD) == "in"


def test_successes_are_not_counted_and_clear_the_failures(world: World) -> None:
    world.user("alice")
    assert {attempt(world, PASSWORD) for _ in range(30)} == {"in"}
    for _ in range(3):
        assert [attempt(world) for _ in range(9)] == ["wrong"] * 9
        assert attempt(world, PASSWORD) == "in"


def test_right_passwords_sent_side_by_side_all_get_in(world: World) -> None:
    world.user("alice")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: attempt(world, PASSWORD), range(24))) == {"in"}


def test_guesses_sent_side_by_side_are_counted_too(world: World) -> None:
    world.user("alice")
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: attempt(world), range(40)))
    # Two transactions that do not see each other may each count nine; never the whole burst.
    assert 10 <= outcomes.count("wrong") <= 18
    assert attempt(world, PASSWORD) == "limited"


def test_a_right_guess_is_refused_when_the_limit_was_reached_while_it_was_computed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a burst of guesses sent side by side would be answered truly, however many they are."""
    world.user("alice")
    verify = PasswordHasher.verify

    def overtaken(*arguments: Any) -> bool:
        monkeypatch.setattr(PasswordHasher, "verify", verify)
        assert [attempt(world) for _ in range(10)] == ["wrong"] * 10
        return verify(*arguments)

    monkeypatch.setattr(PasswordHasher, "verify", overtaken)
    assert attempt(world, PASSWORD) == "limited"


def test_the_limit_holds_for_names_that_nobody_has(world: World) -> None:
    """Otherwise the limit itself would tell which accounts there are."""
    assert [attempt(world, name="nobody") for _ in range(11)] == ["wrong"] * 10 + ["limited"]
    assert [attempt(world, name="no body\x00") for _ in range(11)] == ["wrong"] * 10 + ["limited"]


def test_logins_without_an_address_share_one_count(world: World) -> None:
    world.user("alice")
    assert [attempt(world, address=None) for _ in range(11)] == ["wrong"] * 10 + ["limited"]


# What is told


def test_the_answer_does_not_tell_why(world: World) -> None:
    world.user("alice")
    world.user("gone")
    world.user("empty", password=None)
    users.deactivate(world.depot, world.staff, "gone")
    answers = set()
    for name, password in (
        ("alice", "wrong guess"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("empty", ""),
        ("a\x00", PASSWORD),
        ("\ud800", "\ud800"),
    ):
        with pytest.raises(BadCredentials) as caught:
            sessions.login(world.depot, name, password, door="native", address=HERE)
        answers.add((caught.value.message, str(caught.value.details)))
    assert len(answers) == 1


def test_an_unknown_user_costs_the_same_computation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of hashes rather than the time: time is the machine's, not ours."""
    world.user("alice")
    world.user("empty", password=None)
    computed: list[str] = []
    for name in ("hash", "verify"):
        original = getattr(PasswordHasher, name)

        def counting(*arguments: Any, original: Any = original, name: str = name) -> Any:
            computed.append(name)
            return original(*arguments)

        monkeypatch.setattr(PasswordHasher, name, counting)
    counts = []
    for name in ("alice", "nobody", "empty", "a\x00"):
        computed.clear()
        attempt(world, name=name)
        counts.append(len(computed))
    assert counts == [1, 1, 1, 1]


def test_what_was_typed_into_the_wrong_field_is_written_nowhere(world: World) -> None:
    attempt(world, password="hunter2-the-password", name="my secret phrase")
    with world.depot.catalog.read() as conn:
        failures = [tuple(row) for row in conn.execute(login_failure.select())]
    (event,) = world.events("login.failed")
    assert (event.subject, event.detail) == (None, {"user": None, "address": HERE})
    for written in (repr(failures), repr(event)):
        assert "secret" not in written
        assert "hunter2" not in written


def test_a_failure_of_a_real_account_names_it(world: World) -> None:
    world.user("alice")
    attempt(world)
    (event,) = world.events("login.failed")
    assert (event.actor, event.detail) == (None, {"user": "alice", "address": HERE})


def test_an_old_hash_is_renewed_at_the_next_login(world: World) -> None:
    world.user("alice")
    dearer = world.with_policy(password_time_cost=2)
    sessions.login(dearer, "alice", PASSWORD, door="native")
    with world.depot.catalog.read() as conn:
        found = user_rows.for_login(conn, "alice")
    assert found is not None
    assert found[1] is not None
    assert "t=2" in found[1]
    assert attempt(world, PASSWORD) == "in"


# Sessions


def test_a_session_opens_with_its_cookie_until_it_ends(world: World) -> None:
    world.user("alice")
    opened = sessions.open_session(world.depot, "alice", PASSWORD, address=HERE, agent="Browser/1 \x00\n" + "x" * 500)
    assert opened.cookie not in repr(opened)
    assert opened.session.expires_at == world.clock() + timedelta(days=14)
    assert len(opened.session.detail["agent"]) <= 200
    actor = credentials.authenticate(world.depot, Cookie(opened.cookie), door="web")
    assert (actor.name, actor.door) == ("alice", "web")
    world.clock.move(days=14)
    with pytest.raises(Expired):
        credentials.authenticate(world.depot, Cookie(opened.cookie), door="web")


def test_the_cookie_itself_is_not_kept(world: World) -> None:
    world.user("alice")
    opened = sessions.open_session(world.depot, "alice", PASSWORD)
    with world.depot.catalog.read() as conn:
        rows: list[Any] = list(conn.execute(session.select()))
    assert opened.cookie not in repr(rows)
    assert opened.session.id not in opened.cookie


def test_logging_out_ends_that_session_and_may_be_repeated(world: World) -> None:
    world.user("alice")
    one, other = (sessions.open_session(world.depot, "alice", PASSWORD) for _ in range(2))
    for _ in range(2):
        sessions.close_session(world.depot, one.cookie)
    with pytest.raises(BadCredentials):
        credentials.authenticate(world.depot, Cookie(one.cookie), door="web")
    assert credentials.authenticate(world.depot, Cookie(other.cookie), door="web").name == "alice"


def test_sessions_are_listed_newest_first_and_ended_one_by_one(world: World) -> None:
    alice = world.person("alice")
    old = sessions.open_session(world.depot, "alice", PASSWORD, agent="old")
    world.clock.move(minutes=1)
    new = sessions.open_session(world.depot, "alice", PASSWORD, agent="new")
    assert sessions.list_sessions(world.depot, alice) == (new.session, old.session)
    sessions.end_session(world.depot, alice, old.session.id)
    assert sessions.list_sessions(world.depot, world.staff, user="alice") == (new.session,)
    bob = world.person("bob")
    with pytest.raises(NotFound):
        sessions.end_session(world.depot, bob, new.session.id)
    world.clock.move(days=14)
    assert sessions.list_sessions(world.depot, alice) == ()


def test_the_sweep_removes_what_is_over_and_nothing_else(world: World) -> None:
    world.user("alice")
    sessions.open_session(world.depot, "alice", PASSWORD)
    attempt(world)
    world.clock.move(days=13)
    kept = sessions.open_session(world.depot, "alice", PASSWORD, address=THERE)
    attempt(world)
    assert sessions.sweep(world.depot) == 1, "the failure of thirteen days ago"
    world.clock.move(days=1)
    assert sessions.sweep(world.depot) == 2, "the older session, and the other failure"
    assert sessions.sweep(world.depot) == 0
    assert credentials.authenticate(world.depot, Cookie(kept.cookie), door="web").name == "alice"
    with world.depot.catalog.read() as conn:
        assert session_rows.failures(conn, "", "", world.clock() - timedelta(days=100)) == []


def test_a_login_of_an_account_that_is_closed_meanwhile_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the account and the transaction lies the computation, and in it the account is closed."""
    world.user("alice")
    staff, verify = world.staff, PasswordHasher.verify

    def closing(*arguments: Any) -> bool:
        users.deactivate(world.depot, staff, "alice")
        return verify(*arguments)

    monkeypatch.setattr(PasswordHasher, "verify", closing)
    assert attempt(world, PASSWORD) == "wrong"


def test_whoever_has_the_folder_sets_a_password_and_ends_what_the_old_one_opened(world: World) -> None:
    """A password that was made up and never seen, or is forgotten."""
    opened = sessions.open_session(world.depot, "admin", ADMIN_PASSWORD, door="web", address="192.0.2.1")
    passwords.reset(world.depot, "admin", "another password")
    assert sessions.login(world.depot, "admin", "another password", door="native", address="192.0.2.1").staff
    with pytest.raises(BadCredentials):
        sessions.login(world.depot, "admin", ADMIN_PASSWORD, door="native", address="192.0.2.1")
    with pytest.raises(BadCredentials):
        credentials.authenticate(world.depot, credentials.Cookie(opened.cookie), door="web")
    told = world.events("user.updated")[0]
    assert (told.actor, told.door, told.detail) == (None, "operator", {"changed": "password"})
    for name, password, error in (("nobody", "another password", NotFound), ("admin", "short", Invalid)):
        with pytest.raises(error):
            passwords.reset(world.depot, name, password)
