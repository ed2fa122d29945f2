"""What the caller may do with a project or a team, as a whole: doors show or hide their buttons by it.

It is told, not asked for: the use case behind each button asks the judge again.
"""

from __future__ import annotations

from entrepot.depot.lookup import FoundProject
from entrepot.depot.teams import FoundTeam
from entrepot.model.access import Action, Actor, Standing, may


def of_project(actor: Actor, found: FoundProject) -> dict[Action, bool]:
    stands = Standing(found.role, found.project.n)
    return {action: may(actor, action, stands) for action in Action}


def of_team(actor: Actor, found: FoundTeam) -> dict[Action, bool]:
    stands = Standing(found.role)
    return {action: may(actor, action, stands) for action in Action}
