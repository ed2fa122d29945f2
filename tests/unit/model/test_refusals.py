"""What the judge says when it says no: which reason it was, and in readable words."""

from __future__ import annotations

import pytest

from entrepot.model.access import RULES, Action, Actor, Standing, may, require
from entrepot.model.errors import Forbidden, Hidden, Unauthenticated
from entrepot.model.values import Role, Scope


def refusal(actor: Actor, action: Action, standing: Standing, what: str) -> str:
    with pytest.raises(Forbidden) as caught:
        require(actor, action, standing, what, visible=True)
    return caught.value.message


def test_each_reason_has_its_own_hint() -> None:
    reader = Standing(Role.READ, project=1)
    team = Standing(Role.READ)
    person = Actor(user=7, scope=Scope.ADMIN)
    assert refusal(person, Action.CREATE, reader, "in project Data").endswith(
        "It needs write permission in the owning team."
    )
    assert "The token's scope is read; use one of scope write or more." in refusal(
        Actor(user=7, scope=Scope.READ, token=3), Action.CREATE, Standing(Role.ADMIN, 1), "in project Data"
    )
    assert "limited to other projects" in refusal(
        Actor(user=7, scope=Scope.ADMIN, token=3, projects=(2,)), Action.ADMINISTER_TEAM, team, "team lab"
    )
    assert refusal(person, Action.CREATE_TEAM, Standing(), "teams").endswith("Only staff may.")
    assert refusal(Actor(user=7, scope=Scope.WRITE, token=3), Action.CREATE_TEAM, Standing(), "teams").endswith(
        "Only staff may, with a token of scope admin."
    )


def test_the_noun_is_not_said_twice() -> None:
    person = Actor(user=7, scope=Scope.ADMIN)
    assert refusal(person, Action.ADMINISTER_TEAM, Standing(), "team lab").startswith(
        "You may not administer team lab."
    )
    assert refusal(person, Action.MANAGE_LICENCES, Standing(), "licences").startswith("You may not manage licences.")
    assert refusal(person, Action.EDIT, Standing(), "version ver_1").startswith("You may not edit version ver_1.")


def test_anonymous_callers_are_asked_to_log_in_to_what_they_may_know_of() -> None:
    with pytest.raises(Unauthenticated, match="Log in to manage licences"):
        require(Actor(), Action.MANAGE_LICENCES, Standing(), "licences", visible=True)
    with pytest.raises(Hidden, match="There is no team lab, or you may not see it"):
        require(Actor(), Action.VIEW_TEAM, Standing(), "team lab", visible=False)


def test_everybody_is_admin_of_their_own_account_and_of_no_other() -> None:
    mine, other = Standing(Role.ADMIN), Standing(Role.NONE)
    assert may(Actor(user=7, scope=Scope.ADMIN), Action.MANAGE_ACCOUNT, mine)
    assert not may(Actor(user=7, scope=Scope.ADMIN), Action.MANAGE_ACCOUNT, other)
    assert may(Actor(user=7, scope=Scope.ADMIN, staff=True), Action.MANAGE_ACCOUNT, other)
    for scope in (Scope.READ, Scope.WRITE):
        assert not may(Actor(user=7, scope=scope, token=1), Action.MANAGE_ACCOUNT, mine)
    assert not may(Actor(user=7, scope=Scope.ADMIN, token=1, projects=(1,)), Action.MANAGE_ACCOUNT, mine)


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action)
