"""Accounts: made whole, changed by whom they belong to, never removed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from argon2 import PasswordHasher

from entrepot.catalog import projects, standing, teams
from entrepot.depot import members, passwords, tokens, users
from entrepot.depot import projects as project_cases
from entrepot.depot import teams as team_cases
from entrepot.depot.users import UserChanges
from entrepot.model import ids
from entrepot.model.errors import (
    BadCredentials,
    BadCursor,
    Conflict,
    Forbidden,
    Invalid,
    InvalidName,
    NameTaken,
    NotFound,
    RateLimited,
    Trashed,
)
from entrepot.model.values import Person, Role, Scope, User
from tests.support.identity import ADMIN_PASSWORD, PASSWORD, World


def names_of(world: World, **how: object) -> list[str]:
    return [row.name for row in users.list_users(world.depot, world.staff, **how).rows]  # type: ignore[arg-type]


def test_a_new_user_comes_with_team_project_and_events(world: World) -> None:
    made = world.user("Zoë.Müller")
    assert made.email == "Zoë.Müller@localhost"
    assert made.is_active
    assert not made.is_staff
    with world.depot.catalog.read() as conn:
        team = standing.personal_team(conn, made.n)
        assert made.default_project is not None
        found = projects.find(conn, user=made.n, n=made.default_project)
        assert found is not None
        project, role = found
        root = projects.collection_by_path(conn, project.n, "")
    assert (project.name, project.slug, project.team, project.team_name) == (
        "Zoë.Müller",
        "zoe.muller",
        team,
        "~Zoë.Müller",
    )
    assert role is Role.ADMIN
    assert root is not None
    assert root.uid == project.uid
    (event,) = [e for e in world.events("user.created") if e.subject == ids.encode(ids.Noun.USER, made.uid)]
    assert (event.actor_name, event.before) == ("admin", None)
    assert event.after is not None
    assert event.after["name"] == "Zoë.Müller"
    assert world.events("project.created")[0].project == project.n


def test_users_whose_names_make_one_slug_get_projects_of_their_own(world: World) -> None:
    first, second = world.user("Alice"), world.user("alice")
    with world.depot.catalog.read() as conn:
        slugs = [projects.find(conn, user=None, n=user.default_project)[0].slug for user in (first, second)]  # type: ignore[index]
    assert slugs == ["alice", "alice-2"]


def test_a_taken_name_is_refused(world: World) -> None:
    world.user("alice")
    with pytest.raises(NameTaken, match="already a user named alice"):
        world.user("alice")


def test_of_many_who_create_one_name_at_once_one_wins(world: World) -> None:
    def attempt(_: int) -> str:
        try:
            return users.create(world.depot, world.staff, "alice", password=PASSWORD).name
        except NameTaken:
            return "taken"

    _ = world.staff
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    assert sorted(outcomes) == ["alice", *["taken"] * 5]
    assert names_of(world, text="alice") == ["alice"]


def test_many_names_of_one_slug_created_at_once_all_succeed(world: World) -> None:
    wanted = ["Bob", "bob", "BOB", "bOb", "boB"]
    _ = world.staff
    with ThreadPoolExecutor(5) as pool:
        made = list(pool.map(world.user, wanted))
    with world.depot.catalog.read() as conn:
        slugs = {projects.find(conn, user=None, n=user.default_project)[0].slug for user in made}  # type: ignore[index]
    assert slugs == {"bob", "bob-2", "bob-3", "bob-4", "bob-5"}


def test_passwords_need_eight_characters(world: World) -> None:
    for password in ("", "1234567", "e\u0301" * 7):
        with pytest.raises(Invalid, match="at least 8") as caught:
            world.user("alice", password=password)
        assert not password or password not in caught.value.message


def test_passwords_need_nothing_else(world: World) -> None:
    for n, password in enumerate(("aaaaaaaa", "        ", "é" * 8, "パスワードパスワード", "x" * 10_000)):
        world.user(f"alice{n}", password=password)
        assert world.login(f"alice{n}", password).name == f"alice{n}"


def test_one_password_typed_on_two_keyboards_is_one_password(world: World) -> None:
    world.user("alice", password="caf\u00e9 au lait")
    assert world.login("alice", "cafe\u0301 au lait").name == "alice"


def test_an_account_without_a_password_cannot_log_in_until_it_has_one(world: World) -> None:
    made = world.user("alice", password=None)
    assert not made.has_password
    with pytest.raises(BadCredentials):
        world.login("alice", "")
    passwords.set_password(world.depot, world.staff, "alice", PASSWORD)
    assert world.login("alice").name == "alice"


def test_names_that_nobody_may_have(world: World) -> None:
    for name in ("", "a b", "a/b", "~alice", "..", "user_" + "0" * 32, "a\x00b", "x" * 151):
        with pytest.raises(InvalidName):
            world.user(name)


def test_addresses_that_are_none(world: World) -> None:
    for email in ("nobody", "@host", "a@", "a b@host", "a@b\x00"):
        with pytest.raises(Invalid):
            users.create(world.depot, world.staff, "alice", email=email)


# Finding


def test_somebody_is_found_by_number_uid_id_name_and_address(world: World) -> None:
    made = users.create(world.depot, world.staff, "alice", email="alice@lab.example")
    for key in (made.n, made.uid, ids.encode(ids.Noun.USER, made.uid), "alice", "alice@lab.example"):
        assert users.get(world.depot, world.staff, key) == made


def test_an_address_finds_others_only_for_staff(world: World) -> None:
    users.create(world.depot, world.staff, "alice", email="alice@lab.example", password=PASSWORD)
    bob, alice = world.person("bob"), world.login("alice")
    with pytest.raises(NotFound):
        users.get(world.depot, bob, "alice@lab.example")
    assert users.get(world.depot, alice, "alice@lab.example").name == "alice"


def test_an_address_that_two_have_names_nobody(world: World) -> None:
    for name in ("alice", "bob"):
        users.create(world.depot, world.staff, name, email="both@lab.example")
    with pytest.raises(Conflict, match="Use the user name"):
        users.get(world.depot, world.staff, "both@lab.example")


def test_who_is_not_there_is_not_found(world: World) -> None:
    for key in ("nobody", "user_" + "0" * 32, 999_999, "a\x00b", "\ud800", "", "x@y"):
        with pytest.raises(NotFound):
            users.get(world.depot, world.staff, key)


def test_others_see_name_and_user_name_and_no_more(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    users.update(world.depot, alice, alice.user or 0, UserChanges(first_name="Alice", last_name="Liddell"))
    seen = users.get(world.depot, bob, "alice")
    assert isinstance(seen, Person)
    assert (seen.name, seen.first_name, seen.last_name) == ("alice", "Alice", "Liddell")
    assert not hasattr(seen, "email")


# Lists


def test_lists_go_on_where_the_last_page_ended(world: World) -> None:
    for name in ("a", "b", "c"):
        world.user(f"user-{name}", password=None)
    first = users.list_users(world.depot, world.staff, limit=3)
    second = users.list_users(world.depot, world.staff, limit=3, cursor=first.cursor)
    assert [row.name for row in (*first.rows, *second.rows)] == ["admin", "user-a", "user-b", "user-c"]
    assert second.cursor is None
    with pytest.raises(BadCursor):
        users.list_users(world.depot, world.staff, text="other", cursor=first.cursor)
    with pytest.raises(Invalid, match="at least 1"):
        users.list_users(world.depot, world.staff, limit=0)


def test_search_finds_parts_of_names_and_takes_wildcards_as_letters(world: World) -> None:
    users.create(world.depot, world.staff, "ada", first_name="Ada", last_name="Lovelace")
    users.create(world.depot, world.staff, "bob", email="bob@lovelace.example")
    assert names_of(world, text="LOVE") == ["ada", "bob"]
    assert names_of(world, text="ada love") == ["ada"]
    assert names_of(world, text="%") == []
    assert names_of(world, text="a_a") == []
    assert names_of(world, text="a\x00") == []
    carol = world.person("carol")
    seen = users.list_users(world.depot, carol, text="love").rows
    assert [row.name for row in seen] == ["ada"], "addresses are for staff to search"


def test_deactivated_people_are_listed_for_staff_only(world: World) -> None:
    carol = world.person("carol")
    world.user("dave")
    users.deactivate(world.depot, world.staff, "dave")
    assert "dave" in names_of(world)
    assert "dave" not in [row.name for row in users.list_users(world.depot, carol).rows]


# Changes


def test_oneself_may_change_names_and_address_and_the_event_tells_before_and_after(world: World) -> None:
    alice = world.person("alice")
    after = users.update(world.depot, alice, "alice", UserChanges(first_name="Alice", email="a@lab.example"))
    assert (after.first_name, after.email, after.last_name) == ("Alice", "a@lab.example", "")
    (event,) = world.events("user.updated")
    assert event.before == {"first_name": "", "email": "alice@localhost"}
    assert event.after == {"first_name": "Alice", "email": "a@lab.example"}
    users.update(world.depot, alice, "alice", UserChanges(first_name="Alice"))
    assert len(world.events("user.updated")) == 1, "no change, no event"


def test_oneself_may_not_change_what_is_for_staff(world: World) -> None:
    alice = world.person("alice")
    for changes in (UserChanges(name="queen"), UserChanges(is_staff=True), UserChanges(is_active=False)):
        with pytest.raises(Forbidden, match="Only staff"):
            users.update(world.depot, alice, "alice", changes)


def test_a_renamed_user_takes_the_hidden_team_along_and_keeps_the_project(world: World) -> None:
    made = world.user("alice")
    world.user("taken")
    after = users.update(world.depot, world.staff, "alice", UserChanges(name="alicia"))
    with world.depot.catalog.read() as conn:
        team = teams.find(conn, asking=None, n=standing.personal_team(conn, made.n))
        assert team is not None
        project = projects.find(conn, user=None, n=made.default_project)
        assert project is not None
    assert (after.n, after.name, team[0].name, project[0].slug) == (made.n, "alicia", "~alicia", "alice")
    with pytest.raises(NameTaken):
        users.update(world.depot, world.staff, "alicia", UserChanges(name="taken"))
    assert world.login("alicia").user == made.n


def test_staff_may_be_given_and_taken_and_acts_at_once(world: World) -> None:
    world.user("alice")
    token = tokens.create(world.depot, world.login("alice"), scope=Scope.ADMIN)
    users.update(world.depot, world.staff, "alice", UserChanges(is_staff=True))
    alice = world.login("alice")
    assert alice.staff
    users.update(world.depot, world.staff, "alice", UserChanges(is_staff=False))
    assert not world.login("alice").staff
    assert token.token.scope is Scope.ADMIN


def test_the_last_active_staff_stays(world: World) -> None:
    for changes in (UserChanges(is_staff=False), UserChanges(is_active=False)):
        with pytest.raises(Conflict, match="only active staff"):
            users.update(world.depot, world.staff, "admin", changes)
    with pytest.raises(Conflict, match="only active staff"):
        users.deactivate(world.depot, world.staff, "admin")
    world.user("boss", is_staff=True)
    users.deactivate(world.depot, world.staff, "admin")
    boss = world.login("boss")
    with pytest.raises(Conflict, match="only active staff"):
        users.deactivate(world.depot, boss, "boss")


def test_two_staff_who_leave_at_once_do_not_both(world: World) -> None:
    """The second one begins while the first has looked, has written, and has not committed yet."""
    boss, admin = world.person("boss", is_staff=True), world.staff
    refused: list[Conflict] = []

    def second() -> None:
        try:
            users.deactivate(world.depot, boss, "boss")
        except Conflict as conflict:
            refused.append(conflict)

    other = threading.Thread(target=second)

    def clock() -> datetime:
        # Asked for the event, inside the first one's transaction. The second either waits for it, as it should, or
        # would be done in no time.
        if not other.ident:
            other.start()
            other.join(0.5)
        return world.clock()

    users.deactivate(replace(world.depot, clock=clock), admin, "admin")
    other.join()
    assert len(refused) == 1
    assert world.login("boss").staff


def test_the_default_project_is_one_where_the_user_may_write(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    team = world.team("lab", alice=Role.READ)
    project = project_cases.create(world.depot, world.staff, "Shared", team=team.n)

    def choose(n: int) -> User:
        return users.update(world.depot, alice, "alice", UserChanges(default_project=n))

    with pytest.raises(Invalid, match="may not write"):
        choose(project.n)
    members.update(world.depot, world.staff, team.n, "alice", Role.WRITE)
    assert choose(project.n).default_project == project.n
    with pytest.raises(NotFound):
        choose(world.personal_project(bob))
    with pytest.raises(NotFound):
        choose(999_999)
    with pytest.raises(NotFound):
        users.update(world.depot, world.staff, "bob", UserChanges(default_project=project.n))
    project_cases.trash(world.depot, world.staff, project.n)
    with pytest.raises(Trashed):
        users.update(world.depot, world.staff, "alice", UserChanges(default_project=project.n))


# Ending and coming back


def test_a_deactivated_user_is_kept_with_all_that_is_theirs(world: World) -> None:
    world.person("alice")
    team = world.team("lab", alice=Role.WRITE)
    after = users.deactivate(world.depot, world.staff, "alice")
    assert not after.is_active
    assert users.deactivate(world.depot, world.staff, "alice") == after, "a repeat is a success"
    assert len(world.events("user.deactivated")) == 1
    assert [m.user_name for m in members.list_members(world.depot, world.staff, team.n).rows] == ["alice"]
    with pytest.raises(BadCredentials):
        world.login("alice")
    users.reactivate(world.depot, world.staff, "alice")
    assert world.login("alice").name == "alice"
    assert team_cases.get(world.depot, world.login("alice"), "lab").role is Role.WRITE


# Passwords


def test_ones_own_password_needs_the_old_one(world: World) -> None:
    alice = world.person("alice")
    with pytest.raises(Invalid, match="old password"):
        passwords.set_password(world.depot, alice, "alice", "another one")
    with pytest.raises(BadCredentials, match="old password"):
        passwords.set_password(world.depot, alice, "alice", "another one", old="not it at all")
    passwords.set_password(world.depot, alice, "alice", "another one", old=PASSWORD)
    with pytest.raises(BadCredentials):
        world.login("alice")
    assert world.login("alice", "another one").name == "alice"


def test_staff_needs_its_own_old_password_too(world: World) -> None:
    with pytest.raises(Invalid, match="old password"):
        passwords.set_password(world.depot, world.staff, "admin", "another one")
    passwords.set_password(world.depot, world.staff, "admin", "another one", old=ADMIN_PASSWORD)


def test_guessing_the_old_password_meets_the_limit_of_logins(world: World) -> None:
    alice = world.person("alice")
    for _ in range(10):
        with pytest.raises(BadCredentials):
            passwords.set_password(world.depot, alice, "alice", "another one", old="wrong guess")
    with pytest.raises(RateLimited):
        passwords.set_password(world.depot, alice, "alice", "another one", old=PASSWORD)
    with pytest.raises(RateLimited):
        world.login("alice")
    elsewhere = replace(alice, address="198.51.100.7")
    passwords.set_password(world.depot, elsewhere, "alice", "another one", old=PASSWORD)


def test_a_short_new_password_changes_nothing(world: World) -> None:
    alice = world.person("alice")
    with pytest.raises(Invalid, match="at least 8"):
        passwords.set_password(world.depot, alice, "alice", "short", old=PASSWORD)
    assert world.login("alice").name == "alice"


def test_of_two_who_change_a_password_at_once_one_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other change happens while the first one computes its hash."""
    world.user("alice")
    staff, compute = world.staff, PasswordHasher.hash

    def overtaken(*arguments: Any) -> str:
        monkeypatch.setattr(PasswordHasher, "hash", compute)
        passwords.set_password(world.depot, staff, "alice", "the faster one")
        return compute(*arguments)

    monkeypatch.setattr(PasswordHasher, "hash", overtaken)
    with pytest.raises(Conflict, match="somebody else just now"):
        passwords.set_password(world.depot, staff, "alice", "the slower one")
    assert world.login("alice", "the faster one").name == "alice"
