"""The table of permission, cell by cell: who may do what to a version."""

from __future__ import annotations

import pytest

from entrepot.model.access import RULES, STAFF_ONLY, Action, Actor, Standing, may, require
from entrepot.model.errors import Forbidden, Hidden, Unauthenticated
from entrepot.model.values import Role, Scope, Visibility

PEOPLE: dict[str, tuple[Actor, Role]] = {
    "anonymous": (Actor(), Role.NONE),
    "stranger": (Actor(user=1, scope=Scope.ADMIN), Role.NONE),
    "reader": (Actor(user=1, scope=Scope.ADMIN), Role.READ),
    "executor": (Actor(user=1, scope=Scope.ADMIN), Role.EXECUTE),
    "executor with node": (Actor(user=1, scope=Scope.ADMIN, node=7), Role.EXECUTE),
    "writer": (Actor(user=1, scope=Scope.ADMIN), Role.WRITE),
    "admin": (Actor(user=1, scope=Scope.ADMIN), Role.ADMIN),
    "staff": (Actor(user=1, scope=Scope.ADMIN, staff=True), Role.NONE),
}

# For a private version: who passes. Every name not listed is refused.
PRIVATE = {
    Action.VIEW_RECORD: "reader, executor, executor with node, writer, admin, staff",
    Action.READ_CONTENT: "reader, executor, executor with node, writer, admin, staff",
    Action.COPY: "reader, executor, executor with node, writer, admin, staff",
    Action.CREATE: "writer, admin, staff",
    Action.TRASH: "writer, admin, staff",
    Action.EDIT: "executor with node, writer, admin, staff",
    Action.MERGE_SOURCE: "reader, executor, executor with node, writer, admin, staff",
    Action.MERGE_AWAY: "executor with node, writer, admin, staff",
    Action.REINSTATE: "writer, admin, staff",
    Action.PURGE: "admin, staff",
    Action.FREEZE: "writer, admin, staff",
    Action.UNFREEZE: "admin, staff",
    Action.LINK_SOURCE: "writer, admin, staff",
    Action.LINK_TARGET: "reader, executor, executor with node, writer, admin, staff",
    Action.CONFIGURE_PROJECT: "admin, staff",
    Action.ADMINISTER_TEAM: "admin, staff",
    Action.MANAGE_USERS: "staff",
    Action.CREATE_TEAM: "staff",
    Action.OPERATE: "staff",
}


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("action", PRIVATE)
def test_who_may_do_what_to_a_private_version(action: Action, who: str) -> None:
    actor, role = PEOPLE[who]
    allowed = who in PRIVATE[action].split(", ")
    assert may(actor, action, Standing(role, 1, Visibility.PRIVATE)) is allowed


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize(
    ("visibility", "record", "content"), [(Visibility.LISTED, True, False), (Visibility.PUBLIC, True, True)]
)
def test_what_everybody_may_see(who: str, visibility: Visibility, record: bool, content: bool) -> None:
    actor, role = PEOPLE[who]
    member = role >= Role.READ or actor.staff
    assert may(actor, Action.VIEW_RECORD, Standing(role, 1, visibility)) is (record or member)
    assert may(actor, Action.READ_CONTENT, Standing(role, 1, visibility)) is (content or member)


def test_what_is_public_is_still_not_for_everybody_to_change() -> None:
    stranger = PEOPLE["stranger"][0]
    changing = set(Action) - {Action.VIEW_RECORD, Action.READ_CONTENT, Action.LINK_TARGET}
    changing -= {action for action, rule in RULES.items() if rule.any_person}
    assert not [action for action in changing if may(stranger, action, Standing(Role.NONE, 1, Visibility.PUBLIC))]


@pytest.mark.parametrize(
    ("scope", "reads", "writes", "purges"),
    [(Scope.READ, True, False, False), (Scope.WRITE, True, True, False), (Scope.ADMIN, True, True, True)],
)
def test_a_token_caps_its_users_role(scope: Scope, reads: bool, writes: bool, purges: bool) -> None:
    actor, standing = Actor(user=1, scope=scope, token=5), Standing(Role.ADMIN, 1)
    assert may(actor, Action.READ_CONTENT, standing) is reads
    assert may(actor, Action.EDIT, standing) is writes
    assert may(actor, Action.PURGE, standing) is purges


def test_a_node_does_not_lift_a_read_token() -> None:
    actor = Actor(user=1, scope=Scope.READ, node=7)
    assert not may(actor, Action.EDIT, Standing(Role.EXECUTE, 1))


@pytest.mark.parametrize("staff", [False, True])
def test_a_token_limited_to_projects_reaches_no_other(staff: bool) -> None:
    actor = Actor(user=1, scope=Scope.ADMIN, projects=(3,), staff=staff)
    assert may(actor, Action.EDIT, Standing(Role.WRITE, 3))
    assert not may(actor, Action.EDIT, Standing(Role.WRITE, 4))
    assert not may(actor, Action.CREATE_TEAM, Standing())


def test_a_door_narrows() -> None:
    writer = Actor(user=1, scope=Scope.ADMIN).through("ufdl", {Action.REINSTATE: STAFF_ONLY})
    assert not may(writer, Action.REINSTATE, Standing(Role.ADMIN, 1))
    assert may(writer, Action.TRASH, Standing(Role.WRITE, 1))


def test_a_door_cannot_widen() -> None:
    generous = Actor(user=1, scope=Scope.ADMIN).through("x", {Action.PURGE: RULES[Action.VIEW_RECORD]})
    assert not may(generous, Action.PURGE, Standing(Role.READ, 1, Visibility.PUBLIC))


def test_a_refusal_hides_what_may_not_be_known() -> None:
    with pytest.raises(Hidden, match=r"There is no version x, or you may not see it\."):
        require(Actor(user=1), Action.EDIT, Standing(), "version x", visible=False)


def test_a_refusal_of_something_visible_says_what_is_needed() -> None:
    with pytest.raises(Unauthenticated, match="Log in"):
        require(Actor(), Action.EDIT, Standing(Role.NONE, 1, Visibility.PUBLIC), "version x", visible=True)
    with pytest.raises(Forbidden, match="needs write permission"):
        require(Actor(user=1, scope=Scope.ADMIN), Action.EDIT, Standing(Role.READ, 1), "version x", visible=True)
    reader = Actor(user=1, scope=Scope.READ, token=5)
    with pytest.raises(Forbidden, match="scope is read"):
        require(reader, Action.EDIT, Standing(Role.ADMIN, 1), "version x", visible=True)


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action)
