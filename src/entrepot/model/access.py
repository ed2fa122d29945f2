"""The only judge: may this actor do that to this thing?

The rules are a table of data, so that a page, a test and a door can read them. A door may carry a table of its own on
the actor that narrows these rules; it can never widen them, because both tables must say yes.

    standing of a caller in a thing   =  role in the team that owns it, capped by the token's scope and project limit,
                                         and whether the caller is staff with a token that carries staff rights
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from entrepot.model.errors import Forbidden, Hidden, Unauthenticated
from entrepot.model.values import Role, Scope, Visibility

_CAP = {Scope.READ: Role.READ, Scope.WRITE: Role.WRITE, Scope.ADMIN: Role.ADMIN}


class Action(StrEnum):
    """Every permission question of the product."""

    VIEW_RECORD = "view_record"
    READ_CONTENT = "read_content"
    COPY = "copy"
    CREATE = "create"
    TRASH = "trash"
    EDIT = "edit"
    ACCEPT = "accept"
    WITHDRAW = "withdraw"
    MERGE_SOURCE = "merge_source"
    MERGE_AWAY = "merge_away"
    REINSTATE = "reinstate"
    PURGE = "purge"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    VIEW_PROJECT = "view_project"
    CREATE_PROJECT = "create_project"
    UPDATE_PROJECT = "update_project"
    TRASH_PROJECT = "trash_project"
    REINSTATE_PROJECT = "reinstate_project"
    PURGE_PROJECT = "purge_project"
    CONFIGURE_PROJECT = "configure_project"
    MANAGE_WEBHOOKS = "manage_webhooks"
    START_BATCHES = "start_batches"
    VIEW_TEAM = "view_team"
    ADMINISTER_TEAM = "administer_team"
    SEE_TASK = "see_task"
    CANCEL_TASK = "cancel_task"
    UPLOAD = "upload"
    LINK_SOURCE = "link_source"
    LINK_TARGET = "link_target"
    CREATE_TEAM = "create_team"
    REINSTATE_TEAM = "reinstate_team"
    PURGE_TEAM = "purge_team"
    MANAGE_USERS = "manage_users"
    MANAGE_ACCOUNT = "manage_account"
    VIEW_PEOPLE = "view_people"
    MANAGE_LICENCES = "manage_licences"
    VIEW_LICENCES = "view_licences"
    MANAGE_NODES = "manage_nodes"
    MANAGE_DATA_TYPES = "manage_data_types"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may: members from `role` up, members from `node_role` up when they act for a node, everybody when the thing's
    visibility is in `everyone`, any logged-in person, or staff alone."""

    role: Role | None = None
    node_role: Role | None = None
    everyone: frozenset[Visibility] = frozenset()
    any_person: bool = False
    scope: Scope = Scope.READ


_OPEN_RECORD = frozenset({Visibility.LISTED, Visibility.PUBLIC})
_OPEN_CONTENT = frozenset({Visibility.PUBLIC})
_READ = Rule(Role.READ)
_WRITE = Rule(Role.WRITE, scope=Scope.WRITE)
_ADMIN = Rule(Role.ADMIN, scope=Scope.ADMIN)
_EDIT = Rule(Role.WRITE, node_role=Role.EXECUTE, scope=Scope.WRITE)
_STAFF = Rule()

RULES: Mapping[Action, Rule] = {
    Action.VIEW_RECORD: Rule(Role.READ, everyone=_OPEN_RECORD),
    Action.READ_CONTENT: Rule(Role.READ, everyone=_OPEN_CONTENT),
    Action.COPY: Rule(Role.READ, scope=Scope.WRITE),
    Action.CREATE: _WRITE,
    Action.TRASH: _WRITE,
    Action.EDIT: _EDIT,
    Action.ACCEPT: _WRITE,
    # Whoever could propose it takes it back; that it is their own proposal is asked where it is done.
    Action.WITHDRAW: Rule(Role.READ, scope=Scope.WRITE),
    Action.MERGE_SOURCE: _READ,
    Action.MERGE_AWAY: _EDIT,
    Action.REINSTATE: _WRITE,
    Action.PURGE: _ADMIN,
    Action.FREEZE: _WRITE,
    Action.UNFREEZE: _ADMIN,
    Action.VIEW_PROJECT: _READ,
    Action.CREATE_PROJECT: _WRITE,
    Action.UPDATE_PROJECT: _WRITE,
    Action.TRASH_PROJECT: _WRITE,
    Action.REINSTATE_PROJECT: _ADMIN,
    Action.PURGE_PROJECT: _ADMIN,
    Action.CONFIGURE_PROJECT: _ADMIN,
    Action.MANAGE_WEBHOOKS: _ADMIN,
    # To a webhook that an admin of the project set up, with content that the starter may read.
    Action.START_BATCHES: _WRITE,
    Action.VIEW_TEAM: _READ,
    Action.ADMINISTER_TEAM: _ADMIN,
    Action.SEE_TASK: _READ,
    Action.CANCEL_TASK: _WRITE,
    # What the bytes become is judged when they become it; a credential for reading sends none.
    Action.UPLOAD: Rule(any_person=True, scope=Scope.WRITE),
    Action.LINK_SOURCE: _WRITE,
    Action.LINK_TARGET: Rule(Role.READ, everyone=_OPEN_CONTENT),
    Action.CREATE_TEAM: _STAFF,
    Action.REINSTATE_TEAM: _STAFF,
    Action.PURGE_TEAM: _STAFF,
    Action.MANAGE_USERS: _STAFF,
    # Everybody is admin of their own account, and of no other; a token limited to projects reaches no account.
    Action.MANAGE_ACCOUNT: _ADMIN,
    Action.VIEW_PEOPLE: Rule(any_person=True),
    Action.MANAGE_LICENCES: _STAFF,
    Action.VIEW_LICENCES: Rule(any_person=True),
    Action.MANAGE_NODES: _STAFF,
    Action.MANAGE_DATA_TYPES: _STAFF,
    Action.OPERATE: _STAFF,
}

#: A rule that nobody but staff passes; doors use it to narrow.
STAFF_ONLY = _STAFF


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, through which door, with what credential.

    `staff` is already what the credential carries: the user's staff rights by password or by a token of scope admin.
    """

    user: int | None = None
    name: str | None = None
    uid: UUID | None = None
    staff: bool = False
    scope: Scope = Scope.READ
    projects: tuple[int, ...] | None = None
    node: int | None = None
    token: int | None = None
    token_uid: UUID | None = None
    door: str = "native"
    narrow: Mapping[Action, Rule] = field(default_factory=dict)
    address: str | None = None

    @property
    def is_anonymous(self) -> bool:
        return self.user is None

    def through(self, door: str, narrow: Mapping[Action, Rule] | None = None, *, address: str | None = None) -> Actor:
        """The same actor, coming in through this door."""
        # Written out, because every request does it and `replace` takes five times as long.
        return Actor(
            self.user,
            self.name,
            self.uid,
            self.staff,
            self.scope,
            self.projects,
            self.node,
            self.token,
            self.token_uid,
            door,
            narrow or {},
            address,
        )

    def acting_for(self, node: int | None) -> Actor:
        return replace(self, node=node)


ANONYMOUS = Actor()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the actor stands towards one thing, as the catalogue knows it before any cap.

    Args:
        role: Membership in the team that owns the thing's project.
        project: The project the thing lies in; None for things outside projects.
        visibility: Of a version; None for things that are never public.
    """

    role: Role = Role.NONE
    project: int | None = None
    visibility: Visibility | None = None


def effective_role(actor: Actor, standing: Standing) -> Role:
    """The member's role after the token's scope and project limit."""
    if actor.user is None:
        return Role.NONE
    if actor.projects is not None and standing.project not in actor.projects:
        return Role.NONE
    return min(standing.role, _CAP[actor.scope])


def may(actor: Actor, action: Action, standing: Standing) -> bool:
    """Whether both the base rule and the door's own rule, if it has one, allow it."""
    narrowed = actor.narrow.get(action)
    return _passes(actor, RULES[action], standing) and (narrowed is None or _passes(actor, narrowed, standing))


def _passes(actor: Actor, rule: Rule, standing: Standing) -> bool:
    if standing.visibility is not None and standing.visibility in rule.everyone:
        return True
    if actor.user is None:
        return False
    limited_out = actor.projects is not None and standing.project not in actor.projects
    if actor.staff and not limited_out:
        return True
    if _CAP[actor.scope] < _CAP[rule.scope]:
        return False
    if rule.any_person:
        return True
    role = effective_role(actor, standing)
    if rule.role is not None and role >= rule.role:
        return True
    return rule.node_role is not None and actor.node is not None and role >= rule.node_role


def require(actor: Actor, action: Action, standing: Standing, what: str, *, visible: bool) -> None:
    """Raise unless the actor may.

    Args:
        what: The thing as the message names it.
        visible: Whether the actor may know that the thing exists.

    Raises:
        Hidden: It may not even be known to exist.
        Unauthenticated: It may be known, and logging in could help.
        Forbidden: It may be known, but this is not allowed.
    """
    if may(actor, action, standing):
        return
    if not visible:
        raise Hidden(f"There is no {what}, or you may not see it.")
    if actor.is_anonymous:
        raise Unauthenticated(f"Log in to {_phrase(action, what)}.")
    rule = RULES[action]
    hint = ""
    if actor.projects is not None and standing.project not in actor.projects:
        hint = " The token is limited to other projects; use one that is not."
    elif actor.token is not None and _CAP[actor.scope] < _CAP[rule.scope]:
        hint = f" The token's scope is {actor.scope}; use one of scope {rule.scope} or more."
    elif rule.role is not None and action is not Action.MANAGE_ACCOUNT:
        hint = f" It needs {rule.role.name.lower()} permission in the owning team."
    elif rule.role is None and not rule.any_person:
        hint = " Only staff may" + (
            ", with a token of scope admin." if actor.token is not None and actor.scope is not Scope.ADMIN else "."
        )
    raise Forbidden(f"You may not {_phrase(action, what)}.{hint}")


def _phrase(action: Action, what: str) -> str:
    """ "administer team lab", not "administer team team lab"."""
    verb, _, noun = action.value.replace("_", " ").rpartition(" ")
    return f"{verb} {what}" if verb and what.startswith(noun.removesuffix("s")) else f"{verb} {noun} {what}".strip()
